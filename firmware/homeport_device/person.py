"""The person at the device: button, switch and light, wired to pairing, factory reset and remote access.

What is not wired is not there: without a button pairing follows the owner's permission alone, without a switch the
setting alone decides, without a light nothing shines.

When several states hold, the light shows what a person is doing before how the device is: reset done, reset armed,
pairing open, fault, and only then the network.
"""

from homeport_core.errors import StorageError

from homeport_device import log
from homeport_device.button import CANCELLED, PRESSED, RESET, STUCK, Button
from homeport_device.master_switch import MasterSwitch
from homeport_device.pairing_window import CLOSED, OPENED, PairingWindow
from homeport_device.status_light import FAULT, PAIRING_OPEN, RESET_ARMED, RESET_DONE, StatusLight

_SAID = {OPENED: "pairing is open for two minutes", CLOSED: "pairing is closed"}
_NOT_OPENED = "button pressed, but the owner has switched pairing off"


class Person:
    """`step` every `button.SAMPLE_MS`.

    `inputs` has BUTTON and SWITCH, each a function that tells whether it is pressed or off, or None where there is
    none. `factory_reset()` does what its name says and may raise StorageError; then the device stays as it is.
    `needs_press`: pairing has to be opened by the button.
    """

    def __init__(self, now_ms: int, acl: object, inputs: dict, factory_reset: object, needs_press: bool) -> None:
        self._read_button = inputs.get("BUTTON")
        self._read_switch = inputs.get("SWITCH")
        self._factory_reset = factory_reset
        self._button = Button(now_ms) if self._read_button else None
        self._window = PairingWindow(acl) if self._read_button and needs_press else None
        self._switch = MasterSwitch(now_ms, self._read_switch()) if self._read_switch else None
        self.light = StatusLight(now_ms)
        self.is_faulty = False  # a factory reset failed
        self.is_reset = False  # a factory reset is done: the device has to start anew, at once

    @property
    def remote_on(self) -> bool:
        """What the switch says: whether remote access is wanted, for `stack.set_remote`."""
        return self._switch is None or self._switch.is_on

    def step(self, now_ms: int, state: int, is_faulty: bool = False) -> None:
        """Look at button and switch, and move the light. `state` is the network's, as `status_light` calls it.

        Pairing closes first: a pin that cannot be read must not keep it open.
        """
        if self._window is not None and self._window.step(now_ms):
            log.event(log.PERSON, _SAID[CLOSED])
        if self._switch is not None and self._switch.step(now_ms, self._read_switch()):
            log.event(log.PERSON, "remote access switched", "on" if self._switch.is_on else "off")
        if self._button is not None:
            self._take(now_ms, self._button.step(now_ms, self._read_button()))
        self.light.show(now_ms, self._shown(state, is_faulty or self.is_faulty))
        self.light.step(now_ms)

    def _take(self, now_ms: int, meaning: int) -> None:
        if meaning == PRESSED and self._window is not None:
            log.event(log.PERSON, _SAID.get(self._window.press(now_ms), _NOT_OPENED))
        elif meaning == CANCELLED:
            log.event(log.PERSON, "factory reset cancelled")
        elif meaning == STUCK:
            log.event(log.PERSON, "button is down since power-on or a reset: it does nothing until it is let go")
        elif meaning == RESET:
            self._make_reset()

    def _make_reset(self) -> None:
        try:
            self._factory_reset()
        except StorageError as error:
            self.is_faulty = True
            log.event(log.STORAGE, "factory reset failed:", error)
            return
        self.is_reset = True
        log.event(log.PERSON, "factory reset: starting anew")

    def _shown(self, state: int, is_faulty: bool) -> int:
        if self.is_reset:
            return RESET_DONE
        if self._button is not None and self._button.is_armed:
            return RESET_ARMED
        if self._window is not None and self._window.is_open:
            return PAIRING_OPEN
        return FAULT if is_faulty else state
