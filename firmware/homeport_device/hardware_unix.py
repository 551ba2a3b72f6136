"""A simulated board, in a folder or in memory. See `hardware` for what each method does.

    DIR/pins/NAME        a pin: outputs are written there (0, 1 or a level), inputs are read: `echo 1 > DIR/pins/BUTTON`
    DIR/flash.img        the region "homeport": 64 KB of NOR flash, 16 blocks of 4096 octets
    DIR/air.json         the networks in the air (`wifi_unix`)
    DIR/access_point     SSID and password of the board's own network, while it is open
    DIR/reset_cause      why the board starts: power_on, hard, watchdog, soft or brownout; anything else is unknown
    DIR/state            files of a board without a region

The board ends with exit code 42 when it resets, and is killed when its watchdog bites; who started it, starts it again.
Temperature and the current sensor on the bus (`ina219_unix`) follow the clock.
"""

import os
import sys
import time

from homeport_core.compat import MICROPYTHON, const
from homeport_core.errors import ConfigError

from homeport_device.hardware_common import POWER_ON, SOFT, UNKNOWN, WATCHDOG, HardwareBase

RESET_EXIT_CODE = 42
# What a board without a table of pins has.
_USUAL = ("LED", "BUTTON")
_CAUSES = ("unknown", "power_on", "hard", "watchdog", "soft", "brownout")
_ID = b"\x02homeport"
# The chip warms up by ten degrees and cools down again, in four minutes.
_COOLEST_MC = const(24000)
_SWING_MC = const(10000)
_SWING_MS = const(240000)


def ticks_ms() -> int:
    """Milliseconds that only grow."""
    return time.ticks_ms() if MICROPYTHON else time.monotonic_ns() // 1000000


class Hardware(HardwareBase):
    """A board whose parts live in `folder`, or in memory without one. `now_ms` moves its values."""

    name = "unix"

    def __init__(self, pins: dict | None = None, folder: str = "", now_ms: object = ticks_ms) -> None:
        super().__init__(pins)
        self.now_ms = now_ms
        self.folder = folder
        self._memory = {}  # pins of a board without a folder
        self._wifi = None
        if folder:
            self.state_dir = folder + "/state"
            _make_folder(folder)
            _make_folder(folder + "/pins")
        self._cause = self._take_cause()

    def has(self, name: str) -> bool:
        if self._pins:
            return name in self._pins
        return name in _USUAL or bool(self.read("pins/" + name))

    def find(self, name: str) -> tuple:
        return super().find(name) if self._pins else (name, False)

    def output(self, name: str, value: int = 0) -> object:
        self.find(name)
        pin = _Pin(self, name)
        pin.value(value)
        return pin

    def input(self, name: str) -> object:
        self.find(name)
        pin = _Pin(self, name)
        if not self.read(pin.path):
            pin.value(0)
        return pin

    def pwm(self, name: str) -> object:
        return _Channel(self.output(name))

    def i2c(self) -> object:
        from homeport_device.ina219_unix import Bus

        self.find("SDA")
        self.find("SCL")
        return Bus(self.now_ms)

    def temperature_mc(self) -> int:
        along = self.now_ms() % _SWING_MS * 2 - _SWING_MS
        return _COOLEST_MC + _SWING_MC - abs(along) * _SWING_MC // _SWING_MS

    def region(self, label: str) -> object:
        if not self.folder or label != "homeport":
            return None
        from homeport_device.flash_unix import Region

        return Region(self.folder + "/flash.img")

    def watchdog(self, timeout_ms: int) -> object:
        from homeport_device.watchdog_unix import start

        return start(self, timeout_ms)

    def reset_cause(self) -> int:
        return self._cause

    def reset(self) -> None:
        self.write("reset_cause", _CAUSES[SOFT])
        sys.exit(RESET_EXIT_CODE)

    def unique_id(self) -> bytes:
        """Differs between folders."""
        number = 0
        for letter in self.folder.encode():
            number = (number * 31 + letter) % 65521
        return _ID[:4] + number.to_bytes(2, "big")

    def wifi(self) -> object:
        """A board in a folder has a radio; a process uses the system's network."""
        if self.folder and self._wifi is None:
            from homeport_device.wifi_unix import Wifi

            self._wifi = Wifi(self)
        return self._wifi

    def bite(self) -> None:
        """What the watchdog does to a board that hangs: nothing of it runs on."""
        self.write("reset_cause", _CAUSES[WATCHDOG])
        os.system("kill -9 $PPID")

    def read(self, name: str) -> str:
        """A file of the folder, empty when there is none."""
        if not self.folder:
            return self._memory.get(name, "")
        try:
            with open(self.folder + "/" + name) as file:
                return file.read().strip()
        except OSError:
            return ""

    def write(self, name: str, text: str) -> None:
        """Put a file into the folder; whoever reads it finds the old or the new text."""
        if not self.folder:
            self._memory[name] = text
            return
        path = self.folder + "/" + name
        with open(path + "~", "w") as file:
            file.write(text + "\n")
        os.rename(path + "~", path)

    def remove(self, name: str) -> None:
        """Take a file away, if it is there."""
        if self.read(name):
            os.remove(self.folder + "/" + name)

    def _take_cause(self) -> int:
        """Why we start; the next time it is the supply, unless somebody says otherwise."""
        text = self.read("reset_cause")
        self.write("reset_cause", _CAUSES[POWER_ON])
        return _CAUSES.index(text) if text in _CAUSES else UNKNOWN if text else POWER_ON


class _Pin:
    def __init__(self, board: Hardware, name: str) -> None:
        self._board = board
        self.path = "pins/" + name

    def value(self, value: int | None = None) -> int:
        if value is None:
            return 0 if self._board.read(self.path) in ("", "0") else 1
        self._board.write(self.path, "1" if value else "0")
        return value


class _Channel:
    def __init__(self, pin: _Pin) -> None:
        self._board = pin._board
        self._path = pin.path
        self._level = 0

    def level(self, value: int | None = None) -> int:
        if value is not None and value != self._level:
            self._level = value
            self._board.write(self._path, str(value))
        return self._level


def pins_in(folder: str) -> dict:
    """The table of a simulated board's pins.py, empty without one. An import would find the folder `pins` instead."""
    names = {"PINS": {}}
    try:
        with open(folder + "/pins.py") as file:
            exec(file.read(), names)
    except OSError:
        return {}
    return names["PINS"]


def _make_folder(path: str) -> None:
    try:
        os.stat(path)
    except OSError:
        try:
            os.mkdir(path)
        except OSError as error:
            raise ConfigError("cannot make the folder " + path, error)
