"""What `homeport netcheck` finds out behind real NATs."""

import pytest
from nat_world import Nat

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
    assert found["device"]["nat"] == "cone"


def test_without_udp_only_tls_works_and_the_reason_is_said(parts, light):
    found = parts.homeport(parts.world.home(Nat.BLOCKED).host(), "netcheck", "--device", light.id)
    assert not found["udp"]["works"]
    assert "no answer from" in found["udp"]["reason"]
    assert works(found) == {"local": False, "direct": False, "relay": False, "tls": True}
