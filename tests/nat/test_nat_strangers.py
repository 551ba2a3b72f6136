"""Somebody on the way records what a client sends, and sends it again from an address of his own."""

import socket

import pytest
from homeport_core.spec import PT_DATA
from nat_world import SERVER, Nat
from netns import frames

STRANGER = "198.51.100.66"
UDP_AT = 20
PAYLOAD_AT = 28
TYPE_AT = PAYLOAD_AT + 8


@pytest.fixture(scope="module")
def stranger(parts):
    """A socket of somebody with a public address."""
    with parts.world.computer("stranger", STRANGER).udp() as made:
        yield made


def recorded(watched, to):
    """The DATA packets to an address: (UDP payload, destination port)."""
    return [
        (packet[PAYLOAD_AT:], int.from_bytes(packet[UDP_AT + 2 : UDP_AT + 4]))
        for packet in frames(watched)[0]
        if packet[16:20] == socket.inet_aton(to) and packet[TYPE_AT] == PT_DATA
    ]


def hears_nothing(someone):
    someone.settimeout(0.5)
    try:
        return not someone.recv(2048)
    except TimeoutError:
        return True


@pytest.mark.parametrize("path", ["direct", "relay"])
def test_recorded_packets_bring_a_stranger_nothing(parts, stranger, path):
    there, here = parts.world.home(Nat.FULL_CONE), parts.world.home(Nat.PORT_RESTRICTED)
    device_host = there.host()
    light, person = parts.device(device_host), parts.client(here.host())
    light.wait_until_attached()
    with here.router.watch("wan") as wan:
        assert person.connect(light, path).get("path") == path
        assert person.switch(light, 1).get("result") == {"light_state": 1}
        target = there.public if path == "direct" else SERVER
        packets = recorded(wan, target)
    assert len(packets) >= 2, "a keep-alive and a request"
    with (device_host if path == "direct" else parts.world.server).watch() as door:
        for payload, port in packets:
            stranger.sendto(payload, (target, port))
        assert hears_nothing(stranger)
        knocks = [packet for packet in frames(door)[1] if packet[12:16] == socket.inet_aton(STRANGER)]
    assert len(knocks) == len(packets), "the recorded packets have not arrived: the test shows nothing"
    assert person.switch(light, 0).get("result") == {"light_state": 0}
    assert hears_nothing(stranger), "answers go to the stranger now"
    person.close()
    light.close()
