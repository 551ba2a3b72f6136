"""The hardware of ESP32 and RP2 against the contract, and what only they show, on fake chips (fake_board)."""

import unittest

import fake_board
from hardware_contract import PINS, Chip, Flash, Pins, Radio
from homeport_core.errors import ConfigError
from homeport_device import hardware_common as common


class OnBoard(unittest.TestCase):
    """A fake chip."""

    def setUp(self):
        self.board = fake_board.load(self.platform)
        self.addCleanup(self.board.unload)
        self.chip = self.board.chip
        self.hardware = self.open(PINS)

    def open(self, pins):
        return self.board.Hardware(pins)

    def wire(self, name):
        return self.chip.levels[PINS[name]]

    def press(self, name, is_pressed):
        self.chip.levels[PINS[name]] = 0 if is_pressed else 1

    def air(self, *networks):
        self.chip.air = networks

    def wait(self, delay_ms):
        self.chip.now_ms += delay_ms

    def access_point(self):
        import network

        point = network.WLAN(network.AP_IF)
        if not point.active():
            return None
        is_open = point.config("security") == 0
        return point.config("ssid"), "" if is_open else point.config("key")

    def reset(self, hardware, cause="reset"):
        """Order a reset of it, and open the hardware again."""
        self.assertRaises(fake_board.Reset, hardware.reset)
        self.board.start_again(cause)
        return self.open(PINS)


class BoardPins(Pins, Chip, Flash, Radio):
    """What only boards can show, both of them."""

    def test_an_output_may_be_wired_the_other_way_round(self):
        relay = self.hardware.output("RELAY")
        self.assertEqual(self.chip.levels[5], 1)
        relay.value(1)
        self.assertEqual((relay.value(), self.chip.levels[5]), (1, 0))

    def test_a_button_is_pulled_up(self):
        self.hardware.input("BUTTON")
        self.assertEqual(self.chip.pulls[4], 2)

    def test_a_contact_to_plus_is_pulled_down(self):
        door = self.hardware.input("DOOR")
        self.assertEqual((self.chip.pulls[13], door.value()), (1, 0))
        self.chip.levels[13] = 1
        self.assertEqual(door.value(), 1)

    def test_levels_become_duties_of_the_whole_range(self):
        channel = self.hardware.pwm("LED")
        self.assertEqual(self.chip.duties[2], 0)
        channel.level(255)
        self.assertEqual(self.chip.duties[2], 65535)
        channel.level(1)
        self.assertEqual(self.chip.duties[2], 257)

    def test_a_dimmed_pin_may_be_wired_the_other_way_round(self):
        channel = self.hardware.pwm("RELAY")
        self.assertEqual(self.chip.duties[5], 65535)
        channel.level(255)
        self.assertEqual(self.chip.duties[5], 0)

    def test_a_pin_that_the_board_does_not_have_is_said(self):
        with self.assertRaises(ConfigError) as context:
            self.open({"LED": 99}).output("LED")
        self.assertIn("LED", str(context.exception))
        self.assertIn("99", str(context.exception))

    def test_a_bus_reads_and_writes_registers(self):
        self.chip.bus[0x40] = {2: b"\x12\x34"}
        bus = self.hardware.i2c()
        self.assertEqual(bus.readfrom_mem(0x40, 2, 2), b"\x12\x34")
        bus.writeto_mem(0x40, 5, b"\x10\x00")
        self.assertEqual(self.chip.bus[0x40][5], b"\x10\x00")

    def test_a_bus_where_nobody_answers_is_an_error_of_the_system(self):
        self.assertRaises(OSError, lambda: self.hardware.i2c().readfrom_mem(0x41, 2, 2))

    def test_a_flash_that_fails_is_an_error_of_the_system(self):
        region = self.hardware.region("homeport")
        for name in self.chip.flash:
            self.chip.flash[name].is_broken = True
        self.assertRaises(OSError, lambda: region.program(0, b"x"))
        self.assertRaises(OSError, lambda: region.erase(0))

    def test_the_watchdog_is_set_and_fed(self):
        dog = self.hardware.watchdog(8000)
        self.assertEqual(self.chip.watchdog_ms, 8000)
        dog.feed()
        self.assertEqual(self.chip.fed, 1)

    def test_why_it_starts_is_told(self):
        self.assertEqual(self.hardware.reset_cause(), common.POWER_ON)
        self.board.start_again("watchdog")
        self.assertEqual(self.open(PINS).reset_cause(), common.WATCHDOG)

    def test_the_name_in_the_network_is_set(self):
        self.start()
        self.assertEqual(self.chip.hostname, "attic-pump")


