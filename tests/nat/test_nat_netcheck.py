"""What `homeport netcheck` finds out behind real NATs."""

import pytest
from homeport.client.netcheck import LIMIT_S
from nat_world import SERVER, Nat

KINDS = {
    Nat.OPEN: "none",
    Nat.FULL_CONE: "cone",
    Nat.PORT_RESTRICTED: "cone",
    Nat.SYMMETRIC: "symmetric",
}


@pytest.fixture(scope="module")
def light(parts):
    made = parts.device(parts.world.home(Nat.PORT_RESTRICTED).host())
    made.wait_until_attached()
    return made


def works(found):
    return {path: way["works"] for path, way in found["device"]["paths"].items()}


@pytest.mark.parametrize("nat", KINDS, ids=lambda nat: nat.name.lower())
def test_kind_of_nat(parts, nat):
    home = parts.world.home(nat)
    found = parts.homeport(home.host(), "netcheck")
    assert found["nat"] == KINDS[nat]
    assert found["udp"]["works"]
    public = home.address_of(1) if nat is Nat.OPEN else home.public
    assert found["public"].startswith(public + ":")


def test_paths_between_two_cones(parts, light):
    found = parts.homeport(parts.world.home(Nat.PORT_RESTRICTED).host(), "netcheck", "--device", light.id)
    assert works(found) == {"local": False, "direct": True, "relay": True, "tls": True}
    assert found["device"]["nat"] == "not symmetric"


def test_nat_of_a_device_that_is_never_introduced_is_unknown(parts, light):
    host = parts.world.home(Nat.PORT_RESTRICTED).host()
    parts.world.cut(f"ip daddr {SERVER}")
    try:
        found = parts.homeport(host, "netcheck", "--device", light.id, code=4)
    finally:
        parts.world.cut()
    assert found["device"]["nat"] == "unknown"
    assert works(found) == {"local": False, "direct": False, "relay": False, "tls": False}
    assert found["gate"]["reason"] == f"no answer within {LIMIT_S:g} s"


def test_a_device_without_udp_is_said_to_be_blocked(parts):
    device = parts.device(parts.world.home(Nat.BLOCKED).host())
    device.wait_until_attached(seconds=30)
    found = parts.homeport(parts.world.home(Nat.PORT_RESTRICTED).host(), "netcheck", "--device", device.id)
    assert found["device"]["nat"] == "blocked"
    assert works(found) == {"local": False, "direct": False, "relay": True, "tls": True}


def test_without_udp_only_tls_works_and_the_reason_is_said(parts, light):
    found = parts.homeport(parts.world.home(Nat.BLOCKED).host(), "netcheck", "--device", light.id)
    assert not found["udp"]["works"]
    assert "no answer from" in found["udp"]["reason"]
    assert works(found) == {"local": False, "direct": False, "relay": False, "tls": True}
