"""What a person finds at a board: button, switch and light, on the pins that `pins.py` names BUTTON, SWITCH, LED, RED,
GREEN and BLUE. A part of the appliance: `step` every 20 ms,
which takes no memory while nothing happens.
"""

import time

from homeport_core.compat import const
from homeport_core.record import CONFIG, SECRETS

from homeport_device import log
from homeport_device.attach import ATTACHED
from homeport_device.board_config import DAMAGED
from homeport_device.person import Person
from homeport_device.status_light import ATTACHED as SHOW_ATTACHED
from homeport_device.status_light import JOINING, LOCAL_ONLY, UNPROVISIONED

# How long the light says that the reset is done.
_RESET_SHOWN_S = const(2)
_COLOURS = ("RED", "GREEN", "BLUE")


class Panel:
    """`factory_reset()` is called for a press of ten seconds, see `Person`."""

    def __init__(self, now_ms: int, device: object, hardware: object, factory_reset: object) -> None:
        self._device = device
        self._hardware = hardware
        self._lamp = Lamp(hardware)
        inputs = {name: _reader(hardware.input(name)) for name in ("BUTTON", "SWITCH") if hardware.has(name)}
        self._person = Person(now_ms, device.acl, inputs, factory_reset, device.config.pairing_button)
        device.stack.set_remote(self._person.remote_on)
        for kind, found in ((SECRETS, device.config.secrets_found), (CONFIG, device.config.config_found)):
            if found == DAMAGED:
                log.event(log.STORAGE, kind, "cannot be used: provision it again")

    def step(self, now_ms: int) -> None:
        """Look at the pins, act, move the light; start anew when a factory reset is done."""
        person, stack = self._person, self._device.stack
        was_on = person.remote_on
        person.step(now_ms, self._state(), self._is_faulty())
        self._lamp.follow(person.light)
        if person.remote_on != was_on:
            stack.set_remote(person.remote_on)
            stack.port.call(stack.timeout)
        if person.is_reset:
            # Nothing else may run now: who is in memory must not be stored again.
            time.sleep(_RESET_SHOWN_S)
            self._hardware.reset()

    def _state(self) -> int:
        """How the network is."""
        config, stack = self._device.config, self._device.stack
        if not config.networks and self._hardware.wifi() is not None:
            return UNPROVISIONED
        if stack.output.down:
            return JOINING
        return SHOW_ATTACHED if stack.state == ATTACHED else LOCAL_ONLY

    def _is_faulty(self) -> bool:
        """Whether something is damaged that only a person can mend."""
        config, acl = self._device.config, self._device.acl
        if acl.system == acl.default_user == acl.first_user == 0:
            return True  # the list of users is closed (`acl.CLOSED`)
        return max(config.secrets_found, config.config_found) == DAMAGED  # the worst


class Lamp:
    """The light's pins, one plain or three colours or both; written only when the light changes."""

    def __init__(self, hardware: object) -> None:
        self._plain = hardware.output("LED") if hardware.has("LED") else None
        self._colours = ()
        if all(hardware.has(name) for name in _COLOURS):
            self._colours = tuple([hardware.pwm(name) for name in _COLOURS])
        self._state = -1
        self._is_on = False

    def follow(self, light: object) -> None:
        """Bring the pins to what the light shows."""
        if light.state == self._state and light.is_on == self._is_on:
            return
        self._state = light.state
        self._is_on = light.is_on
        if self._plain is not None:
            self._plain.value(int(light.is_on))
        for i in range(len(self._colours)):
            self._colours[i].level(light.colour[i])


def _reader(pin: object) -> object:
    return lambda: bool(pin.value())
