"""What the status light shows, and that one plain light is enough to tell all states apart."""

import unittest

from homeport_core import ticks
from homeport_device import status_light
from homeport_device.status_light import ATTACHED, COLOURS, JOINING, PAIRING_OPEN, RESET_DONE, RHYTHMS, StatusLight

BELOW_WRAP_MS = ticks.PERIOD - 700
STARTS = (1000, BELOW_WRAP_MS)
NAMES = (
    "UNPROVISIONED",
    "JOINING",
    "ATTACHED",
    "LOCAL_ONLY",
    "PAIRING_OPEN",
    "FAULT",
    "RESET_ARMED",
    "RESET_DONE",
)


def watch(light, now_ms, duration_ms, apart_ms=20):
    """How long the light was on and off, by turns: [(is_on, ms), …]; the last turn is cut off."""
    turns = []
    for _ in range(duration_ms // apart_ms):
        now_ms = ticks.add(now_ms, apart_ms)
        light.step(now_ms)
        if turns and turns[-1][0] == light.is_on:
            turns[-1][1] += apart_ms
        else:
            turns.append([light.is_on, apart_ms])
    return [tuple(turn) for turn in turns]


def impression(rhythm):
    """What an eye takes in of a rhythm: flashes in a group, longest light, longest dark (ms)."""
    if len(rhythm) == 1:
        return 1, 60000, 0
    on = [rhythm[i] * 50 for i in range(0, len(rhythm), 2)]
    off = [rhythm[i] * 50 for i in range(1, len(rhythm), 2)]
    return len(on), max(on), max(off)


class RhythmTest(unittest.TestCase):
    def test_each_state_has_a_rhythm_and_a_colour(self):
        self.assertEqual([getattr(status_light, name) for name in NAMES], list(range(len(NAMES))))
        self.assertEqual((len(RHYTHMS), len(COLOURS)), (len(NAMES), len(NAMES)))

    def test_rhythms_end_dark_and_have_no_turn_too_short_to_see(self):
        for name, rhythm in zip(NAMES, RHYTHMS):
            with self.subTest(name=name):
                self.assertTrue(len(rhythm) == 1 or len(rhythm) % 2 == 0)
                self.assertTrue(min(rhythm) * 50 >= 100 or len(rhythm) == 1)

    def test_any_two_states_differ_to_the_eye_without_colour(self):
        """By twice the number of flashes, or three times as long light or dark. RESET_DONE is known by what it
        follows, so it may look like ATTACHED."""
        for i in range(RESET_DONE):
            for k in range(i):
                with self.subTest(one=NAMES[i], other=NAMES[k]):
                    one, other = impression(RHYTHMS[i]), impression(RHYTHMS[k])
                    flashes = max(one[0], other[0]) >= 2 * min(one[0], other[0])
                    light = max(one[1], other[1]) >= 3 * min(one[1], other[1])
                    dark = max(one[2], other[2]) >= 3 * min(one[2], other[2])
                    self.assertTrue(flashes or light or dark)


class LightTest(unittest.TestCase):
    def test_it_begins_with_joining(self):
        light = StatusLight(0)
        self.assertEqual((light.state, light.is_on), (JOINING, True))

    def test_it_plays_the_rhythm_over_and_over(self):
        for start_ms in STARTS:
            with self.subTest(start_ms=start_ms):
                light = StatusLight(start_ms)
                light.show(start_ms, PAIRING_OPEN)
                turns = watch(light, start_ms, 3000)
                self.assertEqual([is_on for is_on, _ in turns], [True, False] * 4)
                lengths = [length for _, length in turns]
                for seen, meant in zip(lengths[1:-1], (200, 200, 1100, 200, 200, 200)):
                    self.assertTrue(abs(seen - meant) <= 20, lengths)

    def test_a_steady_light_needs_no_further_step(self):
        light = StatusLight(0)
        light.show(100, ATTACHED)
        self.assertEqual((light.is_on, light.deadline_ms), (True, None))
        self.assertEqual(watch(light, 100, 10000), [(True, 10000)])

    def test_showing_the_same_state_again_does_not_disturb_its_rhythm(self):
        light = StatusLight(0)
        light.step(1000)
        deadline_ms = light.deadline_ms
        light.show(1500, JOINING)
        self.assertEqual((light.is_on, light.deadline_ms), (False, deadline_ms))

    def test_another_state_begins_at_once_and_bright(self):
        for start_ms in STARTS:
            with self.subTest(start_ms=start_ms):
                light = StatusLight(start_ms)
                light.step(ticks.add(start_ms, 1000))
                self.assertFalse(light.is_on)
                light.show(ticks.add(start_ms, 1100), PAIRING_OPEN)
                self.assertTrue(light.is_on)

    def test_a_late_step_is_one_turn_and_not_a_race_to_catch_up(self):
        light = StatusLight(0)
        light.step(60000)
        self.assertEqual((light.is_on, light.deadline_ms), (False, 61000))

    def test_colour_is_that_of_the_state_while_it_is_on(self):
        light = StatusLight(0)
        self.assertEqual(light.colour, COLOURS[JOINING])
        light.step(1000)
        self.assertEqual(light.colour, (0, 0, 0))


if __name__ == "__main__":
    unittest.main()
