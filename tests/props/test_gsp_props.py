"""Properties of the GSP and its parts, for any order of events."""

from gsp_peers import Client, Device, drain, make_gsp, opened
from homeport.basestation.events import Connected
from homeport.basestation.gsp.connect import ConnectRequest, cut
from homeport.basestation.gsp.settings import RateLimit
from homeport.basestation.gsp.wheel import TICK_MS, Wheel
from homeport.basestation.limits import Buckets
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

STEPS = st.lists(st.tuples(st.integers(0, 3_000), st.sampled_from("ab")), max_size=80)


@given(STEPS, st.integers(1, 5), st.floats(0.5, 20))
def test_a_bucket_never_gives_more_than_its_burst_and_rate(steps, burst, per_s):
    buckets = Buckets(burst, per_s, 100)
    now_ms = 0
    taken = {"a": [], "b": []}
    for wait_ms, key in steps:
        now_ms += wait_ms
        if buckets.take(key, now_ms):
            taken[key].append(now_ms)
    for times in taken.values():
        for first in range(len(times)):
            for last in range(first, len(times)):
                seconds = (times[last] - times[first]) / 1000
                assert last - first + 1 <= burst + seconds * per_s + 1e-6


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 5_000)), max_size=60))
@example([(False, 2803), (True, 97), (True, 0), (False, 97)])
def test_a_wheel_gives_out_what_was_put_in_once_in_time_and_in_order(steps):
    wheel = Wheel()
    now_ms = 0
    waiting = []
    for adding, amount_ms in steps:
        if adding:
            wheel.add(now_ms + amount_ms, now_ms + amount_ms)
            waiting.append(now_ms + amount_ms)
        else:
            now_ms += amount_ms
            due = wheel.due(now_ms)
            ticks = [-(-item // TICK_MS) for item in due]
            assert ticks == sorted(ticks)
            for item in due:
                waiting.remove(item)
                assert item <= now_ms
            assert all(item > now_ms - TICK_MS for item in waiting)
    assert (wheel.deadline_ms is None) == (not waiting)


@given(st.text(), st.integers(0, 64))
def test_a_cut_name_is_a_prefix_in_whole_characters(text, limit):
    name = cut(text, limit)
    assert len(name) <= limit
    assert text.encode(errors="replace").decode().startswith(name.decode())


class GspMachine(RuleBasedStateMachine):
    """Two devices and an attacker who knows their ids, in any order; packets may be lost, late and repeated."""

    def __init__(self):
        super().__init__()
        self.devices = [Device(b"dev%d" % n, address=("198.51.100.%d" % n, 1_000), seed=n) for n in range(2)]
        limit = RateLimit(1_000, 1_000.0)
        ids = [device.device_id for device in self.devices]
        self.gsp, self.inventory = make_gsp(*ids, source=limit, device=limit, handshakes_max=6)
        self.now_ms = 0
        self.wire = []
        self.history = []
        self.keys = {device.device_id: set() for device in self.devices}

    def _to_gsp(self, data, source):
        self.history.append((data, source))
        for packet, to in self.gsp.datagram(self.now_ms, data, source):
            self.wire.append((packet, to))
        drain(self.gsp)

    @rule(n=st.integers(0, 1), fresh=st.booleans())
    def device_invites(self, n, fresh):
        device = self.devices[n]
        if fresh:
            device.restart()
            device.address = (device.address[0], device.address[1] + 1)
        self._to_gsp(device.invite(), device.address)

    @rule(n=st.integers(0, 1), port=st.integers(1, 3))
    def stranger_invites(self, n, port):
        stranger = Device(self.devices[n].device_id, psk=b"\x66" * 16, seed=port)
        self._to_gsp(stranger.invite(), ("192.0.2.66", port))

    @rule(n=st.integers(0, 1), port=st.integers(1, 3))
    def stranger_answers_what_it_was_sent(self, n, port):
        stranger = Device(self.devices[n].device_id, psk=b"\x66" * 16, seed=port)
        for packet, to in [item for item in self.wire if item[1] == ("192.0.2.66", port)]:
            self._to_gsp(stranger.attach_answer(opened(packet).sp, bytes(32), bytes(32)), to)

    @precondition(lambda self: self.wire)
    @rule(data=st.data())
    def a_packet_arrives(self, data):
        packet, to = self.wire.pop(data.draw(st.integers(0, len(self.wire) - 1)))
        for device in self.devices:
            if device.address == to:
                for answer in device.take(packet):
                    self._to_gsp(answer, to)
                if device.key is not None:
                    self.keys[device.device_id].add(device.key)

    @precondition(lambda self: self.wire)
    @rule()
    def a_packet_is_lost(self):
        self.wire.pop(0)

    @precondition(lambda self: self.history)
    @rule(data=st.data(), port=st.integers(1, 3), moved=st.booleans())
    def a_packet_is_replayed(self, data, port, moved):
        packet, source = self.history[data.draw(st.integers(0, len(self.history) - 1))]
        self._to_gsp(packet, ("192.0.2.66", port) if moved else source)

    @rule(wait_ms=st.integers(1, 30_000))
    def time_passes(self, wait_ms):
        self.now_ms += wait_ms
        self.wire += self.gsp.timeout(self.now_ms)
        drain(self.gsp)

    @rule(n=st.integers(0, 1))
    def a_client_connects(self, n):
        device = self.devices[n]
        self.gsp.connect(self.now_ms, ConnectRequest(device.device_id, bytes(16)))
        attachment = self.gsp.attachment(device.device_id)
        current = attachment is not None and (attachment.nsi, attachment.address) == (device.nsi, device.address)
        for packet, to in self.gsp.timeout(self.now_ms):
            if current and to == device.address and packet[8] == 131:
                for answer in device.take(packet):
                    self.gsp.datagram(self.now_ms, answer, to)
        for event in drain(self.gsp):
            if isinstance(event, Connected):
                client = Client(event.nsi, event.key_material)
                assert self.gsp.datagram(self.now_ms, client.keep_alive(), client.address)

    @invariant()
    def only_a_device_with_the_key_is_attached(self):
        for device in self.devices:
            attachment = self.gsp.attachment(device.device_id)
            if attachment is not None:
                assert attachment.key in self.keys[device.device_id] | {device.key}
                assert attachment.address[0] == device.address[0]

    @invariant()
    def tables_are_bounded(self):
        assert self.gsp.handshakes <= 6
        assert self.gsp.attached <= 2
        assert self.gsp.sessions <= 32

    @invariant()
    def the_deadline_is_not_forgotten(self):
        if self.gsp.attached:
            assert self.gsp.deadline_ms is not None


GspMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestGspMachine = GspMachine.TestCase
