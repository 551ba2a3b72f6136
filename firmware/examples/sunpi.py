"""The solar station: voltage and power of a panel or battery, a lamp of three colours, a relay, the temperature.

Queries 1 to 4 are the published ones, with their encodings, for pages that know them (specification, application
2.8); query 10 tells everything in plain signed numbers. Pins come from the board's pins.py; without a board everything
is simulated.
"""

from drivers.power_sensor import open_power_sensor
from homeport_core.errors import ConfigError, RefusedError
from homeport_core.rpc import INT32, UINT8, UINT32
from homeport_core.spec import AER_NOT_READY, AER_OUT_OF_RESOURCES
from homeport_device import log
from homeport_device.device import Device, load_config

# What `light_id` means: the lamp's three colours, and after them the relay.
COLOURS = ("LAMP_RED", "LAMP_GREEN", "LAMP_BLUE")
RELAY = len(COLOURS)
# What `light_on` means: off, on as bright as it was last, or a brightness.
OFF = 0
ON = 1
BRIGHTEST = 255

# Published numbers are ten-thousandths without a sign. Power below zero is told 200 W higher, and a page takes 200
# from everything above 100: so what it can show is above -100 W, up to 100 W.
PER_THOUSANDTH = 10
NEGATIVE_MW = 200_000
LOWEST_MW = -99_999
HIGHEST_MW = 100_000


class Station:
    """The parts around the board, closed until `open`."""

    def __init__(self):
        self.hardware = None
        self.channels = []
        self.brightness = [BRIGHTEST] * len(COLOURS)
        self.relay = None
        self.bus = None
        self.sensor = None
        self.is_failing = False

    def open(self, hardware):
        """Everything off. Raises ConfigError when a pin is missing."""
        self.channels = [hardware.pwm(name) for name in COLOURS]
        self.relay = hardware.output("RELAY")
        self.bus = hardware.i2c()
        self.hardware = hardware

    def opened(self):
        """The hardware; refuses while there is none."""
        if self.hardware is None:
            raise RefusedError("the pins are not set up", AER_NOT_READY)
        return self.hardware

    def switch(self, light_id, light_on):
        """Switch a colour or the relay. A colour keeps its brightness while it is off."""
        if light_id == RELAY:
            self.relay.value(1 if light_on else 0)
            return
        if light_on > ON:
            self.brightness[light_id] = light_on
        self.channels[light_id].level(self.brightness[light_id] if light_on else OFF)

    def is_on(self, light_id):
        """1 or 0."""
        value = self.relay.value() if light_id == RELAY else self.channels[light_id].level()
        return 1 if value else 0

    def power(self):
        """Voltage in mV, power in mW. A sensor that is plugged in again is set up again."""
        self.opened()
        try:
            if self.sensor is None:
                self.sensor = open_power_sensor(self.bus)
            voltage_mv, _, power_mw = self.sensor.read()
        except OSError as error:
            self.sensor = None
            self.tell_sensor(True, error)
            raise RefusedError("no reading from the power sensor", AER_NOT_READY)
        self.tell_sensor(False)
        return voltage_mv, power_mw

    def tell_sensor(self, is_failing, error=""):
        """One line when the sensor begins to fail, one when it works again."""
        if is_failing != self.is_failing:
            self.is_failing = is_failing
            log.event(log.FAULT, "power sensor", "fails: " + log.printable(error) if is_failing else "works again")

    def temperature_mc(self):
        """Thousandths of a degree Celsius."""
        temperature_mc = self.opened().temperature_mc()
        if temperature_mc is None:
            raise RefusedError("this board does not know its temperature", AER_OUT_OF_RESOURCES)
        return temperature_mc


device = Device(load_config(), name="SunPi", type="Homeport solar station", icon="chip.png")
station = Station()


@device.task
async def open_station():
    try:
        station.open(device.hardware)
    except ConfigError as error:
        log.event(log.FAULT, "no station:", error)


def published(thousandths):
    """A number as old pages have it. They know nothing below zero."""
    return max(thousandths, 0) * PER_THOUSANDTH


def published_power(power_mw):
    """Power as old pages have it, cut to what they can show."""
    power_mw = min(max(power_mw, LOWEST_MW), HIGHEST_MW)
    return published(power_mw if power_mw >= 0 else power_mw + NEGATIVE_MW)


def check(light_id):
    """Refuse what cannot be switched."""
    station.opened()
    if light_id > RELAY:
        raise RefusedError("no such light", AER_OUT_OF_RESOURCES)


@device.query(
    1, "light_write.json", params=(("light_id", UINT8), ("light_on", UINT8)), result=(("light_state", UINT8),)
)
def light_write(request, light_id, light_on):
    check(light_id)
    station.switch(light_id, light_on)
    return station.is_on(light_id)


@device.query(2, "light_read.json", params=(("light_id", UINT8),), result=(("light_state", UINT8),))
def light_read(request, light_id):
    check(light_id)
    return station.is_on(light_id)


@device.query(3, "ina_data.json", result=(("voltage_v", UINT32), ("power_w", UINT32)))
def ina_data(request):
    voltage_mv, power_mw = station.power()
    return published(voltage_mv), published_power(power_mw)


@device.query(4, "rpi_temperature.json", result=(("temperature_c", UINT32),))
def rpi_temperature(request):
    return published(station.temperature_mc())


@device.query(
    10,
    "station_get_state.json",
    result=(
        ("voltage_mv", INT32),
        ("power_mw", INT32),
        ("temperature_mc", INT32),
        ("red", UINT8),
        ("green", UINT8),
        ("blue", UINT8),
        ("relay", UINT8),
    ),
)
def get_state(request):
    voltage_mv, power_mw = station.power()
    red, green, blue = [channel.level() for channel in station.channels]
    return voltage_mv, power_mw, station.temperature_mc(), red, green, blue, station.is_on(RELAY)


if __name__ == "__main__":
    device.run()
