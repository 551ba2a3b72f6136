"""What holds for streams whatever the network does and in whatever order their users act."""

from __future__ import annotations

import random

from homeport_core import ticks
from homeport_core.errors import FullError, StateError
from homeport_core.stream import ABORTED, CLOSED, Stream
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from stream_ends import OurEnd
from stream_pairs import our_end
from stream_target import SEGMENT, WINDOW, play
from stream_watch import Watch

LIMITS = {"segment": SEGMENT, "receive_window": WINDOW, "send_window": WINDOW, "streams": 3}
CONTENT = random.Random(1).randbytes(1 << 16)
IN_FLIGHT_MAX = 400
HEAL_MS = 200_000
choice = st.integers(0, 1000)
names = st.sampled_from(("left", "right"))


class Use:
    """One end of a stream as its user knows it: how much was written and read, and what it did."""

    def __init__(self, end: OurEnd, stream: Stream) -> None:
        self.end, self.stream = end, stream
        self.written = self.read = 0
        self.closed = self.aborted = False

    @property
    def key(self) -> tuple[int, int]:
        return self.stream.tag, self.stream.initiator_id


class Network(RuleBasedStateMachine):
    """Two ends of a connection; each packet is delivered, repeated, dropped or overtaken as it pleases."""

    def __init__(self) -> None:
        super().__init__()
        self.now_ms = 0
        self.in_flight: list[tuple[str, bytes]] = []
        self.uses: dict[str, dict[Stream, Use]] = {"left": {}, "right": {}}
        self.watch = Watch()

    @initialize(base_ms=st.sampled_from((0, ticks.PERIOD - 5_000)))
    def begin(self, base_ms: int) -> None:
        self.ends = {"left": our_end(True, 1, base_ms, **LIMITS), "right": our_end(False, 2, base_ms, **LIMITS)}
        for _ in range(2):
            self.a_stream_is_opened()
        for _ in range(3):
            self.all_packets_arrive()
        assert len(self.uses["right"]) == 2

    # What happens

    @rule()
    def a_stream_is_opened(self) -> None:
        end = self.ends["left"]
        try:
            stream = end.streams.open(end.ticks(self.now_ms))
        except FullError:
            assert len(self.uses["left"]) >= LIMITS["streams"]
            return
        self.uses["left"][stream] = Use(end, stream)
        self.collect()

    @rule(name=names, index=choice, n=st.integers(0, 3 * SEGMENT))
    def octets_are_written(self, name: str, index: int, n: int) -> None:
        use = self.pick(name, index)
        if use is None:
            return
        try:
            taken = use.stream.write(self.ticks(), CONTENT[use.written : use.written + n])
        except StateError:
            assert use.closed
            return
        assert taken <= n
        use.written += taken
        self.collect()

    @rule(name=names, index=choice, n=st.integers(-1, 3 * SEGMENT))
    def octets_are_read(self, name: str, index: int, n: int) -> None:
        use = self.pick(name, index)
        if use is None:
            return
        data = use.stream.read(n)
        assert n < 0 or len(data) <= n
        assert data == CONTENT[use.read : use.read + len(data)], "other octets"
        use.read += len(data)
        other = self.other(name, use)
        if data:
            assert other is not None and use.read <= other.written, "octets that nobody wrote"
        if use.stream.at_eof:
            assert other is None or (other.closed and use.read == other.written), "an end before the end"
        self.collect()

    @rule(name=names, index=choice)
    def an_end_is_closed(self, name: str, index: int) -> None:
        use = self.pick(name, index)
        if use is not None:
            use.stream.close(self.ticks())
            use.closed = True
            self.collect()

    @precondition(lambda self: self.uses["left"])
    @rule(name=names, index=choice)
    def an_end_is_aborted(self, name: str, index: int) -> None:
        use = self.pick(name, index)
        if use is not None and index % 5 == 0:
            use.stream.abort(self.ticks())
            use.aborted = True
            self.collect()

    @precondition(lambda self: self.in_flight)
    @rule(index=choice)
    def a_packet_arrives(self, index: int) -> None:
        self.deliver(*self.in_flight.pop(index % len(self.in_flight)))

    @precondition(lambda self: self.in_flight)
    @rule()
    def all_packets_arrive(self) -> None:
        waiting, self.in_flight = self.in_flight, []
        for name, datagram in waiting:
            self.deliver(name, datagram)

    @precondition(lambda self: self.in_flight)
    @rule(index=choice)
    def a_packet_arrives_and_will_again(self, index: int) -> None:
        self.deliver(*self.in_flight[index % len(self.in_flight)])

    @precondition(lambda self: self.in_flight)
    @rule(index=choice)
    def a_packet_is_lost(self, index: int) -> None:
        self.in_flight.pop(index % len(self.in_flight))

    @rule(duration_ms=st.sampled_from((1, 5, 20, 60, 300, 1_100, 5_000)))
    def time_passes(self, duration_ms: int) -> None:
        self.run(duration_ms)

    @rule(name=names)
    def the_path_changes(self, name: str) -> None:
        self.ends[name].streams.path_changed(self.ticks())
        self.collect()

    # How it is done

    def ticks(self) -> int:
        return self.ends["left"].ticks(self.now_ms)

    def pick(self, name: str, index: int) -> Use | None:
        uses = list(self.uses[name].values())
        return uses[index % len(uses)] if uses else None

    def other(self, name: str, use: Use) -> Use | None:
        others = self.uses["right" if name == "left" else "left"].values()
        return next((other for other in others if other.key == use.key), None)

    def collect(self) -> None:
        for name, end in self.ends.items():
            for datagram in end.datagrams(self.now_ms):
                self.watch(self.now_ms, name, datagram, 1)
                self.in_flight.append(("right" if name == "left" else "left", datagram))
            for stream in end.opened:
                self.uses[name].setdefault(stream, Use(end, stream))
        self.in_flight = self.in_flight[-IN_FLIGHT_MAX:]

    def deliver(self, name: str, datagram: bytes) -> None:
        self.ends[name].take(self.now_ms, datagram)
        self.collect()

    def run(self, duration_ms: int) -> None:
        limit_ms = self.now_ms + duration_ms
        for _ in range(20_000):
            due = [end.deadline(self.now_ms) for end in self.ends.values()]
            next_ms = min((at_ms for at_ms in due if at_ms is not None), default=limit_ms + 1)
            if next_ms > limit_ms:
                break
            self.now_ms = max(self.now_ms, next_ms)
            for end in self.ends.values():
                at_ms = end.deadline(self.now_ms)
                if at_ms is not None and at_ms <= self.now_ms:
                    end.timeout(self.now_ms)
            self.collect()
        else:
            raise AssertionError("a deadline does not move")
        self.now_ms = limit_ms

    # What always holds

    @invariant()
    def memory_is_bounded(self) -> None:
        for uses in self.uses.values():
            for use in uses.values():
                assert 0 <= use.stream.readable <= WINDOW * SEGMENT
                assert 0 <= use.stream.writable <= (WINDOW + 1) * SEGMENT

    @invariant()
    def only_an_abort_loses_octets(self) -> None:
        for name, uses in self.uses.items():
            for use in uses.values():
                if use.end.changes.get(use.stream, 0) & CLOSED and not use.aborted:
                    other = self.other(name, use)
                    assert other is None or other.aborted or use.closed, "closed by itself"

    def teardown(self) -> None:
        """The network is well again and all users read and close: everything that was written arrives."""
        if not hasattr(self, "ends"):
            return
        for name in ("left", "right"):
            for index in range(len(self.uses[name])):
                self.an_end_is_closed(name, index)
        for _ in range(HEAL_MS // 100):
            self.all_packets_arrive()
            for name in ("left", "right"):
                for index in range(len(self.uses[name])):
                    self.octets_are_read(name, index, -1)
                    self.an_end_is_closed(name, index)
            if not self.in_flight and all(end.deadline(self.now_ms) is None for end in self.ends.values()):
                break
            self.run(100)
        for name, uses in self.uses.items():
            for use in uses.values():
                changes = use.end.changes.get(use.stream, 0)
                assert changes & (CLOSED | ABORTED), "neither closed nor aborted"
                other = self.other(name, use)
                if other is not None and not (changes & ABORTED or other.aborted or use.aborted):
                    assert use.read == other.written, "octets were lost"


Network.TestCase.settings = settings(max_examples=150, stateful_step_count=50, deadline=None)
TestNetwork = Network.TestCase


@settings(max_examples=150, deadline=None)
@given(st.binary(min_size=20, max_size=600), st.booleans())
def test_a_hostile_peer_with_the_right_keys_gets_nowhere(programme: bytes, initiator: bool) -> None:
    victim = play(programme, initiator)
    victim.end.streams.fail_all()
    assert victim.end.streams.deadline_ms is None
    assert not victim.end.datagrams(victim.now_ms)
