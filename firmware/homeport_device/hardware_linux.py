"""A Raspberry Pi or its like: pins and buses through Blinka, for CPython. See `hardware` for what each method does.

`pins` names what Blinka's `board` has: "D17", "SDA". The network is the system's, and so are the files. The watchdog
is systemd's, for services with WatchdogSec: it restarts the process, not the machine.
"""

import hashlib
import os
import socket
import sys

from homeport_core.errors import ConfigError

from homeport_device.hardware_common import UNKNOWN, HardwareBase, SwitchedChannel

_TEMPERATURE = "/sys/class/thermal/thermal_zone0/temp"
_MACHINE_ID = "/etc/machine-id"
_ID_LEN = 8
_PWM_HZ = 1000
_DUTY_MAX = 65535
_DUTY_PER_LEVEL = 257
_I2C_HZ = 400000


class Hardware(HardwareBase):
    """This machine. Raises ConfigError without Blinka, or when Blinka does not know the machine."""

    name = "linux"

    def __init__(self, pins: dict | None = None) -> None:
        super().__init__(pins)
        try:
            import board
            import digitalio
        except ImportError as error:
            raise ConfigError("pins need Blinka: pip install 'homeport-device[linux]' (%s)" % error, error)
        except Exception as error:  # whatever it finds missing
            raise ConfigError("Blinka cannot use this machine: %s" % error, error)
        self._board = board
        self._digitalio = digitalio

    def output(self, name: str, value: int = 0) -> object:
        opened, inverted = self._open(name)
        opened.switch_to_output(bool(value) != inverted)
        return _Pin(opened, inverted)

    def input(self, name: str) -> object:
        opened, is_plus = self._open(name)
        pull = self._digitalio.Pull
        try:
            opened.switch_to_input(pull.DOWN if is_plus else pull.UP)
        except NotImplementedError as error:
            raise ConfigError("pins.py: %s cannot be an input so: %s" % (name, error), error)
        return _Pin(opened, not is_plus)

    def pwm(self, name: str) -> object:
        pin, inverted = self._pin(name)
        try:
            import pwmio

            channel = pwmio.PWMOut(pin, frequency=_PWM_HZ, duty_cycle=_DUTY_MAX if inverted else 0)
        except (ImportError, NotImplementedError, RuntimeError, ValueError):  # no timer for this pin
            return SwitchedChannel(self.output(name))
        return _Channel(channel, inverted)

    def i2c(self) -> object:
        sda, scl = self._pin("SDA")[0], self._pin("SCL")[0]
        try:
            import busio

            return busio.I2C(scl, sda, frequency=_I2C_HZ)
        except (ImportError, OSError, RuntimeError, ValueError) as error:
            raise ConfigError("the I2C bus cannot be opened: %s" % error, error)

    def temperature_mc(self) -> int | None:
        try:
            with open(_TEMPERATURE) as file:
                return int(file.read())
        except (OSError, ValueError):
            return None

    def watchdog(self, timeout_ms: int) -> object:
        """The service's WatchdogSec decides about the time; None for what is no such service."""
        address = os.environ.get("NOTIFY_SOCKET")
        return Watchdog(address) if address and "WATCHDOG_USEC" in os.environ else None

    def reset_cause(self) -> int:
        return UNKNOWN

    def reset(self) -> None:
        """Start the program again, in this process."""
        sys.stdout.flush()
        os.execv(sys.executable, sys.orig_argv)

    def unique_id(self) -> bytes:
        """Made from the machine's id, which is not to be shown."""
        try:
            with open(_MACHINE_ID, "rb") as file:
                return hashlib.sha256(b"homeport" + file.read().strip()).digest()[:_ID_LEN]
        except OSError as error:
            raise ConfigError("this machine has no id: %s cannot be read" % _MACHINE_ID, error)

    def _pin(self, name: str) -> tuple:
        wired, inverted = self.find(name)
        if not hasattr(self._board, str(wired)):
            raise ConfigError("pins.py: %s cannot be pin %s, which this machine does not have" % (name, wired))
        return getattr(self._board, wired), inverted

    def _open(self, name: str) -> tuple:
        pin, inverted = self._pin(name)
        try:
            return self._digitalio.DigitalInOut(pin), inverted
        except (OSError, RuntimeError, ValueError) as error:
            raise ConfigError("pins.py: %s cannot be opened: %s" % (name, error), error)


class _Pin:
    def __init__(self, opened: object, inverted: bool) -> None:
        self._opened = opened
        self._inverted = inverted

    def value(self, value: int | None = None) -> int:
        if value is None:
            return int(bool(self._opened.value) != self._inverted)
        self._opened.value = bool(value) != self._inverted
        return value


class _Channel:
    def __init__(self, channel: object, inverted: bool) -> None:
        self._channel = channel
        self._inverted = inverted
        self._level = 0

    def level(self, value: int | None = None) -> int:
        if value is not None:
            self._level = value
            duty = value * _DUTY_PER_LEVEL
            self._channel.duty_cycle = _DUTY_MAX - duty if self._inverted else duty
        return self._level


class Watchdog:
    """Signs of life for systemd, see sd_notify(3)."""

    def __init__(self, address: str) -> None:
        self._address = "\0" + address[1:] if address[0] == "@" else address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._socket.setblocking(False)

    def feed(self) -> None:
        """What cannot be sent now is made up for by the next."""
        try:
            self._socket.sendto(b"WATCHDOG=1", self._address)
        except BlockingIOError:
            return
