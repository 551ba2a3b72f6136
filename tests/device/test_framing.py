"""Keep-alive, silence, close and the path of a connection (specification, core 5.6 to 5.8)."""

import unittest

from device_bench import BELOW_WRAP_MS, CLIENT, GSP, LAN_CLIENT, NSI, STRANGER, Bench, decode, kinds
from homeport_core.errors import ConfigError
from homeport_core.packet import encode
from homeport_core.spec import FL_RESPONSE, FL_TAG, PT_DATA, PT_STATS
from homeport_device.connection import timeout_for
from homeport_device.drops import AUTH, TAKEN, UNKNOWN
from homeport_device.output import LOCAL, REMOTE

STARTS = (1000, BELOW_WRAP_MS)
MOVED = b"\xcb\x00\x71\x08\xea\x61"


class SilenceTest(unittest.TestCase):
    def alive_after(self, bench, delta_ms):
        bench.advance(delta_ms - 1)
        before = bench.stack.connections.any_open()
        bench.advance(1)
        return before, bench.stack.connections.any_open()

    def test_a_connection_without_data_goes_after_20_s(self):
        for start_ms in STARTS:
            with self.subTest(start_ms=start_ms):
                bench = Bench(start_ms)
                bench.attach()
                bench.introduce()
                self.assertEqual(self.alive_after(bench, 20000), (True, False))
                self.assertEqual(bench.app.log, [])

    def test_a_silent_one_goes_after_17_5_s_without_a_word(self):
        for start_ms in STARTS:
            with self.subTest(start_ms=start_ms):
                bench = Bench(start_ms)
                bench.connected()
                self.assertEqual(self.alive_after(bench, 17500), (True, False))
                self.assertEqual(bench.app.log, [("opened", NSI), ("closed", NSI)])
                self.assertEqual(kinds(bench.port.take()), [])

    def test_keep_alives_and_requests_keep_it(self):
        for start_ms in STARTS:
            for make in (Bench.keep_alive, lambda bench: bench.query(1)):
                with self.subTest(start_ms=start_ms):
                    bench = Bench(start_ms)
                    bench.connected()
                    for _ in range(10):
                        bench.advance(17000)
                        bench.deliver(REMOTE, make(bench), CLIENT)
                    self.assertTrue(bench.stack.connections.any_open())

    def test_intervals_are_clamped(self):
        cases = ((0, 17500), (1, 3500), (999, 3500), (1000, 3500), (5000, 17500), (18000, 63000), (0xFFFFFFFF, 63000))
        for interval_ms, expected_ms in cases:
            with self.subTest(interval_ms=interval_ms):
                self.assertEqual(timeout_for(interval_ms), expected_ms)


class KeepAliveTest(unittest.TestCase):
    def setUp(self):
        self.bench = Bench()
        self.bench.connected()

    def test_its_first_eight_octets_come_back(self):
        octets = self.bench.data(bytes(4) + b"\x00\x00\x00\x09 and more", tag=3, seq=55)
        answer = decode(self.bench.deliver(REMOTE, octets, CLIENT)[0][2])
        self.assertEqual((answer.flags, answer.tag, answer.seq, answer.sp), (FL_RESPONSE | FL_TAG, 3, 55, NSI))
        self.assertEqual(self.bench.keys.open(answer), bytes(4) + b"\x00\x00\x00\x09")

    def test_other_commands_and_short_ones_get_no_answer(self):
        for plaintext in (b"", b"\x00\x00\x00", bytes(7), b"\x00\x00\x00\x01", b"\x00\x00\x00\x04" + bytes(4)):
            with self.subTest(plaintext=plaintext):
                self.assertEqual(self.bench.deliver(REMOTE, self.bench.data(plaintext, tag=3), CLIENT), [])
                self.assertTrue(self.bench.stack.connections.any_open())

    def test_a_device_says_what_it_can_do_where_that_can_be_believed(self):
        question = b"\x48\x50\x00\x01"
        sent = self.bench.deliver(REMOTE, self.bench.data(question, tag=3), CLIENT)
        self.assertEqual(self.bench.keys.open(decode(sent[0][2])), question + b"\x00\x00\x00\x05")
        number = self.bench.connect_local()
        octets = self.bench.data(question, tag=3, nsi=number, context=self.bench.clear)
        sent = self.bench.deliver(LOCAL, octets, LAN_CLIENT)
        self.assertEqual(self.bench.clear.open(decode(sent[0][2])), question + bytes(4))

    def test_answers_are_not_answered(self):
        keys = self.bench.keys
        octets = encode(PT_DATA, sp=NSI, flags=FL_RESPONSE, tag=3, context=keys, plaintext=bytes(8), iv=bytes(16))
        self.assertEqual(self.bench.deliver(REMOTE, octets, CLIENT), [])

    def test_tags_without_a_handler_get_no_answer_but_move_the_path(self):
        for tag in (1, 2, 4, 0x1000, 0xF000):
            with self.subTest(tag=tag):
                self.assertEqual(self.bench.deliver(REMOTE, self.bench.data(bytes(8), tag=tag), MOVED), [])
        self.assertEqual(self.bench.stack.connections.find(NSI).peer, MOVED)

    def test_tag_0_is_a_request_and_comes_back(self):
        sent = self.bench.deliver(REMOTE, self.bench.query(1, b"hi", tag=0), CLIENT)
        self.assertEqual([decode(octets).tag for _, _, octets in sent], [0, 0])

    def test_other_tags_can_be_given_a_handler(self):
        calls = []

        class Handler:
            def data(self, now_ms, connection, packet, off, n, fresh):
                calls.append((packet.tag, bytes(packet.buf[off : off + n]), fresh))
                return TAKEN

            def closed(self, connection):
                calls.append(connection.nsi)

        self.bench.stack.register_tags(0x1000, 0x1FFF, Handler())
        octets = self.bench.data(b"segment", tag=0x1005)
        self.bench.deliver(REMOTE, octets, CLIENT)
        self.bench.deliver(REMOTE, octets, CLIENT)
        self.bench.advance(18000)
        self.assertEqual(calls, [(0x1005, b"segment", True), (0x1005, b"segment", False), NSI])
        for taken in ((0, 0), (3, 3), (0x1FFF, 0x2000)):
            with self.assertRaises(ConfigError):
                self.bench.stack.register_tags(taken[0], taken[1], Handler())