class Esp32(BoardPins, OnBoard):
    platform = "esp32"

    def test_without_the_partition_there_is_no_region(self):
        del self.chip.flash["homeport"]
        self.assertIsNone(self.hardware.region("homeport"))

    def test_each_chip_has_its_own_sensor_of_temperature(self):
        for chip, expected_mc in (("esp32", 40555), ("esp32s3", 41000), ("esp32c3", 41000), ("esp32h2", None)):
            with self.subTest(chip=chip):
                self.chip.chip = chip
                self.assertEqual(self.hardware.temperature_mc(), expected_mc)

    def test_a_pin_that_only_listens_cannot_be_an_output(self):
        hardware = self.open({"RELAY": 34})
        self.assertRaises(ConfigError, lambda: hardware.output("RELAY"))

    def test_an_ordered_reset_is_one_of_hardware(self):
        self.assertEqual(self.reset(self.hardware).reset_cause(), common.HARD)
        self.board.start_again("soft")
        self.assertEqual(self.open(PINS).reset_cause(), common.SOFT)
        self.board.start_again("deep sleep")
        self.assertEqual(self.open(PINS).reset_cause(), common.UNKNOWN)

    def test_the_driver_saves_no_power_and_tries_only_when_told(self):
        import network

        self.start()
        station = network.WLAN(network.STA_IF)
        self.assertEqual((station.config("pm"), station.config("reconnects")), (network.WLAN.PM_NONE, 0))

    def test_a_driver_that_is_half_way_in_a_join_is_switched_off_and_on(self):
        import network

        wifi = self.start(fake_board.Network("attic", "secret99"))
        network.WLAN(network.STA_IF).connect("attic", "secret99")  # the program before a soft reset
        wifi.join("attic", "secret99")
        self.wait(5000)
        self.assertEqual(wifi.status(), common.JOINED)
        self.assertEqual(network.WLAN(network.STA_IF).config("reconnects"), 0)

    def test_every_reason_of_the_driver_has_a_meaning(self):
        import network

        wifi = self.start(fake_board.Network("attic", "secret99"))
        wifi.join("cellar", "secret99")
        self.wait(10000)
        wifi.status()
        for reason, status in (
            (15, common.WRONG_PASSWORD),
            (204, common.WRONG_PASSWORD),
            (210, common.NO_NETWORK),
            (200, common.FAILED),
            (203, common.FAILED),
        ):
            with self.subTest(reason=reason):
                network.WLAN(network.STA_IF).reason = reason
                self.assertEqual(wifi.status(), status)

    def test_a_password_too_short_for_a_network_of_its_own_is_an_error_of_the_system(self):
        wifi = self.start()
        self.assertRaises(OSError, lambda: wifi.open_access_point("Homeport-1234", "short"))


class Rp2(BoardPins, OnBoard):
    platform = "rp2"

    def test_a_file_system_over_all_storage_leaves_no_region(self):
        self.chip.storage_used = fake_board.STORAGE_LEN
        self.assertIsNone(self.hardware.region("homeport"))

    def test_without_a_file_system_there_is_no_region(self):
        self.chip.storage_used = None
        self.assertIsNone(self.hardware.region("homeport"))

    def test_the_region_is_the_end_of_the_storage(self):
        region = self.hardware.region("homeport")
        region.program(0, b"\x00")
        octets = self.chip.flash["storage"].octets
        self.assertEqual(octets.find(b"\x00"), len(octets) - region.size)

    def test_the_led_behind_the_radio_is_switched_not_dimmed(self):
        hardware = self.open({"LED": "LED"})
        channel = hardware.pwm("LED")
        for level, expected in ((127, 0), (128, 1), (255, 1), (0, 0)):
            channel.level(level)
            self.assertEqual((channel.level(), self.chip.levels["LED"]), (level, expected))

    def test_pins_of_two_buses_are_said(self):
        with self.assertRaises(ConfigError) as context:
            self.open({"SDA": 20, "SCL": 19}).i2c()
        self.assertIn("19", str(context.exception))

    def test_the_bus_is_the_one_of_the_pins(self):
        for sda, scl in ((0, 1), (2, 3), (4, 5), (26, 27)):
            self.open({"SDA": sda, "SCL": scl}).i2c()

    def test_a_watchdog_longer_than_it_can_wait_is_shortened(self):
        self.hardware.watchdog(60000)
        self.assertEqual(self.chip.watchdog_ms, 8388)

    def test_an_ordered_reset_is_told_from_the_watchdog(self):
        for machine in ("Raspberry Pi Pico W with RP2040", "Raspberry Pi Pico 2 W with RP2350"):
            with self.subTest(machine=machine):
                self.chip.machine = fake_board.System.implementation._machine = machine
                hardware = self.reset(self.open(PINS))
                self.assertEqual(hardware.reset_cause(), common.SOFT)
                self.board.start_again("watchdog")
                self.assertEqual(self.open(PINS).reset_cause(), common.WATCHDOG)

    def test_its_temperature_is_right_to_half_a_degree(self):
        for celsius in (-10.0, 27.0, 41.0, 70.0):
            self.chip.temperature_c = celsius
            self.assertLess(abs(self.hardware.temperature_mc() - celsius * 1000), 700)

    def test_the_radio_saves_no_power(self):
        import network

        self.start()
        self.assertEqual(network.WLAN(network.STA_IF).config("pm"), 0xA11140)


if __name__ == "__main__":
    unittest.main()
