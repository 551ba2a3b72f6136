"""`machine` of the ESP32: which pins there are depends on the chip."""

import fake_board
from fake_machine import BaseI2C, BasePin, BasePWM, BaseWDT, Signal  # noqa: F401

PWRON_RESET = 1
HARD_RESET = 2
WDT_RESET = 3
DEEPSLEEP_RESET = 4
SOFT_RESET = 5
_CAUSES = {"power on": 1, "reset": 2, "watchdog": 3, "deep sleep": 4, "soft": 5}
_PINS = {
    "esp32": tuple(range(24)) + (25, 26, 27) + tuple(range(32, 40)),
    "esp32s3": tuple(range(22)) + tuple(range(26, 49)),
    "esp32c3": tuple(range(22)),
}
_FIRST_INPUT = {"esp32": 34}  # from this one on pins can only listen
_WDT_LEAST_MS = 1


def _only_listens(number):
    return number >= _FIRST_INPUT.get(fake_board.chip.chip, number + 1)


class Pin(BasePin):
    OUT = 3

    def check(self, id, mode):
        if not isinstance(id, int) or id not in _PINS[fake_board.chip.chip]:
            raise ValueError("invalid pin")
        if mode == self.OUT and _only_listens(id):
            raise ValueError("pin can only be input")
        return id


class PWM(BasePWM):
    def check(self, pin):
        if _only_listens(pin.id):
            raise ValueError("invalid pin")


class I2C(BaseI2C):
    nobody = 19

    def check(self, id, scl, sda):
        if id not in (0, 1):
            raise ValueError("I2C(%d) doesn't exist" % id)
        if _only_listens(sda.id) or _only_listens(scl.id):
            raise ValueError("pin can only be input")


class WDT(BaseWDT):
    def check(self, timeout):
        if timeout < _WDT_LEAST_MS:
            raise ValueError("WDT timeout too short")


def reset():
    fake_board.chip.cause = "reset"
    raise fake_board.Reset


def reset_cause():
    return _CAUSES.get(fake_board.chip.cause, 0)


def unique_id():
    return b"\x24\x0a\xc4\x12\x34\x56"
