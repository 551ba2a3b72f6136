"""Which path a session uses: the first that answers, a better one when it has proved itself, another when one dies."""

import itertools
import random

import pytest
from homeport.client.session.events import SearchWanted
from homeport.client.session.paths import GATE_ENDPOINT, Path, PathKind
from homeport.client.session.states import State
from homeport_core.crypto import AesContext
from homeport_core.packet import Packet
from homeport_core.spec import (
    FEATURE_REMEMBERS,
    FEATURE_SEARCHES,
    FRAMING_FEATURES,
    FRAMING_KEEP_ALIVE,
    FRAMING_SEARCH,
    PT_DATA,
    TAG_FRAMING,
)
from session_world import (
    DEVICE_GLOBAL,
    DEVICE_PRIVATE,
    GSP,
    MATERIAL,
    QUERY_COUNT,
    QUERY_ECHO,
    FakeDevice,
    World,
)

DIRECT, RELAY, TLS = PathKind.DIRECT, PathKind.RELAY, PathKind.TLS
ALL = (DIRECT, RELAY, TLS)
DEVICE = (DEVICE_PRIVATE, DEVICE_GLOBAL)
NEW_PRIVATE = bytes((10, 0, 0, 7, 0x9C, 0x41))
NEW_GLOBAL = bytes((203, 0, 113, 8, 0x9C, 0x41))


class OnePathWorld(World):
    """A world that sees to it that all but keep-alives goes over the path in use."""

    def _collect(self):
        before = len(self.sent)
        super()._collect()
        for _, data, to in self.sent[before:]:
            packet = decoded(data)
            if packet.type == PT_DATA and command_of(packet) != FRAMING_KEEP_ALIVE:
                assert to == self.session.path.endpoint, "a packet has left the path in use"


class SearchingDevice(FakeDevice):
    """One of ours: it remembers, and searches again when asked. `asked` holds what clients said of themselves."""

    def __init__(self):
        super().__init__(careful=True)
        self.asked = []
        self.place = DEVICE_PRIVATE + DEVICE_GLOBAL + b"\x00"

    def _framing(self, packet, plaintext):
        command = int.from_bytes(plaintext[:4])
        if command == FRAMING_FEATURES:
            return [self._reply(packet, plaintext=plaintext[:4] + (FEATURE_REMEMBERS | FEATURE_SEARCHES).to_bytes(4))]
        if command == FRAMING_SEARCH:
            self.asked.append(plaintext[4:])
            return [self._reply(packet, plaintext=plaintext[:4] + self.place)]
        return super()._framing(packet, plaintext)


def direct(endpoint):
    return Path(DIRECT, endpoint)


def decoded(data):
    packet = Packet()
    packet.decode_from(bytearray(data))
    return packet


def command_of(packet):
    if packet.tag != TAG_FRAMING:
        return None
    return int.from_bytes(AesContext(MATERIAL, False).open(packet)[:4])


def keep_alives(world, to, since=0):
    """When keep-alives went to an endpoint."""
    packets = [(time, decoded(data)) for time, data, there in world.sent if there == to and time >= since]
    return [time for time, packet in packets if packet.type == PT_DATA and command_of(packet) == FRAMING_KEEP_ALIVE]


def opened(*kinds, device=None, unreachable=(), **more):
    world = OnePathWorld(device)
    world.unreachable.update(unreachable)
    world.introduce(*(kinds or ALL), **more)
    world.until_settled()
    return world


def wait_for(world, kind):
    """Let time pass until the session is open on a path of this kind; returns how long that took."""
    start = world.now
    world.until(lambda: world.session.path.kind is kind and world.session.state is State.OPEN)
    return world.now - start


def ask(world, query=QUERY_ECHO, params=b"?"):
    """A request, answered; returns (payload, how long it took)."""
    start = world.now
    number = world.request(query, params, timeout_ms=30_000)
    world.until(lambda: world.outcome(number) is not None)
    return world.outcome(number), world.now - start


