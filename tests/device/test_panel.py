"""The panel on a board's pins: what is wired, what it shows, and what the device gets to hear."""

import unittest

from homeport_core import ticks
from homeport_device import log, panel
from homeport_device.acl import CLOSED
from homeport_device.board_config import DAMAGED
from homeport_device.panel import Panel
from homeport_device.status_light import ATTACHED as SHOW_ATTACHED
from homeport_device.status_light import COLOURS, FAULT, JOINING, LOCAL_ONLY, UNPROVISIONED
from panel_bench import PanelDevice, PanelHardware

ALL = ("LED", "RED", "GREEN", "BLUE", "BUTTON", "SWITCH")
BELOW_WRAP_MS = ticks.PERIOD - 700


class PanelCase(unittest.TestCase):
    def setUp(self):
        real = log.line
        log.line = lambda *words: None
        self.addCleanup(setattr, log, "line", real)

    def make(self, names=ALL, start_ms=1000, is_off=0, radio=True):
        self.resets = 0
        self.now_ms = start_ms
        self.device = PanelDevice()
        self.hardware = PanelHardware(names, radio)
        if "SWITCH" in names:
            self.pin("SWITCH").level_now = is_off
        self.panel = Panel(start_ms, self.device, self.hardware, self.factory_reset)
        self.step()

    def factory_reset(self):
        self.resets += 1

    def pin(self, name):
        return self.hardware.pins[name]

    def step(self, duration_ms=20):
        for _ in range(duration_ms // 20):
            self.now_ms = ticks.add(self.now_ms, 20)
            self.panel.step(self.now_ms)

    def shows(self):
        return self.panel._person.light.state


class StateTest(PanelCase):
    def test_a_board_without_networks_is_unprovisioned(self):
        self.make()
        self.device.config.networks = ()
        self.step()
        self.assertEqual(self.shows(), UNPROVISIONED)

    def test_where_the_network_is_the_system_s_none_need_be_known(self):
        self.make(radio=False)
        self.device.config.networks = ()
        self.step()
        self.assertEqual(self.shows(), LOCAL_ONLY)

    def test_network_and_basestation(self):
        self.make()
        self.device.stack.down = True
        self.step()
        self.assertEqual(self.shows(), JOINING)
        self.device.stack.down = False
        self.step()
        self.assertEqual(self.shows(), LOCAL_ONLY)
        self.device.stack.attach()
        self.step()
        self.assertEqual(self.shows(), SHOW_ATTACHED)

    def test_damaged_records_and_a_closed_list_of_users_are_faults(self):
        def secrets(device):
            device.config.secrets_found = DAMAGED

        def config(device):
            device.config.config_found = DAMAGED

        def users(device):
            device.acl.reset(CLOSED)

        for damage in (secrets, config, users):
            with self.subTest(damage=damage.__name__):
                self.make()
                damage(self.device)
                self.step()
                self.assertEqual(self.shows(), FAULT)


class DamageTest(PanelCase):
    def test_damaged_records_are_told_by_name(self):
        told = []

        class Ring:
            def add(self, kind, text):
                told.append((kind, text))

        class DamagedConfig(PanelDevice().config.__class__):
            secrets_found = DAMAGED

        log.keep_events(Ring())
        self.addCleanup(log.keep_events, None)
        device = PanelDevice()
        device.config = DamagedConfig()
        Panel(0, device, PanelHardware(()), None)
        self.assertEqual(told, [(log.STORAGE, "secrets cannot be used: provision it again")])


class LampTest(PanelCase):
    def test_one_plain_light(self):
        self.make(("LED",))
        self.device.stack.attach()
        self.step()
        self.assertEqual(self.pin("LED").level_now, 1)

    def test_three_colours(self):
        self.make(("RED", "GREEN", "BLUE"))
        self.device.stack.attach()
        self.step()
        levels = tuple([self.pin(name).level_now for name in ("RED", "GREEN", "BLUE")])
        self.assertEqual(levels, COLOURS[SHOW_ATTACHED])

    def test_two_of_three_colours_are_the_application_s(self):
        self.make(("LED", "RED", "GREEN"))
        self.step(2000)
        self.assertEqual([self.pin(name).written for name in ("RED", "GREEN")], [0, 0])

    def test_pins_are_written_only_when_the_light_changes(self):
        self.make(("LED",))
        self.device.stack.attach()
        self.step()
        before = self.pin("LED").written
        self.step(10000)
        self.assertEqual(self.pin("LED").written, before)

    def test_nothing_wired_nothing_broken(self):
        self.make(())
        self.step(5000)
        self.assertEqual((self.device.stack.remote, self.resets), (True, 0))


class SwitchTest(PanelCase):
    def test_the_stack_hears_it_at_once(self):
        for start_ms in (1000, BELOW_WRAP_MS):
            with self.subTest(start_ms=start_ms):
                self.make(start_ms=start_ms)
                self.assertEqual((self.device.stack.remote, self.device.stack.called), (True, 0))
                self.pin("SWITCH").level_now = 1
                self.step()
                self.assertEqual((self.device.stack.remote, self.device.stack.called), (False, 1))
                self.pin("SWITCH").level_now = 0
                self.step(300)
                self.assertEqual((self.device.stack.remote, self.device.stack.called), (True, 2))

    def test_off_before_the_first_step(self):
        self.make(is_off=1)
        self.assertEqual((self.device.stack.remote, self.device.stack.called), (False, 0))


class ResetTest(PanelCase):
    def test_it_shows_that_the_reset_is_done_and_starts_anew(self):
        slept = []
        real = panel.time

        class Time:
            def sleep(self, seconds):
                slept.append((seconds, self.led()))

        fake = Time()
        panel.time = fake
        self.addCleanup(setattr, panel, "time", real)
        self.make()
        fake.led = lambda: self.pin("LED").level_now
        self.step(200)
        self.pin("BUTTON").level_now = 1
        self.step(9900)
        self.assertEqual((self.resets, self.hardware.resets), (0, 0))
        while not self.hardware.resets:
            self.step()
        self.assertEqual((self.resets, slept), (1, [(2, 1)]))


if __name__ == "__main__":
    unittest.main()
