"""The known weaknesses of the protocol, row by row (specification, core 14): those that a device can close.

Rows 7, 8, 10 and 11 are properties of the wire, 13 is told to applications (`is_authentic`), 18 and 21 are not
offered. Details are in the other tests; here stands what an attacker tries.
"""

import unittest

from device_bench import (
    CLIENT,
    CONTROLLER,
    FINGERPRINT,
    GSP,
    GSP_NSI,
    LAN_CLIENT,
    MATERIAL,
    NSI,
    STRANGER,
    Bench,
    decode,
    kinds,
)
from homeport_core.packet import encode
from homeport_core.payloads import build_ipx
from homeport_core.spec import (
    FL_RESPONSE,
    IPX_CP_ASYNC,
    IPX_NO_RENDEZVOUS,
    PL_CAPABILITY,
    PL_EP,
    PL_FP,
    PL_IPX,
    PL_NONCE,
    PL_NOTIFY,
    PT_DATA,
    PT_U_ALIVE,
    PT_U_CONNECT,
    PT_U_INVITE,
)
from homeport_device.attach import ATTACHED
from homeport_device.drops import MALFORMED, REPLAY
from homeport_device.output import LOCAL, REMOTE


class RowTest(unittest.TestCase):
    def setUp(self):
        self.bench = Bench()
        self.bench.connected()

    def peer(self):
        return self.bench.stack.connections.find(NSI).peer

    def test_row_1_replayed_data_runs_nothing_and_moves_nothing(self):
        bench = self.bench
        recorded = [bench.query(2), bench.keep_alive(), bench.data(b"x", tag=0x1000)]
        for octets in recorded:
            bench.deliver(REMOTE, octets, CLIENT)
        deadline_ms = bench.stack.connections.find(NSI).deadline_ms
        bench.advance(1000)
        for _ in range(20):
            for octets in recorded:
                for _, to, _ in bench.deliver(REMOTE, octets, STRANGER):
                    self.assertEqual(to, CLIENT)
        self.assertEqual((bench.app.runs, self.peer()), (1, CLIENT))
        self.assertEqual(bench.stack.connections.find(NSI).deadline_ms, deadline_ms)

    def test_row_1_a_replay_is_known_for_a_hundred_packets(self):
        bench = self.bench
        octets = bench.query(2)
        bench.deliver(REMOTE, octets, CLIENT)
        for _ in range(100):
            bench.deliver(REMOTE, bench.keep_alive(), CLIENT)
        bench.deliver(REMOTE, octets, STRANGER)
        self.assertEqual((bench.app.runs, self.peer()), (1, CLIENT))
        self.assertEqual(bench.stack.counters[REPLAY], 1)

    def test_row_2_a_replayed_introduction_is_refused_when_its_connection_is_gone(self):
        bench = self.bench
        octets = bench.introduction()
        recorded = bench.query(2)
        bench.deliver(REMOTE, recorded, CLIENT)
        bench.deliver(REMOTE, bench.close(), CLIENT)
        bench.advance(300)
        self.assertEqual(bench.deliver(REMOTE, octets, GSP), [])
        self.assertEqual(bench.deliver(REMOTE, recorded, STRANGER), [])
        self.assertEqual(bench.app.runs, 1)

    def test_row_2_introductions_come_from_the_gsp_only(self):
        for source in (STRANGER, CONTROLLER, CLIENT, GSP[:4] + b"\x00\x01"):
            octets = self.bench.introduction(nsi=b"\x7a\x09\x09\x09")
            self.assertEqual(self.bench.deliver(REMOTE, octets, source), [])

    def test_row_3_nobody_brings_keys_of_their_own(self):
        fresh = Bench()
        fresh.start()
        fresh.port.take()
        for bench in (fresh, self.bench):
            for context in (bench.clear, bench.keys):
                ipx = build_ipx(flags=IPX_NO_RENDEZVOUS, sp=b"\x7a\x09\x09\x09")
                payloads = ((PL_IPX, ipx), (PL_FP, b"\x01" + FINGERPRINT))
                octets = encode(PT_U_CONNECT, payloads, sp=GSP_NSI, context=context, plaintext=MATERIAL, iv=bytes(16))
                for source in (STRANGER, GSP):
                    bench.deliver(REMOTE, octets, source)
                    self.assertIsNone(bench.stack.connections.find(b"\x7a\x09\x09\x09"))

    def test_row_4_key_material_of_a_wrong_size_is_refused(self):
        for n in (0, 64, 95, 97, 200):
            self.assertEqual(self.bench.introduce(nsi=b"\x7a\x09\x09\x09", material=bytes(n)), 0x8008)

    def test_row_5_broken_payload_chains_are_dropped_whole(self):
        bench = self.bench
        good = bytearray(encode(PT_U_ALIVE, ((PL_NONCE, b"12345678"),), sp=GSP_NSI, seq=1))
        for length in (0, 1, 2, 3, 11, 13, 0xFFFF):
            good[18] = length >> 8
            good[19] = length & 0xFF
            self.assertEqual(bench.deliver(REMOTE, bytes(good), GSP), [])
        self.assertEqual(bench.stack.counters[MALFORMED], 7)

    def test_row_6_a_false_controller_gains_no_attachment(self):
        bench = Bench()
        bench.start()
        bench.port.take()
        bench.direct(gsp=STRANGER)  # its address was forged
        for key in (bytes(16), bytes(range(1, 17))):
            bench.deliver(REMOTE, bench.attach_request(bytes(32), key=key), STRANGER)
        self.assertNotEqual(bench.stack.state, ATTACHED)
        bench.advance(124000)
        bench.advance(2000)
        bench.finish_attach()
        self.assertEqual(bench.stack.state, ATTACHED)

    def test_row_9_a_rendezvous_packet_cannot_end_a_connection(self):
        for interval_ms, last in ((1, 3500), (0xFFFFFFFF, 63000)):
            bench = Bench()
            bench.attach()
            bench.introduce(flags=IPX_CP_ASYNC)
            payloads = ((PL_EP, bytes(6)), (PL_NONCE, interval_ms.to_bytes(4, "big")))
            octets = encode(PT_U_CONNECT, payloads, sp=NSI, seq=2)
            bench.deliver(REMOTE, octets, STRANGER)
            bench.advance(last - 1)
            self.assertTrue(bench.stack.connections.any_open())
            bench.advance(1)
            self.assertFalse(bench.stack.connections.any_open())

    def test_row_9_nor_one_that_has_its_path(self):
        bench = Bench()
        bench.attach()
        bench.introduce(flags=IPX_CP_ASYNC)
        bench.deliver(REMOTE, bench.keep_alive(), CLIENT)
        octets = encode(PT_U_CONNECT, ((PL_EP, bytes(6)), (PL_NONCE, bytes((0, 0, 0, 1)))), sp=NSI, seq=1)
        bench.deliver(REMOTE, octets, STRANGER)
        bench.advance(17000)
        self.assertEqual(len(bench.deliver(REMOTE, bench.keep_alive(), CLIENT)), 1)
        self.assertEqual(self.peer(), CLIENT)

    def test_row_16_strangers_cannot_use_up_the_slots(self):
        bench = Bench(connections=4, connections_per_source=2)
        bench.attach()
        for i in range(50):
            source = bytes((192, 168, 1, 1 + i, 4, 1))
            bench.deliver(LOCAL, bench.local_request(cp=0x1000 + i), source)
        self.assertEqual(bench.introduce(), 1)
        self.assertEqual(len(bench.deliver(REMOTE, bench.keep_alive(), CLIENT)), 1)
        number = bench.connect_local()
        self.assertEqual(len(bench.deliver(LOCAL, bench.keep_alive(nsi=number, context=bench.clear), LAN_CLIENT)), 1)

    def test_row_16_one_host_gets_its_share_and_no_more(self):
        bench = Bench(connections=6, connections_per_source=2)
        for _ in range(2):
            number = bench.connect_local()
            bench.deliver(LOCAL, bench.keep_alive(nsi=number, context=bench.clear), LAN_CLIENT)
        sent = bench.deliver(LOCAL, bench.local_request(), LAN_CLIENT[:4] + b"\x01\x02")
        self.assertEqual(decode(sent[0][2]).get(PL_NOTIFY)[:4], b"\x00\x00\x80\x09")
        bench.connect_local(b"\xc0\xa8\x01\x15\x01\x02")

    def test_row_17_responses_are_no_requests(self):
        bench = self.bench
        for octets in (bench.query(2), bench.keep_alive(), bench.introduction(nsi=b"\x7a\x09\x09\x09")):
            flagged = bytearray(octets)
            flagged[11] |= FL_RESPONSE
            self.assertEqual(bench.deliver(REMOTE, bytes(flagged), GSP), [])
        self.assertEqual(bench.app.runs, 0)

    def test_row_17_versions_are_not_looked_at(self):
        bench = Bench()
        bench.attach()
        octets = bytearray(encode(PT_U_ALIVE, sp=GSP_NSI, seq=1))
        for version in (0, 1, 3, 255):
            octets[9] = version
            self.assertEqual(kinds(bench.deliver(REMOTE, bytes(octets), GSP)), [(PT_U_ALIVE, 1)])

    def test_row_20_crypto_stands_last(self):
        octets = bytearray(self.bench.keep_alive() + b"\x3b\x80\x00\x04")
        octets[15] += 4
        self.assertEqual(self.bench.deliver(REMOTE, bytes(octets), CLIENT), [])
        self.assertEqual(self.bench.stack.counters[MALFORMED], 1)

    def test_row_22_nothing_about_clients_is_told_unless_asked_for(self):
        bench = self.bench
        bench.deliver(REMOTE, bench.close(), CLIENT)
        for _, (_, _, octets) in bench.advance(60000):
            self.assertNotIn(b"tester", octets)

    def test_no_plaintext_data_is_taken_from_or_sent_to_the_outside(self):
        bench = self.bench
        for octets in (bench.query(1, context=bench.clear), encode(PT_DATA, sp=NSI, seq=9)):
            self.assertEqual(bench.deliver(REMOTE, octets, CLIENT), [])
        sent = bench.deliver(REMOTE, bench.query(1, b"secret words"), CLIENT)
        for _, _, octets in sent:
            self.assertNotIn(b"secret words", octets)


