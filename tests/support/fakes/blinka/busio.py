"""Blinka's `busio`: a bus with a sensor that measures what the file `ina219` in FAKE_PINS says, mV and µV of the shunt.

Without the file it is unplugged.
"""

import os
from pathlib import Path

from fake_ina219 import FakeBusio, FakeINA219


class I2C(FakeBusio):
    _opened = []

    def __init__(self, scl, sda, frequency=100000):
        if (scl, sda) != ("D3", "D2"):
            raise ValueError("no I2C on these pins")
        if self._opened:
            raise RuntimeError("the bus is open already")
        self._opened.append(self)
        super().__init__(FakeINA219())
        self._file = Path(os.environ["FAKE_PINS"]) / "ina219"

    def writeto(self, *arguments, **options):
        self._look()
        super().writeto(*arguments, **options)

    def readfrom_into(self, *arguments, **options):
        self._look()
        super().readfrom_into(*arguments, **options)

    def _look(self):
        if not self._file.exists():
            self.chip.unplug()
            return
        if not self.chip.is_plugged:
            self.chip.plug()
        self.chip.voltage_mv, self.chip.drop_uv = map(int, self._file.read_text().split())


class SPI:
    """Named by libraries, used by none of ours."""
