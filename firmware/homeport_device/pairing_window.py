"""Pairing for two minutes after a press of the device's button.

Two must agree before a stranger may pair: the owner, by the system's PAIRING permission, which is stored and is
changed by query 11040 as ever; and, on a device with a button, somebody who stands before it. The window is kept in
memory alone: no press writes flash, and after a power cut it is closed. On a device without a button, or with the
setting `pairing_button` off, the permission alone decides.
"""

from homeport_core import ticks
from homeport_core.compat import const

from homeport_device.acl import PAIRING

OPEN_MS = const(120000)

# What `press` tells
OPENED = const(0)
CLOSED = const(1)
REFUSED = const(2)  # the owner has switched pairing off, or the list of users is closed


class PairingWindow:
    """Opens and closes `acl` for pairing."""

    def __init__(self, acl: object) -> None:
        self._acl = acl
        self.deadline_ms = None  # when it closes by itself
        acl.pairing_mask = 0

    @property
    def is_open(self) -> bool:
        """Whether somebody may pair now."""
        return self.deadline_ms is not None and bool(self._acl.system & PAIRING)

    def press(self, now_ms: int) -> int:
        """The button was pressed: open for two minutes, or close. Returns OPENED, CLOSED or REFUSED."""
        if self.deadline_ms is not None:
            self._close()
            return CLOSED
        if not self._acl.system & PAIRING:
            return REFUSED
        self._acl.pairing_mask = PAIRING
        self.deadline_ms = ticks.add(now_ms, OPEN_MS)
        return OPENED

    def step(self, now_ms: int) -> bool:
        """Close when the time is over or the owner has switched pairing off; whether that happened now."""
        if self.deadline_ms is None:
            return False
        if self.is_open and ticks.diff(now_ms, self.deadline_ms) < 0:
            return False
        self._close()
        return True

    def _close(self) -> None:
        self._acl.pairing_mask = 0
        self.deadline_ms = None
