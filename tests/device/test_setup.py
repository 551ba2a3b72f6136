"""The first set-up: what is entered is tried, stored when it works, and the access point closes for good."""

import unittest

from homeport_core import ticks
from homeport_core.errors import StateError
from homeport_device import setup
from homeport_device.hardware_common import FAILED, IDLE, JOINED, JOINING, NO_NETWORK, WRONG_PASSWORD
from homeport_device.setup import CLOSE, CLOSED, JOIN, KEPT, LEAVE, OPEN, OPEN_MS, STORE, TRANSITIONS, TRYING, Setup
from homeport_device.setup_page import SHOWN_MAX, page

STARTS = (1000, ticks.PERIOD - 1500)
ADDRESS = b"\xc0\xa8\x01\x32"
ABOUT = ("Light", "Homeport light", "dev1", ())
PAGE_MAX = 6 * 1024


class SetupTest(unittest.TestCase):
    def setups(self):
        for start_ms in STARTS:
            self.now_ms = start_ms
            yield Setup(start_ms)

    def step(self, machine, status=IDLE, address=None, after_ms=0):
        self.now_ms = ticks.add(self.now_ms, after_ms)
        return machine.step(self.now_ms, status, address)

    def trying(self, machine):
        machine.submit(self.now_ms, "home", "password1")
        self.assertEqual(self.step(machine), JOIN)
        return machine

    def kept(self, machine):
        self.assertEqual(self.step(self.trying(machine), JOINED, ADDRESS), STORE)
        machine.stored(self.now_ms)
        return machine

    def test_what_is_entered_is_joined_and_then_stored(self):
        for machine in self.setups():
            self.trying(machine)
            self.assertEqual(machine.wanted, ("home", "password1"))
            self.assertIsNone(self.step(machine, JOINING))
            self.assertIsNone(self.step(machine, JOINED))
            self.assertEqual(self.step(machine, JOINED, ADDRESS), STORE)
            machine.stored(self.now_ms)
            self.assertEqual((machine.state, machine.address, machine.problem), (KEPT, ADDRESS, ""))

    def test_what_does_not_work_is_said_and_not_stored(self):
        for status, words in ((WRONG_PASSWORD, "password"), (NO_NETWORK, "no such network"), (FAILED, "did not let")):
            for machine in self.setups():
                self.trying(machine)
                self.assertEqual(self.step(machine, status), LEAVE)
                self.assertEqual(machine.state, OPEN)
                self.assertIn(words, machine.problem)
                self.assertIn("home", machine.problem)

    def test_a_network_that_does_not_answer_is_given_up_after_twenty_seconds(self):
        for machine in self.setups():
            self.trying(machine)
            self.assertIsNone(self.step(machine, JOINING, after_ms=19900))
            self.assertEqual(self.step(machine, JOINING, after_ms=100), LEAVE)
            self.assertIn("does not answer", machine.problem)

    def test_what_cannot_be_a_network_is_said_by_name(self):
        for ssid, password, words in (
            ("", "password1", "SSID"),
            ("x" * 33, "password1", "SSID"),
            ("home", "1234567", "8 to 63"),
            ("home", "x" * 64, "8 to 63"),
            ("home", "pa\u00dfword", "ASCII"),
        ):
            for machine in self.setups():
                machine.submit(self.now_ms, ssid, password)
                self.assertIsNone(self.step(machine))
                self.assertEqual(machine.state, OPEN)
                self.assertIn(words, machine.problem)
                self.assertNotIn(password, machine.problem)

    def test_another_network_is_not_taken_while_one_is_tried(self):
        for machine in self.setups():
            self.trying(machine)
            machine.submit(self.now_ms, "evil", "password2")
            self.assertEqual(machine.wanted[0], "home")
            self.assertIsNone(self.step(machine, JOINING))

    def test_passwords_are_forgotten_when_the_attempt_is_over(self):
        for machine in self.setups():
            self.trying(machine)
            self.step(machine, WRONG_PASSWORD)
            self.assertEqual(machine.wanted, ("home", ""))
            self.assertEqual(self.kept(machine).wanted, ("home", ""))

    def test_what_cannot_be_stored_can_be_entered_again(self):
        for machine in self.setups():
            self.step(self.trying(machine), JOINED, ADDRESS)
            machine.stored(self.now_ms, "flash is full")
            self.assertEqual((machine.state, machine.problem), (OPEN, "flash is full"))
            self.kept(machine)

    def test_the_network_closes_when_the_page_has_said_that_it_worked(self):
        for machine in self.setups():
            self.kept(machine)
            self.assertIsNone(self.step(machine, JOINED, ADDRESS, 10000))
            machine.seen(self.now_ms)
            self.assertIsNone(self.step(machine, JOINED, ADDRESS, 4900))
            self.assertEqual(self.step(machine, JOINED, ADDRESS, 100), CLOSE)
            self.assertEqual(machine.state, CLOSED)
            self.assertIsNone(self.step(machine, JOINED, ADDRESS, 100000))

    def test_asking_for_the_page_again_and_again_does_not_keep_it_open(self):
        for machine in self.setups():
            self.kept(machine)
            orders = []
            for _ in range(10):
                machine.seen(self.now_ms)
                orders.append(self.step(machine, JOINED, ADDRESS, 1000))
            self.assertEqual(orders.index(CLOSE), 4)

    def test_it_closes_even_if_nobody_comes_back_to_see(self):
        for machine in self.setups():
            self.kept(machine)
            self.assertIsNone(self.step(machine, JOINED, ADDRESS, 59000))
            self.assertEqual(self.step(machine, JOINED, ADDRESS, 1000), CLOSE)

    def test_it_closes_after_half_an_hour_without_success(self):
        for machine in self.setups():
            self.assertIsNone(self.step(machine, after_ms=OPEN_MS - 30000))
            self.step(self.trying(machine), WRONG_PASSWORD)
            self.assertIsNone(self.step(machine, after_ms=29000))
            self.assertEqual(self.step(machine, after_ms=1000), CLOSE)

    def test_an_attempt_at_the_last_moment_is_finished(self):
        for machine in self.setups():
            self.step(machine, after_ms=OPEN_MS - 1000)
            self.trying(machine)
            self.assertEqual(self.step(machine, JOINED, ADDRESS, 5000), STORE)

    def test_each_state_is_reachable_and_only_the_last_is_final(self):
        self.assertEqual({following for _, _, following in TRANSITIONS}, {OPEN, TRYING, KEPT, CLOSED})
        self.assertEqual({state for state, _, _ in TRANSITIONS}, {OPEN, TRYING, KEPT})

    def test_what_is_not_in_the_table_is_an_error(self):
        with self.assertRaises(StateError):
            Setup(0)._enter(setup.STORED)


