"""The sensor for voltage and power, on any platform."""

from drivers.ina219 import SHUNT_UOHM


def open_power_sensor(bus: object, shunt_uohm: int = SHUNT_UOHM) -> object:
    """The INA219 on a bus of `hardware.i2c()`: by Adafruit's driver where the bus is Blinka's, else by ours.

    It has `read()` as `drivers.ina219` says. Raises OSError when nothing answers.
    """
    if hasattr(bus, "busio"):
        from drivers.ina219_linux import INA219

        return INA219(bus.busio, shunt_uohm)
    from drivers.ina219 import INA219

    return INA219(bus, shunt_uohm=shunt_uohm)
