"""The INA219 on Blinka's bus, by Adafruit's driver, with the face of `drivers.ina219`."""

import adafruit_ina219
from drivers.ina219 import READY_TRIES, SHUNT_UOHM, reading

# Adafruit's driver begins with the widest range; the drop comes in steps of 10 µV, the voltage in steps of 4 mV.
_WIDEST_UV = 320_000
_DROP_STEP_UV = 10
_VOLTAGE_STEP_MV = 4


class INA219:
    """`bus` is a `busio.I2C`, or what behaves like one. Raises OSError when the sensor does not answer."""

    def __init__(self, bus: object, shunt_uohm: int = SHUNT_UOHM) -> None:
        self._shunt_uohm = shunt_uohm
        try:
            self._sensor = adafruit_ina219.INA219(bus)
        except ValueError as error:  # so it says that nothing answers
            raise OSError(str(error)) from error

    def read(self) -> tuple:
        """As `drivers.ina219.INA219.read`."""
        sensor = self._sensor
        if not any(sensor.conversion_ready for _ in range(READY_TRIES)):
            raise OSError("the sensor does not measure")
        voltage_mv = sensor.raw_bus_voltage * _VOLTAGE_STEP_MV
        return reading(voltage_mv, sensor.raw_shunt_voltage * _DROP_STEP_UV, self._shunt_uohm, _WIDEST_UV)
