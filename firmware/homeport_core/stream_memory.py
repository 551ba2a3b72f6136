"""Where the segments of a stream stand, in both directions.

A host keeps what there is as it comes. A board makes all of it once, in a `FixedPool`, and streams borrow from there:
an accepted stream has its memory, and nothing grows or falls apart while it runs.
"""

from homeport_core.compat import const
from homeport_core.stream_limits import StreamLimits
from homeport_core.stream_wire import Window

# Marks of a segment to send
UNSENT = const(0)
IN_FLIGHT = const(1)
LOST = const(2)  # to be sent again
SACKED = const(3)  # arrived, but not acknowledged in order
DONE = const(4)  # acknowledged

_NOTHING = memoryview(b"")


class Segment:
    """A segment to send: `n` octets in `data`, and what became of it.

    `sent_at_ms` and `sent_id` belong to its last transmission, `tries` counts them; `skip` is, at the first of a
    SACKed run, a number up to which all are SACKed.
    """

    __slots__ = ("data", "mark", "n", "sent_at_ms", "sent_id", "skip", "tries")

    def __init__(self, data: bytearray | memoryview) -> None:
        self.data = data
        self.n = self.mark = self.sent_at_ms = self.sent_id = self.skip = self.tries = 0

    def octets(self) -> bytearray | memoryview:
        """What is in it."""
        data = self.data
        return data if len(data) == self.n else data[: self.n]


class Memory:
    """The memory of one stream: `received[i]` and its size in `lens[i]` (-1: empty), and the ring `sent`."""

    __slots__ = ("_fixed", "lens", "received", "sent")

    def __init__(self, limits: StreamLimits) -> None:
        window = limits.receive_window
        self._fixed = limits.fixed
        self.lens = [-1] * window
        self.received = [_NOTHING] * window
        # One more than the window: the last acknowledged segment is kept, to probe with.
        self.sent: list[Segment | None] = [None] * (limits.send_window + 1)
        if limits.fixed:
            self._reserve(limits.segment)

    def _reserve(self, size: int) -> None:
        window = len(self.received)
        block = memoryview(bytearray(size * (window + len(self.sent))))
        for i in range(window):
            self.received[i] = block[i * size : (i + 1) * size]
        for i in range(len(self.sent)):
            self.sent[i] = Segment(block[(window + i) * size : (window + i + 1) * size])

    def clear(self) -> None:
        """Make it as new."""
        for i in range(len(self.lens)):
            self.drop(i)
        for segment in self.sent:
            if segment is not None:
                segment.n = segment.mark = segment.tries = 0

    def keep(self, i: int, segment: Window) -> bool:
        """Copy a received segment into slot `i`; False when that holds one already."""
        if self.lens[i] >= 0:
            return False
        off = segment.off
        n = segment.n
        if self._fixed:
            self.received[i][:n] = memoryview(segment.buf)[off : off + n]
        else:
            self.received[i] = memoryview(segment.buf[off : off + n])
        self.lens[i] = n
        return True

    def drop(self, i: int) -> None:
        """Empty slot `i`."""
        self.lens[i] = -1
        if not self._fixed:
            self.received[i] = _NOTHING

    def fill(self, i: int, data: memoryview, is_new: bool) -> Segment:
        """Put octets to send into ring place `i`: at its start, or behind what it has."""
        segment = self.sent[i]
        if segment is None:
            segment = self.sent[i] = Segment(bytearray())
        if is_new:
            segment.n = segment.mark = segment.tries = 0
        n = segment.n
        if self._fixed:
            segment.data[n : n + len(data)] = data
        elif is_new:
            segment.data = bytearray(data)
        else:
            segment.data += data  # type: ignore[operator]
        segment.n = n + len(data)
        return segment


class GrowingPool:
    """For hosts: as many as wanted, each growing with what it holds."""

    __slots__ = ("_limits",)

    def __init__(self, limits: StreamLimits) -> None:
        self._limits = limits

    def take(self) -> Memory | None:
        """Memory for one more stream."""
        return Memory(self._limits)

    def give(self, memory: Memory) -> None:
        """A stream ended."""


class FixedPool:
    """For boards: the memory of `streams` streams of all connections together, made at once."""

    __slots__ = ("_free",)

    def __init__(self, limits: StreamLimits, streams: int) -> None:
        self._free = [Memory(limits) for _ in range(streams)]

    def take(self) -> Memory | None:
        """Memory for one more stream, or None."""
        return self._free.pop() if self._free else None

    def give(self, memory: Memory) -> None:
        """A stream ended."""
        memory.clear()
        self._free.append(memory)
