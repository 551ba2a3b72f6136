"""What the times of packets tell, and how packets are spread in time (specification, streams 3.7, 7.2)."""

from homeport_core import ticks
from homeport_core.compat import const

_RTO_FIRST_MS = const(1000)
_RTO_MIN_MS = const(300)
_RTO_MIN_EARLY_MS = const(500)  # until the peer's habit of delaying acknowledgments shows
_EARLY_SAMPLES = const(8)
_RTO_MAX_MS = const(16000)
_BACKOFFS_MAX = const(10)
_VARIANCE_MIN_MS = const(50)
_TAIL_MS = const(50)
_LEAST_KEPT_MS = const(10000)  # the shortest round trip is forgotten after one to two of these
_U16_MAX = const(0xFFFF)


class RoundTrip:
    """Round trips in ms: `smooth` and `least` (-1: unknown), and what follows from them."""

    __slots__ = ("_backoff", "_least_before", "_least_now", "_rotate_at_ms", "_samples", "_variance", "smooth")

    def __init__(self) -> None:
        self.smooth = -1
        self._variance = 0
        self._samples = 0
        self._backoff = 0
        self._least_now = self._least_before = -1
        self._rotate_at_ms = -1

    def sample(self, now_ms: int, rtt_ms: int) -> None:
        """One measured round trip, of a segment sent once."""
        rtt_ms = max(0, min(rtt_ms, _U16_MAX))
        self._samples += 1
        self._backoff = 0
        if self.smooth < 0:
            self.smooth = rtt_ms
            self._variance = rtt_ms // 2
        else:
            # Rounded, or else a deviation of a few ms never leaves integers.
            self._variance = (3 * self._variance + abs(self.smooth - rtt_ms) + 2) // 4
            self.smooth = (7 * self.smooth + rtt_ms + 4) // 8
        if self._least_now < 0 or rtt_ms < self._least_now:
            self._least_now = rtt_ms
        if self._rotate_at_ms < 0 or ticks.diff(now_ms, self._rotate_at_ms) >= 0:
            self._rotate_at_ms = ticks.add(now_ms, _LEAST_KEPT_MS)
            self._least_before = self._least_now
            self._least_now = rtt_ms

    @property
    def least(self) -> int:
        """The shortest round trip of late."""
        if self._least_before < 0 or 0 <= self._least_now < self._least_before:
            return self._least_now
        return self._least_before

    @property
    def reorder_ms(self) -> int:
        """How much later than its successors a segment may arrive before it counts as lost."""
        return max(self.smooth // 4, self._variance, 1)

    @property
    def timeout_ms(self) -> int:
        """How long to wait for an acknowledgment, half as long again after every vain wait."""
        if self.smooth < 0:
            base = _RTO_FIRST_MS
        else:
            least = _RTO_MIN_MS if self._samples >= _EARLY_SAMPLES else _RTO_MIN_EARLY_MS
            base = max(self.smooth + max(4 * self._variance, _VARIANCE_MIN_MS), least)
        for _ in range(self._backoff):
            base += base // 2
        return min(base, _RTO_MAX_MS)

    @property
    def tail_ms(self) -> int:
        """How long to wait before the last segment is sent once more."""
        return max(2 * self.smooth, _TAIL_MS) + _TAIL_MS if self.smooth >= 0 else _RTO_FIRST_MS

    def back_off(self) -> None:
        """A wait was in vain."""
        if self._backoff < _BACKOFFS_MAX:
            self._backoff += 1


_PATIENCE_MAX = const(4)
_PATIENT_MS = const(10000)  # patience wears off a step when nothing was overtaken for so long


class Latest:
    """What arrived of late: the three latest transmissions, and the round trip of the latest.

    `patience` says how much later than its successors a transmission may come, in quarters of a round trip beyond
    the first. It grows when something was taken for lost that was only late.
    """

    __slots__ = ("_patient_at_ms", "_second_id", "newest_id", "patience", "rtt_ms", "third_id")

    def __init__(self, now_ms: int) -> None:
        self.newest_id = self._second_id = self.third_id = 0
        self.rtt_ms = 0
        self.patience = 0
        self._patient_at_ms = now_ms

    def note(self, sent_id: int, rtt_ms: int) -> None:
        """A transmission arrived."""
        if sent_id > self.newest_id:
            self.third_id = self._second_id
            self._second_id = self.newest_id
            self.newest_id = sent_id
            self.rtt_ms = rtt_ms
        elif sent_id > self._second_id:
            self.third_id = self._second_id
            self._second_id = sent_id
        elif sent_id > self.third_id:
            self.third_id = sent_id

    def overtaken(self, now_ms: int, round_trip_ms: int) -> None:
        """What was taken for lost was only late; counts once in a round trip."""
        if not self.patience or ticks.diff(now_ms, self._patient_at_ms) >= round_trip_ms:
            self.patience = min(self.patience + 1, _PATIENCE_MAX)
            self._patient_at_ms = now_ms

    def lost(self, now_ms: int) -> None:
        """Something was taken for lost."""
        if self.patience and ticks.diff(now_ms, self._patient_at_ms) > _PATIENT_MS:
            self.patience -= 1
            self._patient_at_ms = now_ms


_PACED_MIN_MS = const(4)  # below this round trip, a timer of 1 ms is too coarse to spread anything
_SHARE = const(1024)  # credit is counted in so many parts of a segment
_LATE_MS = const(3)  # a timer that late costs no speed


class Pacer:
    """Spreads a window over its round trip, in bursts."""

    __slots__ = ("_at_ms", "_burst", "_credit", "_rate", "wait_until_ms")

    def __init__(self, burst: int, now_ms: int) -> None:
        self._burst = burst
        self._credit = burst * _SHARE
        self._rate = 0  # parts of a segment per ms; 0 without limit
        self._at_ms = now_ms
        self.wait_until_ms = -1  # when there will be credit again, after `allows` said no

    def adapt(self, window: int, round_trip: RoundTrip) -> None:
        """Spread `window` segments over four fifths of a round trip."""
        is_paced = round_trip.least >= _PACED_MIN_MS
        self._rate = window * _SHARE * 5 // (4 * round_trip.smooth) if is_paced else 0

    def allows(self, now_ms: int) -> bool:
        """Whether a segment may leave now."""
        self.wait_until_ms = -1
        rate = self._rate
        if not rate:
            return True
        elapsed = ticks.diff(now_ms, self._at_ms)
        if elapsed:
            self._at_ms = now_ms
            most = self._burst * _SHARE + _LATE_MS * rate
            self._credit = min(self._credit + min(max(elapsed, 0), 1000) * rate, most)
        if self._credit >= _SHARE:
            return True
        missing = (self._burst if self._burst * _SHARE <= rate * 8 else 1) * _SHARE - self._credit
        self.wait_until_ms = ticks.add(now_ms, max(1, (missing + rate - 1) // rate))
        return False

    def spend(self) -> None:
        """A segment leaves."""
        if self._rate:
            self._credit -= _SHARE
