"""A push button: a short press, and one of ten seconds that shows after five what it is going to do.

Only time that somebody watched counts as held: when samples are far apart, because a name was looked up or flash was
erased meanwhile, nobody knows what the button did, and a factory reset must not come out of that.

A button that is down at power-on does nothing until it has been let go: it is a wiring fault, or something leans on
it. So a device that was reset with the finger on the button is not reset again and again.
"""

from homeport_core import ticks
from homeport_core.compat import const
from homeport_core.errors import StateError

# What `step` tells
NOTHING = const(0)
PRESSED = const(1)  # let go before it was armed
ARMED = const(2)  # held for five seconds: going on means a reset, letting go cancels
CANCELLED = const(3)  # let go while armed
RESET = const(4)  # held for ten seconds
STUCK = const(5)  # down for half a minute without a meaning

# States
_USELESS = const(0)  # down at power-on or after a reset, or not known yet
_UP = const(1)
_DOWN = const(2)
_LONG = const(3)  # armed

_SETTLED = const(0)  # events of the machine besides those above
_TRANSITIONS = (
    (_USELESS, _SETTLED, _UP),
    (_UP, _SETTLED, _DOWN),
    (_DOWN, PRESSED, _UP),
    (_DOWN, ARMED, _LONG),
    (_LONG, CANCELLED, _UP),
    (_LONG, RESET, _USELESS),
)

SAMPLE_MS = const(20)
# Contacts bounce for a few milliseconds; a level counts when it has lasted this long.
_SETTLE_MS = const(40)
# What one pair of samples may add to any of these times.
_WATCHED_MAX_MS = const(100)
_ARMED_MS = const(5000)
_RESET_MS = const(10000)
_STUCK_MS = const(30000)


class Button:
    """One button, to be sampled every SAMPLE_MS."""

    def __init__(self, now_ms: int) -> None:
        self._state = _USELESS
        self._level = self._seen = True  # down until seen otherwise
        self._seen_ms = now_ms
        self._same_ms = 0  # how long the samples have been the same
        self._held_ms = 0  # how long the level has been down

    @property
    def is_armed(self) -> bool:
        """Whether the button is held for so long that holding on means a reset."""
        return self._state == _LONG

    @property
    def deadline_ms(self) -> int:
        """When the next sample is due."""
        return ticks.add(self._seen_ms, SAMPLE_MS)

    def step(self, now_ms: int, is_down: bool) -> int:
        """Take a sample; what it means, NOTHING for most."""
        watched_ms = min(max(0, ticks.diff(now_ms, self._seen_ms)), _WATCHED_MAX_MS)
        self._seen_ms = now_ms
        if is_down != self._seen:
            self._seen = is_down
            self._same_ms = 0
        else:
            self._same_ms += watched_ms
        if self._seen != self._level and self._same_ms >= _SETTLE_MS:
            self._level = self._seen
            self._held_ms = 0
            return self._changed()
        return self._held(watched_ms) if self._level else NOTHING

    def _changed(self) -> int:
        """The level changed for good."""
        if self._level or self._state == _USELESS:
            return self._enter(_SETTLED, NOTHING)
        return self._enter(*((CANCELLED, CANCELLED) if self._state == _LONG else (PRESSED, PRESSED)))

    def _held(self, watched_ms: int) -> int:
        """The button is down for a while longer."""
        before_ms = self._held_ms
        self._held_ms = min(before_ms + watched_ms, _STUCK_MS)
        if self._state == _USELESS:
            return STUCK if before_ms < _STUCK_MS <= self._held_ms else NOTHING
        if self._state == _DOWN and self._held_ms >= _ARMED_MS:
            return self._enter(ARMED, ARMED)
        if self._state == _LONG and self._held_ms >= _RESET_MS:
            return self._enter(RESET, RESET)
        return NOTHING

    def _enter(self, event: int, told: int) -> int:
        """The only writer of the state."""
        for state, on, following in _TRANSITIONS:
            if state == self._state and on == event:
                self._state = following
                return told
        raise StateError("button: event not expected in this state", (self._state, event))