class CloseTest(unittest.TestCase):
    def test_a_close_is_answered_and_the_connection_gone_300_ms_later(self):
        for start_ms in STARTS:
            for command in (2, 3):
                with self.subTest(start_ms=start_ms, command=command):
                    bench = Bench(start_ms)
                    bench.connected()
                    octets = bench.data(bytes((0, 0, 0, command)), tag=3)
                    answer = decode(bench.deliver(REMOTE, octets, CLIENT)[0][2])
                    self.assertEqual(bench.keys.open(answer), b"\x00\x00\x00\x03")
                    bench.advance(299)
                    self.assertTrue(bench.stack.connections.any_open())
                    bench.advance(1)
                    self.assertFalse(bench.stack.connections.any_open())
                    self.assertEqual(bench.app.log[-1], ("closed", NSI))
                    self.assertEqual(bench.deliver(REMOTE, bench.close(), CLIENT), [])

    def test_repeats_are_answered_and_do_not_prolong(self):
        bench = Bench()
        bench.connected()
        octets = bench.close()
        for repeat in (octets, octets, bench.close()):
            self.assertEqual(len(bench.deliver(REMOTE, repeat, CLIENT)), 1)
            bench.advance(100)
        self.assertFalse(bench.stack.connections.any_open())

    def test_nothing_else_is_answered_while_closing(self):
        bench = Bench()
        bench.connected()
        bench.deliver(REMOTE, bench.close(), CLIENT)
        self.assertEqual(bench.deliver(REMOTE, bench.keep_alive(), CLIENT), [])
        self.assertEqual(bench.deliver(REMOTE, bench.query(1), CLIENT), [])
        self.assertEqual(bench.app.runs, 0)

    def test_a_close_may_be_the_first_packet(self):
        bench = Bench()
        bench.attach()
        bench.introduce()
        self.assertEqual(len(bench.deliver(REMOTE, bench.close(), CLIENT)), 1)
        bench.advance(300)
        self.assertFalse(bench.stack.connections.any_open())


class PathTest(unittest.TestCase):
    def test_answers_follow_the_last_verified_packet(self):
        bench = Bench()
        bench.connected()
        for source in (MOVED, GSP, CLIENT):
            sent = bench.deliver(REMOTE, bench.keep_alive(), source)
            self.assertEqual([to for _, to, _ in sent], [source])

    def test_a_relayed_client_is_answered_through_the_gsp(self):
        bench = Bench()
        bench.attach()
        bench.introduce()
        self.assertEqual([to for _, to, _ in bench.deliver(REMOTE, bench.query(1), GSP)], [GSP, GSP])

    def test_a_packet_that_does_not_verify_moves_nothing(self):
        bench = Bench()
        bench.connected()
        good = bench.keep_alive()
        damaged = good[:-1] + bytes((good[-1] ^ 1,))
        for octets in (damaged, encode(PT_DATA, sp=NSI), encode(PT_DATA, sp=NSI, context=bench.clear)):
            self.assertEqual(bench.deliver(REMOTE, octets, STRANGER), [])
        self.assertEqual(bench.stack.connections.find(NSI).peer, CLIENT)
        self.assertEqual(bench.stack.counters[AUTH], 3)

    def test_data_without_a_connection_is_counted_and_dropped(self):
        bench = Bench()
        bench.attach()
        self.assertEqual(bench.deliver(REMOTE, bench.keep_alive(), CLIENT), [])
        self.assertEqual(bench.stack.counters[UNKNOWN], 1)

    def test_a_clear_connection_stays_with_the_socket_and_address_it_came_from(self):
        bench = Bench()
        bench.attach()
        number = bench.connect_local()
        octets = bench.keep_alive(nsi=number, context=bench.clear)
        self.assertEqual(bench.deliver(LOCAL, octets, LAN_CLIENT[:5] + b"\x41"), [])
        self.assertEqual(bench.deliver(REMOTE, octets, LAN_CLIENT), [])
        self.assertEqual(len(bench.deliver(LOCAL, octets, LAN_CLIENT)), 1)

    def test_nothing_is_sent_before_the_first_packet(self):
        bench = Bench(connection_statistics=True)
        bench.attach()
        bench.introduce()
        sent = [octets[8] for _, (_, _, octets) in bench.advance(19000)]
        self.assertNotIn(PT_DATA, sent)
        self.assertNotIn(PT_STATS, sent)


if __name__ == "__main__":
    unittest.main()
