"""Button, switch and light together: what is shown when, and what a press leads to."""

import unittest

from homeport_core import ticks
from homeport_core.errors import StorageError
from homeport_device import log
from homeport_device.acl import DEFAULTS, PAIRING, Acl
from homeport_device.master_switch import MasterSwitch
from homeport_device.person import Person
from homeport_device.status_light import (
    ATTACHED,
    FAULT,
    JOINING,
    PAIRING_OPEN,
    RESET_ARMED,
    RESET_DONE,
    UNPROVISIONED,
)

BELOW_WRAP_MS = ticks.PERIOD - 700
STARTS = (1000, BELOW_WRAP_MS)
STEP_MS = 20


class Stranger:
    fingerprint = b"\xa0" * 16
    is_local = True


class Ring:
    def __init__(self):
        self.texts = []

    def add(self, kind, text):
        self.texts.append(text)


class PersonCase(unittest.TestCase):
    def setUp(self):
        self.ring = Ring()
        real = log.line
        log.line = lambda *words: None
        log.keep_events(self.ring)
        self.addCleanup(setattr, log, "line", real)
        self.addCleanup(log.keep_events, None)

    def begin(self, start_ms=1000, wired=("BUTTON", "SWITCH"), needs_press=True, is_down=False, is_off=False):
        self.now_ms = start_ms
        self.resets = 0
        self.fails = False
        self.is_faulty = False
        self.state = ATTACHED
        self.pressed = {"BUTTON": is_down, "SWITCH": is_off}
        self.acl = Acl()
        inputs = {name: self.reader(name) for name in wired}
        self.person = Person(start_ms, self.acl, inputs, self.factory_reset, needs_press)
        self.wait(200)

    def reader(self, name):
        return lambda: self.pressed[name]

    def factory_reset(self):
        if self.fails:
            raise StorageError("flash does not keep it")
        self.resets += 1

    def wait(self, duration_ms):
        for _ in range(duration_ms // STEP_MS):
            self.now_ms = ticks.add(self.now_ms, STEP_MS)
            self.person.step(self.now_ms, self.state, self.is_faulty)

    def press(self, duration_ms=200):
        self.pressed["BUTTON"] = True
        self.wait(duration_ms)
        self.pressed["BUTTON"] = False
        self.wait(200)

    def shows(self):
        return self.person.light.state


class LightTest(PersonCase):
    def test_it_shows_how_the_network_is(self):
        self.begin()
        for state in (UNPROVISIONED, JOINING, ATTACHED):
            with self.subTest(state=state):
                self.state = state
                self.wait(20)
                self.assertEqual(self.shows(), state)

    def test_a_fault_comes_before_the_network(self):
        self.begin()
        self.is_faulty = True
        self.wait(20)
        self.assertEqual(self.shows(), FAULT)

    def test_what_a_person_does_comes_before_a_fault(self):
        self.begin()
        self.is_faulty = True
        self.press()
        self.assertEqual(self.shows(), PAIRING_OPEN)
        self.pressed["BUTTON"] = True
        self.wait(5200)
        self.assertEqual(self.shows(), RESET_ARMED)
        self.wait(5000)
        self.assertEqual(self.shows(), RESET_DONE)

    def test_without_button_and_switch_there_is_still_a_light(self):
        self.begin(wired=())
        self.assertEqual((self.shows(), self.person.remote_on), (ATTACHED, True))


class PairingTest(PersonCase):
    def test_a_press_opens_pairing_and_the_light_says_so_for_two_minutes(self):
        for start_ms in STARTS:
            with self.subTest(start_ms=start_ms):
                self.begin(start_ms)
                self.press()
                self.assertTrue(self.acl.pair_allowed(Stranger()))
                self.assertEqual(self.shows(), PAIRING_OPEN)
                self.wait(120000)
                self.assertFalse(self.acl.pair_allowed(Stranger()))
                self.assertEqual(self.shows(), ATTACHED)
                said = self.ring.texts[-2:]
                self.assertEqual(said, ["pairing is open for two minutes", "pairing is closed"])

    def test_a_second_press_closes_it(self):
        self.begin()
        self.press()
        self.press()
        self.assertFalse(self.acl.pair_allowed(Stranger()))
        self.assertEqual(self.shows(), ATTACHED)

    def test_it_closes_in_time_though_a_pin_cannot_be_read(self):
        self.begin()
        self.press()
        self.assertEqual(self.acl.pairing_mask, PAIRING)
        del self.pressed["SWITCH"]
        self.assertRaises(KeyError, self.person.step, ticks.add(self.now_ms, 120000), self.state)
        self.assertEqual(self.acl.pairing_mask, 0)

    def test_a_press_that_the_owner_forbade_is_told_and_shows_nothing(self):
        self.begin()
        self.acl.set_settings(DEFAULTS[0] & ~PAIRING, DEFAULTS[1])
        self.press()
        self.assertEqual(self.shows(), ATTACHED)
        self.assertEqual(self.ring.texts[-1], "button pressed, but the owner has switched pairing off")

    def test_where_no_press_is_needed_a_press_changes_nothing(self):
        self.begin(needs_press=False)
        self.assertTrue(self.acl.pair_allowed(Stranger()))
        self.press()
        self.assertTrue(self.acl.pair_allowed(Stranger()))
        self.assertEqual(self.shows(), ATTACHED)

    def test_without_a_button_no_press_can_be_needed(self):
        self.begin(wired=("SWITCH",))
        self.assertTrue(self.acl.pair_allowed(Stranger()))


class ResetTest(PersonCase):
    def test_the_light_flickers_from_five_seconds_on_and_letting_go_cancels(self):
        self.begin()
        self.acl.add(b"\xb0" * 16, b"owner")
        self.pressed["BUTTON"] = True
        self.wait(4900)
        self.assertEqual(self.shows(), ATTACHED)
        self.wait(300)
        self.assertEqual(self.shows(), RESET_ARMED)
        self.pressed["BUTTON"] = False
        self.wait(200)
        self.assertEqual((self.shows(), self.resets, len(self.acl.users())), (ATTACHED, 0, 1))
        self.assertEqual(self.ring.texts[-1], "factory reset cancelled")

    def test_ten_seconds_reset_once_and_ask_for_a_new_start(self):
        for start_ms in STARTS:
            with self.subTest(start_ms=start_ms):
                self.begin(start_ms)
                self.pressed["BUTTON"] = True
                self.wait(9900)
                self.assertEqual((self.person.is_reset, self.resets), (False, 0))
                self.wait(300)
                self.assertEqual((self.shows(), self.person.is_reset, self.resets), (RESET_DONE, True, 1))
                self.wait(20000)
                self.assertEqual(self.resets, 1)

    def test_a_reset_that_cannot_be_stored_changes_nothing_and_shows_a_fault(self):
        self.begin()
        self.acl.add(b"\xb0" * 16, b"owner")
        self.fails = True
        self.press(10500)
        self.assertEqual((self.shows(), self.person.is_reset, len(self.acl.users())), (FAULT, False, 1))
        self.assertEqual(self.ring.texts[-1], "factory reset failed: flash does not keep it")

    def test_a_finger_on_the_button_at_power_on_resets_nothing(self):
        self.begin(is_down=True)
        self.wait(40000)
        self.assertEqual((self.resets, self.shows()), (0, ATTACHED))
        self.assertTrue(self.ring.texts[-1].startswith("button is down since power-on"))


class SwitchTest(PersonCase):
    def test_off_silences_with_the_first_sample(self):
        for start_ms in STARTS:
            with self.subTest(start_ms=start_ms):
                self.begin(start_ms)
                self.assertTrue(self.person.remote_on)
                self.pressed["SWITCH"] = True
                self.wait(20)
                self.assertFalse(self.person.remote_on)
                self.assertEqual(self.ring.texts[-1], "remote access switched off")

    def test_on_counts_when_it_has_lasted(self):
        for start_ms in STARTS:
            with self.subTest(start_ms=start_ms):
                self.begin(start_ms, is_off=True)
                self.pressed["SWITCH"] = False
                self.wait(140)
                self.assertFalse(self.person.remote_on)
                self.wait(100)
                self.assertTrue(self.person.remote_on)

    def test_contacts_that_bounce_stay_off(self):
        self.begin()
        for _ in range(50):
            self.pressed["SWITCH"] = True
            self.wait(20)
            self.pressed["SWITCH"] = False
            self.wait(100)
            self.assertFalse(self.person.remote_on)

    def test_off_at_power_on_holds_from_the_first_moment(self):
        self.assertFalse(MasterSwitch(0, True).is_on)
        self.assertTrue(MasterSwitch(0, False).is_on)


if __name__ == "__main__":
    unittest.main()
