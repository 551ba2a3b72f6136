"""One connection to one device, sans I/O: from the first packet to the last (specification, core 5, 6, 7 and 10).

    OPENING   the opening (clear, PSK or introduced) offers paths, keep-alives ask on them; the first echo proves one;
              with an end-to-end key the exchange (`rekey`) has to be done, too
    OPEN      requests flow over the path in use, which changes when a better one proves itself (see `steering`)
    LOST      the path in use has fallen silent; all are asked, and the first that answers leads back to OPEN
    CLOSING   command 3 has been sent; the echo, or 300 ms, ends it
    CLOSED

What arrives is the matter of `intake`.
"""

from __future__ import annotations

from collections import Counter, deque
from typing import TYPE_CHECKING

from homeport_core.errors import HomeportError, StateError
from homeport_core.packet import Context

from homeport.client.session.control import Control
from homeport.client.session.events import Closed, Event, Opened, PathChanged, SearchWanted
from homeport.client.session.exchange import Exchange
from homeport.client.session.intake import Intake
from homeport.client.session.opening import Opening, Rng
from homeport.client.session.paths import Path, PathKind
from homeport.client.session.rekey import Rekey, key_missing
from homeport.client.session.requests import Retry
from homeport.client.session.searching import Searching
from homeport.client.session.states import TRANSITIONS, State
from homeport.client.session.steering import Steering
from homeport.errors import DeviceOffline

if TYPE_CHECKING:
    from homeport_core.streams import Stream

CLOSE_RETRY_MS = 100
CLOSE_TRIES = 3


