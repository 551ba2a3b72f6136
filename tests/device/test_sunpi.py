"""The solar station: the published encodings, the lamp and the relay, a sensor that fails (application 2.8)."""

import unittest

import application
from fake_ina219 import FakeINA219
from homeport_core.errors import ConfigError
from homeport_core.spec import AER_NOT_READY, AER_OUT_OF_RESOURCES, AER_READY, AER_TOO_SMALL
from homeport_device import log

sunpi = application.load("sunpi")

RED, GREEN, BLUE, RELAY = range(4)


class Part:
    """A pin or a PWM channel."""

    def __init__(self):
        self.now = 0

    def value(self, value=None):
        if value is not None:
            self.now = value
        return self.now

    level = value


class Hardware:
    """A board by another name, whose bus holds the fake sensor."""

    name = "unix"

    def __init__(self, without=""):
        self.parts = {}
        self.chip = FakeINA219(12_000, 10_000)
        self.temperature = 21_500
        self.without = without

    def output(self, name):
        if name == self.without:
            raise ConfigError("pins.py says nothing about " + name)
        self.parts[name] = Part()
        return self.parts[name]

    pwm = output

    def i2c(self):
        return self.chip

    def temperature_mc(self):
        return self.temperature


def shown_by_old_page(power_w):
    """What the published page makes of the number (application 2.8)."""
    watts = power_w / 10000
    return watts - 200 if watts > 100 else watts


class StationCase(unittest.TestCase):
    def setUp(self):
        sunpi.station = sunpi.Station()
        self.hardware = Hardware()
        sunpi.station.open(self.hardware)
        self.lines = []
        log.keep_events(self)
        self.addCleanup(log.keep_events, None)

    def add(self, kind, text):
        """As a ring of events."""
        self.lines.append(text)

    def call(self, name, *values):
        return application.call(sunpi.device, name + ".json", *values)

    def result(self, name, *values):
        code, results = self.call(name, *values)
        self.assertEqual(code, AER_READY)
        return results

    def levels(self):
        return tuple(self.hardware.parts["LAMP_" + name].now for name in ("RED", "GREEN", "BLUE"))


class Encodings(StationCase):
    def test_voltage_and_temperature_are_ten_thousandths(self):
        for thousandths, expected in ((0, 0), (1, 10), (13_120, 131_200), (26_000, 260_000), (-1, 0), (-5_250, 0)):
            with self.subTest(thousandths=thousandths):
                self.assertEqual(sunpi.published(thousandths), expected)

    def test_power_is_shown_by_the_old_page_as_it_is(self):
        # What the page cannot show is cut to the nearest that it can.
        cases = (
            (0, 0, 0.0),
            (1, 10, 0.001),
            (-1, 1_999_990, -0.001),
            (-8_500, 1_915_000, -8.5),  # the vector "SunPi: voltage and power"
            (99_999, 999_990, 99.999),
            (100_000, 1_000_000, 100.0),
            (100_001, 1_000_000, 100.0),
            (1_000_000, 1_000_000, 100.0),
            (-99_999, 1_000_010, -99.999),
            (-100_000, 1_000_010, -99.999),
            (-1_000_000, 1_000_010, -99.999),
        )
        for power_mw, encoded, shown in cases:
            with self.subTest(power_mw=power_mw):
                self.assertEqual(sunpi.published_power(power_mw), encoded)
                self.assertTrue(abs(shown_by_old_page(encoded) - shown) < 0.0001)

    def test_every_power_within_the_range_is_told_apart(self):
        step = 997
        encoded = [sunpi.published_power(power_mw) for power_mw in range(-99_999, 100_001, step)]
        self.assertEqual(len(set(encoded)), len(encoded))
        self.assertTrue(all(0 <= number <= 0xFFFFFFFF for number in encoded))

    def test_the_published_queries_tell_what_is_measured(self):
        self.hardware.chip.voltage_mv, self.hardware.chip.drop_uv = 13_120, -8_500
        self.assertEqual(self.result("ina_data"), (131_200, 2_000_000 - 11_150))
        self.assertEqual(self.result("rpi_temperature"), (215_000,))

    def test_frost_is_zero_for_old_pages(self):
        self.hardware.temperature = -7_250
        self.assertEqual(self.result("rpi_temperature"), (0,))

    def test_the_new_query_tells_the_same_in_plain_numbers(self):
        self.hardware.chip.voltage_mv, self.hardware.chip.drop_uv = 13_120, -8_500
        self.hardware.temperature = -7_250
        self.result("light_write", GREEN, 40)
        self.result("light_write", RELAY, 1)
        self.assertEqual(self.result("station_get_state"), (13_120, -1_115, -7_250, 0, 40, 0, 1))

    def test_a_board_that_does_not_know_its_temperature_says_so(self):
        self.hardware.temperature = None
        self.assertEqual(self.call("rpi_temperature")[0], AER_OUT_OF_RESOURCES)
        self.assertEqual(self.call("ina_data")[0], AER_READY)


