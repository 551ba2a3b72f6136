"""The power sensor's two drivers against one fake of its registers."""

import sys
import unittest

from homeport_core.compat import MICROPYTHON

sys.path.insert(0, (__file__.rsplit("/", 1)[0] if "/" in __file__ else ".") + "/../../firmware/examples")

from drivers.ina219 import INA219, RangeError, rounded  # noqa: E402
from drivers.power_sensor import open_power_sensor  # noqa: E402
from fake_ina219 import CONFIG_AT_START, FakeBusio, FakeINA219  # noqa: E402

# Adafruit's driver needs CPython; elsewhere ours alone is tried.
DRIVERS = (("ours", INA219),)
if not MICROPYTHON:
    from drivers import ina219_linux

    DRIVERS += (("Adafruit's", lambda chip, **options: ina219_linux.INA219(FakeBusio(chip), **options)),)


class Readings(unittest.TestCase):
    """What both drivers tell of the same chip."""

    def test_voltage_current_and_power(self):
        # (voltage in mV, drop in µV, shunt in µΩ) -> (mV, µA, mW)
        cases = (
            ((0, 0, 100_000), (0, 0, 0)),
            ((12_000, 10_000, 100_000), (12_000, 100_000, 1_200)),
            ((12_000, -10_000, 100_000), (12_000, -100_000, -1_200)),
            ((13_120, -8_500, 100_000), (13_120, -85_000, -1_115)),  # -1115.2 mW
            ((4, 10, 100_000), (4, 100, 0)),
            ((5_000, 10, 100_000), (5_000, 100, 1)),  # half a milliwatt
            ((5_000, -10, 100_000), (5_000, -100, -1)),
            ((26_000, 159_990, 100_000), (26_000, 1_599_900, 41_597)),
            ((13_000, 30_000, 20_000), (13_000, 1_500_000, 19_500)),
            ((12_000, 10_000, 101_300), (12_000, 98_717, 1_185)),  # a shunt 1.3 % too large
            ((32_000, 1_000, 100_000), (32_000, 10_000, 320)),
        )
        for name, driver in DRIVERS:
            for (voltage_mv, drop_uv, shunt_uohm), expected in cases:
                with self.subTest(name=name, voltage_mv=voltage_mv, drop_uv=drop_uv):
                    sensor = driver(FakeINA219(voltage_mv, drop_uv), shunt_uohm=shunt_uohm)
                    self.assertEqual(sensor.read(), expected)

    def test_what_is_between_two_steps_is_told_as_the_lower_one(self):
        for name, driver in DRIVERS:
            with self.subTest(name=name):
                self.assertEqual(driver(FakeINA219(12_003, 10_009)).read(), (12_000, 100_000, 1_200))

    def test_values_are_followed(self):
        for name, driver in DRIVERS:
            with self.subTest(name=name):
                chip = FakeINA219(12_000, 10_000)
                sensor = driver(chip)
                sensor.read()
                chip.voltage_mv, chip.drop_uv = 11_000, -20_000
                self.assertEqual(sensor.read(), (11_000, -200_000, -2_200))

    def test_nobody_at_the_address_is_an_error(self):
        for name, driver in DRIVERS:
            with self.subTest(name=name), self.assertRaises(OSError):
                driver(FakeINA219(address=0x41)).read()

    def test_a_sensor_that_is_unplugged_is_an_error(self):
        for name, driver in DRIVERS:
            with self.subTest(name=name):
                chip = FakeINA219(12_000, 10_000)
                sensor = driver(chip)
                sensor.read()
                chip.unplug()
                with self.assertRaises(OSError):
                    sensor.read()

    def test_a_supply_that_failed_unseen_does_not_falsify(self):
        for name, driver in DRIVERS:
            with self.subTest(name=name):
                chip = FakeINA219(12_000, 10_000)
                sensor = driver(chip)
                sensor.read()
                chip.start()
                self.assertEqual(sensor.read(), (12_000, 100_000, 1_200))

    def test_the_end_of_the_widest_range_is_an_error_and_no_reading(self):
        for name, driver in DRIVERS:
            for drop_uv in (320_000, -320_000, 500_000):
                with self.subTest(name=name, drop_uv=drop_uv):
                    chip = FakeINA219(12_000, drop_uv)
                    sensor = INA219(chip, max_ma=3_199) if driver is INA219 else driver(chip)
                    with self.assertRaises(RangeError):
                        sensor.read()

    def test_the_first_conversion_is_awaited(self):
        for name, driver in DRIVERS:
            with self.subTest(name=name):
                chip = FakeINA219(12_000, 10_000)
                sensor = driver(chip)
                self.assertEqual(chip.readfrom_mem(0x40, 1, 2), b"\x00\x00")  # nothing measured yet
                self.assertEqual(sensor.read(), (12_000, 100_000, 1_200))

    def test_a_sensor_that_never_converts_is_an_error(self):
        for name, driver in DRIVERS:
            with self.subTest(name=name):
                chip = FakeINA219(12_000)
                chip.never_converts = True
                with self.assertRaises(OSError):
                    driver(chip).read()


class OurDriver(unittest.TestCase):
    """What only ours decides."""

    def test_the_range_is_the_smallest_that_holds_the_current(self):
        for max_ma, gain in ((0, 0), (399, 0), (400, 1), (799, 1), (800, 2), (1_599, 2), (1_600, 3), (3_199, 3)):
            with self.subTest(max_ma=max_ma):
                chip = FakeINA219()
                INA219(chip, max_ma=max_ma)
                self.assertEqual(chip.config >> 11 & 3, gain)
                self.assertEqual(chip.config & ~0x1800, CONFIG_AT_START & ~0x1800)

    def test_a_current_beyond_all_ranges_is_refused(self):
        with self.assertRaises(ValueError):
            INA219(FakeINA219(), max_ma=3_200)
        INA219(FakeINA219(), shunt_uohm=10_000, max_ma=31_999)

    def test_more_current_than_expected_is_an_error(self):
        chip = FakeINA219(12_000, 39_990)
        sensor = INA219(chip, max_ma=399)
        self.assertEqual(sensor.read()[1], 399_900)
        for drop_uv in (40_000, 60_000, -40_000):
            chip.drop_uv = drop_uv
            with self.subTest(drop_uv=drop_uv), self.assertRaises(RangeError):
                sensor.read()

    def test_halves_are_rounded_alike_in_both_directions(self):
        for value, expected in ((0, 0), (4, 0), (5, 1), (14, 1), (15, 2), (-4, 0), (-5, -1), (-14, -1), (-15, -2)):
            with self.subTest(value=value):
                self.assertEqual(rounded(value, 10), expected)


class Choice(unittest.TestCase):
    """Which driver serves which bus."""

    def test_boards_have_ours(self):
        self.assertTrue(isinstance(open_power_sensor(FakeINA219()), INA219))

    def test_blinka_has_adafruits(self):
        if not MICROPYTHON:
            self.assertTrue(isinstance(open_power_sensor(FakeBusio(FakeINA219())), ina219_linux.INA219))

    def test_the_shunt_is_told_to_both(self):
        chip = FakeINA219(12_000, 10_000)
        for bus in (chip, FakeBusio(chip))[: len(DRIVERS)]:
            with self.subTest(bus=str(bus)):
                self.assertEqual(open_power_sensor(bus, 50_000).read(), (12_000, 200_000, 2_400))


if __name__ == "__main__":
    unittest.main()
