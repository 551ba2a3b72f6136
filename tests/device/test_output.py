"""The way out and the bound on favours to strangers."""

import unittest

from device_bench import BELOW_WRAP_MS, CLIENT, ENDPOINT_ZERO, FakePort, Rng
from homeport_core import ticks
from homeport_core.rate import RateLimit
from homeport_core.spec import PACKET_MAX, PT_DATA
from homeport_device.output import LOCAL, REMOTE, Output


class OutputTest(unittest.TestCase):
    def setUp(self):
        self.port = FakePort()
        self.output = Output(self.port, Rng(), PACKET_MAX)

    def sent_to(self, socket, endpoint):
        self.output.writer.begin(PT_DATA)
        self.output.send(socket, endpoint)
        return [(socket, to) for socket, to, _ in self.port.take()]

    def test_it_begins_silent_towards_the_outside(self):
        self.assertEqual(self.sent_to(REMOTE, CLIENT), [])
        self.assertEqual(self.sent_to(LOCAL, CLIENT), [(LOCAL, CLIENT)])

    def test_nothing_leaves_the_remote_socket_while_it_is_silent(self):
        self.output.silent = False
        self.assertEqual(self.sent_to(REMOTE, CLIENT), [(REMOTE, CLIENT)])
        self.output.silent = True
        self.assertEqual(self.sent_to(REMOTE, CLIENT), [])

    def test_endpoints_that_cannot_be_are_skipped(self):
        for endpoint in (ENDPOINT_ZERO, CLIENT[:4] + b"\x00\x00", bytes(4) + b"\x00\x07"):
            self.assertEqual(self.sent_to(LOCAL, endpoint), [])


class RateLimitTest(unittest.TestCase):
    def test_so_many_in_a_second_and_again_in_the_next(self):
        for start_ms in (0, 1000, ticks.PERIOD - 1, BELOW_WRAP_MS):
            with self.subTest(start_ms=start_ms):
                rate = RateLimit(2)
                for elapsed_ms in (0, 1000, 2000, 3000):
                    now_ms = ticks.add(start_ms, elapsed_ms)
                    self.assertEqual([rate.allows(now_ms) for _ in range(3)], [True, True, False])
                    self.assertFalse(rate.allows(ticks.add(now_ms, 999)))

    def test_a_rest_of_days_is_no_lock_out(self):
        for days in (3, 4, 6):
            with self.subTest(days=days):
                rate = RateLimit(1)
                rate.allows(0)
                self.assertTrue(rate.allows(ticks.add(0, days * 24 * 3600 * 1000)))


if __name__ == "__main__":
    unittest.main()