class Session:
    """Feed it datagrams and time, drain `datagrams()` and `next_event()`, call `timeout` at `deadline_ms`."""

    def __init__(self, opening: Opening, rng: Rng) -> None:
        self.opening = opening
        self.state = State.OPENING
        self._rng = rng
        self._events: deque[Event] = deque()
        self._out: list[tuple[bytes, bytes]] = []
        self._steering = Steering(opening.candidates)
        self._exchange = Exchange(opening, rng, self._events)
        self._requests = self._exchange.requests
        self._control = Control(opening, self._requests, rng)
        self._intake = Intake(opening, self._control, self._exchange, self._steering)
        self._announced: Path | None = None  # the path that the user was told of
        self._closes_at_ms: list[int] = []  # when to say that it is over; at the last of them it is

    # What the adapter does

    def start(self, now_ms: int) -> None:
        """Begin to connect."""
        self.opening.start(now_ms)
        self._progress(now_ms)

    def datagram(self, now_ms: int, data: bytes | bytearray, source: bytes) -> None:
        """Take a datagram from the endpoint `source` (6 bytes), in place. Wrong ones are counted in `drops`."""
        if self.state is State.CLOSED:
            return
        self._intake.datagram(now_ms, data, source)
        if self._intake.hung_up:
            self._abandon(now_ms, None)
        elif self._control.wants_key:
            self._give_up(now_ms, key_missing())
        self._progress(now_ms)

    def timeout(self, now_ms: int) -> None:
        """Do what is due at `now_ms`; harmless when nothing is."""
        if self.state is State.CLOSED:
            return
        self.opening.timeout(now_ms)
        self._exchange.expire(now_ms)
        if self.state is State.CLOSING:
            self._continue_close(now_ms)
        elif self.state in (State.OPEN, State.LOST):
            repeats = self._requests.due(now_ms)
            if repeats or (self._intake.streams is not None and self._intake.streams.take_doubt(now_ms)):
                self._steering.doubt(now_ms)
            # Before the repeats: it is also what tells the relay of our new address.
            self._steer(now_ms)
            if self.state in (State.OPEN, State.LOST):
                self._out += [(packet, self._where()) for packet in repeats]
        self._progress(now_ms)
        self._send_streams(now_ms)

    def moved(self, now_ms: int) -> None:
        """Our own address is another: see what still works, and look for a direct path again."""
        self._steering.moved(now_ms)
        if self.opening.searching is not None:
            self.opening.searching.moved(now_ms)
        self._progress(now_ms)

    def search(self, now_ms: int, private: bytes | None, public: bytes | None, nat_type: int) -> None:
        """Look for a direct path again, from these endpoints of ours (6 bytes): what SearchWanted asks for."""
        if self.opening.searching is not None and self.state is State.OPEN:
            self.opening.searching.begin(now_ms, private, public, nat_type)
            self._progress(now_ms)

    @property
    def nsis(self) -> tuple[bytes, ...]:
        """What packets for this session are known by, unique on our socket: NSIs, or an NSI and where it comes from."""
        return (self._requests.cp, *self.opening.nsis)

    @property
    def deadline_ms(self) -> int | None:
        """When to call `timeout`; None once closed."""
        if self.state is State.CLOSED:
            return None
        if self.state is State.CLOSING:
            return self._closes_at_ms[0]
        times = [self.opening.deadline_ms, self._requests.deadline_ms, self._steering.deadline_ms]
        if self.opening.rekey is not None:
            times.append(self.opening.rekey.deadline_ms)
        if self.opening.searching is not None and self.state is State.OPEN:
            times.append(self.opening.searching.deadline_ms)
        if self._intake.streams is not None and self.state is State.OPEN:
            times.append(self._intake.streams.deadline_ms)
        return min((time for time in times if time is not None), default=None)

    def datagrams(self) -> list[tuple[bytes, bytes]]:
        """Take what is to be sent: (datagram, endpoint)."""
        out = self._out
        self._out = []
        return out

    def next_event(self) -> Event | None:
        """Take the oldest event, or None."""
        if self._events:
            return self._events.popleft()
        return None if self._intake.streams is None else self._intake.streams.next_event()

    def broken(self, error: HomeportError) -> Closed:
        """A defect keeps it from going on: nothing will happen any more, whatever state it is in."""
        self.state = State.CLOSED
        return Closed(error)

    # What the user does

    @property
    def drops(self) -> Counter[str]:
        """The packets that were not taken, by why."""
        return self._intake.drops

    @property
    def path(self) -> Path | None:
        """The path in use, or the last one; None until the connection is open."""
        return self._steering.path

    @property
    def why_relayed(self) -> str | None:
        """Why the basestation carries the packets, if it does and that is known."""
        if self.path is None or not self.path.is_relayed:
            return None
        if self.path.kind is PathKind.TLS:
            udp_was_tried = any(candidate.path.kind is PathKind.RELAY for candidate in self.opening.candidates)
            return "UDP does not get through to the basestation" if udp_was_tried else None
        return None if self.opening.searching is None else self.opening.searching.obstacle

    @property
    def rtt_ms(self) -> int | None:
        """Round trip of the last keep-alive that was echoed on the path in use."""
        return self._steering.rtt_ms

    @property
    def is_sealed(self) -> bool:
        """Whether what travels is encrypted and authenticated."""
        return self._control.is_sealed

    @property
    def is_end_to_end(self) -> bool:
        """Whether the keys are the client's and the device's alone."""
        return self._control.is_end_to_end

    @property
    def remembers(self) -> bool:
        """Whether the device is known not to run a repeated request twice."""
        return self._control.remembers

    def request(self, now_ms: int, payload: bytes, timeout_ms: int, retry: Retry = Retry.SAFE) -> int:
        """Send a query id with its parameters; returns the id that Answered or Failed will carry.

        Before the connection is open the request waits. Raises StateError when it is closed or closing, or when
        too many wait.
        """
        if self.state in (State.CLOSING, State.CLOSED):
            raise StateError("the connection is closed")
        request_id = self._requests.submit(payload, retry, now_ms + timeout_ms)
        self._progress(now_ms)
        return request_id

    def cancel(self, request_id: int) -> None:
        """Give a request up; there will be no event for it. Harmless when it is over."""
        self._requests.cancel(request_id)

    def open_stream(self, now_ms: int, is_own_address: bool = False) -> Stream:
        """Open a stream; what happens to it comes as StreamChanged. Raises StateError, FullError.

        `is_own_address`: `path` leads to an address of this machine, so there is no limit to the size of datagrams.
        After whatever is done with it: `wake_streams`.
        """
        if self.state not in (State.OPEN, State.LOST):
            raise StateError("the connection is not open")
        from homeport.client.session.streams import SessionStreams

        if self._intake.streams is None:
            self._intake.streams = SessionStreams(self.opening, self._rng)
        return self._intake.streams.open(now_ms, self._current(), is_own_address)

    def wake_streams(self, now_ms: int) -> bool:
        """Something was done with a stream, so there may be packets to send; whether `deadline_ms` moved by it."""
        return self._intake.streams is not None and self._intake.streams.wake(now_ms)

    def close(self, now_ms: int) -> None:
        """End the connection; the event Closed follows within 300 ms."""
        if self.state in (State.CLOSING, State.CLOSED):
            return
        if self.state is State.OPENING:
            self._abandon(now_ms, None)
            return
        self.opening.abandon(now_ms)
        self._exchange.fail_all(StateError("the connection was closed"))
        self._enter(State.CLOSING)
        self._closes_at_ms = [now_ms + n * CLOSE_RETRY_MS for n in range(CLOSE_TRIES + 1)]
        self._continue_close(now_ms)

    # State

    def _enter(self, state: State) -> None:
        if state not in TRANSITIONS[self.state]:
            raise StateError(f"{self.state.name} cannot become {state.name}")
        self.state = state

    def _progress(self, now_ms: int) -> None:
        """Follow the paths, send what waits, and collect the opening's packets."""
        self._steer(now_ms)
        if self.state is State.OPEN:
            self._out += [(packet, self._where()) for packet in self._exchange.send_waiting(now_ms)]
            if self.opening.searching is not None:
                self._search(now_ms, self.opening.searching)
        self._out += self.opening.out
        self.opening.out.clear()

    def _steer(self, now_ms: int) -> None:
        """Ask on the paths where it is due, and follow what became of them."""
        if self.state in (State.CLOSING, State.CLOSED):
            return
        steering = self._steering
        rekey = self.opening.rekey
        if self.opening.proves_path and self.state is State.OPENING:
            path = self.opening.candidates.best()
            if path is not None:
                steering.use(now_ms, path)
        for path, counter in steering.due(now_ms):
            self._out += self._control.keep_alive(path, counter)
            if path == self._announced:
                self._out += self._control.ask_features(path)
        if steering.is_proved:
            if rekey is not None and not rekey.is_done:
                self._continue_exchange(now_ms, rekey)
            elif self.state is not State.OPEN or self.path != self._announced:
                self._open(now_ms)
        elif self.state is State.OPEN:
            self._enter(State.LOST)
        elif steering.is_silent(now_ms):
            self._abandon(now_ms, DeviceOffline("the device does not answer any more", None, "connect again"))
        elif self.state is State.OPENING and not steering.is_trying and (error := self.opening.error) is not None:
            self._abandon(now_ms, error)

    def _open(self, now_ms: int) -> None:
        """A path is proved: the first, another, or again the one that was lost."""
        path = self._current()
        if self.state is not State.OPEN:
            self._enter(State.OPEN)
        if self._announced is None:
            if self.remembers:
                self._requests.trust(now_ms)
            self._events.append(Opened(path))
            self._out += self._control.ask_features(path)
        else:
            self._requests.hurry(now_ms)
            if self._intake.streams is not None:
                self._intake.streams.path_changed(now_ms, path)
            if path != self._announced:
                self._events.append(PathChanged(path))
        self._announced = path
        if self.opening.searching is not None:
            self.opening.searching.follow(now_ms, path)

    def _search(self, now_ms: int, searching: Searching) -> None:
        """Do what is due for another direct path."""
        if searching.wants_place(now_ms):
            self._events.append(SearchWanted())
        message = searching.next_ask(now_ms)
        if message is not None:
            self._out += self._control.search(self._current(), message)

    def _continue_exchange(self, now_ms: int, rekey: Rekey) -> None:
        """There is a path, but no end-to-end keys yet: ask the device again, or give up."""
        if rekey.due(now_ms):
            self._out += self._control.hello(self._current())
        if rekey.error is not None:
            self._give_up(now_ms, rekey.error)

    def _give_up(self, now_ms: int, error: HomeportError) -> None:
        """End at once, but tell the device, which would hold the connection for a while."""
        if self.path is not None:
            self._out += self._control.close(self.path)
        self._abandon(now_ms, error)

    def _abandon(self, now_ms: int, error: HomeportError | None) -> None:
        self.opening.abandon(now_ms)
        self._out += self.opening.out
        self.opening.out.clear()
        self._enter(State.CLOSED)
        self._exchange.fail_all(error or StateError("the connection was closed"))
        if self._intake.streams is not None:
            self._intake.streams.fail_all()
            while (event := self._intake.streams.next_event()) is not None:
                self._events.append(event)
        self._events.append(Closed(error))

    def _continue_close(self, now_ms: int) -> None:
        if now_ms < self._closes_at_ms[0]:
            return
        self._closes_at_ms.pop(0)
        if self._closes_at_ms:
            self._out += self._control.close(self._current())
        else:
            self._abandon(now_ms, None)

    def _send_streams(self, now_ms: int) -> None:
        context = self._context()
        if self._intake.streams is not None and context is not None and self.state is State.OPEN:
            self._out += [(packet, self._where()) for packet in self._intake.streams.send(now_ms, context)]

    def _context(self) -> Context | None:
        return self.opening.context

    def _current(self) -> Path:
        if self.path is None:
            raise StateError("no path is chosen")
        return self.path

    def _where(self) -> bytes:
        return self._current().endpoint
