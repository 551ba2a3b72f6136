"""`machine` of the RP2 on a Pico W: only two reset causes, an LED behind the radio chip, registers as memory."""

import fake_board
from fake_machine import BaseI2C, BasePin, BasePWM, BaseWDT, Signal  # noqa: F401

PWRON_RESET = 1
WDT_RESET = 3
_PINS = 30
_WATCHDOG_MAX_MS = 8388
_SENSOR_V_AT_27 = 0.706
_SENSOR_V_PER_DEGREE = 0.001721
_FULL_V = 3.3
_SCRATCH = (0x4005800C, 0x400D800C)


class Pin(BasePin):
    OUT = 1
    IN = 0

    def check(self, id, mode):
        if isinstance(id, str):
            if id == "LED":
                return id
            if not id.startswith("GP") or not id[2:].isdigit() or int(id[2:]) >= _PINS:
                raise ValueError('unknown named pin "%s"' % id)
            return int(id[2:])
        if not isinstance(id, int) or not 0 <= id < _PINS:
            raise ValueError("invalid pin")
        return id


class PWM(BasePWM):
    def check(self, pin):
        if pin.id == "LED":
            raise ValueError("expecting a regular GPIO Pin")


class I2C(BaseI2C):
    nobody = 5

    def check(self, id, scl, sda):
        if id not in (0, 1):
            raise ValueError("I2C(%d) doesn't exist" % id)
        if scl.id & 1 != 1 or scl.id >> 1 & 1 != id:
            raise ValueError("bad SCL pin")
        if sda.id & 1 != 0 or sda.id >> 1 & 1 != id:
            raise ValueError("bad SDA pin")


class WDT(BaseWDT):
    def check(self, timeout):
        if timeout > _WATCHDOG_MAX_MS:
            raise ValueError("timeout exceeds 8388")


class ADC:
    CORE_TEMP = 4

    def __init__(self, id):
        if id != self.CORE_TEMP:
            raise ValueError("invalid channel")

    def read_u16(self):
        volts = _SENSOR_V_AT_27 - (fake_board.chip.temperature_c - 27) * _SENSOR_V_PER_DEGREE
        raw = int(volts / _FULL_V * 4095)
        return raw << 4 | raw >> 8


class _Memory:
    """`mem32`, as far as anybody may write there: the first scratch register of the watchdog."""

    def __getitem__(self, address):
        self._check(address)
        return fake_board.chip.scratch.get(address, 0)

    def __setitem__(self, address, value):
        self._check(address)
        fake_board.chip.scratch[address] = value

    def _check(self, address):
        if address != _SCRATCH["RP2350" in fake_board.chip.machine]:
            raise AssertionError("a register that is not ours: %x" % address)


mem32 = _Memory()


def reset():
    fake_board.chip.cause = "reset"
    raise fake_board.Reset


def reset_cause():
    """The watchdog is what resets, whoever asked for it; a power cycle or the RUN pin are one."""
    return PWRON_RESET if fake_board.chip.cause == "power on" else WDT_RESET


def unique_id():
    return b"\xe6\x61\x41\x03\xe7\x4a\x2b\x2f"
