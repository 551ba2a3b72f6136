"""The INA219 on any platform: our driver for MicroPython's face of a bus, Adafruit's where the bus is Blinka's."""

from drivers.ina219 import INA219, SHUNT_UOHM, reading

# Adafruit's driver keeps to the widest range, and tells the drop in steps of 10 µV, the voltage in steps of 4 mV.
_WIDEST_UV = 320_000
_DROP_STEP_UV = 10
_VOLTAGE_STEP_MV = 4


def open_power_sensor(hardware: object, shunt_uohm: int = SHUNT_UOHM) -> object:
    """The sensor on the hardware's bus: `read()` as `INA219` has it. Raises OSError when it does not answer.

    Raises ConfigError when the board's pins.py names no bus.
    """
    bus = hardware.i2c()
    return BlinkaINA219(bus, shunt_uohm) if hardware.name == "linux" else INA219(bus, shunt_uohm=shunt_uohm)


class BlinkaINA219:
    """`adafruit_ina219` on `busio.I2C`, with the face of `INA219`."""

    def __init__(self, bus: object, shunt_uohm: int = SHUNT_UOHM) -> None:
        import adafruit_ina219

        self._shunt_uohm = shunt_uohm
        try:
            self._sensor = adafruit_ina219.INA219(bus)
        except ValueError as error:  # so it says that nothing answers
            raise OSError(str(error))

    def read(self) -> tuple:
        """As `INA219.read`."""
        voltage_mv = self._sensor.raw_bus_voltage * _VOLTAGE_STEP_MV
        return reading(voltage_mv, self._sensor.raw_shunt_voltage * _DROP_STEP_UV, self._shunt_uohm, _WIDEST_UV)
