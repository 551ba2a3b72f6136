"""The ESP32 and its S3 and C3. See `hardware` for what each method does.

Random numbers are only good while the radio is on: `port_board` sees to that.
"""

import time

import esp32
import machine
import network
from homeport_core.compat import const

from homeport_device.hardware_board import BoardHardware, BoardWifi, Region
from homeport_device.hardware_common import (
    FAILED,
    HARD,
    IDLE,
    JOINED,
    JOINING,
    NO_NETWORK,
    POWER_ON,
    SOFT,
    UNKNOWN,
    WATCHDOG,
    WRONG_PASSWORD,
)

_IDLE = const(1000)
_CONNECTING = const(1001)
_GOT_IP = const(1010)
# Numbers of ESP-IDF: no access point of the name, of that kind of password, strong enough; refused, or given up, when
# the password was to be proved.
_NO_NETWORK = (201, 210, 211, 212)
_WRONG_PASSWORD = (15, 202, 204)
# The driver tells why the last attempt failed until the next one has an outcome of its own.
_STALE_MS = const(8000)
_OPEN = const(0)
_WPA2 = const(3)


class Hardware(BoardHardware):
    """This board."""

    name = "esp32"

    def i2c_id(self, sda: int) -> int:
        return 0

    def temperature_mc(self) -> int | None:
        if hasattr(esp32, "mcu_temperature"):
            return int(esp32.mcu_temperature() * 1000)
        if hasattr(esp32, "raw_temperature"):
            return (esp32.raw_temperature() - 32) * 5000 // 9
        return None

    def region(self, label: str) -> object:
        found = esp32.Partition.find(esp32.Partition.TYPE_DATA, label=label)
        return Region(found[0]) if found else None

    def reset_cause(self) -> int:
        """`reset()` is HARD here, and low supply POWER_ON."""
        causes = {
            machine.PWRON_RESET: POWER_ON,
            machine.HARD_RESET: HARD,
            machine.WDT_RESET: WATCHDOG,
            machine.SOFT_RESET: SOFT,
        }
        return causes.get(machine.reset_cause(), UNKNOWN)

    def wifi(self) -> object:
        self._wifi = self._wifi or Wifi()
        return self._wifi


class Wifi(BoardWifi):
    """The radio."""

    def __init__(self) -> None:
        super().__init__()
        self._before = _IDLE
        self._since_ms = 0

    def keep_awake(self, station: object) -> None:
        """Without power saving, which holds packets back until a beacon; and without attempts of its own, which would
        go on while we wait."""
        station.config(pm=network.WLAN.PM_NONE, reconnects=0)

    def join(self, ssid: str, password: str) -> None:
        station = self.station
        self._before = station.status()
        self._since_ms = time.ticks_ms()
        try:
            super().join(ssid, password)
        except OSError:  # half-way joined, after a soft reset: the driver wants to be off first
            station.active(False)
            station.active(True)
            self.keep_awake(station)
            super().join(ssid, password)

    def status(self) -> int:
        found = self.station.status()
        if found == _GOT_IP:
            return JOINED
        if not self.asked:
            return IDLE
        if found in (_IDLE, _CONNECTING):
            return JOINING
        if found == self._before and time.ticks_diff(time.ticks_ms(), self._since_ms) < _STALE_MS:
            return JOINING
        if found in _WRONG_PASSWORD:
            return WRONG_PASSWORD
        return NO_NETWORK if found in _NO_NETWORK else FAILED

    def dress(self, point: object, ssid: str, password: str | None) -> None:
        """The interface has to be up before it takes a name."""
        point.active(True)
        if password:
            point.config(ssid=ssid, security=_WPA2, key=password)
        else:
            point.config(ssid=ssid, security=_OPEN)
