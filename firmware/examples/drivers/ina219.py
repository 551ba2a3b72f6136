"""The INA219, a sensor for voltage and current on the I2C bus, behind MicroPython's face of a bus.

It measures the drop over a resistor in the line, the shunt. The chip can work out current and power itself, from a
calibration that it loses without a word in a brown-out; we do, from the shunt's resistance, in whole numbers. A
shunt that deviates is calibrated by its `shunt_uohm`. Readings stay right after a brown-out, only coarser.
"""

from homeport_core.compat import const

ADDRESS = const(0x40)
SHUNT_UOHM = const(100_000)
MAX_MA = const(2_000)
# Of asking whether there is a measurement yet: it takes 1.1 ms, asking 0.1 ms on a fast bus.
READY_TRIES = const(50)

_CONFIG = const(0x00)
_SHUNT_VOLTAGE = const(0x01)
_BUS_VOLTAGE = const(0x02)

# Up to 26 V; 12 bits; both voltages, again and again.
_RANGE_32_V = const(0x2000)
_12_BITS = const(0x0198)
_CONTINUOUS = const(0x0007)
_GAIN_SHIFT = const(11)

_CONVERTED = const(0x0002)  # the bit CNVR of the bus voltage

_SHUNT_STEP_UV = const(10)
_BUS_STEP_MV = const(4)
_FIRST_RANGE_UV = const(40_000)  # each gain's range is twice the one before
_GAINS = const(4)


class RangeError(OSError):
    """More current than the sensor was set up to measure."""


class INA219:
    """`shunt_uohm` is the shunt in millionths of an ohm, `max_ma` the largest current expected, either way.

    Raises OSError when nothing answers at the address, ValueError when no range of the sensor holds that current.
    """

    def __init__(self, bus: object, address: int = ADDRESS, shunt_uohm: int = SHUNT_UOHM, max_ma: int = MAX_MA) -> None:
        self._bus = bus
        self._address = address
        self._shunt_uohm = shunt_uohm
        drop_uv = max_ma * shunt_uohm // 1_000
        gain = 0
        while drop_uv >= _FIRST_RANGE_UV << gain:
            gain += 1
        if gain == _GAINS:
            raise ValueError("%d mA is more than the sensor measures with this shunt" % max_ma)
        self._limit_uv = _FIRST_RANGE_UV << gain
        config = _RANGE_32_V | gain << _GAIN_SHIFT | _12_BITS | _CONTINUOUS
        bus.writeto_mem(address, _CONFIG, bytes((config >> 8, config & 0xFF)))

    def read(self) -> tuple:
        """(voltage behind the shunt in mV, current in µA, power in mW); negative when current flows back.

        Raises OSError when the sensor does not answer, RangeError when the shunt's range is exceeded.
        """
        for _ in range(READY_TRIES):
            raw = self._register(_BUS_VOLTAGE)
            if raw & _CONVERTED:
                break
        else:
            raise OSError("the sensor does not measure")
        drop = self._register(_SHUNT_VOLTAGE)
        if drop & 0x8000:
            drop -= 0x10000
        return reading((raw >> 3) * _BUS_STEP_MV, drop * _SHUNT_STEP_UV, self._shunt_uohm, self._limit_uv)

    def _register(self, register: int) -> int:
        octets = self._bus.readfrom_mem(self._address, register, 2)
        return octets[0] << 8 | octets[1]


def reading(voltage_mv: int, drop_uv: int, shunt_uohm: int, limit_uv: int) -> tuple:
    """Voltage, current and power from what the sensor measured. Raises RangeError when `drop_uv` is at the limit."""
    if not -limit_uv < drop_uv < limit_uv:
        raise RangeError("more current than the sensor measures")
    current_ua = rounded(drop_uv * 1_000_000, shunt_uohm)
    return voltage_mv, current_ua, rounded(voltage_mv * current_ua, 1_000_000)


def rounded(value: int, divisor: int) -> int:
    """The quotient's nearest whole number; halves away from zero, so that both directions read alike."""
    half = divisor >> 1
    return (value + half) // divisor if value >= 0 else -((half - value) // divisor)
