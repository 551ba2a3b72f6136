"""What the two ends find out about their NATs, and do with it. Every pair of NATs is in test_nat_matrix."""

import pytest
from nat_world import Nat

NATS = (
    Nat.OPEN, Nat.FULL_CONE, Nat.ADDRESS_RESTRICTED, Nat.PORT_RESTRICTED, Nat.SYMMETRIC, Nat.COUNTING,
)  # fmt: skip


@pytest.fixture(scope="module")
def devices(parts):
    made = {nat: parts.device(parts.world.home(nat).host()) for nat in NATS}
    for device in made.values():
        device.wait_until_attached()
    return made


def test_client_behind_a_symmetric_nat_is_found_by_its_many_sockets(parts, devices):
    person = parts.client(parts.world.home(Nat.SYMMETRIC_POOL).host())
    measured = person.ask(
        "measure", device=devices[Nat.PORT_RESTRICTED].id, path="auto", direct_ms=8_000, **{"as": "it"}
    )
    assert measured.get("last_path") == "direct", measured
    person.close()


@pytest.mark.parametrize("nat", NATS, ids=lambda nat: nat.name.lower())
def test_nat_type_that_a_client_is_told(parts, devices, nat):
    asker = parts.client(parts.world.home(Nat.OPEN).host())
    told = asker.ask("introduce", device=devices[nat].id)
    asker.close()
    assert (told["nat"] == 7) == (nat in (Nat.SYMMETRIC, Nat.COUNTING)), told
