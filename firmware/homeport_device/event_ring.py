"""The last events of a device, in memory of fixed size: for an owner who asks what happened last night.

An event is when, what kind (`log`), and a short text; a repetition of the newest one only moves its time. Nothing is
written to flash, and a restart begins anew: its cause is the first event.
"""

from homeport_core import ticks
from homeport_core.compat import const
from homeport_core.errors import ConfigError

from homeport_device.log import FAULT, printable

TEXT_MAX = const(50)
EVENTS_MAX = const(1000)
# A slot: seconds (4), kind, length of the text, text.
_KIND_OFF = const(4)
_LEN_OFF = const(5)
_TEXT_OFF = const(6)
_SLOT_LEN = const(6 + 50)
_SECOND_MS = const(1000)
_COUNT_MAX = const(0xFFFF)


class EventRing:
    """Room for `size` events. `added` counts all since the start, `faults` those of kind FAULT.

    Time runs from the first `step` on; what happens before has time 0. Raises ConfigError.
    """

    def __init__(self, size: int) -> None:
        if not 1 <= size <= EVENTS_MAX:
            raise ConfigError("the number of events kept must be between 1 and 1000, or 0 for none", size)
        self.size = size
        self.added = 0
        self.faults = 0
        self.uptime_s = 0
        self._second_ms = None  # when this second began
        self._slots = bytearray(size * _SLOT_LEN)

    def step(self, now_ms: int) -> None:
        """Let time pass. Call it once in three days at least, for ticks wrap; events have the time of the last call."""
        if self._second_ms is None:
            self._second_ms = now_ms
        seconds = max(0, ticks.diff(now_ms, self._second_ms)) // _SECOND_MS
        self.uptime_s += seconds
        self._second_ms = ticks.add(self._second_ms, seconds * _SECOND_MS)

    def add(self, kind: int, text: str) -> None:
        """Keep an event; its text is made printable and cut to TEXT_MAX characters."""
        if kind == FAULT:
            self.faults = min(self.faults + 1, _COUNT_MAX)
        octets = printable(text, TEXT_MAX - 3).encode()
        if self.added and self._holds(self.added - 1, kind, octets):
            self._stamp(self.added - 1)
            return
        off = self._off(self.added)
        slots = self._slots
        slots[off + _KIND_OFF] = kind
        slots[off + _LEN_OFF] = len(octets)
        slots[off + _TEXT_OFF : off + _TEXT_OFF + len(octets)] = octets
        self._stamp(self.added)
        self.added += 1

    @property
    def oldest(self) -> int:
        """The number of the oldest event still kept; numbers run from 0, the newest is `added` - 1."""
        return max(0, self.added - self.size)

    def get(self, number: int) -> tuple:
        """(uptime in seconds, kind, text in octets) of an event still kept."""
        off = self._off(number)
        slots = self._slots
        end = off + _TEXT_OFF + slots[off + _LEN_OFF]
        uptime_s = int.from_bytes(slots[off : off + _KIND_OFF], "big")
        return uptime_s, slots[off + _KIND_OFF], bytes(slots[off + _TEXT_OFF : end])

    def _off(self, number: int) -> int:
        return number % self.size * _SLOT_LEN

    def _stamp(self, number: int) -> None:
        off = self._off(number)
        self._slots[off : off + _KIND_OFF] = self.uptime_s.to_bytes(4, "big")

    def _holds(self, number: int, kind: int, octets: bytes) -> bool:
        _, other, text = self.get(number)
        return other == kind and text == octets
