"""Pairing opened by the button, on top of what the owner allows."""

import unittest

from homeport_core import ticks
from homeport_device.acl import CLOSED as CLOSED_LIST
from homeport_device.acl import DEFAULTS, NOBODY, PAIRING, Acl
from homeport_device.pairing_window import CLOSED, OPEN_MS, OPENED, REFUSED, PairingWindow

BELOW_WRAP_MS = ticks.PERIOD - 700
STARTS = (1000, BELOW_WRAP_MS)
LABEL_KEY = b"\x11" * 16


class Stranger:
    fingerprint = b"\xa0" * 16
    is_local = True
    is_psk = False
    key_id = b""


class Store:
    """Counts what would be written to flash."""

    def __init__(self):
        self.saves = 0

    def save(self, acl):
        self.saves += 1


class WindowTest(unittest.TestCase):
    def setUp(self):
        self.store = Store()
        self.acl = Acl(self.store)
        self.window = PairingWindow(self.acl)

    def may_pair(self):
        return self.acl.pair_allowed(Stranger())

    def test_without_a_button_the_owner_s_permission_alone_decides(self):
        self.assertTrue(Acl().pair_allowed(Stranger()))

    def test_a_device_with_a_button_is_closed_until_it_is_pressed(self):
        """The first owner of a fresh device has to press it as well."""
        self.assertEqual(self.acl.users(), [])
        self.assertFalse(self.may_pair())
        self.assertEqual(self.window.press(1000), OPENED)
        self.assertTrue(self.may_pair())

    def test_it_closes_by_itself_after_two_minutes(self):
        for start_ms in STARTS:
            with self.subTest(start_ms=start_ms):
                self.window.press(start_ms)
                self.assertFalse(self.window.step(ticks.add(start_ms, OPEN_MS - 1)))
                self.assertTrue(self.may_pair())
                self.assertTrue(self.window.step(ticks.add(start_ms, OPEN_MS)))
                self.assertFalse(self.may_pair())
                self.assertFalse(self.window.step(ticks.add(start_ms, OPEN_MS + 20)))

    def test_two_minutes_are_two_minutes(self):
        self.assertEqual(OPEN_MS, 120000)

    def test_a_second_press_closes_it(self):
        self.window.press(1000)
        self.assertEqual(self.window.press(2000), CLOSED)
        self.assertFalse(self.may_pair())
        self.assertEqual(self.window.press(3000), OPENED)

    def test_pairing_does_not_close_it(self):
        self.window.press(1000)
        self.acl.add(b"\xb0" * 16, b"first")
        self.assertFalse(self.window.step(2000))
        self.assertTrue(self.may_pair())

    def test_the_owner_s_no_is_final(self):
        self.acl.set_settings(DEFAULTS[0] & ~PAIRING, DEFAULTS[1])
        self.assertEqual(self.window.press(1000), REFUSED)
        self.assertFalse(self.may_pair())

    def test_the_owner_s_no_closes_an_open_window_at_once(self):
        self.window.press(1000)
        self.acl.set_settings(DEFAULTS[0] & ~PAIRING, DEFAULTS[1])
        self.assertFalse(self.may_pair())
        self.assertTrue(self.window.step(1020))
        self.acl.set_settings(*DEFAULTS[:2])
        self.assertFalse(self.may_pair())

    def test_a_closed_list_of_users_cannot_be_opened_by_the_button(self):
        self.acl.reset(CLOSED_LIST)
        self.assertEqual(self.window.press(1000), REFUSED)

    def test_the_label_s_key_is_given_out_only_while_it_is_open(self):
        self.assertEqual(self.acl.psk_for(NOBODY, None, LABEL_KEY), None)
        self.window.press(1000)
        self.assertEqual(self.acl.psk_for(NOBODY, None, LABEL_KEY)[0], LABEL_KEY)

    def test_nothing_is_written_to_flash_for_it(self):
        for now_ms in (1000, 2000, 3000):
            self.window.press(now_ms)
        self.window.step(3000 + OPEN_MS)
        self.assertEqual(self.store.saves, 0)


if __name__ == "__main__":
    unittest.main()
