"""Devices whose UDP is blocked: over TCP they attach to the controller's port number, and are reached by the relay."""

import json

import pytest
from nat_world import Nat


@pytest.fixture
def attachments(parts):
    """Where the device was attached from, each time: what the basestation has logged."""

    def of(device):
        lines = map(json.loads, (parts.directory / "basestation.log").read_text().splitlines())
        return [line["address"] for line in lines if line["event"] == "device_attached" and line["device"] == device.id]

    return of


def test_a_device_without_udp_answers_clients_with_and_without(parts, home, client, attachments):
    _, there = home(Nat.BLOCKED)
    light = parts.device(there)
    light.wait_until_attached(seconds=20)
    (address,) = attachments(light)
    assert address.startswith("tcp 203.0.113.")
    for nat, path in ((Nat.PORT_RESTRICTED, "relay"), (Nat.BLOCKED, "tls")):
        person = client(home(nat)[1])
        assert person.connect(light)["path"] == path
        for on in (1, 0):
            assert person.switch(light, on)["result"] == {"light_state": on}
