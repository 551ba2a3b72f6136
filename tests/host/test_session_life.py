"""Keeping a connection alive, moving it to another path, and ending it."""

import itertools

import pytest
from homeport.client.session.clear import ClearOpening
from homeport.client.session.events import Closed, Opened
from homeport.client.session.paths import PathKind
from homeport.client.session.psk import PskOpening
from homeport.client.session.states import TRANSITIONS, State
from homeport.errors import DeviceOffline, StateError
from homeport_core.crypto import AesContext
from homeport_core.packet import Packet
from homeport_core.spec import FRAMING_FEATURES, PT_DATA, TAG_FRAMING
from session_world import (
    DEVICE_GLOBAL,
    DEVICE_ID,
    DEVICE_LOCAL,
    DEVICE_PRIVATE,
    GSP,
    KEY_ID,
    MATERIAL,
    PSK,
    QUERY_ECHO,
    FakeDevice,
    World,
)


def opened(*kinds, device=None):
    world = World(device)
    world.introduce(*kinds)
    world.until_settled()
    return world


def framing(world, since=0):
    """(time, command, counter or None, endpoint) of the keep-alives and closes that were sent."""
    context = AesContext(MATERIAL, False)
    found = []
    for time, data, to in world.sent:
        packet = Packet()
        packet.decode_from(bytearray(data))
        if time >= since and packet.type == PT_DATA and packet.tag == TAG_FRAMING:
            plaintext = context.open(packet)
            command = int.from_bytes(plaintext[:4])
            counter = int.from_bytes(plaintext[4:8]) if len(plaintext) >= 8 else None
            if command != FRAMING_FEATURES:
                found.append((time, command, counter, to))
    return found


def test_an_idle_connection_gets_a_keep_alive_each_five_seconds():
    world = opened()
    start = world.now
    world.run(20_100)
    times = [time - start for time, *_ in framing(world, start + 1)]
    assert [later - time for time, later in itertools.pairwise(times)] == [5_020, 5_020, 5_020]


def test_answers_stand_for_keep_alives():
    world = opened()
    start = world.now
    for _ in range(10):
        world.request(QUERY_ECHO)
        world.run(2_000)
    assert framing(world, start + 1) == []


def test_the_counter_grows_over_all_keep_alives_of_a_session():
    world = opened()
    world.run(12_000)
    world.unreachable.update((DEVICE_PRIVATE, DEVICE_GLOBAL))
    world.run(30_000)
    counters = [counter for _, _, counter, _ in framing(world)]
    assert {to for _, _, _, to in framing(world)} == {DEVICE_PRIVATE, DEVICE_GLOBAL, GSP}
    assert counters == list(range(1, len(counters) + 1))


def test_a_direct_connection_survives_on_the_relay_when_the_path_dies():
    world = opened()
    world.run(4_000)
    world.unreachable.update((DEVICE_PRIVATE, DEVICE_GLOBAL))
    world.run(15_000)
    assert world.session.state is State.OPEN
    assert world.paths == [PathKind.RELAY, PathKind.DIRECT, PathKind.RELAY]
    assert world.session.path.kind is PathKind.RELAY


def test_a_path_is_replaced_before_the_device_forgets_the_connection():
    world = opened()
    world.run(4_000)
    world.unreachable.update((DEVICE_PRIVATE, DEVICE_GLOBAL))
    died_at = world.now
    world.until(lambda: world.session.path.kind is PathKind.RELAY and world.session.state is State.OPEN)
    assert world.now - died_at < 7_000


def test_a_direct_connection_does_not_need_the_relay():
    world = World()
    world.introduce()
    assert world.until_settled() is PathKind.DIRECT
    world.relay_works = False
    world.run(60_000)
    assert world.session.state is State.OPEN


def test_a_request_in_flight_when_the_path_dies_is_answered_on_the_next():
    world = opened()
    world.unreachable.update((DEVICE_PRIVATE, DEVICE_GLOBAL))
    answer = world.request(QUERY_ECHO, b"carried over", timeout_ms=30_000)
    world.until(lambda: world.outcome(answer) is not None)
    assert world.outcome(answer) == b"carried over"


