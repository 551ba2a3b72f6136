"""The parts of `machine` that both platforms share; `fakes/PLATFORM/machine.py` adds what differs."""

import fake_board

IN = 0x01
PULL_DOWN = 0x01
PULL_UP = 0x02
DUTY_MAX = 65535


class BasePin:
    """`is_pin(id)` and `OUT` are the platform's."""

    IN = IN
    PULL_DOWN = PULL_DOWN
    PULL_UP = PULL_UP

    def __init__(self, id, mode=-1, pull=-1, value=None):
        self.id = self.check(id, mode)
        self.is_output = mode == self.OUT
        chip = fake_board.chip
        if pull in (PULL_UP, PULL_DOWN):
            chip.pulls[self.id] = pull
            chip.levels.setdefault(self.id, 1 if pull == PULL_UP else 0)
        if value is not None:
            self.value(value)

    def value(self, x=None):
        levels = fake_board.chip.levels
        if x is None:
            return levels.get(self.id, 0)
        levels[self.id] = 1 if x else 0
        return None


class Signal:
    """As MicroPython's: a pin that may be turned round."""

    def __init__(self, pin, *arguments, invert=False):
        self._pin = pin
        self._invert = invert

    def value(self, x=None):
        if x is None:
            return self._pin.value() ^ self._invert
        self._pin.value(bool(x) ^ self._invert)
        return None


class BasePWM:
    """Frequency and duty of a pin; `check(pin)` is the platform's."""

    def __init__(self, pin, freq=-1, duty_u16=-1):
        self.check(pin)
        self._pin = pin.id
        self.freq = freq
        if duty_u16 != -1:
            self.duty_u16(duty_u16)

    def duty_u16(self, value=None):
        if value is None:
            return fake_board.chip.duties[self._pin]
        if not 0 <= value <= DUTY_MAX:
            raise ValueError("duty_u16 must be from 0 to 65535")
        fake_board.chip.duties[self._pin] = value
        return None


class BaseI2C:
    """A bus whose parts are in `chip.bus`; `nobody` is the platform's error for an address without answer."""

    nobody = 5

    def __init__(self, id, scl=None, sda=None, freq=400000, timeout=50000):
        self.check(id, scl, sda)
        self.freq = freq

    def readfrom_mem(self, addr, memaddr, nbytes):
        return bytes(self._part(addr)[memaddr][:nbytes])

    def writeto_mem(self, addr, memaddr, buf):
        self._part(addr)[memaddr] = bytes(buf)

    def _part(self, addr):
        if addr not in fake_board.chip.bus:
            raise OSError(self.nobody)
        return fake_board.chip.bus[addr]


class BaseWDT:
    """Cannot be stopped; `check(timeout)` is the platform's."""

    def __init__(self, id=0, timeout=5000):
        if id != 0:
            raise ValueError("WDT(%d) doesn't exist" % id)
        self.check(timeout)
        fake_board.chip.watchdog_ms = timeout

    def feed(self):
        fake_board.chip.fed += 1
