"""A stream as an asyncio transport: what programs for TCP connections are written against.

Back-pressure goes all the way: a protocol that pauses reading lets the device's window close, and `pause_writing` is
called when the stream takes no more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

from homeport_core import ticks
from homeport_core.stream import ABORTED
from homeport_core.stream_states import CLOSED, TIME_WAIT
from homeport_core.streams import Stream

from homeport.client.network.hub import now_ms
from homeport.errors import StreamError

LINGER_S = 10.0  # what `close` waits for a device that takes nothing and does not close, before it is cut off
_CHUNK = 256 * 1024
_HIGH = 256 * 1024
_LOW = 64 * 1024


class StreamTransport(asyncio.Transport):
    """One open stream. `wake` is called when there may be packets to send, `ended` once when the stream is given back.

    `get_extra_info` asks `info` for "peername", "device" and "path".
    """

    def __init__(
        self, stream: Stream, info: Callable[[str], Any], wake: Callable[[], None], ended: Callable[[], None]
    ) -> None:
        super().__init__()
        self._stream = stream
        self._info = info
        self._wake = wake
        self._ended = ended
        self._outlet = _Outlet(stream)
        self._protocol: asyncio.Protocol | None = None
        self._paused = False
        self._eof_told = False
        self._closing = False
        self._over = False
        self._linger: asyncio.TimerHandle | None = None
        self._progress = -1  # of the stream, when last looked at since `close`

    # What asyncio defines

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        value = self._info(name)
        return default if value is None else value

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Hand what arrives to `protocol` (an asyncio.Protocol) from now on."""
        if not isinstance(protocol, asyncio.Protocol):
            raise TypeError("a stream needs an asyncio.Protocol")
        self._protocol = self._outlet.protocol = protocol
        asyncio.get_running_loop().call_soon(self._read)

    def get_protocol(self) -> asyncio.BaseProtocol:
        if self._protocol is None:
            raise RuntimeError("the stream has no protocol yet")
        return self._protocol

    def is_reading(self) -> bool:
        return not self._paused and not self._closing

    def pause_reading(self) -> None:
        self._paused = True

    def resume_reading(self) -> None:
        if self._paused:
            self._paused = False
            asyncio.get_running_loop().call_soon(self._read)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if not self._closing:
            self._outlet.write(data)
            self._wake()

    def writelines(self, list_of_data: Iterable[bytes | bytearray | memoryview]) -> None:
        self.write(b"".join(list_of_data))

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        """Close our direction after what was written; reading goes on."""
        self._outlet.end()
        self._wake()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self._outlet.set_limits(high, low)

    def get_write_buffer_limits(self) -> tuple[int, int]:
        return self._outlet.low, self._outlet.high

    def get_write_buffer_size(self) -> int:
        """Octets that the stream has not taken yet; it holds up to a window more."""
        return len(self._outlet.unsent)

    def is_closing(self) -> bool:
        return self._closing

    def close(self) -> None:
        """Close our direction after what was written, and read nothing any more.

        `connection_lost` comes when the device has everything and has closed, too, or has done neither for LINGER_S.
        """
        if self._closing:
            return
        self._closing = True
        self._outlet.end()
        self._wait_for_end()
        self._read()
        self._wake()

    def abort(self) -> None:
        """Reset the stream: what was not sent yet is lost."""
        if not self._over:
            self._stream.abort(_ticks())
            self.lose(None)

    # What the device's streams tell

    def changed(self, changes: int) -> None:
        """The stream reports `changes` (bits of `homeport_core.stream`)."""
        if changes & ABORTED:
            self.lose(StreamError(f"the stream was cut off: {self._stream.reason or 'the device reset it'}", "reset"))
        elif not self._over:
            if self._outlet.push():
                self._wake()
            self._read()

    def lose(self, error: Exception | None) -> None:
        """It is over: give the stream back and tell the protocol, once."""
        if self._over:
            return
        self._over = self._closing = True
        if self._linger is not None:
            self._linger.cancel()
        self._outlet.unsent.clear()
        self._stream.release()
        self._ended()
        self._wake()
        if self._protocol is not None:
            asyncio.get_running_loop().call_soon(self._protocol.connection_lost, error)

    def _wait_for_end(self) -> None:
        """After `close`: cut the stream off, once the device has made no progress for LINGER_S."""
        progress = self._stream.progress
        if progress == self._progress:
            self.abort()
        else:
            self._progress = progress
            self._linger = asyncio.get_running_loop().call_later(LINGER_S, self._wait_for_end)

    def _read(self) -> None:
        """Hand on what there is; a protocol that fails at it loses its stream, as everywhere in asyncio."""
        try:
            self._hand_on()
        except Exception as error:
            context = {"message": "a stream's protocol failed", "exception": error, "protocol": self._protocol}
            asyncio.get_running_loop().call_exception_handler(context)
            self._stream.abort(_ticks())
            self.lose(error)

    def _hand_on(self) -> None:
        """What there is, as far as it is wanted; then see whether it is over."""
        stream, protocol = self._stream, self._protocol
        if protocol is None or self._over:
            return
        while stream.readable and (self._closing or not self._paused) and not self._over:
            if self._closing:
                stream.consume(len(stream.peek()))
            else:
                protocol.data_received(stream.read(_CHUNK))
            self._wake()
        if stream.at_eof and not self._eof_told and not self._over:
            self._eof_told = True
            if not self._closing and not protocol.eof_received():
                self.close()
        if stream.state in (TIME_WAIT, CLOSED) and not stream.readable:
            self.lose(None)


class _Outlet:
    """Our direction: what the stream has not taken yet, and whether the protocol has to wait."""

    def __init__(self, stream: Stream) -> None:
        self.unsent = bytearray()
        self.low, self.high = _LOW, _HIGH
        self.protocol: asyncio.BaseProtocol | None = None
        self._stream = stream
        self._waits = False
        self._ending = False

    def set_limits(self, high: int | None, low: int | None) -> None:
        """As asyncio defines them: `low` is a quarter of `high` unless given."""
        high = high if high is not None else _HIGH if low is None else 4 * low
        low = high // 4 if low is None else low
        if not high >= low >= 0:
            raise ValueError(f"write buffer limits: high ({high}) must be at least low ({low}), and low at least 0")
        self.high, self.low = high, low
        self._judge()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Take all of `data`."""
        if self._ending:
            raise RuntimeError("cannot write after write_eof()")
        taken = 0 if self.unsent else self._stream.write(_ticks(), data)
        if taken < len(data):
            self.unsent += memoryview(data)[taken:]
            self._judge()

    def end(self) -> None:
        """Close our direction after what was written."""
        self._ending = True
        self.push()

    def push(self) -> bool:
        """Give the stream what waits, if there is room; whether there was any."""
        taken = self._stream.write(_ticks(), self.unsent) if self.unsent else 0
        if taken:
            del self.unsent[:taken]
            self._judge()
        if self._ending and not self.unsent:
            self._stream.close(_ticks())
        return taken > 0

    def _judge(self) -> None:
        """Let the protocol wait, or go on."""
        waits = len(self.unsent) > (self.low if self._waits else self.high)
        if waits != self._waits and self.protocol is not None:
            self._waits = waits
            if waits:
                self.protocol.pause_writing()
            else:
                self.protocol.resume_writing()


def _ticks() -> int:
    return now_ms() % ticks.PERIOD
