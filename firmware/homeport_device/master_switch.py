"""The master switch: with it off no packet goes to a basestation, no name is looked up, nothing is answered
(specification, application 7.3).

Three say whether remote access is wanted, and off wins: a switch at the device (`MasterSwitch`), the setting
`master_switch`, and the owner's REMOTE permission. All take effect at once, and none is forgotten by a restart.
"""

from homeport_core import ticks
from homeport_core.compat import const
from homeport_core.errors import ConfigError

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


def change_setting(device: object, is_on: bool) -> None:
    """Store the setting of a board and act by it, without a restart; for applications, in handlers and tasks.

    Raises ConfigError for a device that is no board, StorageError when flash does not keep it; then nothing changes.
    """
    from homeport_core.provisioning import dump, load
    from homeport_core.record import CONFIG

    config = device.config
    if config.store is None:
        raise ConfigError("only a board stores its settings: start this device with --master-switch")
    payload = config.store.read(CONFIG)
    wishes = {} if payload is None else load(payload)
    wishes["master_switch"] = is_on
    config.store.write(CONFIG, dump(wishes))
    config.master_switch = is_on
    device.stack.port.call(_look_again)


def _look_again(now_ms: int) -> None:
    """After any step of the stack its timer is set anew, for at once when the switch has changed."""