class TestBeginning:
    def test_the_relay_carries_the_first_request_and_the_direct_path_what_follows(self):
        world = OnePathWorld(latency_ms=40)
        world.introduce(*ALL)
        number = world.request(QUERY_ECHO, b"early")
        world.until(lambda: world.outcome(number) is not None)
        assert world.session.path.kind is RELAY or world.paths == [RELAY, DIRECT]
        assert world.now - 1_000_000 <= 4 * world.latency_ms + 10
        assert world.until_settled() is DIRECT
        assert world.paths == [RELAY, DIRECT]

    def test_the_gate_is_not_used_where_udp_works(self):
        world = opened()
        world.run(60_000)
        assert keep_alives(world, GATE_ENDPOINT) == []

    def test_the_gate_is_asked_after_a_second_in_which_udp_was_silent(self):
        world = OnePathWorld()
        world.unreachable.update((*DEVICE, GSP))
        world.introduce(*ALL)
        assert world.until_open() is TLS
        assert keep_alives(world, GATE_ENDPOINT)[0] == 1_001_000

    def test_the_gate_is_asked_at_once_where_there_is_known_to_be_no_udp(self):
        world = OnePathWorld()
        world.unreachable.update((*DEVICE, GSP))
        world.introduce(*ALL, has_udp=False)
        assert world.until_open() is TLS
        assert keep_alives(world, GATE_ENDPOINT)[0] == 1_000_000

    def test_the_gate_alone_can_be_asked_for(self):
        world = opened(TLS)
        assert world.paths == [TLS]
        assert {to for _, _, to in world.sent} == {GATE_ENDPOINT}

    def test_a_gate_that_answers_before_a_slow_relay_is_left_for_it(self):
        world = OnePathWorld(latency_ms=700)
        world.unreachable.update(DEVICE)
        world.introduce(*ALL)
        world.run(10_000)
        assert world.paths in ([RELAY], [TLS, RELAY])

    def test_the_private_endpoint_is_preferred_even_when_the_global_one_answers_first(self):
        world = OnePathWorld()
        world.delays[DEVICE_PRIVATE] = 10
        world.introduce(*ALL)
        world.run(500)
        assert world.session.path.endpoint == DEVICE_PRIVATE
        assert world.paths == [RELAY, DIRECT]


class TestDeath:
    @pytest.mark.parametrize("how", ["unreachable", "mute"])
    def test_a_direct_path_that_dies_under_a_request_is_replaced_within_three_seconds(self, how):
        world = opened(device=SearchingDevice())
        world.run(4_000)
        getattr(world, how).update(DEVICE)
        answer, took_ms = ask(world, QUERY_COUNT)
        assert took_ms < 3_000
        assert world.session.path.kind is RELAY
        assert int.from_bytes(answer) == len(world.device.runs) == 1

    def test_an_idle_direct_path_that_dies_is_replaced_within_seven_seconds(self):
        world = opened()
        world.run(20_000)
        world.unreachable.update(DEVICE)
        assert wait_for(world, RELAY) < 7_000

    def test_a_relay_that_dies_is_replaced_by_the_gate_and_used_again_when_it_is_back(self):
        world = opened(unreachable=DEVICE, device=SearchingDevice())
        world.run(10_000)
        world.relay_works = False
        _, took_ms = ask(world)
        assert took_ms < 4_500
        assert world.session.path.kind is TLS
        world.run(20_000)
        world.relay_works = True
        assert wait_for(world, RELAY) < 64_000
        assert world.paths == [RELAY, TLS, RELAY]

    def test_all_paths_in_turn(self):
        world = opened(device=SearchingDevice())
        for kind, dead in ((RELAY, DEVICE), (TLS, (*DEVICE, GSP)), (RELAY, DEVICE), (DIRECT, ())):
            world.unreachable = set(dead)
            assert wait_for(world, kind) < 65_000
            assert ask(world)[0] == b"?"

    def test_an_outage_of_everything_is_survived_and_the_path_is_the_same_after_it(self):
        world = opened(RELAY)
        world.relay_works = False
        world.run(12_000)
        assert world.session.state is State.LOST
        world.relay_works = True
        world.run(1_500)
        assert world.session.state is State.OPEN
        assert world.paths == [RELAY]

    def test_requests_of_an_outage_are_answered_after_it(self):
        world = opened(unreachable=DEVICE, device=SearchingDevice())
        world.relay_works = world.tls_works = False
        number = world.request(QUERY_COUNT, timeout_ms=30_000)
        world.run(9_000)
        world.relay_works = True
        world.run(2_000)
        assert int.from_bytes(world.outcome(number)) == len(world.device.runs) == 1


