"""The weather station: temperatures of a house, the wind, and the weather in one (specification, application 2.8).

The weather is simulated and follows the clock: the same moment always has the same weather. Sensor 4 is real, where
the board knows its own temperature.
"""

import time

from homeport_core.errors import RefusedError
from homeport_core.rpc import INT32, UINT32
from homeport_core.spec import AER_OUT_OF_RESOURCES
from homeport_device.device import Device, load_config

# What each sensor of the house measures, in tenths of a degree Celsius: the mean, how far it swings to either side,
# and in how many seconds. Means as the reference's demo has them: refrigerator, living room, freezer, outside.
HOUSE = ((36, 8, 1200), (199, 12, 3600), (-234, 15, 2400), (-6, 60, 7200))
BOARD_SENSOR = len(HOUSE)
THOUSANDTHS_PER_TENTH = 100

# The weather in thousandths: degrees Celsius, metres per second, percent.
TEMPERATURE = (21_250, 6_000, 7200)
WIND = (7_250, 7_000, 900)
HUMIDITY = (65_250, 20_000, 5400)


def value_at(curve, time_s):
    """A whole number that goes up and down evenly: `curve` is (mean, swing, period in seconds)."""
    mean, swing, period_s = curve
    along = time_s % period_s
    away = abs(2 * along - period_s)  # the period's length at its ends, 0 in the middle
    return mean + swing - 2 * swing * away // period_s


def now(curve):
    """Its value at this moment."""
    return value_at(curve, int(time.time()))


device = Device(load_config(), name="Weather station", type="Homeport weather station", icon="chip.png")


@device.query(1, "house_temperature.json", params=(("sensor_id", UINT32),), result=(("temperature", INT32),))
def house_temperature(request, sensor_id):
    if sensor_id < BOARD_SENSOR:
        return now(HOUSE[sensor_id])
    temperature_mc = device.hardware.temperature_mc() if sensor_id == BOARD_SENSOR else None
    if temperature_mc is None:
        raise RefusedError("no such sensor", AER_OUT_OF_RESOURCES)
    return temperature_mc // THOUSANDTHS_PER_TENTH


@device.query(2, "wind_speed.json", result=(("speed_m_s", UINT32),))
def wind_speed(request):
    return now(WIND) // 1000


@device.query(3, "weather_station.json", result=(("temperature", UINT32), ("windspeed", UINT32), ("humidity", UINT32)))
def weather_station(request):
    return now(TEMPERATURE), now(WIND), now(HUMIDITY)


if __name__ == "__main__":
    device.run()
