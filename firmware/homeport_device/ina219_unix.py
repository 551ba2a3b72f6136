"""A simulated current sensor on a simulated bus: a solar panel that charges a battery, a day in four minutes.

The registers are the INA219's: configuration, shunt voltage (10 µV), bus voltage (4 mV, from bit 3), power, current and
calibration. What is measured depends on the clock alone (`current_ma`, `voltage_mv`), over a shunt of 0.1 ohm.
"""

import errno

from homeport_core.compat import const

ADDRESS = const(0x40)
DAY_MS = const(240000)
_NOON_MA = const(900)
_NIGHT_MA = const(-60)  # what the station itself takes
_EMPTY_MV = const(11800)
_CHARGE_MV = const(1600)
_SHUNT_UV_PER_MA = const(100)

_CONFIGURATION = const(0)
_SHUNT = const(1)
_BUS = const(2)
_POWER = const(3)
_CURRENT = const(4)
_CALIBRATION = const(5)
_CONVERTED = const(2)  # the flag in the register of the bus voltage
_CALIBRATION_SCALE = const(4096)
_POWER_SCALE = const(5000)


def current_ma(now_ms: int) -> int:
    """Into the battery. The day begins at sunrise, half of it is night; light rises and falls as a parabola."""
    along = now_ms % DAY_MS
    half = DAY_MS // 2
    if along >= half:
        return _NIGHT_MA
    share = along * (half - along) * 4 * 1000 // (half * half)
    return _NIGHT_MA + (_NOON_MA - _NIGHT_MA) * share // 1000


def voltage_mv(now_ms: int) -> int:
    """Of the battery: lowest at sunrise, highest at sunset."""
    along = now_ms % DAY_MS
    half = DAY_MS // 2
    away = along if along < half else DAY_MS - along
    return _EMPTY_MV + _CHARGE_MV * away // half


class Bus:
    """The bus with this one sensor, at its usual address."""

    def __init__(self, now_ms: object) -> None:
        self._now_ms = now_ms
        self._configuration = 0x399F
        self._calibration = 0

    def readfrom_mem(self, address: int, register: int, n: int) -> bytes:
        self._require(address)
        return (self._register(register) & 0xFFFF).to_bytes(2, "big")[:n]

    def writeto_mem(self, address: int, register: int, octets: bytes | bytearray) -> None:
        self._require(address)
        value = octets[0] << 8 | octets[1]
        if register == _CONFIGURATION:
            self._configuration = value
        elif register == _CALIBRATION:
            self._calibration = value & 0xFFFE

    def _require(self, address: int) -> None:
        if address != ADDRESS:
            raise OSError(errno.ENODEV)

    def _register(self, register: int) -> int:
        now_ms = self._now_ms()
        shunt = current_ma(now_ms) * _SHUNT_UV_PER_MA // 10
        bus = voltage_mv(now_ms) // 4
        current = shunt * self._calibration // _CALIBRATION_SCALE
        values = {
            _CONFIGURATION: self._configuration,
            _SHUNT: shunt,
            _BUS: bus << 3 | _CONVERTED,
            _POWER: abs(current) * bus // _POWER_SCALE,
            _CURRENT: current,
            _CALIBRATION: self._calibration,
        }
        return values.get(register, 0)
