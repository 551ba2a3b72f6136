"""The master switch: with it off no packet goes to a basestation, no name is looked up, nothing is answered
(specification, application 7.3).

Three say whether remote access is wanted, and off wins: a switch at the device (`MasterSwitch`), the setting
`master_switch`, and the owner's REMOTE permission. All take effect at once, and none is forgotten by a restart.
"""

from homeport_core import ticks
from homeport_core.compat import const

_SETTLE_MS = const(200)


class MasterSwitch:
    """A switch that turns remote access off; `is_off` is its position at power-on.

    It silences the device with the first sample that says so. For going back on it has to say so for a moment,
    because contacts bounce.
    """

    def __init__(self, now_ms: int, is_off: bool) -> None:
        self.is_on = not is_off
        self._off_ms = now_ms  # when the switch was last seen off

    def step(self, now_ms: int, is_off: bool) -> bool:
        """Take a sample of the switch; whether `is_on` has changed by it."""
        before = self.is_on
        if is_off:
            self.is_on = False
            self._off_ms = now_ms
        elif ticks.diff(now_ms, self._off_ms) >= _SETTLE_MS:
            self.is_on = True
        return self.is_on != before
