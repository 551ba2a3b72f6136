"""The sensor for voltage and power, on any platform."""

from drivers.ina219 import INA219, SHUNT_UOHM


def open_power_sensor(bus: object, shunt_uohm: int = SHUNT_UOHM) -> object:
    """The INA219 on a bus of `hardware.i2c()`: by our driver, or by Adafruit's where the bus is Blinka's.

    It has `read()` as `drivers.ina219` says. Raises OSError when nothing answers.
    """
    if hasattr(bus, "readfrom_mem"):
        return INA219(bus, shunt_uohm=shunt_uohm)
    from drivers import ina219_linux

    return ina219_linux.INA219(bus, shunt_uohm)
