"""A board without a board: MicroPython's `machine`, `network`, `esp32` and `rp2` as these platforms have them.

    board = fake_board.load("esp32")                 or "rp2"; on both interpreters ("linux": Blinka, on CPython)
    hardware = board.Hardware({"LED": 2})            homeport_device.hardware_esp32, on top of the fakes
    board.chip.air = [Network("attic", "secret99")]  what happens around it
    board.chip.now_ms += 3000                        time passes only so
    board.unload()

The fakes (tests/support/fakes/PLATFORM) keep all state in the `chip`, and do what the real modules of MicroPython 1.24
to 1.29 do: numbers of pins, types and texts of errors, what has to come first, which failures are told how and when.
They follow the sources (ports/esp32, ports/rp2, extmod/network_cyw43.c) and have no knowledge of Homeport. What only a
radio can do, they do not: no packets pass through them.
"""

import sys

ERASE_LEN = 4096
REGION_LEN = 0x10000
# What a Pico W has for files is 848 KB; this is enough, and less to keep.
STORAGE_LEN = 0x18000
# A join, with DHCP; a scan of all channels that finds nothing; a handshake that is given up.
JOIN_MS = 1500
NOTHING_FOUND_MS = 2400
REFUSED_MS = 3000

_FAKES = {
    "esp32": ("machine", "network", "esp32"),
    "rp2": ("machine", "network", "rp2"),
    "linux": ("board", "digitalio", "busio", "pwmio"),
}

chip = None


class Reset(BaseException):
    """The chip started again: what a call that never returns looks like to a test."""


class Network:
    """An access point in the air. `address` is what its DHCP gives, None when there is no DHCP."""

    def __init__(self, ssid, password="", address="192.168.7.20", rssi=-61):
        self.ssid = ssid
        self.password = password
        self.address = address
        self.rssi = rssi


class Chip:
    """Everything that outlives a call of the fakes."""

    def __init__(self, platform):
        self.platform = platform
        self.clock = None  # for time that passes by itself: a function that gives milliseconds
        self._now_ms = 0
        self.levels = {}  # of pins, as wired: 0 or 1
        self.pulls = {}
        self.duties = {}  # of dimmed pins, 0 to 65535
        self.bus = {}  # address -> {register: octets}
        self.watchdog_ms = None
        self.fed = 0
        self.cause = "power on"  # or "reset", "watchdog", "soft", "deep sleep"
        self.temperature_c = 41.0
        self.scratch = {}  # registers that outlive a reset
        self.flash = {}  # name of a region -> NOR flash
        self.storage_used = 0  # by the file system; None without one
        self.air = []
        self.hostname = "mpy"
        self.access_point_address = "192.168.4.1"
        self.machine = "Raspberry Pi Pico W with RP2040" if platform == "rp2" else "Generic ESP32 module with ESP32"
        self.chip = "esp32"  # or "esp32s3", "esp32c3": which temperature sensor there is
        self.taken = ()  # pins that another program has

    @property
    def now_ms(self):
        return self.clock() if self.clock else self._now_ms

    @now_ms.setter
    def now_ms(self, value):
        self._now_ms = value

    def find(self, ssid):
        """The access point of that name, None when it is not there."""
        for network in self.air:
            if network.ssid == ssid:
                return network
        return None


