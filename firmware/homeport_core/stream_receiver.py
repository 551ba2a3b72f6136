"""The receiving half of a stream: order, acknowledgments, and the window it grants (specification, streams 3.2-3.5).

Numbers in here count from the peer's first data segment, whose number on the wire is `base`.
"""

from homeport_core import ticks
from homeport_core.compat import const
from homeport_core.stream_memory import Memory
from homeport_core.stream_wire import RANGE_LEN, RANGES_MAX, SACK_MAX, Window, distance, write_range

# What became of a segment.
STORED = const(0)
REPEATED = const(1)  # had it
OUTSIDE = const(2)  # beyond the window, behind the end, or too large

_ACK_DELAY_MS = const(20)
_EAGER = const(16)  # so many segments are acknowledged one by one, while the peer's window opens
_REPEAT_MS = const(300)  # announcements of a window that opened again: first, and at most, and after so many
_REPEAT_MAX_MS = const(2000)
_REPEATS = const(10)
_REPEAT_SLOW_MS = const(5000)
_NUMBERS_MAX = const(0x3FFFFFFF)


class Receiver:
    """Takes segments in any order and gives octets in order.

    `ack` is the next number wanted, `ready` the octets that can be read, `wants_ack` that an acknowledgment is to
    leave now; `is_complete` that the peer's FIN is here with all before it.
    """

    __slots__ = (
        "_ack_at_ms",
        "_announced",
        "_fin",
        "_has_sack",
        "_latest",
        "_memory",
        "_offset",
        "_pending",
        "_read",
        "_reopens",
        "_repeat_at_ms",
        "_repeats",
        "_runs",
        "_sack",
        "_segment",
        "_top",
        "_views",
        "_window",
        "_wsrf",
        "base",
        "is_complete",
        "is_fresh",
        "ready",
        "wants_ack",
    )

    def __init__(
        self, memory: Memory, base: int, segment: int, window: int, wsrf: bool = True, has_sack: bool = True
    ) -> None:
        self._memory = memory
        self.base = base
        self._segment = segment
        self._window = window
        self._wsrf = wsrf
        self._has_sack = has_sack
        self._read = self._top = self._offset = 0  # next to read, first missing, octets read of the former
        self._runs: list[int] = []  # start, end, start, end … of what stands above `_top`, ascending
        self._latest = 0  # the segment above a hole that arrived last
        self._fin = -1
        self.is_complete = False
        self.ready = 0
        self.wants_ack = False
        self.is_fresh = False  # something arrived that was not acknowledged yet
        self._pending = 0  # segments that arrived since the last acknowledgment
        self._ack_at_ms = -1
        self._announced = window  # right edge that the peer knows of; its window never shrinks
        self._reopens = False
        self._repeat_at_ms = -1
        self._repeats = 0
        self._sack = bytearray(SACK_MAX)
        view = memoryview(self._sack)
        self._views = [view[: 8 * (i + 1)] for i in range(RANGES_MAX)]

    # What arrives

    def take(self, now_ms: int, segment: Window) -> int:
        """A data segment; returns STORED, REPEATED or OUTSIDE."""
        number = distance(segment.seq, self.base)
        top = self._top
        if number < top:
            if number < top - self._window - 1:
                return OUTSIDE
            self.wants_ack = True
            return REPEATED
        edge = self._read + self._window
        if number >= edge or segment.n > self._segment or number > _NUMBERS_MAX or 0 <= self._fin <= number:
            return OUTSIDE
        if not self._memory.keep(number % self._window, segment):
            self.wants_ack = True
            return REPEATED
        self.is_fresh = True
        self._repeat_at_ms = -1  # the peer knows of the window
        self._pending += 1
        if number == top and not self._runs:
            self._top = top + 1
            self.ready += segment.n
            if self._pending >= 2 or top < _EAGER or (edge - top - 1) * 4 < self._window:
                self.wants_ack = True
            elif self._ack_at_ms < 0:
                self._ack_at_ms = ticks.add(now_ms, _ACK_DELAY_MS)
        else:
            self.wants_ack = True
            self._latest = number
            self._insert(number)
            self._advance()
        if self._fin == self._top:
            self.is_complete = True
        return STORED

    def take_fin(self, seq: int) -> bool:
        """The peer's FIN; False when it is no news (or impossible)."""
        number = distance(seq, self.base)
        if self._fin >= 0 or number < self._top or number > self._read + self._window:
            if number == self._fin:
                self.wants_ack = True
            return False
        if self._runs and number < self._runs[-1]:
            return False
        self._fin = number
        self.wants_ack = True
        if number == self._top:
            self.is_complete = True
        return True

    def _insert(self, number: int) -> None:
        """Note a segment above a hole, or the one that fills it."""
        runs = self._runs
        n = len(runs)
        if n and number == runs[n - 1]:
            runs[n - 1] = number + 1
            return
        at = self._above(number)
        joins_before = at > 0 and runs[at - 1] == number
        joins_after = at < n and runs[at] == number + 1
        if joins_before and joins_after:
            runs[at - 1] = runs[at + 1]
            runs.pop(at)
            runs.pop(at)
        elif joins_before:
            runs[at - 1] = number + 1
        elif joins_after:
            runs[at] = number
        else:
            runs.insert(at, number + 1)
            runs.insert(at, number)

    def _above(self, number: int) -> int:
        """Where in `_runs` the first run begins that starts above `number`."""
        runs = self._runs
        low, high = 0, len(runs) // 2
        while low < high:
            middle = (low + high) // 2
            if runs[2 * middle] > number:
                high = middle
            else:
                low = middle + 1
        return 2 * low

    def _advance(self) -> None:
        """Move the first missing number over the first run, when that begins there."""
        runs = self._runs
        if not runs or runs[0] != self._top:
            return
        end = runs[1]
        lens = self._memory.lens
        for number in range(self._top, end):
            self.ready += lens[number % self._window]
        self._top = end
        runs.pop(0)
        runs.pop(0)

    # What is told to the peer

    @property
    def ack(self) -> int:
        """The next number wanted, as on the wire. Without the WSRF option only what was read is acknowledged."""
        number = self._top if self._wsrf else self._read
        if self.is_complete and number == self._fin:
            number += 1
        return self.base + number

    @property
    def free(self) -> int:
        """The window to advertise, in segments."""
        if not self._wsrf:
            return self._window
        return self._window - self._top + self._read

    def sack(self) -> bytes | memoryview:
        """The data of a SACK payload: up to four runs, the highest first; b"" without holes.

        With more than four the last place is for the one that grew last, or else a sender that fills low holes would
        not hear of it.
        """
        runs = self._runs
        at = len(runs)
        if not at or not self._has_sack:
            return b""
        end = 0
        while at and end < SACK_MAX:
            at -= 2
            if end == SACK_MAX - RANGE_LEN and at:
                latest = self._above(self._latest) - 2
                if 0 <= latest < at:
                    at = latest
            end = write_range(self._sack, end, self.base + runs[at], self.base + runs[at + 1])
        return self._views[end // 8 - 1]

    def told(self, now_ms: int) -> None:
        """A packet with `ack`, `free` and `sack` is leaving."""
        self.wants_ack = self.is_fresh = False
        self._pending = 0
        self._ack_at_ms = -1
        self._announced = self._read + self._window
        if self._reopens:
            self._reopens = False
            self._repeats = 0
            self._repeat_at_ms = ticks.add(now_ms, _REPEAT_MS)

    @property
    def deadline_ms(self) -> int:
        """When `timeout` is due; -1 for never."""
        if self._ack_at_ms < 0:
            return self._repeat_at_ms
        if self._repeat_at_ms < 0 or ticks.diff(self._ack_at_ms, self._repeat_at_ms) < 0:
            return self._ack_at_ms
        return self._repeat_at_ms

    def timeout(self, now_ms: int) -> None:
        """Acknowledge what waited; repeat that the window is open again."""
        if self._ack_at_ms >= 0 and ticks.diff(now_ms, self._ack_at_ms) >= 0:
            self._ack_at_ms = -1
            self.wants_ack = True
        if self._repeat_at_ms >= 0 and ticks.diff(now_ms, self._repeat_at_ms) >= 0:
            self.wants_ack = True
            self._repeats += 1
            wait = _REPEAT_SLOW_MS
            if self._repeats < _REPEATS:
                wait = min(_REPEAT_MS << min(self._repeats, 3), _REPEAT_MAX_MS)
            self._repeat_at_ms = ticks.add(now_ms, wait)

    # What is read

    def peek(self) -> memoryview:
        """The unread octets of the next segment; empty when there is none."""
        if self._read == self._top:
            return memoryview(b"")
        slot = self._read % self._window
        return self._memory.received[slot][self._offset : self._memory.lens[slot]]

    @property
    def next_len(self) -> int:
        """How many octets `peek` shows."""
        return self._memory.lens[self._read % self._window] - self._offset if self._read < self._top else 0

    def consume(self, n: int) -> None:
        """Take `n` octets, of the next segment only."""
        slot = self._read % self._window
        self._offset += n
        self.ready -= n
        if self._offset < self._memory.lens[slot]:
            return
        self._offset = 0
        self._memory.drop(slot)
        self._read += 1
        if self._wsrf:
            self._reopen()
        else:
            self.wants_ack = True

    def _reopen(self) -> None:
        """Say that there is room again, when the peer was told that there is next to none, and until it shows."""
        if self.is_complete or self._announced - self._top >= min(2, self._window):
            return
        if self._read + self._window - self._top < max(1, self._window // 4):
            return
        self.wants_ack = self._reopens = True

    def discard(self) -> None:
        """Drop all that can be read."""
        while self._read < self._top:
            self.consume(self._memory.lens[self._read % self._window] - self._offset)

    @property
    def has_any(self) -> bool:
        """Whether anything ever arrived."""
        return self._top > 0 or bool(self._runs) or self._fin >= 0

    @property
    def at_end(self) -> bool:
        """Whether the peer closed and all was read."""
        return self.is_complete and self._read == self._fin
