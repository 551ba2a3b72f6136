"""The sensor for voltage and power, on any platform."""

from drivers.ina219 import SHUNT_UOHM


def open_power_sensor(hardware: object, shunt_uohm: int = SHUNT_UOHM) -> object:
    """The INA219 on the hardware's bus: `read()` as `drivers.ina219` says. Raises OSError when it does not answer.

    Raises ConfigError when the board's pins.py names no bus.
    """
    if hardware.name == "linux":
        from drivers.ina219_linux import INA219
    else:
        from drivers.ina219 import INA219
    return INA219(hardware.i2c(), shunt_uohm=shunt_uohm)
