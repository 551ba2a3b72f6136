"""A client's streams over real sockets, without the client library: `scripted_world.Client` with the core's machine."""

import contextlib
import os
import time

from homeport_core import ticks
from homeport_core.packet import PacketWriter
from homeport_core.spec import PL_SACK, PL_WINDOW, PT_DATA, TAG_STREAM_FIRST, TAG_STREAM_LAST
from homeport_core.stream import Stream
from homeport_core.stream_limits import StreamLimits
from homeport_core.streams import Streams
from scripted_world import Client, decode

PATIENCE_S = 20
DATAGRAM_MAX = 65536


def now_ms() -> int:
    """The time of a stream machine."""
    return time.monotonic_ns() // 1_000_000 % ticks.PERIOD


class StreamClient(Client):
    """`pump` once, or `until` something is so, after anything was done to a stream."""

    def __init__(self, opened: object = None, clock: object = now_ms, **limits: int) -> None:
        super().__init__(opened)
        self._now_ms = clock
        self.socket.setsockopt(1, 8, 4 << 20)  # SO_RCVBUF, for bursts
        self.streams = Streams(os.urandom, StreamLimits(**{"streams": 64, **limits}), True)
        self._writer = PacketWriter(bytearray(DATAGRAM_MAX))

    def open(self, line: bytes = b"") -> Stream:
        """An open stream, its command sent."""
        stream = self.streams.open(self._now_ms())
        self.until(lambda: stream.writable > 0)
        if line:
            assert stream.write(self._now_ms(), line) == len(line)
            self.send_waiting()
        return stream

    def send_waiting(self) -> None:
        """Send what is due now."""
        now = self._now_ms()
        due = self.streams.deadline_ms
        if due is not None and ticks.diff(now, due) >= 0:
            self.streams.timeout(now)
        while self.streams.poll(now):
            writer = self._writer
            writer.begin(PT_DATA, self.nsi, tag=self.streams.tag, cp=b"\x99\x99\x99\x99")
            writer.add(PL_WINDOW, self.streams.window)
            if len(self.streams.sack):
                writer.add(PL_SACK, self.streams.sack)
            n = writer.seal(self.keys, self.streams.data, os.urandom(16))
            with contextlib.suppress(BlockingIOError):
                self.socket.sendto(memoryview(writer.buf)[:n], self.device)

    def pump(self, wait_s: float = 0.02) -> None:
        """Send what is due, and take what arrives."""
        self.send_waiting()
        self.socket.settimeout(wait_s)
        try:
            while True:
                packet = decode(self.socket.recv(DATAGRAM_MAX))
                self.socket.settimeout(0)
                if packet.sp == self.nsi and packet.tag and TAG_STREAM_FIRST <= packet.tag <= TAG_STREAM_LAST:
                    off, n = self.keys.open_in_place(packet)
                    self.streams.take(self._now_ms(), packet, off, n)
                    self.send_waiting()
        except (BlockingIOError, TimeoutError):
            return

    def until(self, found: object) -> None:
        """Pump until `found()`. Raises AssertionError when it takes too long."""
        end_s = time.monotonic() + PATIENCE_S
        while not found():
            assert time.monotonic() < end_s, "did not happen"
            self.pump()

    def receive(self, stream: Stream, n: int) -> bytes:
        """So many octets of the stream; fewer at its end."""
        got = bytearray()

        def complete() -> bool:
            got.extend(stream.read(n - len(got)))
            return len(got) == n or stream.at_eof

        self.until(complete)
        return bytes(got)

    def send(self, stream: Stream, data: bytes) -> None:
        """All of `data`."""
        view = memoryview(data)
        sent = 0

        def complete() -> bool:
            nonlocal sent
            sent += stream.write(self._now_ms(), view[sent:])
            return sent == len(data)

        self.until(complete)
