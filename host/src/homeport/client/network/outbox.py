"""Sends datagrams from sockets. What the kernel has no room for at the moment waits, a little, in order.

A stream's window can be larger than the buffer of a slow network card; losing its end each time would look like
congestion. More than waits here is lost, as the network itself would lose it.
"""

from __future__ import annotations

import asyncio
import errno
import socket
from collections import Counter, deque
from functools import lru_cache

from homeport import wire

WAITING_MAX = 256

# What a send may meet that loses one datagram and nothing else; retransmission deals with it.
_TRANSIENT = {
    errno.EAGAIN, errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ENOBUFS, errno.EPERM,
    errno.EADDRNOTAVAIL, errno.EACCES, errno.EINVAL, errno.ENETDOWN, errno.EHOSTDOWN, errno.EMSGSIZE,
}  # fmt: skip

_address = lru_cache(256)(wire.address)


class Outbox:
    """Of one hub; losses are counted in `drops` by the name of the error."""

    def __init__(self, drops: Counter[str]) -> None:
        self._drops = drops
        self._waiting: dict[socket.socket, deque[tuple[bytes, bytes]]] = {}

    def send(self, sock: socket.socket, data: bytes, endpoint: bytes) -> None:
        """Send to `endpoint` (6 bytes), now or as soon as there is room. Raises OSError for what is not the network."""
        waiting = self._waiting.get(sock)
        if waiting is None:
            if not self._try(sock, data, endpoint):
                self._waiting[sock] = deque([(data, endpoint)])
                asyncio.get_running_loop().add_writer(sock, self._writable, sock)
        elif len(waiting) < WAITING_MAX:
            waiting.append((data, endpoint))
        else:
            self._drops["EAGAIN"] += 1

    def forget(self, sock: socket.socket) -> None:
        """The socket is about to be closed: what waits for it is lost."""
        if self._waiting.pop(sock, None) is not None:
            asyncio.get_running_loop().remove_writer(sock)

    def _try(self, sock: socket.socket, data: bytes, endpoint: bytes) -> bool:
        """Whether the datagram is dealt with; False when there is no room for it."""
        try:
            sock.sendto(data, _address(endpoint))
        except BlockingIOError:
            return False
        except OSError as error:
            if error.errno not in _TRANSIENT:
                raise
            self._drops[errno.errorcode[error.errno]] += 1
        return True

    def _writable(self, sock: socket.socket) -> None:
        waiting = self._waiting[sock]
        while waiting:
            if not self._try(sock, *waiting[0]):
                return
            waiting.popleft()
        self.forget(sock)
