"""TCP sockets: how they listen and are set up, and why they could not be."""

from __future__ import annotations

import errno
import os
import re
import socket

from homeport_core.errors import ConfigError

from homeport.wire import Address, address_text

_BACKLOG = 128
_ERRNO = re.compile(r"\[Errno ([0-9]+)\]")

UNSENT_MAX = 65_536
"""Bytes that the system may hold back unsent. By default it takes megabytes, and what is sent last would wait for
them: here a queue that is too long is seen as such, and datagrams are lost instead (not every system knows this)."""

_TCP_USER_TIMEOUT: int | None = getattr(socket, "TCP_USER_TIMEOUT", None)
_TCP_NOTSENT_LOWAT: int | None = getattr(socket, "TCP_NOTSENT_LOWAT", None)


def listen(where: Address) -> socket.socket:
    """A listening socket. `where` may be IPv6; `::` is IPv4 as well where the system can.

    Raises ConfigError that names the address when it is taken or not ours.
    """
    is_ipv6 = ":" in where[0]
    listener = None
    try:
        listener = socket.socket(socket.AF_INET6 if is_ipv6 else socket.AF_INET, socket.SOCK_STREAM)
        if is_ipv6 and socket.has_dualstack_ipv6():
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(where)
        listener.listen(_BACKLOG)
        listener.setblocking(False)
    except OSError as error:
        if listener is not None:
            listener.close()
        what = "is already in use" if error.errno == errno.EADDRINUSE else f"cannot be used: {error.strerror}"
        raise ConfigError(f"TCP {address_text(where)} {what}") from None
    return listener


def tune(sock: socket.socket, unacknowledged_ms: int = 0) -> None:
    """Send at once (no Nagle), and keep little that is unsent in the system.

    With `unacknowledged_ms` the connection ends when the peer acknowledges nothing for so long.
    """
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if _TCP_NOTSENT_LOWAT is not None:
        sock.setsockopt(socket.IPPROTO_TCP, _TCP_NOTSENT_LOWAT, UNSENT_MAX)
    if unacknowledged_ms and _TCP_USER_TIMEOUT is not None:
        sock.setsockopt(socket.IPPROTO_TCP, _TCP_USER_TIMEOUT, unacknowledged_ms)


def reason_of(error: BaseException) -> str:
    """The system's own words for a connection that could not be made."""
    number = getattr(error, "errno", None) or 0
    # asyncio's own text for the system's errors is a Python tuple; look-ups have negative numbers and good texts
    if number > 0:
        return os.strerror(number)
    # Several addresses were tried, each with a reason of its own.
    reasons = dict.fromkeys(os.strerror(int(each)) for each in _ERRNO.findall(str(error)))
    return "; ".join(reasons) or str(getattr(error, "strerror", None) or error)
