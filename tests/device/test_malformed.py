"""Damaged datagrams in every state: nothing is raised, nothing is answered wrongly, nothing changes."""

import unittest

from device_bench import CLIENT, CONTROLLER, GSP, LAN_CLIENT, NSI, Bench
from homeport_core.legacy import build_discovery
from homeport_core.packet import encode
from homeport_core.payloads import build_ipx
from homeport_core.spec import FL_RESPONSE, IPX_CP_ASYNC, PL_EP, PL_IPX, PL_NONCE, PT_U_ALIVE, PT_U_CONNECT, PT_U_INVITE
from homeport_device.output import LOCAL, REMOTE
from test_psk import Handshake

LENGTHS = (0, 1, 3, 0xFFFF)


def waiting_for_controller():
    bench = Bench()
    bench.start()
    return bench, encode(PT_U_INVITE, ((PL_IPX, build_ipx(GSP, CLIENT)),), flags=FL_RESPONSE), REMOTE, CONTROLLER


def waiting_for_gsp():
    bench = Bench()
    bench.start()
    bench.port.take()
    invite = bench.direct()[0][2]
    nonce_off = invite.find(b"\x32\x00\x00\x24") + 4
    return bench, bench.attach_request(invite[nonce_off : nonce_off + 32]), REMOTE, GSP


def attached():
    bench = Bench()
    bench.attach()
    return bench, bench.introduction(flags=IPX_CP_ASYNC), REMOTE, GSP


def alive():
    bench = Bench()
    bench.attach()
    return bench, encode(PT_U_ALIVE, sp=b"\x00\x00\x12\x67", seq=1), REMOTE, GSP


def searching():
    bench = Bench()
    bench.attach()
    bench.introduce(flags=IPX_CP_ASYNC)
    octets = encode(PT_U_CONNECT, ((PL_EP, CLIENT), (PL_EP, GSP), (PL_NONCE, bytes(4))), sp=NSI, seq=1)
    return bench, octets, REMOTE, CLIENT


def connected():
    bench = Bench()
    bench.connected()
    return bench, bench.query(1, b"parameters"), REMOTE, CLIENT


def local():
    bench = Bench()
    return bench, bench.local_request(), LOCAL, LAN_CLIENT


def local_connected():
    bench = Bench()
    number = bench.connect_local()
    return bench, bench.query(1, b"hi", nsi=number, context=bench.clear), LOCAL, LAN_CLIENT


def discovery():
    return Bench(), build_discovery(b"*"), LOCAL, LAN_CLIENT


def legacy_call():
    return Bench(legacy_rpc=True), b"\x00\x00\x00\x00" + bytes(8) + b"\x00\x00\x00\x01hi", LOCAL, LAN_CLIENT


def pairing():
    bench = Handshake()
    return bench, bench.hello(), LOCAL, LAN_CLIENT


def proving():
    bench = Handshake()
    nsi, nonce, _, _ = bench.challenge()
    return bench, bench.verify(nsi, nonce), LOCAL, LAN_CLIENT


# (situation, whether every octet of the packet is under a MAC)
SITUATIONS = (
    (waiting_for_controller, False),
    (waiting_for_gsp, True),
    (attached, True),
    (alive, False),
    (searching, False),
    (connected, True),
    (local, False),
    (local_connected, False),
    (discovery, False),
    (legacy_call, False),
    (pairing, False),
    (proving, True),
)


class DamageTest(unittest.TestCase):
    def state(self, bench):
        stack = bench.stack
        peers = [None if slot is None else (slot.nsi, slot.state, slot.peer) for slot in stack.connections.slots]
        return stack.state, peers, bench.app.runs

    def test_a_truncated_packet_does_nothing(self):
        for make, _ in SITUATIONS:
            with self.subTest(situation=make.__name__):
                bench, good, socket, source = make()
                before = self.state(bench)
                bench.port.take()
                for n in range(len(good)):
                    if make in (discovery, legacy_call) and n > 15:
                        continue  # shorter parameters are parameters
                    self.assertEqual(bench.deliver(socket, good[:n], source), [])
                self.assertEqual(self.state(bench), before)

    def test_a_packet_with_a_tail_does_nothing(self):
        for make, _ in SITUATIONS:
            if make in (discovery, legacy_call):
                continue
            with self.subTest(situation=make.__name__):
                bench, good, socket, source = make()
                before = self.state(bench)
                bench.port.take()
                for tail in (b"\x00", bytes(4), b"\x31\x00\x00\x04", bytes(2000)):
                    self.assertEqual(bench.deliver(socket, good + tail, source), [])
                self.assertEqual(self.state(bench), before)

    def test_no_flipped_octet_raises_and_none_under_a_mac_acts(self):
        for make, sealed in SITUATIONS:
            with self.subTest(situation=make.__name__):
                bench, good, socket, source = make()
                before = self.state(bench)
                for at in range(len(good)):
                    damaged = bytearray(good)
                    damaged[at] ^= 0xFF
                    bench.deliver(socket, bytes(damaged), source)
                    if sealed:
                        self.assertEqual(self.state(bench), before)

    def test_every_length_field_can_lie(self):
        for make, _ in SITUATIONS:
            with self.subTest(situation=make.__name__):
                bench, good, socket, source = make()
                for at in range(14, len(good) - 1):
                    for length in LENGTHS:
                        damaged = bytearray(good)
                        damaged[at] = length >> 8
                        damaged[at + 1] = length & 0xFF
                        bench.deliver(socket, bytes(damaged), source)

    def test_the_good_packet_still_works(self):
        for make, sealed in SITUATIONS:
            if not sealed:
                continue
            with self.subTest(situation=make.__name__):
                bench, good, socket, source = make()
                before = self.state(bench)
                for at in range(len(good)):
                    bench.deliver(socket, good[:at], source)
                bench.deliver(socket, good, source)
                self.assertNotEqual(self.state(bench), before)

    def test_empty_and_oversized_datagrams_are_counted(self):
        bench = Bench()
        bench.attach()
        for socket in (LOCAL, REMOTE):
            for n in (0, 1, 3, 4, 15, 16, 1369, 65507):
                bench.deliver(socket, b"\xff" * n, LAN_CLIENT)
        self.assertEqual(bench.stack.counters[1], 16)


if __name__ == "__main__":
    unittest.main()
