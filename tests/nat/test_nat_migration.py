"""Connections that change their path while queries are under way, between real processes."""

import time

import pytest
from nat_world import Nat

FLOW_MS = 5_000
SLOWEST_MS = 4_000  # a query in flight when its path dies


@pytest.fixture
def between(home, device, client):
    """A device and a client behind NATs of these kinds: (device's home, light, client's home, its host, person)."""

    def make(device_nat, client_nat):
        there, device_host = home(device_nat)
        here, client_host = home(client_nat)
        return there, device(device_host), here, client_host, client(client_host)

    return make


@pytest.fixture
def cut(parts):
    """Keep two homes from reaching each other directly, until told otherwise."""
    yield lambda one, two: parts.world.cut(
        f"ip saddr {one.public} ip daddr {two.public}", f"ip saddr {two.public} ip daddr {one.public}"
    )
    parts.world.cut()


def flow(person, light, for_ms=FLOW_MS):
    """Begin to call one query after the other."""
    return person.tell("flow", on=light.id, for_ms=for_ms)


def check(flowed, paths):
    assert (flowed.get("wrong"), flowed.get("paths")) == (0, paths), flowed
    assert flowed["slowest_ms"] < SLOWEST_MS, flowed


def test_queries_go_on_while_a_relayed_connection_becomes_direct(parts, between, cut):
    there, light, here, _, person = between(Nat.PORT_RESTRICTED, Nat.PORT_RESTRICTED)
    cut(there, here)
    assert person.connect(light).get("path") == "relay"
    flowing = flow(person, light)
    time.sleep(1)
    parts.world.cut()
    check(person.answer(flowing), ["relay", "direct"])


def test_queries_go_on_over_the_relay_when_the_direct_path_is_cut_and_directly_when_it_is_mended(parts, between, cut):
    there, light, here, _, person = between(Nat.PORT_RESTRICTED, Nat.PORT_RESTRICTED)
    person.connect(light)
    assert person.settle(light) == "direct"
    flowing = flow(person, light, 9_000)
    time.sleep(1)
    cut(there, here)
    time.sleep(4)
    parts.world.cut()
    check(person.answer(flowing), ["direct", "relay", "direct"])


def test_queries_go_on_while_the_clients_address_changes(between):
    _, light, here, client_host, person = between(Nat.PORT_RESTRICTED, Nat.PORT_RESTRICTED)
    person.connect(light)
    assert person.settle(light) == "direct"
    flowing = flow(person, light, 6_000)
    time.sleep(1)
    old, new = here.address_of(1), here.address_of(9)
    client_host.ip(f"addr del {old}/28 dev lan0")
    client_host.ip(f"addr add {new}/28 brd + dev lan0")
    client_host.ip(f"route replace default via {here.address_of(0)}")
    here.forget_mappings()
    flowed = person.answer(flowing)
    assert (flowed.get("wrong"), flowed["paths"][-1]) == (0, "direct"), flowed
    assert flowed["slowest_ms"] < SLOWEST_MS, flowed


def test_a_client_whose_nat_becomes_symmetric_is_found_again_by_a_search(between):
    _, light, here, _, person = between(Nat.PORT_RESTRICTED, Nat.PORT_RESTRICTED)
    person.connect(light)
    assert person.settle(light) == "direct"
    flowing = flow(person, light)
    time.sleep(1)
    here.set_nat(Nat.COUNTING)
    check(person.answer(flowing), ["direct", "relay", "direct"])


def test_mappings_that_last_a_little_longer_than_a_keep_alive_period_are_held(between):
    there, light, here, _, person = between(Nat.PORT_RESTRICTED, Nat.PORT_RESTRICTED)
    for home in (there, here):
        expire(home.router, 6)
    person.connect(light)
    assert person.settle(light) == "direct"
    time.sleep(14)
    assert person.switch(light, 1).get("path") == "direct"


def test_a_mapping_that_expires_between_keep_alives_costs_no_query(between):
    _, light, here, _, person = between(Nat.PORT_RESTRICTED, Nat.SYMMETRIC)
    expire(here.router, 2)
    person.connect(light)
    for _ in range(2):
        time.sleep(4)
        answer = person.switch(light, 1)
        assert answer.get("result") == {"light_state": 1}, answer
        assert answer["ms"] < SLOWEST_MS, answer


def expire(router, seconds):
    """The router forgets a mapping after so many seconds of silence."""
    for name in ("nf_conntrack_udp_timeout", "nf_conntrack_udp_timeout_stream"):
        router.sysctl(f"netfilter/{name}", seconds)
