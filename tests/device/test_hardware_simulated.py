"""The simulated board against the contract, in a folder and in memory, and what only it shows."""

import json
import os
import unittest

from hardware_contract import PINS, Chip, Flash, Pins, Radio
from homeport_core.compat import MICROPYTHON
from homeport_core.errors import ConfigError
from homeport_device import hardware_common as common
from homeport_device.hardware_unix import Hardware
from homeport_device.watchdog_unix import Watchdog

FOLDER = "/tmp/homeport-hardware-test-%d" % (0 if MICROPYTHON else os.getpid())


def remove(folder):
    """A folder with all that is in it."""
    try:
        names = os.listdir(folder)
    except OSError:
        return
    for name in names:
        path = folder + "/" + name
        try:
            os.remove(path)
        except OSError:
            remove(path)
    os.rmdir(folder)


class SimulatedPins(Pins, Chip):
    """What is the same in a folder and in memory. Adds `folder`."""

    platform = "unix"

    def open(self, pins):
        return Hardware(pins, self.folder, lambda: self.now_ms)

    def wire(self, name):
        return int(self.hardware.read("pins/" + name))

    def press(self, name, is_pressed):
        self.hardware.write("pins/" + name, "1" if is_pressed else "0")

    def test_without_a_table_every_name_is_a_pin(self):
        hardware = self.open(None)
        hardware.output("PUMP").value(1)
        self.assertEqual([hardware.has(name) for name in ("LED", "BUTTON", "SWITCH")], [True, True, False])

    def test_its_temperature_drifts(self):
        seen = []
        for self.now_ms in range(0, 240000, 1000):
            seen.append(self.hardware.temperature_mc())
        self.assertEqual((min(seen), max(seen)), (24000, 34000))


class InMemory(SimulatedPins, unittest.TestCase):
    """A simulated board without a folder."""

    folder = ""

    def setUp(self):
        self.now_ms = 0
        self.hardware = self.open(PINS)

    def test_it_has_neither_flash_nor_radio(self):
        self.assertIsNone(self.hardware.region("homeport"))
        self.assertIsNone(self.hardware.wifi())


class InFolder(Flash, Radio, SimulatedPins, unittest.TestCase):
    """A simulated board in a folder."""

    folder = FOLDER

    def setUp(self):
        remove(FOLDER)
        self.addCleanup(remove, FOLDER)
        self.now_ms = 0
        self.hardware = self.open(PINS)

    def air(self, *networks):
        self.hardware.write(
            "air.json",
            json.dumps(
                [
                    {"ssid": entry.ssid, "password": entry.password, "address": entry.address, "rssi": entry.rssi}
                    for entry in networks
                ]
            ),
        )

    def wait(self, delay_ms):
        self.now_ms += delay_ms

    def access_point(self):
        lines = self.hardware.read("access_point").split("\n") + [""]
        return (lines[0], lines[1]) if lines[0] else None

    def test_two_folders_are_two_chips(self):
        other = Hardware(PINS, FOLDER + "/other")
        self.assertNotEqual(other.unique_id(), self.hardware.unique_id())

    def test_its_pins_are_files(self):
        self.hardware.output("LED", 1)
        with open(FOLDER + "/pins/LED") as file:
            self.assertEqual(file.read(), "1\n")
        self.hardware.pwm("LED").level(77)
        with open(FOLDER + "/pins/LED") as file:
            self.assertEqual(file.read(), "77\n")

    def test_why_it_starts_is_told_once(self):
        self.assertEqual(self.hardware.reset_cause(), common.POWER_ON)
        self.assertRaises(SystemExit, self.hardware.reset)
        self.assertEqual(self.open(PINS).reset_cause(), common.SOFT)
        self.assertEqual(self.open(PINS).reset_cause(), common.POWER_ON)
        for text, cause in (("brownout", common.BROWNOUT), ("hard", common.HARD), ("aliens", common.UNKNOWN)):
            self.hardware.write("reset_cause", text)
            self.assertEqual(self.open(PINS).reset_cause(), cause)

    def test_a_reset_ends_the_process_with_a_number_of_its_own(self):
        with self.assertRaises(SystemExit) as context:
            self.hardware.reset()
        self.assertEqual(context.exception.args[0], 42)

    def test_the_watchdog_is_due_when_it_was_not_fed(self):
        dog = Watchdog(self.hardware, 1000)
        self.now_ms = 1000
        self.assertFalse(dog.is_due())
        dog.feed()
        self.now_ms = 2000
        self.assertFalse(dog.is_due())
        self.now_ms = 2001
        self.assertTrue(dog.is_due())

    def test_an_image_of_another_size_is_refused(self):
        with open(FOLDER + "/flash.img", "wb") as file:
            file.write(bytes(100))
        self.assertRaises(ConfigError, lambda: self.hardware.region("homeport"))

    def test_air_that_is_no_list_of_networks_is_said(self):
        wifi = self.start()
        for text in ("{}", '[{"password": "x"}]', "[", "[5]"):
            self.hardware.write("air.json", text)
            self.assertRaises(ConfigError, wifi.scan)


if __name__ == "__main__":
    unittest.main()
