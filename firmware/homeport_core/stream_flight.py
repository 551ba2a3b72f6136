"""What a stream has on the way, and what of it was lost (specification, streams 3.8, 7.2).

Loss is judged by the order of transmissions, as RACK does: one is lost when three later ones arrived, or one that was
sent so much later that no reordering explains it. Nothing in here costs more the larger the window is.
"""

from collections import deque

from homeport_core import ticks
from homeport_core.compat import const
from homeport_core.stream_congestion import Congestion
from homeport_core.stream_memory import DONE, IN_FLIGHT, LOST, SACKED, Memory, Segment
from homeport_core.stream_rate import Latest, RoundTrip
from homeport_core.stream_tally import Tally

_TELLING_MS = const(4)  # a round trip that short tells nothing in whole ms
_SACK_FULL = const(8)  # numbers in a SACK with all four runs


class Flight:
    """The segments from `una`, the oldest not acknowledged, to before `next`, the next never sent.

    `in_flight` counts those that may still arrive, `small` those with room left; `reorder_at_ms` is when to judge
    again, or -1. Over a `reliable` carrier nothing is lost.
    """

    __slots__ = (
        "_judged",
        "_latest",
        "_lost",
        "_lost_again",
        "_next_id",
        "_places",
        "_resent",
        "_ring",
        "_sack_is_full",
        "_sampled_id",
        "_sampled_ms",
        "_size",
        "_tally",
        "congestion",
        "first",
        "in_flight",
        "next",
        "reliable",
        "reorder_at_ms",
        "round_trip",
        "small",
        "una",
    )

    def __init__(self, now_ms: int, memory: Memory, tally: Tally, first: int, size: int, window: int) -> None:
        self._ring = memory.sent
        self._places = len(memory.sent)
        self._tally = tally
        self._size = size
        self.first = self.una = self.next = first
        self.in_flight = self.small = 0
        self.reliable = False
        self.round_trip = RoundTrip()
        self.congestion = Congestion(window, size)
        self.reorder_at_ms = -1
        self._latest = Latest(now_ms)
        self._sampled_id = self._sampled_ms = 0
        self._sack_is_full = False  # all runs that a SACK has room for were reported
        self._next_id = 1
        self._judged = first  # all below arrived, were lost, or were sent again
        self._resent: deque[tuple[int, int]] = deque((), 3 * self._places)  # (number, id) of repetitions, in order
        self._lost: deque[int] = deque((), self._places)
        self._lost_again: deque[int] = deque((), self._places)

    def place(self, number: int) -> Segment:
        """The segment with that number."""
        return self._ring[number % self._places]  # type: ignore[return-value]

    # What arrived

    def acknowledged(self, now_ms: int, ack: int, ranges: list[int]) -> bool:
        """All before `ack` and in `ranges` (start, end, start, end …) arrived; whether that is news.

        Ranges outside of what is on the way are passed over.
        """
        latest = self._latest
        newest_id = latest.newest_id
        news = ack > self.una
        if news:
            self._advance(now_ms, ack)
        for i in range(0, len(ranges), 2):
            if self.una < ranges[i] < ranges[i + 1] <= self.next and self._take_range(now_ms, ranges[i], ranges[i + 1]):
                news = True
        self._sample(now_ms)
        if latest.newest_id > newest_id:
            self.congestion.acknowledged(latest.newest_id, self._next_id, self.round_trip.least)
        self._sack_is_full = len(ranges) >= _SACK_FULL and self.una < self.next
        if news:
            self.judge(now_ms)
        elif self._sack_is_full:
            self._judge_first(now_ms)
        return news

    def _advance(self, now_ms: int, ack: int) -> None:
        for number in range(self.una, ack):
            segment = self.place(number)
            if segment.mark != SACKED:
                self._deliver(now_ms, segment)
            segment.mark = DONE
        self.una = ack
        self._judged = max(self._judged, ack)

    def _take_range(self, now_ms: int, number: int, end: int) -> bool:
        """A run that arrived above a hole. What is known of it already is skipped in one step."""
        news = False
        first = self.place(number)
        while number < end:
            segment = self.place(number)
            if segment.mark == SACKED:
                number = max(segment.skip, number + 1)
                continue
            self._deliver(now_ms, segment)
            segment.mark = SACKED
            number += 1
            segment.skip = number
            news = True
        first.skip = max(first.skip, end)
        return news

    def _deliver(self, now_ms: int, segment: Segment) -> None:
        """One segment arrived, however often it was sent."""
        rtt_ms = ticks.diff(now_ms, segment.sent_at_ms)
        if segment.mark == IN_FLIGHT:
            self.in_flight -= 1
            if segment.tries > 1 and self._is_too_soon(rtt_ms):
                self._overtaken(now_ms)
        elif segment.mark == LOST:
            self._overtaken(now_ms)
        if segment.n < self._size:
            self.small -= 1
        sent_id = segment.sent_id
        self._latest.note(sent_id, rtt_ms)
        if sent_id > self._sampled_id and segment.tries == 1:
            self._sampled_id = sent_id
            self._sampled_ms = rtt_ms
        self.congestion.delivered(sent_id)

    def _sample(self, now_ms: int) -> None:
        """One round trip for each acknowledgment: that of the latest it tells of, if that was sent once."""
        if self._sampled_id:
            self.round_trip.sample(now_ms, self._sampled_ms)
            self.congestion.sampled(self._sampled_ms)
            self._tally.sampled(self._sampled_ms, self.congestion.window, self.congestion.threshold, self.in_flight)
            self._sampled_id = 0

    def _is_too_soon(self, rtt_ms: int) -> bool:
        """Whether a repetition cannot have been answered yet: then the segment had not been lost."""
        least_ms = self.round_trip.least
        return least_ms >= _TELLING_MS and rtt_ms * 4 < max(3 * least_ms, 2 * self.round_trip.smooth)

    def _overtaken(self, now_ms: int) -> None:
        self.congestion.found()
        self._latest.overtaken(now_ms, self.round_trip.smooth)

    # What did not

    def judge(self, now_ms: int) -> None:
        """Find what was lost: first among what was sent once, then among what was sent again."""
        self.reorder_at_ms = -1
        if self.reliable:
            return
        latest = self._latest
        wait_ms = max(latest.rtt_ms, self.round_trip.smooth) + self.round_trip.reorder_ms * (1 + latest.patience)
        counted_id = 0 if latest.patience else latest.third_id
        number = self._judged
        while number < self.next:
            segment = self.place(number)
            if segment.mark == IN_FLIGHT and segment.tries == 1:
                if segment.sent_id >= latest.newest_id:
                    break
                left_ms = wait_ms - ticks.diff(now_ms, segment.sent_at_ms)
                if segment.sent_id >= counted_id and left_ms > 0:
                    self.reorder_at_ms = ticks.add(now_ms, left_ms)
                    break
                self._lose(now_ms, segment)
                self._lost.append(number)
            number += 1
        self._judged = number
        if self._resent:
            # With all four runs of a SACK in use, arrivals go unreported, so that only time tells (streams 7.1 row 13).
            self._judge_resent(now_ms, 0 if self._sack_is_full else counted_id)

    def _judge_first(self, now_ms: int) -> None:
        """Something arrived that no SACK has room for: if the oldest was to come, it would have come by now."""
        segment = self.place(self.una)
        waited_ms = ticks.diff(now_ms, segment.sent_at_ms)
        if segment.mark == IN_FLIGHT and segment.tries > 1 and waited_ms > self.round_trip.smooth * 3 // 2:
            self._lose(now_ms, segment)
            self._lost_again.append(self.una)

    def _judge_resent(self, now_ms: int, counted_id: int) -> None:
        wait_ms = self.round_trip.smooth * 3 // 2 + 1
        while self._resent:
            number, sent_id = self._resent[0]
            segment = self.place(number)
            if number >= self.una and segment.mark == IN_FLIGHT and segment.sent_id == sent_id:
                if sent_id >= self._latest.newest_id:
                    break
                left_ms = wait_ms - ticks.diff(now_ms, segment.sent_at_ms)
                if left_ms > 0 and sent_id >= counted_id:
                    if self.reorder_at_ms < 0 or ticks.diff(self.reorder_at_ms, now_ms) > left_ms:
                        self.reorder_at_ms = ticks.add(now_ms, left_ms)
                    break
                self._lose(now_ms, segment)
                self._lost_again.append(number)
            self._resent.popleft()

    def _lose(self, now_ms: int, segment: Segment) -> None:
        segment.mark = LOST
        self.in_flight -= 1
        self._tally.marked += 1
        self.congestion.lost(segment.sent_id, self._next_id)
        self._latest.lost(now_ms)

    def lose_all(self) -> None:
        """Take all that is on the way for lost."""
        while self._resent:
            self._resent.popleft()
        while self._lost_again:
            self._lost_again.popleft()
        while self._lost:
            self._lost.popleft()
        for number in range(self.una, self.next):
            segment = self.place(number)
            if segment.mark in (IN_FLIGHT, LOST):
                segment.mark = LOST
                self._lost.append(number)
        self.in_flight = 0
        self._judged = self.next
        self.reorder_at_ms = -1

    # What leaves

    def lost(self) -> int:
        """The number to send again first, or -1."""
        if not self._lost_again and not self._lost:
            return -1
        number = self._first_of(self._lost_again)
        return number if number >= 0 else self._first_of(self._lost)

    def _first_of(self, queue: "deque[int]") -> int:
        while queue:
            number = queue[0]
            if number >= self.una and self.place(number).mark == LOST:
                return number
            queue.popleft()
        return -1

    def probe(self) -> int:
        """The number to probe with when nothing is heard: the last that may still arrive, or the oldest when a SACK
        could not report that; or -1."""
        if self._sack_is_full and self.place(self.una).mark == IN_FLIGHT:
            return self.una
        for number in range(self.next - 1, self.una - 1, -1):
            if self.place(number).mark == IN_FLIGHT:
                return number
        return -1

    def sent(self, now_ms: int, number: int) -> Segment:
        """The segment with that number, at most `next`, leaves; returns it."""
        segment = self.place(number)
        sent_id = self._next_id
        self._next_id = sent_id + 1
        if number == self.next:
            self.next = number + 1
            if segment.n < self._size:
                self.small += 1
        else:
            self._tally.resent += 1
            if len(self._resent) >= 3 * self._places:
                self._forget_oldest(now_ms)
            self._resent.append((number, sent_id))
        if segment.mark != IN_FLIGHT:
            segment.mark = IN_FLIGHT
            self.in_flight += 1
        segment.tries += 1
        segment.sent_at_ms = now_ms
        segment.sent_id = sent_id
        return segment

    def _forget_oldest(self, now_ms: int) -> None:
        """Take the oldest of a full list of repetitions for lost, if it is still on the way."""
        number, sent_id = self._resent.popleft()
        segment = self.place(number)
        if number >= self.una and segment.mark == IN_FLIGHT and segment.sent_id == sent_id:
            self._lose(now_ms, segment)
            self._lost_again.append(number)

    def restart(self, window: int) -> None:
        """Another path: learn it anew, and send all that is on the way again."""
        self.round_trip = RoundTrip()
        self.congestion = Congestion(window, self._size)
        self.lose_all()
