"""Discovery and legacy RPC at the local socket (specification, core 6.1, 6.2)."""

import unittest

from device_bench import DEVICE_ID, LAN_CLIENT, STRANGER, Bench
from homeport_core import legacy
from homeport_device.drops import MALFORMED, OFF, RATE, SOURCE
from homeport_device.output import LOCAL, REMOTE

ECHO = b"\x11\x22\x33\x44\x55\x66\x77\x88"
ASK_ALL = legacy.build_discovery(b"*", ECHO)


def items(sent):
    opcode, echo, body, error = legacy.parse_response(sent[0][2])
    assert (opcode, echo, error) == (legacy.OP_DISCOVERY, ECHO, False)
    return legacy.parse_discovery_body(body)


class DiscoveryTest(unittest.TestCase):
    def test_the_answer_is_what_the_product_offers(self):
        cases = (
            ({}, [(1, b"-"), (2, b"-"), (4, b"1"), (6, b"1"), (5, b"1")]),
            ({"local_clear": False}, [(1, b"-"), (2, b"-"), (6, b"1"), (5, b"1")]),
            ({"local_psk": False}, [(1, b"-"), (2, b"-"), (4, b"1"), (5, b"1")]),
            (
                {"application_version": "1.2", "url": "http://a"},
                [(1, b"1.2"), (2, b"http://a"), (4, b"1"), (6, b"1"), (5, b"1")],
            ),
        )
        for settings, expected in cases:
            with self.subTest(settings=settings):
                bench = Bench(local_port=15570, **settings)
                endpoint, found = items(bench.deliver(LOCAL, ASK_ALL, LAN_CLIENT))
                self.assertEqual(endpoint, b"\x00\x00\x00\x00\x3c\xd2")
                self.assertEqual(found, [(1, DEVICE_ID.encode())] + expected)

    def test_the_octets_are_clean(self):
        answer = Bench().deliver(LOCAL, ASK_ALL, LAN_CLIENT)[0][2]
        text = b"\x01" + DEVICE_ID.encode() + b"\x00\x01-\x00\x02-\x00\x041\x00\x061\x00\x051\x00"
        self.assertEqual(answer, b"\x00\x80\x00\x01" + ECHO + b"\x00\x00\x00\x00\x15\xc2" + text)

    def test_it_answers_to_its_id_and_no_other(self):
        bench = Bench()
        for name, answers in ((DEVICE_ID, 1), ("dev2.example.net", 0), ("dev1", 0), ("", 0), (DEVICE_ID.upper(), 0)):
            with self.subTest(name=name):
                octets = legacy.build_discovery(name.encode(), ECHO)
                self.assertEqual(len(bench.deliver(LOCAL, octets, LAN_CLIENT)), answers)

    def test_malformed_requests_get_no_answer(self):
        cases = (
            ("no NUL", ASK_ALL[:-1]),
            ("short header", ASK_ALL[:11]),
            ("four octets", ASK_ALL[:4]),
            ("another opcode", b"\x00\x00\x00\x02" + ASK_ALL[4:]),
            ("opcode 99", b"\x00\x00\x00\x63" + ASK_ALL[4:]),
        )
        for name, octets in cases:
            with self.subTest(name=name):
                bench = Bench()
                self.assertEqual(bench.deliver(LOCAL, octets, LAN_CLIENT), [])
                self.assertEqual(bench.stack.counters[MALFORMED], 1)

    def test_only_near_networks_are_answered(self):
        bench = Bench()
        near = (b"\x7f\x00\x00\x01", b"\x0a\xff\x00\x01", b"\xac\x10\x00\x01", b"\xac\x1f\xff\xff", b"\xa9\xfe\x01\x01")
        far = (b"\x08\x08\x08\x08", b"\xac\x20\x00\x01", b"\xac\x0f\x00\x01", b"\xc0\xa9\x00\x01", b"\x0b\x00\x00\x01")
        for address in near:
            self.assertEqual(len(bench.deliver(LOCAL, ASK_ALL, address + b"\x04\x01")), 1)
        for address in far:
            self.assertEqual(bench.deliver(LOCAL, ASK_ALL, address + b"\x04\x01"), [])
        self.assertEqual(bench.stack.counters[SOURCE], len(far))

    def test_other_networks_can_be_near_by_configuration(self):
        bench = Bench(local_networks=((STRANGER[:4], 24),))
        self.assertEqual(len(bench.deliver(LOCAL, ASK_ALL, STRANGER)), 1)
        self.assertEqual(bench.deliver(LOCAL, ASK_ALL, LAN_CLIENT), [])

    def test_answers_are_limited(self):
        bench = Bench()
        answers = [bench.deliver(LOCAL, ASK_ALL, LAN_CLIENT) for _ in range(50)]
        self.assertEqual(len([sent for sent in answers if sent]), 20)
        self.assertEqual(bench.stack.counters[RATE], 30)
        bench.advance(1000)
        self.assertEqual(len(bench.deliver(LOCAL, ASK_ALL, LAN_CLIENT)), 1)

    def test_it_can_be_switched_off(self):
        bench = Bench(discovery=False)
        self.assertEqual(bench.deliver(LOCAL, ASK_ALL, LAN_CLIENT), [])
        self.assertEqual(bench.stack.counters[OFF], 1)

    def test_the_remote_socket_has_none(self):
        bench = Bench()
        bench.start()
        bench.port.take()
        self.assertEqual(bench.deliver(REMOTE, ASK_ALL, LAN_CLIENT), [])


class LegacyRpcTest(unittest.TestCase):
    def call(self, bench, body):
        sent = bench.deliver(LOCAL, legacy.build_request(legacy.OP_RPC, ECHO, body), LAN_CLIENT)
        return legacy.parse_response(sent[0][2]) if sent else None

    def test_it_is_off_unless_asked_for(self):
        bench = Bench()
        self.assertIsNone(self.call(bench, b"\x00\x00\x00\x01hi"))
        self.assertEqual(bench.app.runs, 0)

    def test_the_answer_carries_the_result_or_the_error_bit(self):
        bench = Bench(legacy_rpc=True)
        self.assertEqual(self.call(bench, b"\x00\x00\x00\x01hi"), (0, ECHO, b"hi", False))
        self.assertEqual(self.call(bench, b"\x00\x00\x00\x63"), (0, ECHO, b"", True))

    def test_less_than_a_query_id_or_too_much_gets_no_answer(self):
        bench = Bench(legacy_rpc=True)
        for n in (0, 1, 3, 201):
            with self.subTest(n=n):
                self.assertIsNone(self.call(bench, bytes(n)))
        self.assertEqual(bench.app.runs, 0)

    def test_what_is_accepted_is_an_error_and_dropped(self):
        bench = Bench(legacy_rpc=True)
        self.assertEqual(self.call(bench, b"\x00\x00\x00\x03"), (0, ECHO, b"", True))
        self.assertEqual(bench.app.log, [("dropped", 3)])
        self.assertTrue(bench.app.accepted[0].is_legacy)
        self.assertFalse(bench.app.accepted[0].complete(bench.now_ms, 0, b""))


if __name__ == "__main__":
    unittest.main()
