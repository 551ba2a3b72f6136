"""The RP2040 and RP2350 with the radio chip CYW43: Pico W and Pico 2 W. See `hardware` for what each method does.

The LED is behind the radio chip: its pin is "LED", and it is not dimmed.
"""

import os
import sys

import machine
import rp2
from homeport_core.compat import const

from homeport_device.hardware_board import BoardHardware, BoardWifi, Region
from homeport_device.hardware_common import (
    FAILED,
    IDLE,
    JOINED,
    JOINING,
    NO_NETWORK,
    POWER_ON,
    SOFT,
    WATCHDOG,
    WRONG_PASSWORD,
)

_WATCHDOG_MAX_MS = const(8388)
_REGION_LEN = const(0x10000)
_BLOCK_COUNT = const(4)
_BLOCK_LEN = const(5)
# Chip temperature: 706 mV at 27 degrees, 1.721 mV less for each degree more; 3.3 V are 65535.
_FULL_UV = const(3300000)
_AT_27_UV = const(706000)
_UV_PER_DEGREE = const(1721)
# No power saving, which holds packets back until a beacon.
_AWAKE = const(0xA11140)
_OPEN = const(0)
_WPA2 = const(0x00400004)
# The watchdog resets for `reset()` too: a number in a register that outlives it tells them apart.
_WATCHDOG_RP2040 = const(0x40058000)
_WATCHDOG_RP2350 = const(0x400D8000)
_SCRATCH = const(0x0C)
_MARK = const(0x686F6D65)
_STATUSES = {3: JOINED, 2: JOINING, 1: JOINING, -1: FAILED, -2: NO_NETWORK, -3: WRONG_PASSWORD}


class Hardware(BoardHardware):
    """This board."""

    name = "rp2"
    watchdog_max_ms = _WATCHDOG_MAX_MS

    def __init__(self, pins: dict | None = None) -> None:
        super().__init__(pins)
        chip = _WATCHDOG_RP2350 if "RP2350" in sys.implementation._machine else _WATCHDOG_RP2040
        self._scratch = chip + _SCRATCH
        self._was_ordered = machine.mem32[self._scratch] == _MARK
        machine.mem32[self._scratch] = 0

    def i2c_id(self, sda: int) -> int:
        return sda >> 1 & 1

    def temperature_mc(self) -> int:
        uv = machine.ADC(machine.ADC.CORE_TEMP).read_u16() * (_FULL_UV // 100) // 65535 * 100
        return 27000 - (uv - _AT_27_UV) * 1000 // _UV_PER_DEGREE

    def region(self, label: str) -> object:
        """The end of the storage, where the file system leaves it free: MicroPython's own takes all of it."""
        whole = rp2.Flash()
        size = whole.ioctl(_BLOCK_COUNT, 0) * whole.ioctl(_BLOCK_LEN, 0)
        try:
            files = os.statvfs("/")
        except OSError:  # none that could be asked: nothing says that the end is free
            return None
        if label != "homeport" or files[0] * files[2] > size - _REGION_LEN:
            return None
        return Region(rp2.Flash(start=size - _REGION_LEN, len=_REGION_LEN))

    def reset_cause(self) -> int:
        if machine.reset_cause() == machine.PWRON_RESET:
            return POWER_ON
        return SOFT if self._was_ordered else WATCHDOG

    def reset(self) -> None:
        machine.mem32[self._scratch] = _MARK
        super().reset()

    def wifi(self) -> object:
        self._wifi = self._wifi or Wifi()
        return self._wifi


class Wifi(BoardWifi):
    """The radio."""

    def keep_awake(self, station: object) -> None:
        station.config(pm=_AWAKE)

    def status(self) -> int:
        if not self.asked:
            return IDLE
        return _STATUSES.get(self.station.status(), FAILED)

    def dress(self, point: object, ssid: str, password: str | None) -> None:
        """The name has to be known before the interface comes up."""
        if password:
            point.config(ssid=ssid, security=_WPA2, key=password)
        else:
            point.config(ssid=ssid, security=_OPEN)
        point.active(True)
