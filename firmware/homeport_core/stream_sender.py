"""The sending half of a stream: what is written, whose turn it is, and what to do when nothing comes back
(specification, streams 3.6, 3.7, 7.2)."""

from homeport_core import ticks
from homeport_core.compat import const
from homeport_core.stream_flight import Flight
from homeport_core.stream_memory import Memory, Segment
from homeport_core.stream_rate import Pacer
from homeport_core.stream_tally import Tally
from homeport_core.stream_wire import Window

_NUMBERS_MAX = const(0x7FFF0000)  # the reference cannot pass 2**32; we stop well before 2**31 (streams 2.3)
_SMALL_MAX = const(4)  # segments with room left that may be on the way at once
_FLIGHT_FIRST = const(4)  # an initiator's, until the peer is known to have left its handshake (streams 2.3)
_PROBE_MAX_MS = const(5000)
_PROBE_DOUBLINGS = const(5)


class Sender:
    """Cuts octets into segments and says which is to leave.

    `size` and `window` are the negotiated segment size and window, `tail` is the next number to be written, `edge`
    where the peer's window ends; `expired` counts timeouts in a row that nothing answered. `flight` has the numbers of
    what is on the way.
    """

    __slots__ = (
        "_heard_at_ms",
        "_is_initiator",
        "_memory",
        "_owes_probe",
        "_owes_tail_probe",
        "_places",
        "_probe_at_ms",
        "_probes",
        "_has_tail_probe",
        "_tally",
        "edge",
        "expired",
        "flight",
        "pacer",
        "size",
        "tail",
        "window",
    )

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
        self._is_initiator = is_initiator
        self.size = size
        self.window = window
        self.tail = self.edge = first
        self.flight = Flight(now_ms, memory, tally, first, size, window)
        self.pacer = Pacer(burst, now_ms)
        self._heard_at_ms = now_ms  # when the present wait for an acknowledgment began
        self._has_tail_probe = self._owes_tail_probe = False
        self._probe_at_ms = -1
        self._probes = 0
        self._owes_probe = False
        self.expired = 0

    # What the user writes

    @property
    def _room(self) -> int:
        """Segments that can still be written."""
        return min(self.flight.una + self._places - 1, _NUMBERS_MAX) - self.tail

    @property
    def writable(self) -> int:
        """Octets that `write` takes now."""
        room = max(self._room, 0) * self.size
        if self.tail > self.flight.next:
            room += self.size - self.flight.place(self.tail - 1).n
        return room

    @property
    def has_room(self) -> bool:
        """Whether a quarter of the memory is free: enough to bother a writer who waits."""
        return self._room * 4 >= self._places - 1

    def write(self, data: bytes | bytearray | memoryview) -> int:
        """Append octets, first to the last segment while it is unsent; returns how many were taken."""
        view = memoryview(data)
        n = len(view)
        done = 0
        size = self.size
        fill = self._memory.fill
        if self.tail > self.flight.next:
            done = min(size - self.flight.place(self.tail - 1).n, n)
            if done:
                fill((self.tail - 1) % self._places, view[:done], False)
        room = self._room
        while done < n and room > 0:
            part = min(size, n - done)
            fill(self.tail % self._places, view[done : done + part], True)
            self.tail += 1
            room -= 1
            done += part
        return done

    # What the peer says

    def take(self, now_ms: int, window: Window) -> bool:
        """Work in an acknowledgment, an advertised window and SACK ranges; whether any of it was news.

        What cannot be true, as a number never sent, is passed over.
        """
        flight = self.flight
        ack = window.ack
        if ack > flight.next or ack < flight.first:
            return False
        news = False
        if window.size >= 0 and ack + window.size > self.edge:
            self.edge = ack + window.size
            self._probe_at_ms = -1
            self._probes = 0
            news = True
        if ack < flight.una or (ack == flight.una and not window.ranges):
            return news
        if flight.acknowledged(now_ms, ack, window.ranges):
            self.pacer.adapt(flight.congestion.window, flight.round_trip)
            self._heard_at_ms = now_ms
            self._has_tail_probe = self._owes_tail_probe = False
            self.expired = 0
            news = True
        return news

    # What leaves

    def pick(self, now_ms: int, is_closing: bool) -> int:
        """The number of the segment to send now, or -1; the caller sends it and says `sent`."""
        flight = self.flight
        if self._owes_probe:
            return flight.una - 1
        if self._owes_tail_probe:
            self._owes_tail_probe = False
            number = flight.probe()
            if number >= 0:
                return number
        number = flight.lost()
        if number < 0:
            number = flight.next
            if number >= self.tail:
                return -1
            if number >= self.edge or number >= flight.una + self.window:
                if self.is_shut and self._probe_at_ms < 0:
                    self._probe_at_ms = ticks.add(now_ms, flight.round_trip.timeout_ms)
                return -1
            if number == self.tail - 1 and not is_closing and self._waits_for_more(number):
                return -1
        window = flight.congestion.window
        if self._is_initiator and flight.una == flight.first and window > _FLIGHT_FIRST:
            window = _FLIGHT_FIRST
        if flight.in_flight >= window:
            flight.congestion.filled()
            return -1
        return number if self.pacer.allows(now_ms) else -1

    def _waits_for_more(self, number: int) -> bool:
        """Whether a segment with room left waits for more octets: while some like it are on the way."""
        flight = self.flight
        return flight.place(number).n < self.size and flight.small >= min(_SMALL_MAX, max(1, self.window // 2))

    def sent(self, now_ms: int, number: int) -> Segment:
        """The picked segment leaves; returns it."""
        flight = self.flight
        if number < flight.una:
            self._owes_probe = False
            return flight.place(number)
        if not flight.in_flight:
            self._heard_at_ms = now_ms
        self.pacer.spend()
        return flight.sent(now_ms, number)

    # Time

    @property
    def deadline_ms(self) -> int:
        """When `timeout` is due, and `pick` to be asked again; -1 for never."""
        flight = self.flight
        deadline = self.pacer.wait_until_ms
        if flight.reorder_at_ms >= 0:
            deadline = ticks.sooner(deadline, flight.reorder_at_ms)
        if self._probe_at_ms >= 0:
            deadline = ticks.sooner(deadline, self._probe_at_ms)
        if flight.una < flight.next and not flight.reliable:
            wait_ms = flight.round_trip.timeout_ms
            if not self._has_tail_probe:
                wait_ms = min(wait_ms, flight.round_trip.tail_ms)
            deadline = ticks.sooner(deadline, ticks.add(self._heard_at_ms, wait_ms))
        return deadline

    def timeout(self, now_ms: int) -> None:
        """Do what is due: judge again, probe the tail or the window, or take all on the way for lost."""
        flight = self.flight
        self.pacer.wait_until_ms = -1
        if flight.reorder_at_ms >= 0 and ticks.diff(now_ms, flight.reorder_at_ms) >= 0:
            flight.judge(now_ms)
        if flight.una < flight.next and not flight.reliable:
            waited_ms = ticks.diff(now_ms, self._heard_at_ms)
            if waited_ms >= flight.round_trip.timeout_ms:
                self._expire(now_ms)
            elif not self._has_tail_probe and waited_ms >= flight.round_trip.tail_ms:
                self._has_tail_probe = self._owes_tail_probe = True
        if self._probe_at_ms >= 0 and ticks.diff(now_ms, self._probe_at_ms) >= 0:
            self._time_probe(now_ms)

    def _expire(self, now_ms: int) -> None:
        self._tally.timeouts += 1
        self.expired += 1
        self.flight.round_trip.back_off()
        self.flight.congestion.collapsed()
        self.send_all_again(now_ms)

    def _time_probe(self, now_ms: int) -> None:
        """Probe a closed window with the segment acknowledged last: all peers answer that one (streams 3.6)."""
        if not self.is_shut:
            self._probe_at_ms = -1
            return
        wait_ms = min(self.flight.round_trip.timeout_ms << self._probes, _PROBE_MAX_MS)
        self._probes = min(self._probes + 1, _PROBE_DOUBLINGS)
        self._probe_at_ms = ticks.add(now_ms, wait_ms)
        self.probe()

    @property
    def is_shut(self) -> bool:
        """Whether only the peer's closed window keeps data from being sent."""
        flight = self.flight
        return flight.una == flight.next < self.tail and flight.next >= self.edge

    @property
    def is_idle(self) -> bool:
        """Whether all that was written is acknowledged."""
        return self.flight.una == self.tail

    @property
    def is_window_open(self) -> bool:
        """Whether the peer's window is as open as it can be: it has read all."""
        return self.edge - self.flight.una >= self.window

    @property
    def can_probe(self) -> bool:
        """Whether there is an acknowledged segment to probe with."""
        return self.flight.una > self.flight.first

    def probe(self) -> None:
        """Have the segment acknowledged last sent once more: the peer answers with its window. Nothing is lost on a
        reliable carrier, so nothing is probed."""
        self._owes_probe = self.can_probe and not self.flight.reliable

    def send_all_again(self, now_ms: int) -> None:
        """Take all that is on the way for lost."""
        self.flight.lose_all()
        self.pacer.adapt(self.flight.congestion.window, self.flight.round_trip)
        self._heard_at_ms = now_ms
        self._has_tail_probe = True
        self._owes_tail_probe = False

    def restart(self, now_ms: int) -> None:
        """Another path."""
        self.flight.restart(self.window)
        self.send_all_again(now_ms)
        self.expired = 0