class TestOnlyOnePath:
    def test_a_direct_path_in_use_costs_nothing_on_the_others(self):
        world = opened()
        start = world.now
        world.run(3_600_000)
        assert 4 <= len(keep_alives(world, GSP, start)) <= 7
        assert len(keep_alives(world, GATE_ENDPOINT, start)) <= 7
        assert world.paths == [RELAY, DIRECT]

    def test_the_relay_is_never_silent_so_long_that_the_basestation_forgets_the_session(self):
        world = opened()
        world.run(3 * 3_600_000)
        times = keep_alives(world, GSP)
        assert max(later - time for time, later in itertools.pairwise(times)) < 3_600_000

    def test_the_device_is_called_back_from_the_other_path_at_once(self):
        world = opened()
        start = world.now
        world.run(700_000)
        refreshed_at = keep_alives(world, GSP, start)[0]
        assert [time for time in keep_alives(world, DEVICE_PRIVATE, refreshed_at) if time <= refreshed_at + 100]

    def test_a_better_path_that_is_deaf_one_way_is_tried_ever_more_rarely_and_the_device_called_back(self):
        world = OnePathWorld()
        world.introduce(*ALL)
        world.run(5)
        world.mute.update(DEVICE)
        world.session.opening.candidates.add(direct(DEVICE_PRIVATE), 0, world.now)
        world.run(300_000)
        assert world.paths == [RELAY]
        probes = keep_alives(world, DEVICE_PRIVATE)
        assert len(probes) < 20
        for time in probes:
            assert any(time < other <= time + 500 for other in keep_alives(world, GSP)), "the device is left astray"

    def test_a_path_that_comes_and_goes_is_not_followed_each_time(self):
        world = opened(device=SearchingDevice())
        for _ in range(150):
            world.run(2_000)
            world.unreachable ^= set(DEVICE)
        assert len(world.paths) < 40
        assert world.session.state is State.OPEN

    def test_a_stranger_who_knows_the_session_cannot_make_us_ask_him_without_end(self):
        world = opened(unreachable=DEVICE)
        stranger = bytes((203, 0, 113, 77, 1, 1))
        for n in range(64):
            world.session.opening.candidates.add(direct(stranger[:3] + bytes((n, 1, 1))), 1, world.now)
        world.run(600_000)
        asked = [to for _, data, to in world.sent if to[:3] == stranger[:3] and data[8] == PT_DATA]
        assert len(asked) < 8 * 20
        assert world.paths == [RELAY]


