"""Our client and our device behind simulated NATs: which path they find, and what they do when it changes."""

import pytest
from homeport.client.session.paths import PathKind
from homeport.client.session.states import State
from homeport_core.spec import ENDPOINT_ZERO, IPX_CP_ASYNC
from homeport_device.rendezvous import Rendezvous
from nat_links import CLIENT_PUBLIC, DEVICE_PUBLIC, NatWorld, SimNat
from session_world import CLIENT, GSP, NSI

DIRECT, RELAY = PathKind.DIRECT, PathKind.RELAY
QUERY_COUNT = 2
FILTERS = ("anyone", "address", "endpoint")


def world_between(client="endpoint", device="endpoint", seed=0, client_symmetric=False, device_symmetric=False):
    client_nat = SimNat(CLIENT_PUBLIC, client, client_symmetric)
    return NatWorld(client_nat, SimNat(DEVICE_PUBLIC, device, device_symmetric), seed=seed)


def opened(**ends):
    world = world_between(**ends)
    world.introduce_both()
    world.until_open()
    world.run(6_000)
    return world


def count(world, limit_ms=4_000):
    """Ask the device how many queries it has run, which must be one more each time."""
    before = world.bench.app.runs
    number = world.request(QUERY_COUNT, timeout_ms=30_000)
    world.until(lambda: world.outcome(number) is not None, limit_ms)
    assert int.from_bytes(world.outcome(number)) == world.bench.app.runs == before + 1


@pytest.mark.parametrize("device", FILTERS)
@pytest.mark.parametrize("client", FILTERS)
def test_nats_that_keep_ports_are_punched_after_the_relay_has_served(client, device):
    world = opened(client=client, device=device)
    assert world.paths == [RELAY, DIRECT]
    count(world)


@pytest.mark.parametrize("filtering", ["anyone", "address"])
def test_one_symmetric_end_meets_an_open_one(filtering):
    for ends in (
        {"client": filtering, "device_symmetric": True},
        {"device": filtering, "client_symmetric": True},
    ):
        world = opened(**ends)
        assert world.paths == [RELAY, DIRECT], ends
        count(world)


def test_a_symmetric_device_and_a_client_whose_nat_filters_ports_meet_by_chance_as_theory_says():
    """1000 guessed ports against 250 of 64,512: 98 of 100 meet within 5 s."""
    found = [opened(device_symmetric=True, seed=seed).session.path.kind for seed in range(12)]
    assert found.count(DIRECT) >= 10


class Waiting:
    """In place of a session that is not there yet: what came is `early`."""

    deadline_ms = None

    def __init__(self):
        self.early = []

    def datagram(self, now_ms, data, source):
        self.early.append((data, source))

    def datagrams(self):
        return []

    def next_event(self):
        return None


def opened_with_reference(monkeypatch, client, device, **symmetric):
    """With a device that ends its search at the first DATA, began it before the client had its introduction, and has no
    other sockets (a feature that is off by default)."""
    monkeypatch.setattr(Rendezvous, "hurry", lambda search, now_ms: search.end())
    world = world_between(client=client, device=device, **symmetric)
    world.bench.stack.config.many_sockets = False
    public = world.client_nat.out(world.now, CLIENT, GSP)
    flags = IPX_CP_ASYNC | world.client_nat.nat_type
    assert world.bench.introduce(flags=flags, private=ENDPOINT_ZERO, global_=public, nsi=NSI) == 1
    waiting = world.session = Waiting()
    world.run(50)
    world.introduce(DIRECT, RELAY, private=ENDPOINT_ZERO, global_=world.device_seen_as, nat=world.device_nat.nat_type)
    for data, source in waiting.early:
        world.inject(data, source)
    world.until_open()
    world.run(6_000)
    return world


@pytest.mark.parametrize("device", FILTERS)
@pytest.mark.parametrize("client", FILTERS)
def test_one_question_of_a_reference_device_is_enough_where_nats_keep_ports(monkeypatch, client, device):
    world = opened_with_reference(monkeypatch, client, device)
    assert world.paths == [RELAY, DIRECT]
    count(world)


@pytest.mark.parametrize("device", FILTERS)
def test_a_symmetric_reference_device_is_met_by_the_question_that_came_early(monkeypatch, device):
    world = opened_with_reference(monkeypatch, "anyone", device, device_symmetric=True)
    assert world.paths == [RELAY, DIRECT]
    count(world)


def test_two_symmetric_ends_are_relayed():
    world = opened(client_symmetric=True, device_symmetric=True)
    assert world.paths == [RELAY]
    assert world.bench.port.opened == 0
    count(world)


def test_the_sockets_of_a_device_are_closed_but_for_the_one_in_use():
    world = opened(device_symmetric=True, seed=3)
    assert world.session.path.kind is DIRECT
    assert len(world.bench.port.extra) == 1
    world.close()
    world.run(1_000)
    assert world.bench.port.extra == []


def test_a_client_that_moved_has_its_answer_in_a_second_and_a_half_and_is_direct_again_soon():
    world = opened()
    world.client_nat.address = bytes((203, 0, 113, 99))
    world.client_nat.forget()
    world.session.moved(world.now)
    world._collect()
    count(world, 1_500)
    world.run(1_000)
    assert world.paths == [RELAY, DIRECT, RELAY, DIRECT]
    count(world)


def test_a_client_that_nobody_told_of_its_move_finds_out_by_itself():
    world = opened()
    world.client_nat.address = bytes((203, 0, 113, 99))
    world.client_nat.forget()
    count(world, 3_000)
    world.run(1_000)
    assert world.paths == [RELAY, DIRECT, RELAY, DIRECT]


def test_a_client_whose_nat_became_symmetric_is_found_at_another_port():
    world = opened(device="address")
    world.client_nat.symmetric = True
    world.client_nat.forget()
    count(world, 3_000)
    world.run(2_000)
    assert world.session.path.kind is DIRECT
    count(world)


def test_mappings_are_held_by_keep_alives():
    world = opened()
    world.client_nat.lifetime_ms = world.device_nat.lifetime_ms = 6_000
    for _ in range(4):
        world.run(9_000)
        world.device_nat.out(world.now, world._endpoint_of(1), b"\xc0\x00\x02\x0b\x15\xbd")  # its alive answers
    assert world.paths == [RELAY, DIRECT]
    count(world)


def test_mappings_that_end_between_keep_alives_cost_no_query():
    world = opened(client_symmetric=True, device="address")
    world.client_nat.lifetime_ms = 2_000
    for _ in range(5):
        world.run(7_000)
        count(world)
    assert world.session.state is State.OPEN


@pytest.mark.parametrize("seed", range(8))
def test_whatever_the_routers_forget_every_query_is_answered_and_run_once(seed):
    world = opened(seed=seed)
    world.loss = 0.05
    for _ in range(8):
        if world.random.random() < 0.5:
            world.client_nat.forget()
            world.client_nat.address = bytes((203, 0, 113, 20 + world.random.randrange(9)))
        count(world, 8_000)
        world.run(world.random.randrange(3_000))
    assert world.session.state is State.OPEN, seed