class FloodTest(unittest.TestCase):
    def test_forged_packets_of_every_kind_leave_no_trace(self):
        bench = Bench()
        bench.connected()
        tables = list(bench.stack.connections.slots)
        sent_len = received_len = 0
        for i in range(300):
            source = bytes((203, 0, 113, i & 0xFF, 1 + i // 256, 1))
            forged = (
                encode(PT_U_INVITE, ((PL_IPX, build_ipx(source, source)),), flags=FL_RESPONSE),
                bench.attach_request(bytes(32), key=bytes(16)),
                encode(PT_U_ALIVE, sp=GSP_NSI, seq=i),
                encode(PT_U_CONNECT, ((PL_IPX, build_ipx(sp=source[:4])),), sp=GSP_NSI),
                encode(PT_U_CONNECT, ((PL_EP, source),), sp=source[:4]),
                encode(PT_DATA, sp=NSI, context=bench.clear, plaintext=b"\x00\x00\x00\x01"),
                encode(PT_DATA, ((PL_CAPABILITY, bytes(9)),), sp=source[:4]),
            )
            for octets in forged:
                received_len += len(octets)
                for socket in (REMOTE, LOCAL):
                    sent_len += sum(len(entry[2]) for entry in bench.deliver(socket, octets, source))
        self.assertEqual(sent_len, 0)
        self.assertEqual((bench.stack.state, bench.stack.connections.slots), (ATTACHED, tables))


if __name__ == "__main__":
    unittest.main()
