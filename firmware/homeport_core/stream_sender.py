"""The sending half of a stream: what waits, what is on the way, what was lost (specification, streams 3.6-3.10, 7.2).

Loss is judged by the order of transmissions, as RACK does: one is lost when three later ones arrived, or one that was
sent so much later that no reordering explains it. A tail-loss probe and the timeout catch the rest.
"""

from collections import deque

from homeport_core import ticks
from homeport_core.compat import const
from homeport_core.stream_memory import DONE, IN_FLIGHT, LOST, SACKED, Memory, Segment
from homeport_core.stream_rate import Congestion, Pacer, RoundTrip
from homeport_core.stream_tally import Tally

_NUMBERS_MAX = const(0x7FFF0000)  # the reference cannot pass 2**32; we stop well before 2**31 (streams 2.3)
_SMALL_MAX = const(4)  # segments with room left that may be on the way at once
_FLIGHT_FIRST = const(4)  # an initiator's, until the peer is known to have left its handshake (streams 2.3)
_PROBE_MAX_MS = const(5000)
_PATIENCE_MAX = const(4)
_PATIENT_MS = const(10000)  # patience wears off a step when nothing was overtaken for so long
_TELLING_MS = const(4)  # a round trip that short tells nothing in whole ms
_SACK_FULL = const(8)  # numbers in a SACK with all four runs


