"""A stream joined to a channel of the port, both ways (specification, streams 5.5).

Nothing is kept in between: octets go from the stream's memory to the channel as far as it takes them, and are read from
the channel as far as the stream has room, so that each end slows the other down.
"""

from homeport_core import ticks
from homeport_core.compat import const

from homeport_device.services import Session

# Where one direction of a channel cannot be ended alone, the other is given up when it has been silent for so long.
_QUIET_MS = const(5000)
# And for so long, when another stream needs the slot.
_SPARE_MS = const(500)
_READS = const(4)
_BROKEN = const(-2)


class Pipe(Session):
    """Copies between its stream and its channel once `join` was called."""

    def __init__(self, services: object, connection: object, stream: object, buf: bytearray) -> None:
        """`buf` is room for what comes from the channel; pipes may share it."""
        super().__init__(services, connection, stream)
        self.channel = None
        self._view = memoryview(buf)
        self._joined = False
        self._reading = self._writing = False
        self._broken = False  # the channel takes no more
        self._sent_all = False  # the stream ended, and all of it was passed on or dropped
        self._received_all = False  # the channel ended

    def join(self, now_ms: int) -> None:
        """The channel is ready."""
        self._joined = True
        self.changed(now_ms, 0)

    def changed(self, now_ms: int, changes: int) -> None:
        if self._joined:
            self._to_channel(now_ms)
            self._go_on(now_ms)

    def timeout(self, now_ms: int) -> None:
        """The channel has been silent since the stream ended."""
        self.hang_up(now_ms)

    def is_spare(self, now_ms: int) -> bool:
        return self.deadline_ms is not None and ticks.diff(self.deadline_ms, now_ms) <= _QUIET_MS - _SPARE_MS

    def lost(self) -> None:
        self._leave(True)

    def is_done(self) -> bool:
        """Whether both directions have ended."""
        return self._received_all and (self._sent_all or self._broken)

    def hang_up(self, now_ms: int) -> None:
        """End everything."""
        self._leave(False)
        self.end(now_ms)

    # What the port reports

    def tcp_readable(self, now_ms: int, channel: object) -> None:
        for _ in range(_READS):
            room = min(self.stream.writable, len(self._view))
            if not room:
                break
            n = channel.receive_into(self._view[:room])
            if n == 0:
                break
            if n == _BROKEN:  # an end would let what is cut short look complete
                self.stream.abort(now_ms)
                self.hang_up(now_ms)
                self.services.flush(now_ms, self)
                return
            if n < 0:
                self._received_all = True
                self.stream.close(now_ms)
                break
            self.stream.write(now_ms, self._view[:n])
            if self.deadline_ms is not None:
                self.deadline_ms = ticks.add(now_ms, _QUIET_MS)
        self._go_on(now_ms)
        self.services.flush(now_ms, self)

    def tcp_writable(self, now_ms: int, channel: object) -> None:
        self._to_channel(now_ms)
        self._go_on(now_ms)
        self.services.flush(now_ms, self)

    # Steps

    def _leave(self, reset: bool) -> None:
        """Free the channel; with `reset` its other end learns that this was no end."""
        if self.channel is not None:
            self.channel.close(reset)
            self.channel = None

    def _to_channel(self, now_ms: int) -> None:
        stream = self.stream
        view = stream.peek()
        self._writing = False
        while len(view):
            n = len(view) if self._broken else self.channel.send(view)
            if n < 0:
                self._broken = True
                continue
            stream.consume(n)
            if n < len(view):
                self._writing = True
                return
            view = stream.peek()
        if stream.at_eof and not self._sent_all:
            self._sent_all = True
            if not self.channel.shutdown():
                self.deadline_ms = ticks.add(now_ms, _QUIET_MS)

    def _go_on(self, now_ms: int) -> None:
        """Wait for what is possible now, or end when both directions have."""
        if self.is_done():
            self.hang_up(now_ms)
            return
        self._reading = not self._received_all and self.stream.writable > 0
        self.channel.watch(self._reading, self._writing)
