"""Our client's session against our device's stack, in virtual time, over a network that loses, repeats and reorders."""

import pytest
from device_bench import DEVICE_ID
from homeport.client.session.clear import ClearOpening
from homeport.client.session.paths import PathKind
from homeport.client.session.psk import PskOpening
from homeport.client.session.states import State
from homeport_core import ticks
from homeport_core.spec import PT_U_CONNECT
from homeport_device.output import LOCAL, REMOTE
from session_world import (
    DEVICE_GLOBAL,
    DEVICE_LOCAL,
    DEVICE_PRIVATE,
    KEY_ID,
    PSK,
)
from stack_world import StackWorld

SEEDS = range(10)
QUERY_ECHO, QUERY_COUNT, QUERY_LATER = 1, 2, 3
START_MS = (1_000, ticks.PERIOD - 20_000)


def bad(world, seed):
    """From now on the network is as bad as it gets."""
    world.random.seed(seed)
    world.loss, world.duplicates, world.jitter_ms = 0.25, 0.25, 150


def answers(world, requests):
    """Make the requests and wait for all their outcomes."""
    ids = [world.request(query, params, timeout_ms=120_000) for query, params in requests]
    world.until(lambda: all(world.outcome(one) is not None for one in ids), 120_000)
    return [world.outcome(one) for one in ids]


ECHOES = [(QUERY_ECHO, bytes((n,))) for n in range(24)]


@pytest.mark.parametrize("start_ms", START_MS)
@pytest.mark.parametrize("kinds", [(PathKind.DIRECT,), (PathKind.RELAY,), (PathKind.DIRECT, PathKind.RELAY)])
def test_an_introduced_connection_opens_on_the_path_that_was_asked_for(kinds, start_ms):
    world = StackWorld(start_ms)
    world.introduce_both(*kinds)
    assert world.until_settled() is kinds[0]
    assert answers(world, ECHOES[:3]) == [b"\x00", b"\x01", b"\x02"]


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("kind", [PathKind.DIRECT, PathKind.RELAY])
def test_over_a_bad_network_every_query_is_answered_and_run_once(kind, seed):
    world = StackWorld()
    world.introduce_both(kind)
    world.until(lambda: world.session.remembers)
    bad(world, seed)
    assert answers(world, ECHOES) == [params for _, params in ECHOES], seed
    assert world.bench.app.runs == len(ECHOES), seed


@pytest.mark.parametrize("seed", SEEDS)
def test_a_connection_opens_over_a_bad_network(seed):
    world = StackWorld()
    bad(world, seed)
    world.introduce_both(PathKind.DIRECT, PathKind.RELAY)
    assert world.until_open() in (PathKind.DIRECT, PathKind.RELAY), seed


@pytest.mark.parametrize("seed", SEEDS)
def test_a_psk_connection_opens_over_a_bad_network_and_runs_every_query_once(seed):
    world = StackWorld()
    bad(world, seed)
    world.connect(PskOpening(DEVICE_LOCAL, DEVICE_ID, "me", None, KEY_ID, PSK, world.rng))
    assert world.until_open() is PathKind.LOCAL, seed
    assert world.session.remembers
    assert answers(world, ECHOES) == [params for _, params in ECHOES], seed
    assert world.bench.app.runs == len(ECHOES), seed


@pytest.mark.parametrize("seed", SEEDS)
def test_a_clear_connection_opens_once_over_a_bad_network(seed):
    world = StackWorld()
    bad(world, seed)
    world.connect(ClearOpening(DEVICE_LOCAL, "me", None, world.rng))
    assert world.until_open() is PathKind.LOCAL, seed
    world.run(500)
    assert sum(slot is not None for slot in world.bench.stack.connections.slots) == 1, seed


def test_our_device_is_known_to_remember_once_connected():
    world = StackWorld()
    world.introduce_both(PathKind.DIRECT)
    world.until_open()
    world.run(100)
    assert world.session.remembers


def test_an_asynchronous_query_is_answered_when_the_device_is_done():
    world = StackWorld()
    world.introduce_both(PathKind.RELAY)
    world.until_open()
    request_id = world.request(QUERY_LATER, timeout_ms=60_000)
    world.run(8_000)
    (pending,) = world.bench.app.accepted
    pending.complete(world._ticks(), 0, b"done")
    world._collect_device()
    world.until(lambda: world.outcome(request_id) is not None)
    assert world.outcome(request_id) == b"done"
    assert len(world.bench.app.accepted) == 1


def test_a_direct_connection_moves_to_the_relay_and_the_device_follows():
    world = StackWorld()
    world.introduce_both(PathKind.DIRECT, PathKind.RELAY)
    assert world.until_settled() is PathKind.DIRECT
    world.run(3_000)
    world.unreachable.add(DEVICE_GLOBAL)
    world.until(lambda: world.session.path.kind is PathKind.RELAY and world.session.state is State.OPEN)
    assert answers(world, ECHOES[:1]) == [b"\x00"]


def test_an_idle_connection_stays_for_an_hour():
    world = StackWorld()
    world.introduce_both(PathKind.RELAY)
    world.until_open()
    for seq in range(1, 361):
        world.run(10_000)
        world.bench.now_ms = world._ticks()
        world.bench.alive(seq)
    assert world.session.state is State.OPEN
    assert answers(world, ECHOES[:1]) == [b"\x00"]


def test_closing_frees_the_devices_slot():
    world = StackWorld()
    world.introduce_both(PathKind.DIRECT)
    world.until_open()
    world.close()
    world.run(1_000)
    assert not world.bench.stack.connections.any_open()


def test_giving_up_a_clear_connect_frees_the_devices_slot():
    world = StackWorld()
    world.connect(ClearOpening(DEVICE_LOCAL, "me", None, world.rng))
    world.run(5)
    world.close()
    world.run(1_000)
    assert not world.bench.stack.connections.any_open()


def test_everything_that_the_client_sent_may_be_replayed_from_anywhere():
    world = StackWorld()
    world.introduce_both(PathKind.DIRECT)
    world.until_open()
    answers(world, ECHOES[:5])
    runs = world.bench.app.runs
    for _, data, _ in list(world.sent):
        world._give(REMOTE, data, DEVICE_PRIVATE)
        if data[8] != PT_U_CONNECT:
            world._give(LOCAL, data, DEVICE_PRIVATE)
    world.run(100)
    assert world.bench.app.runs == runs
    assert answers(world, ECHOES[5:6]) == [b"\x05"]
