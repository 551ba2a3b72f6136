"""The last events in memory: order, overflow, repetition, time."""

import unittest

from homeport_core import ticks
from homeport_core.errors import ConfigError
from homeport_device import log
from homeport_device.event_ring import TEXT_MAX, EventRing

BELOW_WRAP_MS = ticks.PERIOD - 700
STARTS = (1000, BELOW_WRAP_MS)


def started(start_ms=0, size=4):
    ring = EventRing(size)
    ring.step(start_ms)
    return ring


def texts(ring):
    return [ring.get(number)[2] for number in range(ring.oldest, ring.added)]


class RingTest(unittest.TestCase):
    def setUp(self):
        self.ring = started()

    def test_events_come_back_in_order(self):
        for text in ("a", "b", "c"):
            self.ring.add(log.NETWORK, text)
        self.assertEqual(texts(self.ring), [b"a", b"b", b"c"])

    def test_the_oldest_make_room(self):
        for number in range(10):
            self.ring.add(log.NETWORK, str(number))
        self.assertEqual((self.ring.oldest, self.ring.added), (6, 10))
        self.assertEqual(texts(self.ring), [b"6", b"7", b"8", b"9"])

    def test_a_size_that_makes_no_sense_is_refused(self):
        for size in (-1, 0, 1001):
            with self.subTest(size=size):
                self.assertRaises(ConfigError, EventRing, size)

    def test_an_event_has_time_kind_and_text(self):
        for start_ms in STARTS:
            with self.subTest(start_ms=start_ms):
                ring = started(start_ms)
                ring.step(ticks.add(start_ms, 12999))
                ring.add(log.BASESTATION, "attached")
                self.assertEqual(ring.get(0), (12, log.BASESTATION, b"attached"))

    def test_what_comes_before_the_first_step_is_at_the_start(self):
        ring = EventRing(4)
        ring.add(log.START, "started: power on")
        ring.step(BELOW_WRAP_MS)
        ring.step(ticks.add(BELOW_WRAP_MS, 5000))
        ring.add(log.NETWORK, "joined")
        self.assertEqual([ring.get(number)[0] for number in (0, 1)], [0, 5])

    def test_uptime_outlives_the_wrap_of_ticks(self):
        day_ms = 86400000
        now_ms = BELOW_WRAP_MS
        ring = started(now_ms)
        for _ in range(30):
            now_ms = ticks.add(now_ms, day_ms)
            ring.step(now_ms)
        self.assertEqual(ring.uptime_s, 30 * 86400)

    def test_time_is_not_lost_between_steps(self):
        for start_ms in STARTS:
            with self.subTest(start_ms=start_ms):
                ring = started(start_ms)
                for number in range(1, 1001):
                    ring.step(ticks.add(start_ms, 20 * number))
                self.assertEqual(ring.uptime_s, 20)

    def test_a_repetition_moves_the_time_of_the_newest_only(self):
        self.ring.add(log.NETWORK, "lost")
        self.ring.add(log.NETWORK, "no network")
        self.ring.step(60000)
        self.ring.add(log.NETWORK, "no network")
        self.assertEqual(texts(self.ring), [b"lost", b"no network"])
        self.assertEqual([self.ring.get(number)[0] for number in (0, 1)], [0, 60])

    def test_text_is_cut_and_printable(self):
        self.ring.add(log.FAULT, "\x1b[31m" + "x" * 100 + "\u00e9")
        text = self.ring.get(0)[2]
        self.assertEqual((text[:5], len(text)), (b"?[31m", TEXT_MAX))
        self.assertTrue(text.endswith(b"x..."))

    def test_a_short_text_leaves_nothing_of_the_long_one_before(self):
        for text in ("a long text", "b", "c", "d", "short"):
            self.ring.add(log.NETWORK, text)
        self.assertEqual(texts(self.ring)[-1], b"short")

    def test_faults_are_counted_even_when_they_repeat(self):
        for _ in range(5):
            self.ring.add(log.FAULT, "query failed")
        self.ring.add(log.NETWORK, "joined")
        self.assertEqual((self.ring.faults, self.ring.added), (5, 2))


class HookTest(unittest.TestCase):
    def setUp(self):
        self.lines = []
        real = log.line
        log.line = lambda *words: self.lines.append(words)
        self.addCleanup(setattr, log, "line", real)
        self.addCleanup(log.keep_events, None)

    def test_an_event_goes_to_the_log_and_into_the_ring(self):
        ring = EventRing(4)
        log.keep_events(ring)
        log.event(log.NETWORK, "channel", 7)
        self.assertEqual(self.lines, [("channel", 7)])
        self.assertEqual(ring.get(0), (0, log.NETWORK, b"channel 7"))

    def test_without_a_ring_it_goes_to_the_log_alone(self):
        ring = EventRing(4)
        log.keep_events(ring)
        log.keep_events(None)
        log.event(log.NETWORK, "joined")
        self.assertEqual((self.lines, ring.added), ([("joined",)], 0))

    def test_lines_are_no_events(self):
        ring = EventRing(4)
        log.keep_events(ring)
        log.line("connected: somebody")
        self.assertEqual(ring.added, 0)


if __name__ == "__main__":
    unittest.main()