class TestSearching:
    def relayed(self):
        return opened(unreachable=DEVICE, device=SearchingDevice())

    def wanted(self, world):
        return sum(isinstance(event, SearchWanted) for event in world.events)

    def search(self, world, private=NEW_PRIVATE, public=NEW_GLOBAL, nat=0):
        world.session.search(world.now, private, public, nat)
        world._collect()

    def test_a_relayed_session_wants_one_ever_more_rarely(self):
        world = self.relayed()
        world.run(29_000)
        assert self.wanted(world) == 0
        world.run(2_000)
        assert self.wanted(world) == 1
        world.run(3_600_000)
        assert 5 <= self.wanted(world) <= 12

    def test_a_direct_session_wants_none(self):
        world = opened(device=SearchingDevice())
        world.run(3_600_000)
        assert self.wanted(world) == 0

    def test_the_death_of_a_direct_path_wants_one_at_once(self):
        world = opened(device=SearchingDevice())
        world.run(2_000)
        world.unreachable.update(DEVICE)
        wait_for(world, RELAY)
        assert self.wanted(world) == 1

    def test_the_device_is_told_where_we_are_and_both_look(self):
        world = self.relayed()
        start = len(world.sent)
        self.search(world, nat=7)
        world.run(4_000)
        assert world.device.asked == [NEW_PRIVATE + NEW_GLOBAL + b"\x07"]
        assert {to for _, data, to in world.sent[start:] if data[8] != PT_DATA} == set(DEVICE)

    def test_what_is_not_known_is_zero(self):
        world = self.relayed()
        self.search(world, None, None)
        world.run(100)
        assert world.device.asked == [bytes(13)]

    def test_a_device_that_moved_is_found_where_it_says_it_is(self):
        world = self.relayed()
        moved = bytes((198, 51, 100, 77, 0xC3, 0x51))
        world.endpoints = {moved}
        world.device.place = bytes(6) + moved + b"\x00"
        self.search(world)
        world.run(1_000)
        assert world.session.path.endpoint == moved

    def test_the_question_is_repeated_when_the_answer_is_lost(self):
        world = self.relayed()
        world.mute.add(GSP)
        self.search(world)
        world.run(2_300)
        assert len(world.device.asked) == 3
        assert len(set(world.device.asked)) == 1

    def test_a_reference_device_is_not_asked_but_looked_for(self):
        world = opened(unreachable=DEVICE)
        world.unreachable.clear()
        self.search(world)
        world.run(1_000)
        assert world.session.path.kind is DIRECT

    def test_a_damaged_answer_changes_nothing(self):
        world = self.relayed()
        world.device.place = b"short"
        self.search(world)
        world.run(100)
        assert world.session.opening.searching.device_global == DEVICE_GLOBAL

    def test_a_direct_path_found_by_it_is_used(self):
        world = self.relayed()
        world.unreachable.clear()
        self.search(world)
        assert wait_for(world, DIRECT) < 200


class TestWhy:
    def test_two_symmetric_nats_are_told_as_the_reason(self):
        world = opened(unreachable=DEVICE, device=SearchingDevice(), nat=7)
        assert world.session.why_relayed is None
        world.session.search(world.now, NEW_PRIVATE, NEW_GLOBAL, 7)
        assert "symmetric" in world.session.why_relayed

    def test_a_basestation_without_udp_is_told_as_the_reason(self):
        world = opened(unreachable=(*DEVICE, GSP), has_udp=False)
        assert "UDP" in world.session.why_relayed

    def test_a_direct_path_needs_none(self):
        world = opened()
        assert world.session.why_relayed is None


class TestMoving:
    def test_the_relay_is_told_at_once_where_we_are_now(self):
        world = opened(unreachable=DEVICE)
        world.run(1_000)
        world.session.moved(world.now)
        world._collect()
        assert keep_alives(world, GSP, world.now) == [world.now]

    def test_a_direct_path_that_the_move_broke_is_left_within_a_second_and_looked_for_again(self):
        world = opened(device=SearchingDevice())
        world.run(1_000)
        world.unreachable.update(DEVICE)
        world.session.moved(world.now)
        world._collect()
        assert wait_for(world, RELAY) < 1_000
        assert sum(isinstance(event, SearchWanted) for event in world.events) == 1

    def test_a_direct_path_that_survives_the_move_stays(self):
        world = opened(device=SearchingDevice())
        world.run(1_000)
        world.session.moved(world.now)
        world._collect()
        world.run(10_000)
        assert world.paths == [RELAY, DIRECT]


@pytest.mark.parametrize("seed", range(12))
def test_whatever_paths_die_and_come_back_every_request_is_answered_and_run_once(seed):
    world = opened(device=SearchingDevice())
    chance = random.Random(seed)
    paths = [set(DEVICE), {GSP}, {GATE_ENDPOINT}]
    asked = []
    for _ in range(40):
        alive = chance.randrange(3)
        world.unreachable = set().union(*(path for n, path in enumerate(paths) if n != alive and chance.random() < 0.6))
        for _ in range(chance.randrange(4)):
            asked.append(world.request(QUERY_COUNT, timeout_ms=60_000))
            world.run(chance.randrange(400))
        world.run(chance.randrange(100, 5_000))
    world.until(lambda: all(world.outcome(number) is not None for number in asked), 120_000)
    assert sorted(int.from_bytes(world.outcome(number)) for number in asked) == list(range(1, len(asked) + 1)), seed
    assert world.session.state is State.OPEN
