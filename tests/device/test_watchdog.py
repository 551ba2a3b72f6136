"""When the watchdog is fed no more: what hangs without blocking the loop."""

import unittest

from homeport_core import ticks
from homeport_device.watchdog import HANDLER_MS, LATE_MS, Vigil

STARTS = (1000, ticks.PERIOD - 1500)


class VigilTest(unittest.TestCase):
    def test_nothing_hangs_while_nothing_is_expected(self):
        for start_ms in STARTS:
            self.assertEqual(Vigil().hung(start_ms, None, None), "")

    def test_a_timer_may_be_late_for_half_a_minute(self):
        for start_ms in STARTS:
            vigil = Vigil()
            self.assertEqual(vigil.hung(ticks.add(start_ms, LATE_MS), start_ms, None), "")
            self.assertEqual(vigil.hung(ticks.add(start_ms, LATE_MS + 1), start_ms, None), "the stack")

    def test_a_timer_in_the_future_is_not_late(self):
        for start_ms in STARTS:
            self.assertEqual(Vigil().hung(start_ms, ticks.add(start_ms, 3600000), None), "")

    def test_a_handler_may_take_a_minute(self):
        for start_ms in STARTS:
            vigil = Vigil()
            request = object()
            self.assertEqual(vigil.hung(start_ms, None, request), "")
            self.assertEqual(vigil.hung(ticks.add(start_ms, HANDLER_MS), None, request), "")
            self.assertEqual(vigil.hung(ticks.add(start_ms, HANDLER_MS + 1), None, request), "a handler")

    def test_each_request_has_its_own_minute(self):
        for start_ms in STARTS:
            vigil = Vigil()
            now_ms = start_ms
            for _ in range(10):
                request = object()
                self.assertEqual(vigil.hung(now_ms, None, request), "")
                now_ms = ticks.add(now_ms, HANDLER_MS)
                self.assertEqual(vigil.hung(now_ms, None, request), "")
            self.assertEqual(vigil.hung(now_ms, None, None), "")


if __name__ == "__main__":
    unittest.main()
