"""How much a stream may have on the way (specification, streams 7.2 row 4)."""

from homeport_core.compat import const

# Phases of `Congestion`
_STARTING = const(0)  # doubling every round trip
_CRUISING = const(1)
_PROBING = const(2)  # a quarter more for one round trip, to see what becomes of it
_AWAITING = const(3)  # what was sent in that round trip is still on the way

_WINDOW_FIRST = const(10)
_WINDOW_MIN = const(4)
_BURST_LEN = const(131072)  # octets of large segments that any socket's buffer should hold
_JUDGED_MIN = const(32)  # a share of losses is judged over so many segments at least
_LATER = const(4)
_BURST_LOSS = const(4)  # so many at once end the doubling
_WHOLE = const(1024)  # shares of losses are counted in parts of this
_EXCESS = const(170)  # so much more than usual is congestion
_ROUNDS_FIRST = const(2)  # round trips between two probes
_ROUNDS_MAX = const(32)


class Congestion:
    """How many segments may be on the way: `window`.

    Loss alone is no sign: radio loses at any speed. Sending is cut back when round trips grow well beyond the
    shortest, or when more is lost the more is on the way: from time to time one round trip is sent with a quarter
    more, and the share lost of that is compared with the share before. What a full queue drops, it drops on top of the
    usual, and what it lets pass is what the path can hold.
    """

    __slots__ = (
        "_done",
        "_first_id",
        "_last_id",
        "_least",
        "_lost",
        "_mark",
        "_phase",
        "_rounds",
        "_rounds_between",
        "_rtt_ms",
        "_usual",
        "_was_full",
        "_window",
        "limit",
    )

    def __init__(self, limit: int, segment_len: int) -> None:
        self.limit = limit  # the largest window of use
        at_once = max(1, min(limit, _BURST_LEN // segment_len))
        self._least = min(_WINDOW_MIN, at_once)
        self._window = min(_WINDOW_FIRST, at_once)
        self._phase = _STARTING
        self._mark = 0  # the round ends when a transmission from here on is delivered
        self._first_id = self._last_id = 0  # the transmissions that count: later ones, before the latter in a probe
        self._done = self._lost = 0  # of the transmissions now judged
        self._usual = 0  # share of losses that no window explained
        self._rounds = 0
        self._rounds_between = _ROUNDS_FIRST
        self._rtt_ms = -1  # shortest of this round
        self._was_full = False

    @property
    def window(self) -> int:
        """Segments that may be on the way."""
        return self._probed() if self._phase == _PROBING else self._window

    @property
    def threshold(self) -> int:
        """Where doubling ended, for statistics."""
        return self.limit if self._phase == _STARTING else self._window

    def _probed(self) -> int:
        return min(self._window + self._window // 4 + 1, self.limit)

    def filled(self) -> None:
        """The window, and nothing else, kept a segment from being sent."""
        self._was_full = True

    def delivered(self, sent_id: int) -> None:
        """The transmission `sent_id` arrived."""
        if self._counts(sent_id):
            self._done += 1
        if self._phase == _STARTING and self._was_full and self._window < self.limit:
            self._window += 1

    def lost(self, sent_id: int, next_id: int) -> None:
        """The transmission `sent_id` is taken for lost, before `next_id` is sent."""
        if not self._counts(sent_id):
            return
        self._lost += 1
        if self._phase == _STARTING and self._lost >= _BURST_LOSS and self._lost * 8 > self._done + self._lost:
            # What was sent since is lost in part as well, and not known yet.
            self._cut(self._window // 2, next_id)

    def found(self) -> None:
        """What was taken for lost had only been overtaken."""
        if self._lost:
            self._lost -= 1

    def _counts(self, sent_id: int) -> bool:
        return sent_id >= self._first_id and (self._phase != _AWAITING or sent_id < self._last_id)

    def collapsed(self) -> None:
        """Nothing came back for a whole timeout: begin small again."""
        self._window = self._least
        self._start(_STARTING)

    def sampled(self, rtt_ms: int) -> None:
        """A round trip was measured."""
        if self._rtt_ms < 0 or rtt_ms < self._rtt_ms:
            self._rtt_ms = rtt_ms

    def acknowledged(self, newest_id: int, next_id: int, least_ms: int) -> None:
        """An acknowledgment was worked in; `newest_id` is the latest transmission delivered, `next_id` the coming."""
        if newest_id < self._mark:
            return
        self._mark = next_id
        self._rounds += 1
        if self._rtt_ms >= 0 and 2 * self._rtt_ms > 3 * least_ms + 20:
            self._cut(self._window - self._window // 8, next_id)
        elif self._phase == _STARTING:
            self._done = self._lost = 0
        elif self._phase == _CRUISING:
            self._judge(next_id)
        elif self._phase == _PROBING:
            self._phase = _AWAITING
            self._last_id = next_id
            self._mark = next_id + _LATER  # until then the last ones are not known to be lost
        else:
            self._judge_probe(next_id)
        self._rtt_ms = -1

    def _judge(self, next_id: int) -> None:
        """After a round of cruising."""
        total = self._done + self._lost
        if total < _JUDGED_MIN:
            return
        share = self._lost * _WHOLE // total
        if share > self._usual + _EXCESS:
            self._cut(self._window * self._done // total, next_id)
            self._usual = (self._usual + share) // 2
        elif self._rounds >= self._rounds_between and self._was_full and self._window < self.limit:
            self._learn(share)
            self._start(_PROBING)
            self._first_id = next_id
        elif total > 8 * self._window:
            self._learn(share)
            self._done = self._lost = 0

    def _learn(self, share: int) -> None:
        self._usual += (share - self._usual) // 2

    def _judge_probe(self, next_id: int) -> None:
        """What was sent with a larger window is through, or lost."""
        total = self._done + self._lost
        extra = self._lost - total * self._usual // _WHOLE
        if extra >= 3 and extra * 12 > total:
            # Then what was lost before was probably lost to the same queue.
            self._usual //= 2
            self._cut(min(self._probed() * self._done // total, self._window) * 15 // 16, next_id)
            self._rounds_between = min(self._rounds_between * 2, _ROUNDS_MAX)
            return
        if total > self._window:
            self._window = self._probed()
            self._rounds_between = _ROUNDS_FIRST
        self._start(_CRUISING)

    def _cut(self, window: int, next_id: int) -> None:
        """Shrink; what was sent with the larger window says nothing about the smaller."""
        self._first_id = next_id
        self._window = max(min(window, self._window), self._least)
        self._start(_CRUISING)

    def _start(self, phase: int) -> None:
        self._phase = phase
        self._done = self._lost = 0
        self._rounds = 0
        self._was_full = False
