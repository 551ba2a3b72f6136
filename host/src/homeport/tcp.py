"""How the TCP connections are set up that carry datagrams beside messages."""

from __future__ import annotations

import socket

UNSENT_MAX = 65_536
"""Bytes that the system may hold back unsent. By default it takes megabytes, and what is sent last would wait for
them: here a queue that is too long is seen as such, and datagrams are lost instead (not every system knows this)."""

_TCP_NOTSENT_LOWAT: int | None = getattr(socket, "TCP_NOTSENT_LOWAT", None)


def tune(sock: socket.socket) -> None:
    """Send at once (no Nagle), and keep little that is unsent in the system."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if _TCP_NOTSENT_LOWAT is not None:
        sock.setsockopt(socket.IPPROTO_TCP, _TCP_NOTSENT_LOWAT, UNSENT_MAX)