class Lights(StationCase):
    def test_all_are_off_at_the_start(self):
        for light_id in range(4):
            with self.subTest(light_id=light_id):
                self.assertEqual(self.result("light_read", light_id), (0,))
        self.assertEqual(self.levels(), (0, 0, 0))

    def test_each_is_switched_alone(self):
        for light_id, levels, relay in (
            (RED, (255, 0, 0), 0),
            (GREEN, (0, 255, 0), 0),
            (BLUE, (0, 0, 255), 0),
            (RELAY, (0, 0, 0), 1),
        ):
            with self.subTest(light_id=light_id):
                self.assertEqual(self.result("light_write", light_id, 1), (1,))
                self.assertEqual((self.levels(), self.hardware.parts["RELAY"].now), (levels, relay))
                self.assertEqual(self.result("light_read", light_id), (1,))
                self.assertEqual(self.result("light_write", light_id, 0), (0,))
                self.assertEqual(self.result("light_read", light_id), (0,))

    def test_a_colour_comes_back_as_bright_as_it_was(self):
        for light_on, level in ((1, 255), (40, 40), (0, 0), (1, 40), (255, 255), (2, 2), (0, 0), (1, 2)):
            with self.subTest(light_on=light_on):
                self.assertEqual(self.result("light_write", BLUE, light_on), (1 if light_on else 0,))
                self.assertEqual(self.levels(), (0, 0, level))

    def test_the_relay_knows_no_brightness(self):
        self.assertEqual(self.result("light_write", RELAY, 200), (1,))
        self.assertEqual(self.hardware.parts["RELAY"].now, 1)

    def test_an_unknown_light_is_refused_and_nothing_changes(self):
        for light_id in (4, 5, 255):
            with self.subTest(light_id=light_id):
                self.assertEqual(self.call("light_write", light_id, 1), (AER_OUT_OF_RESOURCES, None))
                self.assertEqual(self.call("light_read", light_id), (AER_OUT_OF_RESOURCES, None))
        self.assertEqual((self.levels(), self.hardware.parts["RELAY"].now), ((0, 0, 0), 0))
        self.assertEqual(self.lines, [])

    def test_parameters_that_are_missing_are_refused(self):
        query = sunpi.device.queries.get(1)
        code, _ = query.answer(None, application.Reader(b"\x03"), application.Writer(bytearray(9)))
        self.assertEqual(code, AER_TOO_SMALL)


class Failures(StationCase):
    def test_a_sensor_that_is_unplugged_is_told_once_and_again_when_it_is_back(self):
        self.result("ina_data")
        self.hardware.chip.unplug()
        for _ in range(3):
            self.assertEqual(self.call("ina_data"), (AER_NOT_READY, None))
            self.assertEqual(self.call("station_get_state"), (AER_NOT_READY, None))
        self.assertEqual(len(self.lines), 1)
        self.assertIn("power sensor fails", self.lines[0])
        self.hardware.chip.plug()
        for _ in range(3):
            self.assertEqual(self.result("ina_data"), (120_000, 12_000))
        self.assertEqual(self.lines[1:], ["power sensor works again"])

    def test_a_sensor_that_was_never_there_is_found_later(self):
        self.hardware.chip.unplug()
        self.assertEqual(self.call("ina_data")[0], AER_NOT_READY)
        self.hardware.chip.plug()
        self.assertEqual(self.call("ina_data")[0], AER_READY)

    def test_lights_and_temperature_do_without_the_sensor(self):
        self.hardware.chip.unplug()
        self.assertEqual(self.result("light_write", RELAY, 1), (1,))
        self.assertEqual(self.result("rpi_temperature"), (215_000,))

    def test_too_much_current_is_no_reading(self):
        self.hardware.chip.drop_uv = 400_000
        self.assertEqual(self.call("ina_data"), (AER_NOT_READY, None))
        self.assertIn("more current", self.lines[0])
        self.hardware.chip.drop_uv = 10_000
        self.assertEqual(self.result("ina_data"), (120_000, 12_000))

    def test_a_missing_pin_is_told_once_and_everything_is_refused(self):
        for without in ("LAMP_GREEN", "RELAY"):
            with self.subTest(without=without):
                del self.lines[:]
                sunpi.station = sunpi.Station()
                sunpi.device.config.hardware = Hardware(without)
                with self.assertRaises(StopIteration):
                    sunpi.open_station().send(None)
                self.assertEqual(self.lines, ["no station: pins.py says nothing about " + without])
                for name, values in (
                    ("light_write", (RELAY, 1)),
                    ("light_read", (RED,)),
                    ("ina_data", ()),
                    ("rpi_temperature", ()),
                    ("station_get_state", ()),
                ):
                    self.assertEqual(self.call(name, *values), (AER_NOT_READY, None))


if __name__ == "__main__":
    unittest.main()
