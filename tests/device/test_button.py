"""What presses of the button mean, with contacts that bounce, samples that are late, and buttons that are stuck."""

import unittest

from homeport_core import ticks
from homeport_device.button import ARMED, CANCELLED, NOTHING, PRESSED, RESET, SAMPLE_MS, STUCK, Button

BELOW_WRAP_MS = ticks.PERIOD - 700
STARTS = (1000, BELOW_WRAP_MS)


class Finger:
    """Presses a button: levels over time in, meanings with their times out."""

    def __init__(self, start_ms=1000):
        self.now_ms = start_ms
        self.since_ms = 0
        self.button = Button(start_ms)
        self.told = []

    def hold(self, is_down, duration_ms, apart_ms=SAMPLE_MS):
        for _ in range(duration_ms // apart_ms):
            self.now_ms = ticks.add(self.now_ms, apart_ms)
            self.since_ms += apart_ms
            meaning = self.button.step(self.now_ms, is_down)
            if meaning != NOTHING:
                self.told.append((meaning, self.since_ms))
        return self

    def meanings(self):
        return [meaning for meaning, _ in self.told]


class ButtonTest(unittest.TestCase):
    def each(self):
        for start_ms in STARTS:
            with self.subTest(start_ms=start_ms):
                yield Finger(start_ms).hold(False, 200)

    def test_a_press_counts_when_it_ends(self):
        for finger in self.each():
            finger.hold(True, 300)
            self.assertEqual(finger.told, [])
            finger.hold(False, 200)
            self.assertEqual(finger.meanings(), [PRESSED])

    def test_bouncing_contacts_make_one_press(self):
        for finger in self.each():
            for _ in range(10):
                finger.hold(True, 20).hold(False, 20)
            finger.hold(True, 300)
            for _ in range(10):
                finger.hold(False, 20).hold(True, 20)
            finger.hold(False, 300)
            self.assertEqual(finger.meanings(), [PRESSED])

    def test_a_single_sample_is_noise(self):
        for finger in self.each():
            finger.hold(True, 20).hold(False, 500)
            self.assertEqual(finger.told, [])

    def test_it_arms_after_five_seconds_and_resets_after_ten(self):
        for finger in self.each():
            finger.told, finger.since_ms = [], 0
            finger.hold(True, 12000).hold(False, 200)
            self.assertEqual(finger.meanings(), [ARMED, RESET])
            self.assertTrue(5000 <= finger.told[0][1] <= 5100, finger.told)
            self.assertTrue(10000 <= finger.told[1][1] <= 10100, finger.told)

    def test_armed_is_told_while_it_is_held(self):
        finger = Finger().hold(False, 200).hold(True, 6000)
        self.assertTrue(finger.button.is_armed)
        finger.hold(False, 200)
        self.assertFalse(finger.button.is_armed)

    def test_letting_go_while_armed_cancels_and_is_no_press(self):
        for finger in self.each():
            finger.hold(True, 9800).hold(False, 1000)
            self.assertEqual(finger.meanings(), [ARMED, CANCELLED])

    def test_holding_on_after_a_reset_does_not_reset_again(self):
        for finger in self.each():
            finger.hold(True, 25000)
            self.assertEqual(finger.meanings(), [ARMED, RESET])
            finger.told = []
            finger.hold(False, 200).hold(True, 300).hold(False, 200)
            self.assertEqual(finger.meanings(), [PRESSED])

    def test_a_button_down_at_power_on_does_nothing_until_it_was_let_go(self):
        for start_ms in STARTS:
            with self.subTest(start_ms=start_ms):
                finger = Finger(start_ms).hold(True, 20000).hold(False, 1000)
                self.assertEqual(finger.told, [])
                finger.hold(True, 200).hold(False, 200)
                self.assertEqual(finger.meanings(), [PRESSED])

    def test_a_button_stuck_since_power_on_is_told_once(self):
        finger = Finger().hold(True, 600000, apart_ms=100)
        self.assertEqual(finger.meanings(), [STUCK])
        self.assertTrue(30000 <= finger.told[0][1] <= 30200, finger.told)

    def test_time_that_nobody_watched_is_not_held(self):
        """Samples half a minute apart say nothing of what lay between."""
        for finger in self.each():
            finger.hold(True, 300)
            finger.hold(True, 90000, apart_ms=30000)
            self.assertEqual(finger.told, [])
            finger.hold(False, 200)
            self.assertEqual(finger.meanings(), [PRESSED])

    def test_the_next_sample_is_due_soon(self):
        for finger in self.each():
            self.assertEqual(finger.button.deadline_ms, ticks.add(finger.now_ms, SAMPLE_MS))


if __name__ == "__main__":
    unittest.main()
