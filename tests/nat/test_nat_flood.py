"""Invites from forged addresses: the basestation must not become somebody's amplifier, nor lose its devices.

Packets and octets are counted by the kernel of the internet namespace, for each forged address on its own.
"""

import json
import os
import socket
import struct

import pytest
from homeport_core.packet import encode
from homeport_core.payloads import build_capability, build_id, build_version
from homeport_core.spec import (
    ID_URL,
    NONCE_LEN,
    PL_CAPABILITY,
    PL_NONCE,
    PL_SP_ID,
    PL_VERSION,
    PT_U_INVITE,
    SUITE_AES,
)  # fmt: skip
from nat_world import SERVER, Nat
from netns import wait_until
from parts import CONTROLLER_PORT, GSP_PORT

NETWORK = "192.0.2.0/24"
SOURCES = [f"192.0.2.{last}" for last in range(2, 252)]
PER_SOURCE = 8
U_ATTACH_LEN = 180 + 28  # with the headers of UDP and IP, which the counters count
# What reflects per device id, whatever the number of forged sources: a burst of 6, one more every 2 s.
U_ATTACHES_MAX = 6 + 10


class Attacker:
    """Sends from forged addresses and knows what has been sent to them and by them."""

    def __init__(self, world, device):
        self._device = device
        self._server = world.server
        self._internet = world.internet
        node = world.attacker(NETWORK)
        self._raw = node.raw()
        self._honest = node.udp()
        self._internet.nft(
            """
table ip flood {
    set received { type ipv4_addr; flags dynamic; counter; }
    chain passing {
        type filter hook forward priority 0;
        oifname attacker update @received { ip daddr }
    }
}"""
        )

    def flood(self, port, make_invite):
        """Send the invites of all sources; returns (octets sent, octets received, most received by one source)."""
        self._internet.nft("flush set ip flood received")
        sent = 0
        for _ in range(PER_SOURCE):
            for source in SOURCES:
                sent += self._raw.sendto(datagram(source, port, make_invite()), (SERVER, 0))
        wait_until(self._is_worked_through, "the basestation has read all")
        received = self._received()
        return sent, sum(received.values()), max(received.values(), default=0)

    def _received(self):
        listing = json.loads(self._internet.run("nft", "-j", "list", "set", "ip", "flood", "received"))
        found = next(item["set"] for item in listing["nftables"] if "set" in item)
        counts = {entry["elem"]["val"]: entry["elem"]["counter"]["bytes"] for entry in found.get("elem", ())}
        return {source: octets for source, octets in counts.items() if source in SOURCES}

    def _is_worked_through(self):
        """Whether nothing waits at the basestation's sockets; an answered question shows that nothing is in work."""
        sockets = [line.split() for line in self._server.run("cat", "/proc/net/udp").splitlines()[1:]]
        if any(not fields[4].endswith(":00000000") for fields in sockets):
            return False
        self._honest.settimeout(5)
        self._honest.sendto(controller_invite(self._device.id), (SERVER, CONTROLLER_PORT))
        return self._honest.recv(100)


def datagram(source, port, payload):
    """An IPv4 packet with UDP, without checksums (the kernel fills in the first, the second is optional)."""
    udp = struct.pack(">HHHH", 40000, port, 8 + len(payload), 0) + payload
    head = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(udp), 0, 0, 64, socket.IPPROTO_UDP, 0)
    return head + socket.inet_aton(source) + socket.inet_aton(SERVER) + udp


def gsp_invite(device_id):
    """The first packet of a registration, with a nonce of its own."""
    payloads = [
        (PL_VERSION, build_version(1, 4, 4)),
        (PL_NONCE, os.urandom(NONCE_LEN)),
        (PL_CAPABILITY, build_capability(0, 0, (SUITE_AES,))),
        (PL_SP_ID, build_id(ID_URL, device_id.encode())),
    ]
    return encode(PT_U_INVITE, payloads)


def controller_invite(device_id):
    """The question where to register."""
    return encode(PT_U_INVITE, [(PL_VERSION, build_version(1, 4, 4)), (PL_SP_ID, build_id(ID_URL, device_id.encode()))])


@pytest.fixture(scope="module")
def device(parts):
    made = parts.device(parts.world.home(Nat.PORT_RESTRICTED).host())
    made.wait_until_attached()
    return made


@pytest.fixture(scope="module")
def attacker(parts, device):
    return Attacker(parts.world, device)


def test_session_server_reflects_a_few_answers_for_a_device_however_many_ask(attacker, device):
    sent, received, most = attacker.flood(GSP_PORT, lambda: gsp_invite(device.id))
    assert 0 < received <= U_ATTACHES_MAX * U_ATTACH_LEN
    assert received < sent / 10
    assert most <= PER_SOURCE * U_ATTACH_LEN


def test_session_server_says_nothing_about_unknown_devices(attacker):
    assert attacker.flood(GSP_PORT, lambda: gsp_invite("no-such-device"))[1] == 0


def test_controller_answers_with_less_than_it_got(attacker, device):
    sent, received, most = attacker.flood(CONTROLLER_PORT, lambda: controller_invite(device.id))
    assert 0 < received <= sent
    assert most <= sent / len(SOURCES)


def test_controller_says_nothing_about_unknown_devices(attacker):
    assert attacker.flood(CONTROLLER_PORT, lambda: controller_invite("no-such-device"))[1] == 0


def test_devices_register_and_are_reached_during_a_flood(parts, attacker, device):
    attacker.flood(GSP_PORT, lambda: gsp_invite(device.id))
    another = parts.device(parts.world.home(Nat.PORT_RESTRICTED).host())
    person = parts.client(parts.world.home(Nat.PORT_RESTRICTED).host())
    attacker.flood(GSP_PORT, lambda: gsp_invite(device.id))
    another.wait_until_attached()
    for light in (device, another):
        attacker.flood(GSP_PORT, lambda: gsp_invite(device.id))
        assert person.connect_and_settle(light) == "direct"
        assert person.switch(light, 1).get("result") == {"light_state": 1}
    person.close()
    assert device.said("attached to") == 1, "false invites have moved a live registration"
