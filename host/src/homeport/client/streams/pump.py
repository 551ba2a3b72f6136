"""One TCP connection and one stream, tied together: octets both ways, half-closes and cut-offs (streams 5.5, 5.8)."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable

from homeport.client.streams.transport import StreamTransport
from homeport.errors import StreamError

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER of no time


class Traffic:
    """Octets that were forwarded: `up` to the device, `down` from it."""

    def __init__(self) -> None:
        self.up = 0
        self.down = 0


class Pump:
    """Between a local TCP connection, given at once, and a stream that may come later (`attach`).

    Until then the local end is not read, so that no more than the system's own buffer waits. `done` is called once,
    when both are gone or on their way; `failed` when the stream was cut off, or (with None) when the device's end came
    first and without an octet, which is all that a device says of a target that it does not reach or allow.
    """

    def __init__(
        self, traffic: Traffic, done: Callable[[Pump], None], failed: Callable[[StreamError | None], None]
    ) -> None:
        self.local = _Side(self, self._count_up)
        self.remote = _Side(self, self._count_down)
        self.local.other, self.remote.other = self.remote, self.local
        self._traffic = traffic
        self._done = done
        self._failed = failed
        self._is_answered = False
        self._over = False

    def attach(self, stream: StreamTransport) -> None:
        """Begin to forward to and from `stream`."""
        if self._over:
            stream.abort()
            return
        self.remote.connection_made(stream)
        stream.set_protocol(self.remote)
        if self.local.ended:
            stream.write_eof()
        elif self.local.transport is not None:
            self.local.transport.resume_reading()

    def reset(self) -> None:
        """Cut both ends off: the local program gets a connection reset, and the device's."""
        self._finish()
        if self.local.transport is not None:
            reset_connection(self.local.transport)
        if self.remote.transport is not None:
            self.remote.transport.abort()

    def half_closed(self, side: _Side) -> None:
        """`side` sends nothing any more."""
        if side is self.remote and not self._is_answered and not self.local.ended:
            self._failed(None)
        other = side.other.transport
        if other is not None:
            other.write_eof()
        if self.local.ended and self.remote.ended:
            for one in (self.local, self.remote):
                if one.transport is not None:
                    one.transport.close()

    def lost(self, side: _Side, error: Exception | None) -> None:
        """The end `side` is gone."""
        side.transport = None
        if side is self.remote and isinstance(error, StreamError) and not self._over:
            self._failed(error)
        if error is not None or not (self.local.ended and self.remote.ended):
            self.reset()
        self._finish()

    def _finish(self) -> None:
        if not self._over:
            self._over = True
            self._done(self)

    def _count_up(self, n: int) -> None:
        self._traffic.up += n

    def _count_down(self, n: int) -> None:
        self._traffic.down += n
        self._is_answered = True


class _Side(asyncio.Protocol):
    """What one end says goes to the other."""

    def __init__(self, pump: Pump, count: Callable[[int], None]) -> None:
        self.transport: asyncio.Transport | None = None
        self.other = self
        self.ended = False
        self._pump = pump
        self._count = count

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self._count(len(data))
        if self.other.transport is not None:
            self.other.transport.write(data)

    def eof_received(self) -> bool:
        self.ended = True
        self._pump.half_closed(self)
        return True  # the other direction stays open

    def pause_writing(self) -> None:
        if self.other.transport is not None:
            self.other.transport.pause_reading()

    def resume_writing(self) -> None:
        if self.other.transport is not None:
            self.other.transport.resume_reading()

    def connection_lost(self, error: Exception | None) -> None:
        if self.transport is not None:
            self._pump.lost(self, error)


def reset_connection(transport: asyncio.Transport) -> None:
    """Close a TCP connection so that its other end sees a reset, not an orderly end."""
    sock = transport.get_extra_info("socket")
    if sock is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    transport.abort()
