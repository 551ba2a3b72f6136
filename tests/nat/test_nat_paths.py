"""Every NAT of a device with every NAT of a client: which way the connection goes, and that it carries a query."""

import pytest
from nat_world import Nat

DIRECT, RELAY = {"direct"}, {"relay"}
# Both ends guess: no path is certain, only that there is one.
EITHER = DIRECT | RELAY

_EASY = (Nat.OPEN, Nat.FULL_CONE, Nat.ADDRESS_RESTRICTED)
DEVICE_NATS = (*_EASY, Nat.PORT_RESTRICTED, Nat.SYMMETRIC, Nat.COUNTING)
CLIENT_NATS = DEVICE_NATS

# Where one end takes packets from any port of an address that it sent to, the other end's port is no matter: direct.
# The others, client first:
HARD = {
    (Nat.PORT_RESTRICTED, Nat.PORT_RESTRICTED): DIRECT,
    (Nat.PORT_RESTRICTED, Nat.COUNTING): DIRECT,  # the client finds the device's port near the one it knows
    (Nat.COUNTING, Nat.PORT_RESTRICTED): DIRECT,  # and the device the client's
    (Nat.PORT_RESTRICTED, Nat.SYMMETRIC): EITHER,  # the client guesses a thousand of 64,512 ports: 1.5 of 100 succeed
    (Nat.SYMMETRIC, Nat.PORT_RESTRICTED): EITHER,  # the client's many sockets help: a third succeed, most soon after
    (Nat.COUNTING, Nat.COUNTING): EITHER,
    (Nat.COUNTING, Nat.SYMMETRIC): EITHER,
    (Nat.SYMMETRIC, Nat.COUNTING): EITHER,
    (Nat.SYMMETRIC, Nat.SYMMETRIC): RELAY,
}
CASES = [(client, device) for client in CLIENT_NATS for device in DEVICE_NATS]


def expected(client: Nat, device: Nat) -> set[str]:
    return DIRECT if client in _EASY or device in _EASY else HARD[client, device]


def _id(nat: Nat) -> str:
    return nat.name.lower().replace("_", "-")


@pytest.fixture(scope="module")
def devices(parts):
    made = {nat: parts.device(parts.world.home(nat).host()) for nat in DEVICE_NATS}
    for device in made.values():
        device.wait_until_attached()
    return made


@pytest.fixture(scope="module")
def outcomes(parts, devices):
    """What became of each pair: all connect at once, then each runs a query."""
    clients = {nat: parts.client(parts.world.home(nat).host()) for nat in CLIENT_NATS}
    asked = {(client, device): clients[client].tell_to_connect(devices[device]) for client, device in CASES}
    connected = {pair: clients[pair[0]].answer(number) for pair, number in asked.items()}
    return {
        (client, device): (connected[client, device], clients[client].switch(devices[device], 1))
        for client, device in CASES
    }


@pytest.mark.parametrize(("client", "device"), CASES, ids=_id)
def test_path_between(outcomes, client, device):
    connected, called = outcomes[client, device]
    assert connected.get("path") in expected(client, device), connected
    assert called.get("result") == {"light_state": 1}, called


def test_client_behind_a_symmetric_nat_is_found_by_its_many_sockets(parts, devices):
    person = parts.client(parts.world.home(Nat.SYMMETRIC_POOL).host())
    connected = person.connect(devices[Nat.PORT_RESTRICTED])
    assert connected.get("path") == "direct", connected
    assert person.switch(devices[Nat.PORT_RESTRICTED], 0).get("result") == {"light_state": 0}
    person.close()


@pytest.mark.parametrize("nat", DEVICE_NATS, ids=_id)
def test_nat_type_that_a_client_is_told(parts, devices, nat):
    asker = parts.client(parts.world.home(Nat.OPEN).host())
    told = asker.ask("introduce", device=devices[nat].id)
    asker.close()
    assert (told["nat"] == 7) == (nat in (Nat.SYMMETRIC, Nat.COUNTING)), told
