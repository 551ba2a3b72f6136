"""What holds for a device whatever arrives and however time passes."""

from __future__ import annotations

from device_bench import CLIENT, FINGERPRINT, GSP, LAN_CLIENT, NSI, STRANGER, Bench
from homeport_core import ticks
from homeport_core.rate import RateLimit
from homeport_core.spec import IPX_CP_ASYNC, NOTIFY_OK
from homeport_device.attach import ATTACHED
from homeport_device.event import Events
from homeport_device.output import LOCAL, REMOTE
from homeport_device.search import Ports
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

sockets = st.sampled_from((LOCAL, REMOTE))
sources = st.sampled_from((GSP, CLIENT, LAN_CLIENT, STRANGER, b"\xc0\xa8\x01\x15\x04\x01"))
octet = st.integers(0, 255)


class Visited(RuleBasedStateMachine):
    """A device with an owner who is connected, and everybody else who is not: only the owner gets anywhere."""

    def __init__(self) -> None:
        super().__init__()
        self.bench = Bench(ticks.PERIOD - 100_000, connections=6)
        self.bench.connected()
        self.bench.alive(1)
        self.seq = 1
        self.seen = [self.bench.keep_alive()]
        self.bench.deliver(REMOTE, self.seen[0], CLIENT)
        self.runs = 0

    @rule(data=st.binary(max_size=300), socket=sockets, source=sources)
    def noise_arrives(self, data: bytes, socket: int, source: bytes) -> None:
        self.bench.deliver(socket, data, source)

    @rule(kind=octet, flags=octet, body=st.binary(max_size=120), socket=sockets, source=sources)
    def something_like_a_packet_arrives(self, kind: int, flags: int, body: bytes, socket: int, source: bytes) -> None:
        n = 16 + len(body)
        header = b"\x99\x99\x99\x99" + NSI + bytes((kind, 2, 0, flags, 0, 1)) + n.to_bytes(2, "big")
        self.bench.deliver(socket, header + body, source)

    @rule(at=st.integers(0, 200), value=st.integers(1, 255), socket=sockets, source=sources)
    def a_damaged_request_arrives(self, at: int, value: int, socket: int, source: bytes) -> None:
        octets = bytearray(self.bench.query(2))
        octets[at % len(octets)] ^= value
        assert self.bench.deliver(socket, bytes(octets), source) == []

    @rule(index=st.integers(0, 1000), socket=sockets, source=sources)
    def an_old_packet_arrives_again(self, index: int, socket: int, source: bytes) -> None:
        for _, to, _ in self.bench.deliver(socket, self.seen[index % len(self.seen)], source):
            assert to == CLIENT

    @rule(source=sources, cp=st.integers(1000, 2**32 - 1))
    def somebody_connects_locally(self, source: bytes, cp: int) -> None:
        for _, to, _ in self.bench.deliver(LOCAL, self.bench.local_request(cp, fingerprint=FINGERPRINT), source):
            assert to == source

    @rule()
    def the_gsp_introduces_the_owner_again(self) -> None:
        assert self.bench.introduce(flags=IPX_CP_ASYNC) == NOTIFY_OK

    @precondition(lambda self: len(self.seen) < 100)
    @rule()
    def the_owner_asks(self) -> None:
        octets = self.bench.query(2)
        self.seen.append(octets)
        self.runs += 1
        assert len(self.bench.deliver(REMOTE, octets, CLIENT)) == 2

    @rule(delta_ms=st.integers(0, 9_000))
    def time_passes(self, delta_ms: int) -> None:
        self.bench.advance(delta_ms)
        self.seq += 1
        assert len(self.bench.alive(self.seq)) == 1
        octets = self.bench.keep_alive()
        assert len(self.bench.deliver(REMOTE, octets, CLIENT)) == 1

    @invariant()
    def the_owner_stays_connected(self) -> None:
        stack = self.bench.stack
        assert stack.state == ATTACHED
        assert stack.connections.find(NSI).peer == CLIENT

    @invariant()
    def requests_of_the_owner_ran_once_and_no_others_remotely(self) -> None:
        assert self.bench.app.runs == self.runs

    @invariant()
    def the_table_keeps_its_size(self) -> None:
        assert len(self.bench.stack.connections.slots) == 6

    @invariant()
    def the_timer_is_never_far_away(self) -> None:
        due_ms = self.bench.stack.deadline_ms
        assert due_ms is not None
        assert ticks.diff(due_ms, self.bench.now_ms) <= 20_000


Visited.TestCase.settings = settings(max_examples=30, stateful_step_count=40, deadline=None)
TestVisited = Visited.TestCase


@given(st.integers(0, ticks.PERIOD - 1), st.lists(st.integers(0, 700), max_size=100), st.integers(1, 10))
def test_a_rate_is_kept_in_every_second_that_starts_with_a_use(start_ms: int, gaps: list[int], limit: int) -> None:
    rate = RateLimit(limit)
    elapsed_ms = 0
    allowed: list[int] = []
    for gap in gaps:
        elapsed_ms += gap
        if rate.allows(ticks.add(start_ms, elapsed_ms)):
            allowed.append(elapsed_ms)
    for at in allowed:
        assert sum(at <= other < at + 1000 for other in allowed) <= 2 * limit


@given(st.integers(0, 65535))
def test_ports_are_never_privileged_and_the_first_are_near(base: int) -> None:
    ports = Ports(base)
    tried = [ports.next() for _ in range(1000)]
    assert all(1024 <= port <= 65535 for port in tried)
    if 1100 <= base <= 65400:
        assert sorted(tried[:100]) == [port for port in range(base - 50, base + 51) if port != base]


@given(st.lists(st.one_of(st.binary(min_size=1, max_size=8), st.integers(1, 5)), max_size=60))
def test_events_arrive_in_order_and_none_is_lost(steps: list[bytes | int]) -> None:
    events = Events(100, 8)
    published = []
    arrived = []
    seq = 0
    for step in steps:
        if isinstance(step, bytes):
            events.publish(step)
            published.append(step)
            continue
        seq += 1
        answers = {events.fetch(seq) for _ in range(step)}
        assert len(answers) == 1
        arrived += [event for event in answers if event]
    assert arrived == published[: len(arrived)]