class Nor:
    """Flash that erases to ones and programs to zeros, behind MicroPython's face of a block device."""

    def __init__(self, size, page_len=1):
        self.size = size
        self.octets = bytearray(b"\xff" * size)
        self.page_len = page_len
        self.erased = [0] * (size // ERASE_LEN)
        self.is_broken = False

    def readblocks(self, block, buf, off=0):
        start = block * ERASE_LEN + off
        buf[:] = self.octets[start : start + len(buf)]

    def writeblocks(self, block, buf, off=None):
        if off is None:
            for number in range(block, block + len(buf) // ERASE_LEN):
                self.ioctl(6, number)
            off = 0
        if self.is_broken:
            raise OSError(5)
        start = block * ERASE_LEN + off
        if start % self.page_len or len(buf) % self.page_len:
            raise AssertionError(
                "the ROM programs whole pages: what it does with %d at %d is not told" % (len(buf), off)
            )
        for i in range(len(buf)):
            self.octets[start + i] &= buf[i]

    def ioctl(self, command, argument):
        if command in (1, 2, 3):
            return 0
        if command == 4:
            return self.size // ERASE_LEN
        if command == 5:
            return ERASE_LEN
        if command == 6:
            if self.is_broken:
                raise OSError(5)
            start = argument * ERASE_LEN
            self.octets[start : start + ERASE_LEN] = b"\xff" * ERASE_LEN
            self.erased[argument] += 1
            return 0
        return None


class Time:
    """`time` of the chip."""

    @staticmethod
    def ticks_ms():
        return chip.now_ms & 0x3FFFFFFF

    @staticmethod
    def ticks_diff(later, earlier):
        return ((later - earlier + 0x20000000) & 0x3FFFFFFF) - 0x20000000


class System:
    """What firmware asks `os` and `sys` for, and gets the board's answer."""

    class implementation:  # noqa: N801
        _machine = ""

    platform = sys.platform
    modules = sys.modules
    argv = []
    exit = sys.exit

    @staticmethod
    def statvfs(path):
        if chip.storage_used is None:
            raise OSError(19)
        return (ERASE_LEN, ERASE_LEN, chip.storage_used // ERASE_LEN, 0, 0, 0, 0, 0, 0, 255)


class Board:
    """The modules of one platform, loaded on top of the fakes."""

    def __init__(self, platform, folder):
        self.platform = platform
        self.chip = chip
        self._folder = folder
        self._fakes = _FAKES[platform]
        self._hidden = {name: sys.modules.pop(name) for name in self._fakes if name in sys.modules}
        self._modules = ("homeport_device.hardware_board", "homeport_device.hardware_" + platform)
        self._forget()
        sys.path.insert(0, folder)
        __import__(self._modules[1])
        self._module = sys.modules[self._modules[1]]
        if platform != "linux":
            for name, substitute in (("time", Time), ("os", System), ("sys", System)):
                if hasattr(self._module, name):
                    setattr(self._module, name, substitute)
            System.implementation._machine = chip.machine
            System.platform = platform
            sys.modules["network"].begin()

    def Hardware(self, pins=None):  # noqa: N802
        return self._module.Hardware(pins)

    def set_constants(self, **values):
        """Of the platform's module: where it looks for things."""
        for name, value in values.items():
            setattr(self._module, name, value)

    def start_again(self, cause):
        """What a reset leaves: levels and radio are gone, flash and scratch registers stay."""
        chip.cause = cause
        chip.levels.clear()
        chip.duties.clear()
        chip.watchdog_ms = None
        sys.modules["network"].begin()

    def unload(self):
        sys.path.remove(self._folder)
        for name in self._fakes:
            sys.modules.pop(name, None)
        sys.modules.update(self._hidden)
        self._forget()

    def _forget(self):
        """The next one to load them gets those of its own platform."""
        package = sys.modules.get("homeport_device")
        for name in self._modules:
            if sys.modules.pop(name, None) and hasattr(package, name.rpartition(".")[2]):
                delattr(package, name.rpartition(".")[2])


def load(platform):
    """A chip of that platform as it comes from the factory, with our partition or a short file system."""
    global chip  # noqa: PLW0603
    chip = Chip(platform)
    folder = __file__.rpartition("/")[0] + "/fakes/" + platform
    board = Board(platform, folder)
    if platform == "esp32":
        chip.flash["homeport"] = Nor(REGION_LEN)
    if platform == "rp2":
        chip.flash["storage"] = Nor(STORAGE_LEN, page_len=256)
        chip.storage_used = STORAGE_LEN - REGION_LEN
    return board
