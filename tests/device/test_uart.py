"""The serial service: one user, the last one, and either end ends both (specification, streams 5.6)."""

import unittest

from homeport_device.queries import GUEST
from homeport_device.uart import UartService
from stream_bench import ENDED, StreamBench

PATH = "/dev/ttyS7"


class Uart(unittest.TestCase):
    def setUp(self):
        self.bench = StreamBench(lambda services: services.add(b"uart", UartService(PATH, GUEST)))
        self.bench.connected()
        self.bench.peer()

    @property
    def lines(self):
        return self.bench.target.channels

    def test_the_line_is_opened_and_octets_go_both_ways(self):
        stream = self.bench.opened(b"uart\nAT\r")
        self.assertEqual(stream.read(), b"+\n")
        self.assertEqual((self.lines[0].endpoint, self.lines[0].sent), (PATH, b"AT\r"))
        self.bench.put(self.lines[0], b"OK\r")
        self.assertEqual(stream.read(), b"OK\r")

    def test_a_line_that_cannot_be_opened_is_told(self):
        self.bench.target.has_sockets = False
        stream = self.bench.opened(b"uart\n")
        self.assertEqual(self.bench.read(stream), b"-cannot open uart\n")
        self.assertTrue(stream.at_eof)

    def test_a_new_user_takes_the_line_from_the_one_before(self):
        first = self.bench.opened(b"uart\n")
        second = self.bench.opened(b"uart\n")
        self.assertEqual((self.bench.read(first), first.at_eof), (b"+\n", True))
        self.assertFalse(self.lines[0].is_open)
        self.bench.put(self.lines[1], b"for the second")
        self.assertEqual(second.read(), b"+\nfor the second")
        first.close(self.bench.now_ms)
        self.bench.run()
        self.assertTrue(self.lines[1].is_open)

    def test_the_clients_end_ends_both_directions(self):
        stream = self.bench.opened(b"uart\n")
        stream.close(self.bench.now_ms)
        self.bench.read(stream)
        self.assertFalse(self.lines[0].is_open)
        self.assertIn(stream.state, ENDED)

    def test_the_lines_end_ends_both_directions(self):
        stream = self.bench.opened(b"uart\n")
        self.bench.end(self.lines[0])
        self.assertEqual((self.bench.read(stream), stream.at_eof), (b"+\n", True))
        self.assertFalse(self.lines[0].is_open)

    def test_the_line_is_free_again_after_its_user(self):
        for _ in range(3):
            stream = self.bench.opened(b"uart\n")
            self.assertEqual(stream.read(), b"+\n")
            stream.abort(self.bench.now_ms)
            self.bench.run()
        self.assertEqual([line.is_open for line in self.lines], [False] * 3)


if __name__ == "__main__":
    unittest.main()
