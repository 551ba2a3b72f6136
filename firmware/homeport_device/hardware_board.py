"""What the hardware of ESP32 and RP2 has in common: MicroPython's `machine` and `network`. See `hardware`."""

import machine
import network
from homeport_core.compat import const
from homeport_core.errors import ConfigError

from homeport_device.device_config import parse_address
from homeport_device.hardware_common import HardwareBase, SwitchedChannel, check_program, strongest_first

_PWM_HZ = const(1000)
_DUTY_MAX = const(65535)
_DUTY_PER_LEVEL = const(257)
_I2C_HZ = const(400000)
_PAGE_LEN = const(256)
_HOSTNAME_MAX = const(32)
# Block devices of MicroPython.
_BLOCK_COUNT = const(4)
_BLOCK_LEN = const(5)
_BLOCK_ERASE = const(6)


class BoardHardware(HardwareBase):
    """A platform adds `i2c_id(sda)`, the bus that a pin belongs to, and what differs."""

    # The longest that its watchdog can wait; 0 for no limit.
    watchdog_max_ms = 0

    _wifi = None

    def output(self, name: str, value: int = 0) -> object:
        number, inverted = self.find(name)
        pin = self._pin(name, number, machine.Pin.OUT, None)
        if inverted:
            pin = machine.Signal(pin, invert=True)
        pin.value(value)
        return pin

    def input(self, name: str) -> object:
        number, inverted = self.find(name)
        pull = machine.Pin.PULL_DOWN if inverted else machine.Pin.PULL_UP
        pin = self._pin(name, number, machine.Pin.IN, pull)
        return pin if inverted else machine.Signal(pin, invert=True)

    def pwm(self, name: str) -> object:
        number, inverted = self.find(name)
        try:
            pwm = machine.PWM(machine.Pin(number), freq=_PWM_HZ, duty_u16=_DUTY_MAX if inverted else 0)
        except (ValueError, TypeError):  # the LED behind the radio chip
            return SwitchedChannel(self.output(name))
        return _Channel(pwm, inverted)

    def i2c(self) -> object:
        sda, scl = self.find("SDA")[0], self.find("SCL")[0]
        try:
            return machine.I2C(self.i2c_id(sda), sda=machine.Pin(sda), scl=machine.Pin(scl), freq=_I2C_HZ)
        except ValueError as error:
            raise ConfigError("SDA %s and SCL %s are no pins of one I2C bus" % (sda, scl), error)

    def watchdog(self, timeout_ms: int) -> object:
        limit = self.watchdog_max_ms
        return machine.WDT(timeout=min(timeout_ms, limit) if limit else timeout_ms)

    def reset(self) -> None:
        machine.reset()

    def unique_id(self) -> bytes:
        return machine.unique_id()

    def _pin(self, name: str, number: int | str, mode: int, pull: int | None) -> object:
        try:
            return machine.Pin(number, mode) if pull is None else machine.Pin(number, mode, pull)
        except (ValueError, TypeError) as error:
            raise ConfigError("pins.py: %s cannot be pin %s" % (name, number), error)


class _Channel:
    """A pin that a timer dims."""

    def __init__(self, pwm: object, inverted: bool) -> None:
        self._pwm = pwm
        self._inverted = inverted
        self._level = 0

    def level(self, value: int | None = None) -> int:
        if value is not None:
            self._level = value
            duty = value * _DUTY_PER_LEVEL
            self._pwm.duty_u16(_DUTY_MAX - duty if self._inverted else duty)
        return self._level


class Region:
    """Raw flash behind a block device. Whole pages are programmed, as the RP2 wants it; what is not written stays."""

    page_len = _PAGE_LEN

    def __init__(self, device: object) -> None:
        self._device = device
        self._page = bytearray(_PAGE_LEN)
        self.erase_len = device.ioctl(_BLOCK_LEN, 0)
        self.size = device.ioctl(_BLOCK_COUNT, 0) * self.erase_len

    def read_into(self, off: int, buf: bytearray | memoryview) -> None:
        if not 0 <= off <= self.size - len(buf):
            raise ValueError("outside of the region")
        self._device.readblocks(off // self.erase_len, buf, off % self.erase_len)

    def program(self, off: int, octets: bytes | bytearray | memoryview) -> None:
        check_program(self, off, len(octets))
        page = self._page
        for i in range(_PAGE_LEN):
            page[i] = 0xFF
        start = off % _PAGE_LEN
        page[start : start + len(octets)] = octets
        off -= start
        self._device.writeblocks(off // self.erase_len, page, off % self.erase_len)

    def erase(self, block: int) -> None:
        if not 0 <= block < self.size // self.erase_len:
            raise ValueError("outside of the region")
        self._device.ioctl(_BLOCK_ERASE, block)


class BoardWifi:
    """A platform adds `status`, `dress(point, ssid, password)`, and `keep_awake(station)`."""

    def __init__(self) -> None:
        self.station = network.WLAN(network.STA_IF)
        self.asked = False

    def start(self, hostname: str) -> None:
        network.hostname(hostname[:_HOSTNAME_MAX])
        self.station.active(True)
        self.keep_awake(self.station)

    def scan(self) -> list:
        try:
            found = [(entry[0], entry[3], entry[4] != 0) for entry in self.station.scan()]
        except RuntimeError as error:  # the ESP32's driver, for what it has no number for
            raise OSError(str(error))
        return strongest_first(found)

    def join(self, ssid: str, password: str) -> None:
        self.asked = True
        try:
            if password:
                self.station.connect(ssid, password)
            else:
                self.station.connect(ssid)
        except RuntimeError as error:
            raise OSError(str(error))

    def leave(self) -> None:
        if self.asked:
            self.asked = False
            self.station.disconnect()

    def address(self) -> tuple | None:
        if not self.station.isconnected():
            return None
        return tuple(parse_address(text) for text in self.station.ifconfig())

    def rssi(self) -> int | None:
        try:
            return self.station.status("rssi") if self.station.isconnected() else None
        except OSError:  # lost this moment
            return None

    def open_access_point(self, ssid: str, password: str | None) -> bytes:
        point = network.WLAN(network.AP_IF)
        try:
            self.dress(point, ssid, password)
        except RuntimeError as error:
            raise OSError(str(error))
        return parse_address(point.ifconfig()[0])

    def close_access_point(self) -> None:
        network.WLAN(network.AP_IF).active(False)