class PageTest(unittest.TestCase):
    def shown(self, machine, networks=(), about=ABOUT):
        return str(page(about, machine, list(networks), "f00dcafe"), "utf-8")

    def test_it_says_what_this_device_is(self):
        text = self.shown(Setup(0), about=("Light", "Homeport light", "dev1", ("The configuration was damaged.",)))
        for words in ("Light", "Homeport light", "Device id: dev1", "The configuration was damaged."):
            self.assertIn(words, text)

    def test_it_lists_the_networks_around_and_lets_type_another(self):
        text = self.shown(Setup(0), [(b"home", -50, True), (b"cafe", -80, False), (b"home", -90, True)])
        self.assertEqual(text.count('value="home"'), 1)
        self.assertIn("home <small>strong</small>", text)
        self.assertIn("cafe <small>weak, open</small>", text)
        self.assertIn('name="other"', text)

    def test_names_that_are_no_text_cannot_be_shown(self):
        text = self.shown(Setup(0), [(b"\xff\xfe", -50, True), (b"a\x1b[2J", -50, True), (b"", -50, True)])
        self.assertEqual(text.count('type="radio"'), 1)

    def test_foreign_text_cannot_become_markup(self):
        evil = b"\"'><script>&"
        machine = Setup(0)
        machine.problem = "<script>"
        machine.wanted = ("<script>'\"", "")
        text = self.shown(machine, [(evil, -50, True)], (evil, "<b>", "dev1", ()))
        self.assertNotIn("<script>", text)
        self.assertNotIn("<b>", text)
        self.assertIn("&quot;&#39;&gt;&lt;script&gt;&amp;", text)

    def test_it_is_small_whatever_is_in_the_air(self):
        names = [bytes((0x27,)) * 31 + bytes((0x30 + n,)) for n in range(40)]
        machine = Setup(0)
        machine.problem = "'" * 400
        about = ("'" * 400, "'" * 400, "d" * 63, ("x" * 100, "y" * 100))
        octets = page(about, machine, [(name, -50, True) for name in names], "f00dcafe")
        self.assertTrue(len(octets) <= PAGE_MAX, len(octets))
        plain = page(ABOUT, Setup(0), [(b"network number %d" % n, -50, True) for n in range(40)], "f00dcafe")
        self.assertEqual(plain.count(b"network number"), 2 * SHOWN_MAX)

    def test_it_works_without_scripts_and_loads_nothing(self):
        for machine in self.states():
            text = self.shown(machine)
            for words in ("<script", "src=", "<link", "@import", "url(http"):
                self.assertNotIn(words, text)

    def test_it_asks_again_while_a_network_is_tried_and_shows_no_form(self):
        for machine, again, form in zip(self.states(), (False, True, False), (True, False, False)):
            text = self.shown(machine)
            self.assertEqual("http-equiv" in text, again)
            self.assertEqual("<form" in text, form)

    def test_no_password_is_ever_shown(self):
        for machine in self.states():
            self.assertNotIn("password1", self.shown(machine))

    def test_the_form_is_ours_by_its_token_and_is_sent_as_a_body(self):
        text = self.shown(Setup(0))
        self.assertEqual(text.count('name="token" value="f00dcafe"'), 2)
        self.assertEqual(text.count('method="post"'), 2)

    def test_it_adapts_to_phones_and_dark_rooms(self):
        text = self.shown(Setup(0))
        self.assertIn("width=device-width", text)
        self.assertIn("prefers-color-scheme:dark", text)

    def states(self):
        """Open, trying and kept."""
        trying = Setup(0)
        trying.submit(0, "home", "password1")
        trying.step(0, IDLE, None)
        kept = Setup(0)
        kept.submit(0, "home", "password1")
        kept.step(0, IDLE, None)
        kept.step(0, JOINED, ADDRESS)
        kept.stored(0)
        return Setup(0), trying, kept


if __name__ == "__main__":
    unittest.main()
