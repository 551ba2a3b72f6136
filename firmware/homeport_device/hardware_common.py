"""What all hardware has in common: names of facts, and the table of pins. See `hardware` for the contract."""

from homeport_core.compat import const
from homeport_core.errors import ConfigError

# Why the board started, `reset_cause()`.
UNKNOWN = const(0)
POWER_ON = const(1)
HARD = const(2)  # its reset pin or button
WATCHDOG = const(3)
SOFT = const(4)  # reset() here, or the prompt's Ctrl-D
BROWNOUT = const(5)  # the supply was too low

# How the station is doing, `wifi.status()`.
IDLE = const(0)
JOINING = const(1)
JOINED = const(2)  # with an address
WRONG_PASSWORD = const(3)
NO_NETWORK = const(4)  # no access point of that name, or none that suits the password
FAILED = const(5)

LEVEL_MAX = const(255)
# From this level on, a pin that knows only on and off is on.
LEVEL_ON = const(128)


class HardwareBase:
    """The table of pins, and answers of a board that has nothing."""

    name = ""
    state_dir = "state"

    def __init__(self, pins: dict | None) -> None:
        self._pins = pins or {}

    def has(self, name: str) -> bool:
        """Whether something is wired to that name."""
        return name in self._pins

    def find(self, name: str) -> tuple:
        """Pin as the platform calls it, and whether it works the other way round. Raises ConfigError."""
        if not self.has(name):
            raise ConfigError("pins.py says nothing about " + name)
        entry = self._pins[name]
        return entry if isinstance(entry, tuple) else (entry, False)

    def temperature_mc(self) -> int | None:
        """Thousandths of a degree Celsius, None where the chip cannot tell."""
        return None

    def region(self, label: str) -> object:
        """Raw flash of that name, None where there is none."""
        return None

    def wifi(self) -> object:
        """None: the network is the system's affair."""
        return None


class SwitchedChannel:
    """A channel of `pwm` on a pin that knows only on and off."""

    def __init__(self, pin: object) -> None:
        self._pin = pin
        self._level = 0

    def level(self, value: int | None = None) -> int:
        if value is not None:
            self._level = value
            self._pin.value(value >= LEVEL_ON)
        return self._level


def strongest_first(found: list) -> list:
    """What a scan found, one entry a name: where a network has several access points, the strongest. Networks that hide
    their names are left out."""
    kept = []
    for entry in sorted(found, key=lambda entry: -entry[1]):
        if entry[0].strip(b"\x00") and all(other[0] != entry[0] for other in kept):
            kept.append(entry)
    return kept


def check_program(region: object, off: int, length: int) -> None:
    """Raises ValueError for octets outside of the region or of one page: a bug of the caller."""
    if not 0 <= off <= region.size - length or off // region.page_len != (off + max(length, 1) - 1) // region.page_len:
        raise ValueError("%d octets at %d do not lie within a page" % (length, off))