class Sender:
    """Numbers, keeps and repeats segments.

    `una` is the oldest number not acknowledged, `next` the next never sent, `tail` the next to be written, `edge` where
    the peer's window ends; `size` and `window` are the negotiated segment size and window. `expired` counts timeouts
    in a row that nothing answered.
    """

    def __init__(
        self,
        now_ms: int,
        memory: Memory,
        tally: Tally,
        first: int,
        size: int,
        window: int,
        burst: int,
        is_initiator: bool,
    ) -> None:
        self._memory = memory
        self._tally = tally
        self._places = len(memory.sent)
        self.size = size
        self.window = window
        self.first = self.una = self.next = self.tail = self.edge = first
        self.in_flight = 0
        self.reliable = False
        self.round_trip = RoundTrip()
        self.congestion = Congestion(window)
        self.pacer = Pacer(burst, now_ms)
        self._is_initiator = is_initiator
        # Transmissions
        self._next_id = 1
        self._newest_id = self._second_id = self._third_id = 0  # the latest three that were delivered
        self._newest_rtt_ms = 0
        self._patience = 0  # with what is overtaken, in quarters of a round trip
        self._patient_at_ms = now_ms
        self._judged = first  # all below were delivered or lost, or sent again
        self._resent: deque[tuple[int, int]] = deque((), 3 * self._places)  # (number, id) sent again, in that order
        self._lost: deque[int] = deque((), self._places)
        self._lost_again: deque[int] = deque((), self._places)
        self._small = 0  # on the way with room left
        # Timers
        self._heard_at_ms = now_ms  # when the timeout last began
        self._reorder_at_ms = -1
        self._has_tail_probe = False
        self._owes_tail_probe = False
        self._probe_at_ms = -1
        self._probes = 0
        self._owes_probe = False
        self.expired = 0

    # What the user writes

    @property
    def writable(self) -> int:
        """Octets that `write` takes now."""
        room = (self.una + self._places - 1 - self.tail) * self.size
        if self.tail > self.next:
            room += self.size - self._place(self.tail - 1).n
        return max(room, 0) if self.tail < _NUMBERS_MAX else 0

    def write(self, data: bytes | bytearray | memoryview) -> int:
        """Append octets, first to the last segment while it is unsent; returns how many were taken."""
        view = memoryview(data)
        n = len(view)
        done = 0
        size = self.size
        fill = self._memory.fill
        if self.tail > self.next:
            room = size - self._place(self.tail - 1).n
            if room:
                done = min(room, n)
                fill((self.tail - 1) % self._places, view[:done], False)
        end = min(self.una + self._places - 1, _NUMBERS_MAX)
        while done < n and self.tail < end:
            part = min(size, n - done)
            fill(self.tail % self._places, view[done : done + part], True)
            self.tail += 1
            done += part
        return done

    @property
    def has_room(self) -> bool:
        """Whether a quarter of the memory is free: enough to bother a writer who waits."""
        return (self.una + self._places - 1 - self.tail) * 4 >= self._places - 1

    # What the peer says

    def take(self, now_ms: int, ack: int, window: int, ranges: list[int]) -> bool:
        """Work in an acknowledgment, an advertised window (-1: none) and SACK ranges; whether any of it was news.

        What cannot be true is passed over: numbers never sent, ranges outside of what is on the way.
        """
        if ack > self.next or ack < self.first:
            return False
        news = False
        if window >= 0 and ack + window > self.edge:
            self.edge = ack + window
            self._probe_at_ms = -1
            news = True
        if ack < self.una:
            return news
        if ack == self.una and not ranges:
            return news
        newest = self._newest_id
        if ack > self.una:
            self._advance(now_ms, ack)
            news = True
        if ranges and self._take_ranges(now_ms, ranges):
            news = True
        if self._newest_id > newest:
            self.congestion.acknowledged(self._newest_id, self._next_id, self.round_trip.least)
            self.pacer.adapt(self.congestion.window, self.round_trip.smooth)
        if news:
            self._heard_at_ms = now_ms
            self._has_tail_probe = self._owes_tail_probe = False
            self.expired = 0
            self._judge(now_ms, len(ranges) >= _SACK_FULL)
        return news

    def _advance(self, now_ms: int, ack: int) -> None:
        for number in range(self.una, ack):
            segment = self._place(number)
            if segment.mark != SACKED:
                self._deliver(now_ms, segment)
            segment.mark = DONE
        self.una = ack
        self._judged = max(self._judged, ack)

    def _take_ranges(self, now_ms: int, ranges: list[int]) -> bool:
        news = False
        for i in range(0, len(ranges), 2):
            number = ranges[i]
            end = ranges[i + 1]
            if not self.una < number < end <= self.next:
                continue
            first = self._place(number)
            while number < end:
                segment = self._place(number)
                if segment.mark == SACKED:
                    number = max(segment.skip, number + 1)
                    continue
                self._deliver(now_ms, segment)
                segment.mark = SACKED
                segment.skip = number + 1
                number += 1
                news = True
            first.skip = max(first.skip, end)
        return news

    def _deliver(self, now_ms: int, segment: Segment) -> None:
        """One segment arrived, however often it was sent."""
        sent_id = segment.sent_id
        if segment.mark == IN_FLIGHT:
            self.in_flight -= 1
            if segment.tries > 1:
                self._note_if_overtaken(now_ms, segment)
        elif segment.mark == LOST:
            self._overtaken(now_ms)
        if segment.n < self.size:
            self._small -= 1
        if sent_id > self._newest_id:
            self._third_id = self._second_id
            self._second_id = self._newest_id
            self._newest_id = sent_id
            rtt_ms = ticks.diff(now_ms, segment.sent_at_ms)
            self._newest_rtt_ms = rtt_ms
            if segment.tries == 1:
                self.round_trip.sample(now_ms, rtt_ms)
                self.congestion.sampled(rtt_ms)
                self._tally.sampled(rtt_ms, self.congestion.window, self.congestion.threshold, self.in_flight)
        elif sent_id > self._second_id:
            self._third_id = self._second_id
            self._second_id = sent_id
        elif sent_id > self._third_id:
            self._third_id = sent_id
        self.congestion.delivered(sent_id)

    def _note_if_overtaken(self, now_ms: int, segment: Segment) -> None:
        """What arrives sooner after its repetition than a round trip takes had not been lost."""
        round_trip = self.round_trip
        soon_ms = max(3 * round_trip.least, 2 * round_trip.smooth) // 4
        if round_trip.least >= _TELLING_MS and ticks.diff(now_ms, segment.sent_at_ms) < soon_ms:
            self._overtaken(now_ms)

    def _overtaken(self, now_ms: int) -> None:
        """A segment was taken for lost that was only late: be more patient, at most once in a round trip."""
        self.congestion.found()
        if self._patience and ticks.diff(now_ms, self._patient_at_ms) < self.round_trip.smooth:
            return
        self._patience = min(self._patience + 1, _PATIENCE_MAX)
        self._patient_at_ms = now_ms

    def _judge(self, now_ms: int, sack_is_full: bool) -> None:
        """Find what was lost: first among what was sent once, then among what was sent again."""
        self._reorder_at_ms = -1
        if self.reliable:
            return
        round_trip = self.round_trip
        wait_ms = max(self._newest_rtt_ms, round_trip.smooth) + round_trip.reorder_ms * (1 + self._patience)
        counted_id = 0 if self._patience else self._third_id
        number = self._judged
        while number < self.next:
            segment = self._place(number)
            if segment.mark == IN_FLIGHT and segment.tries == 1:
                if segment.sent_id >= self._newest_id:
                    break
                left_ms = wait_ms - ticks.diff(now_ms, segment.sent_at_ms)
                if segment.sent_id >= counted_id and left_ms > 0:
                    self._reorder_at_ms = ticks.add(now_ms, left_ms)
                    break
                self._lose(now_ms, segment)
                self._lost.append(number)
            number += 1
        self._judged = number
        if self._resent:
            self._judge_resent(now_ms, sack_is_full)

    def _judge_resent(self, now_ms: int, sack_is_full: bool) -> None:
        # With all four runs of a SACK in use, arrivals go unreported, so that only time tells (streams 7.1 row 13).
        wait_ms = self.round_trip.smooth * 3 // 2 + 1
        while self._resent:
            number, sent_id = self._resent[0]
            segment = self._place(number)
            if number >= self.una and segment.mark == IN_FLIGHT and segment.sent_id == sent_id:
                if sent_id >= self._newest_id:
                    break
                left_ms = wait_ms - ticks.diff(now_ms, segment.sent_at_ms)
                if left_ms > 0 and (sack_is_full or self._patience or sent_id >= self._third_id):
                    if self._reorder_at_ms < 0 or ticks.diff(self._reorder_at_ms, now_ms) > left_ms:
                        self._reorder_at_ms = ticks.add(now_ms, left_ms)
                    break
                self._lose(now_ms, segment)
                self._lost_again.append(number)
            self._resent.popleft()

    def _lose(self, now_ms: int, segment: Segment) -> None:
        segment.mark = LOST
        self.in_flight -= 1
        self._tally.marked += 1
        self.congestion.lost(segment.sent_id)
        if self._patience and ticks.diff(now_ms, self._patient_at_ms) > _PATIENT_MS:
            self._patience -= 1
            self._patient_at_ms = now_ms

    # What leaves

    def pick(self, now_ms: int, is_closing: bool) -> int:
        """The number of the segment to send now, or -1; the caller sends it and says `sent`."""
        if self._owes_probe:
            self._owes_probe = False
            return self.una - 1
        if self._owes_tail_probe:
            self._owes_tail_probe = False
            number = self._last_in_flight()
            if number >= 0:
                return number
        number = self._next_lost()
        if number < 0:
            number = self.next
            if number >= self.tail:
                return -1
            if number >= self.edge or number >= self.una + self.window:
                if self.is_shut and self._probe_at_ms < 0:
                    self._probe_at_ms = ticks.add(now_ms, self.round_trip.timeout_ms)
                return -1
            if self._place(number).n < self.size and not is_closing and self._holds_small(number):
                return -1
        window = self.congestion.window
        if self._is_initiator and self.una == self.first and window > _FLIGHT_FIRST:
            window = _FLIGHT_FIRST
        if self.in_flight >= window:
            self.congestion.filled()
            return -1
        return number if self.pacer.allows(now_ms) else -1

    def _holds_small(self, number: int) -> bool:
        """Whether a segment with room left waits for more octets: while others like it are on the way."""
        return number == self.tail - 1 and self._small >= min(_SMALL_MAX, max(1, self.window // 2))

    def _next_lost(self) -> int:
        """The first segment to be sent again, or -1."""
        for queue in (self._lost_again, self._lost):
            while queue:
                number = queue[0]
                if number >= self.una and self._place(number).mark == LOST:
                    return number
                queue.popleft()
        return -1

    def _last_in_flight(self) -> int:
        for number in range(self.next - 1, self.una - 1, -1):
            if self._place(number).mark == IN_FLIGHT:
                return number
        return -1

    def sent(self, now_ms: int, number: int) -> Segment:
        """The segment with that number leaves; returns it."""
        segment = self._place(number)
        if number < self.una:
            return segment  # a probe of the window: its number is known to have arrived
        if not self.in_flight:
            self._heard_at_ms = now_ms
        sent_id = self._next_id
        self._next_id = sent_id + 1
        if number == self.next:
            self.next = number + 1
            if segment.n < self.size:
                self._small += 1
        else:
            self._tally.resent += 1
            if len(self._resent) >= 3 * self._places:
                self._forget_resent(now_ms)
            self._resent.append((number, sent_id))
        if segment.mark != IN_FLIGHT:
            segment.mark = IN_FLIGHT
            self.in_flight += 1
        segment.tries += 1
        segment.sent_at_ms = now_ms
        segment.sent_id = sent_id
        self.pacer.spend()
        return segment

    def _forget_resent(self, now_ms: int) -> None:
        """Take the oldest of a full list for lost, if it is still on the way."""
        number, sent_id = self._resent.popleft()
        segment = self._place(number)
        if number >= self.una and segment.mark == IN_FLIGHT and segment.sent_id == sent_id:
            self._lose(now_ms, segment)
            self._lost_again.append(number)

    # Time

    @property
    def deadline_ms(self) -> int:
        """When `timeout` is due, and `pick` to be asked again; -1 for never."""
        deadline = self.pacer.wait_until_ms
        if self._reorder_at_ms >= 0:
            deadline = _sooner(deadline, self._reorder_at_ms)
        if self._probe_at_ms >= 0:
            deadline = _sooner(deadline, self._probe_at_ms)
        if self.una < self.next and not self.reliable:
            wait_ms = self.round_trip.timeout_ms
            if not self._has_tail_probe:
                wait_ms = min(wait_ms, self.round_trip.tail_ms)
            deadline = _sooner(deadline, ticks.add(self._heard_at_ms, wait_ms))
        return deadline

    def timeout(self, now_ms: int) -> None:
        """Do what is due: judge again, probe the tail or the window, or take all on the way for lost."""
        self.pacer.wait_until_ms = -1
        if self._reorder_at_ms >= 0 and ticks.diff(now_ms, self._reorder_at_ms) >= 0:
            self._judge(now_ms, False)
        if self.una < self.next and not self.reliable:
            waited_ms = ticks.diff(now_ms, self._heard_at_ms)
            if waited_ms >= self.round_trip.timeout_ms:
                self._expire(now_ms)
            elif not self._has_tail_probe and waited_ms >= self.round_trip.tail_ms:
                self._has_tail_probe = self._owes_tail_probe = True
        self._time_probe(now_ms)

    def _expire(self, now_ms: int) -> None:
        self._tally.timeouts += 1
        self.expired += 1
        self.round_trip.back_off()
        self.congestion.collapsed()
        self.pacer.adapt(self.congestion.window, self.round_trip.smooth)
        self.send_all_again(now_ms)

    def send_all_again(self, now_ms: int) -> None:
        """Take all that is on the way for lost."""
        for queue in (self._lost, self._lost_again):
            while queue:
                queue.popleft()
        while self._resent:
            self._resent.popleft()
        for number in range(self.una, self.next):
            segment = self._place(number)
            if segment.mark in (IN_FLIGHT, LOST):
                segment.mark = LOST
                self._lost.append(number)
        self.in_flight = 0
        self._judged = self.next
        self._heard_at_ms = now_ms
        self._reorder_at_ms = -1
        self._has_tail_probe = True
        self._owes_tail_probe = False

    def _time_probe(self, now_ms: int) -> None:
        """Probe a closed window with the segment acknowledged last: all peers answer that one (streams 3.6)."""
        if not self.is_shut:
            self._probe_at_ms = -1
            self._probes = 0
            return
        if self._probe_at_ms >= 0 and ticks.diff(now_ms, self._probe_at_ms) >= 0:
            self._probes = min(self._probes + 1, 5)
            wait_ms = min(self.round_trip.timeout_ms << self._probes, _PROBE_MAX_MS)
            self._probe_at_ms = ticks.add(now_ms, wait_ms)
            self.probe()

    @property
    def is_shut(self) -> bool:
        """Whether only the peer's closed window keeps data from being sent."""
        return self.una == self.next and self.next < self.tail and self.next >= self.edge

    @property
    def can_probe(self) -> bool:
        """Whether there is an acknowledged segment to probe with."""
        return self.una > self.first

    def probe(self) -> None:
        """Have the segment that was acknowledged last sent once more: the peer answers with its window."""
        self._owes_probe = self.can_probe and not self.reliable

    def restart(self, now_ms: int) -> None:
        """Another path: learn it anew, and send all that is on the way again."""
        self.round_trip = RoundTrip()
        self.congestion = Congestion(self.window)
        self.pacer.adapt(0, 0)
        self.expired = 0
        self.send_all_again(now_ms)

    def _place(self, number: int) -> Segment:
        return self._memory.sent[number % self._places]  # type: ignore[return-value]


def _sooner(a: int, b: int) -> int:
    """The earlier of two ticks, the first of which may be -1 for never."""
    return b if a < 0 or ticks.diff(b, a) < 0 else a
