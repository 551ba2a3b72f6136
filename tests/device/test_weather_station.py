"""The weather station: the published queries, and values that move (application 2.8)."""

import unittest

import application
from homeport_core.spec import AER_OUT_OF_RESOURCES, AER_READY

weather = application.load("weather_station")


class Hardware:
    """A board with a temperature."""

    temperature = -5_250

    def temperature_mc(self):
        return self.temperature


class Weather(unittest.TestCase):
    def setUp(self):
        weather.device.config.hardware = self.hardware = Hardware()
        real = weather.time
        weather.time = self
        self.now_s = 1_000_000.75
        self.addCleanup(setattr, weather, "time", real)

    def time(self):
        return self.now_s

    def result(self, name, *values):
        code, results = application.call(weather.device, name + ".json", *values)
        self.assertEqual(code, AER_READY)
        return results

    def test_a_curve_swings_around_its_mean(self):
        cases = ((0, -20), (1, -16), (25, 80), (50, 180), (75, 80), (99, -16), (100, -20), (150, 180))
        for time_s, expected in cases:
            with self.subTest(time_s=time_s):
                self.assertEqual(weather.value_at((80, 100, 100), time_s), expected)

    def test_the_same_moment_has_the_same_weather_and_another_has_another(self):
        first = self.result("weather_station")
        self.assertEqual(self.result("weather_station"), first)
        self.now_s += 100
        later = self.result("weather_station")
        self.assertTrue(all(a != b for a, b in zip(first, later)))

    def test_sensors_of_the_house_stay_within_their_swing(self):
        for sensor_id, (mean, swing, period_s) in enumerate(weather.HOUSE):
            seen = []
            for _ in range(50):
                self.now_s += period_s / 50
                seen.extend(self.result("house_temperature", sensor_id))
            with self.subTest(sensor_id=sensor_id):
                self.assertTrue(mean - swing <= min(seen) < mean < max(seen) <= mean + swing)

    def test_the_weather_is_never_negative_which_its_numbers_cannot_tell(self):
        for curve in (weather.TEMPERATURE, weather.WIND, weather.HUMIDITY):
            self.assertTrue(curve[0] - curve[1] >= 0)

    def test_the_wind_is_told_in_whole_metres_per_second(self):
        for _ in range(20):
            self.now_s += 45
            self.assertEqual(self.result("wind_speed"), (self.result("weather_station")[1] // 1000,))

    def test_the_board_is_a_sensor_too(self):
        for temperature_mc, expected in ((-5_250, -53), (0, 0), (24_349, 243)):
            self.hardware.temperature = temperature_mc
            with self.subTest(temperature_mc=temperature_mc):
                self.assertEqual(self.result("house_temperature", 4), (expected,))

    def test_unknown_sensors_are_refused(self):
        for sensor_id in (5, 0xFFFFFFFF):
            with self.subTest(sensor_id=sensor_id):
                code, _ = application.call(weather.device, "house_temperature.json", sensor_id)
                self.assertEqual(code, AER_OUT_OF_RESOURCES)

    def test_a_board_without_a_temperature_has_no_such_sensor(self):
        self.hardware.temperature = None
        code, _ = application.call(weather.device, "house_temperature.json", 4)
        self.assertEqual(code, AER_OUT_OF_RESOURCES)


if __name__ == "__main__":
    unittest.main()
