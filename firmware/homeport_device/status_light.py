"""What the status light shows: a rhythm for each state, plain enough for one light without colour.

A rhythm is octets in units of 50 ms, on and off by turns, beginning with on; a single one is steady. Colours are an
addition for boards that have them: nothing is told by colour alone (docs/boards.md, "The light and the button").

Sans-IO: `show` says which state, `step` lets time pass, `is_on` and `colour` say what the light is to do until
`deadline_ms`.
"""

from homeport_core import ticks
from homeport_core.compat import const

UNPROVISIONED = const(0)
JOINING = const(1)
ATTACHED = const(2)
LOCAL_ONLY = const(3)
PAIRING_OPEN = const(4)
FAULT = const(5)
RESET_ARMED = const(6)
RESET_DONE = const(7)

_UNIT_MS = const(50)
RHYTHMS = (
    b"\x02\x26",  # UNPROVISIONED: dark, a flash every two seconds
    b"\x14\x14",  # JOINING: a second on, a second off
    b"\x01",  # ATTACHED: on
    b"\x26\x02",  # LOCAL_ONLY: on, a gap every two seconds
    b"\x04\x04\x04\x16",  # PAIRING_OPEN: two flashes, pause
    b"\x04\x04\x04\x04\x04\x04\x04\x16",  # FAULT: four flashes, pause
    b"\x02\x02",  # RESET_ARMED: flicker
    b"\x01",  # RESET_DONE: on, right after the flicker
)
# Red, green, blue.
COLOURS = (
    (0, 0, 255),  # UNPROVISIONED
    (255, 160, 0),  # JOINING
    (0, 255, 0),  # ATTACHED
    (0, 160, 160),  # LOCAL_ONLY
    (0, 0, 255),  # PAIRING_OPEN
    (255, 0, 0),  # FAULT
    (255, 255, 255),  # RESET_ARMED
    (255, 255, 255),  # RESET_DONE
)
_DARK = (0, 0, 0)


class StatusLight:
    """One light. It shows JOINING until told otherwise."""

    def __init__(self, now_ms: int) -> None:
        self.state = -1
        self.is_on = False
        self.deadline_ms = None
        self._at = 0
        self.show(now_ms, JOINING)

    @property
    def colour(self) -> tuple:
        """Red, green and blue of a light that can, 0 to 255 each."""
        return COLOURS[self.state] if self.is_on else _DARK

    def show(self, now_ms: int, state: int) -> None:
        """Begin the rhythm of a state, unless it is the one that runs."""
        if state != self.state:
            self.state = state
            self._turn(now_ms, 0)

    def step(self, now_ms: int) -> None:
        """Turn the light on or off when that is due. However late the call, it is one turn."""
        if self.deadline_ms is not None and ticks.diff(now_ms, self.deadline_ms) >= 0:
            self._turn(now_ms, self._at + 1)

    def _turn(self, now_ms: int, at: int) -> None:
        rhythm = RHYTHMS[self.state]
        self._at = at % len(rhythm)
        self.is_on = self._at % 2 == 0
        self.deadline_ms = None if len(rhythm) == 1 else ticks.add(now_ms, rhythm[self._at] * _UNIT_MS)