def test_a_request_without_an_answer_has_the_path_tried_at_once_and_goes_out_again_on_the_next():
    world = opened()
    world.unreachable.update((DEVICE_PRIVATE, DEVICE_GLOBAL))
    asked_at = world.now
    answer = world.request(QUERY_ECHO, b"soon")
    world.until(lambda: world.outcome(answer) is not None)
    assert world.outcome(answer) == b"soon"
    assert world.now - asked_at < 3_000


@pytest.mark.parametrize("kinds", [(), (PathKind.RELAY,), (PathKind.DIRECT,)])
def test_a_device_that_is_gone_ends_the_connection_within_twenty_seconds(kinds):
    world = opened(*kinds)
    request_id = world.request(QUERY_ECHO, timeout_ms=60_000)
    world.until(lambda: world.outcome(request_id) is not None)
    world.device.closed = True
    waiting = world.request(QUERY_ECHO, timeout_ms=60_000)
    gone_at = world.now
    world.until(lambda: world.session.state is State.CLOSED)
    assert world.now - gone_at < 20_000
    assert isinstance(world.error, DeviceOffline)
    assert isinstance(world.outcome(waiting), DeviceOffline)
    assert world.events[-1] == Closed(world.error)


def test_an_outage_that_the_device_survives_is_survived():
    world = opened(PathKind.RELAY)
    world.relay_works = False
    world.run(12_000)
    world.relay_works = True
    world.run(3_000)
    assert world.session.state is State.OPEN


@pytest.mark.parametrize("seed", range(8))
def test_a_connection_survives_a_network_that_loses_a_fifth(seed):
    world = opened()
    world.random.seed(seed)
    world.loss = 0.2
    world.run(120_000)
    assert world.session.state is State.OPEN, seed


def test_an_echo_that_was_recorded_does_not_keep_a_dead_connection_alive():
    world = opened()
    echoes = []
    post = world.post
    world.post = lambda data, source, to: (echoes.append(data), post(data, source, to))[1]
    world.run(11_000)
    world.device.closed = True
    for _ in range(60):
        world.run(500)
        for data in echoes:
            world.inject(data, DEVICE_PRIVATE)
    assert world.session.state is State.CLOSED


def test_closing_tells_the_device_and_ends_with_its_echo():
    world = opened()
    world.close()
    world.run(100)
    assert world.device.closed
    assert world.events[-1] == Closed(None)


def test_closing_without_an_echo_sends_three_times_and_ends_after_300_ms():
    world = opened()
    world.loss = 1.0
    start = world.now
    world.close()
    world.until(lambda: world.session.state is State.CLOSED)
    assert world.now - start <= 310
    assert [command for _, command, _, _ in framing(world, start)] == [3, 3, 3]


def test_closing_fails_what_is_in_flight():
    world = opened()
    world.loss = 1.0
    request_id = world.request(QUERY_ECHO)
    world.close()
    assert isinstance(world.outcome(request_id), StateError)


def test_a_closed_session_takes_no_requests_and_sends_nothing():
    world = opened()
    world.close()
    world.run(1_000)
    with pytest.raises(StateError):
        world.request(QUERY_ECHO)
    sent = len(world.sent)
    world.run(60_000)
    assert len(world.sent) == sent
    assert world.session.deadline_ms is None


def test_closing_before_anything_was_answered_ends_at_once():
    world = World(loss=1.0)
    world.introduce()
    world.close()
    assert world.session.state is State.CLOSED
    assert world.events == [Closed(None)]


def test_a_local_connection_lives_by_keep_alives_too():
    for make in (clear, psk):
        world = World()
        world.connect(make(world))
        world.until_open()
        world.run(60_000)
        assert world.session.state is State.OPEN
        world.device.closed = True
        world.run(15_000)
        assert world.session.state is State.CLOSED


def clear(world):
    return ClearOpening(DEVICE_LOCAL, "me", None, world.rng)


def psk(world):
    return PskOpening(DEVICE_LOCAL, DEVICE_ID, "me", None, KEY_ID, PSK, world.rng)


def test_the_round_trip_is_that_of_the_last_keep_alive():
    world = opened(device=FakeDevice())
    world.run(6_000)
    assert world.session.rtt_ms == 2 * world.latency_ms


def test_opened_is_told_once_and_first():
    world = opened(PathKind.DIRECT)
    world.run(60_000)
    assert [type(event) for event in world.events] == [Opened]


def test_a_closed_state_has_no_way_out():
    assert TRANSITIONS[State.CLOSED] == set()
    assert set(TRANSITIONS) == set(State)
