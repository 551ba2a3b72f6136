"""The first set-up of a board: somebody gives it a Wi-Fi network, it tries that, and keeps what works.

The board is its own access point meanwhile. What is entered is tried while the access point stays open, so that the
page can say whether it worked; nothing is stored before it did. Then the access point closes for good. It closes
as well when nobody has set the board up for half an hour, until power is cut or the board is reset: an open network is
an offer to strangers, and half an hour is long enough for who stands before it.

    submit(now_ms, ssid, password)           what somebody entered
    step(now_ms, status, address) -> order   facts of the radio (hardware.py) in; JOIN, LEAVE, STORE, CLOSE or None out
    stored(now_ms, problem)                  how STORE went
"""

from homeport_core import ticks
from homeport_core.compat import const
from homeport_core.errors import ConfigError, StateError
from homeport_core.provisioning import check_network

from homeport_device import hardware_common as driver

# States
OPEN = const(0)  # waiting for somebody
TRYING = const(1)  # joining what was entered
KEPT = const(2)  # joined and stored; the page says so for a moment
CLOSED = const(3)

# Events
SUBMITTED = const(0)
REFUSED = const(1)
STORED = const(2)
EXPIRED = const(3)

TRANSITIONS = (
    (OPEN, SUBMITTED, TRYING),
    (OPEN, EXPIRED, CLOSED),
    (TRYING, REFUSED, OPEN),
    (TRYING, STORED, KEPT),
    (KEPT, EXPIRED, CLOSED),
)

# Orders
JOIN = const(1)
LEAVE = const(2)
STORE = const(3)
CLOSE = const(4)

OPEN_MS = const(1800000)
_JOIN_MS = const(20000)
# How long the page says that it worked: until it was seen, and then a little longer.
_KEPT_MS = const(60000)
_SEEN_MS = const(5000)

_PROBLEMS = {
    driver.WRONG_PASSWORD: "%s: the password is wrong.",
    driver.NO_NETWORK: "%s: there is no such network here. Boards need 2.4 GHz.",
    driver.FAILED: "%s: the network did not let this device in.",
}
_NO_ADDRESS = "%s: the network does not answer, or gives no address."


class Setup:
    """`problem` is why the last attempt failed, a sentence; empty without one. `address` is ours once it worked."""

    def __init__(self, now_ms: int) -> None:
        self.state = OPEN
        self.wanted = ("", "")  # SSID and password
        self.problem = ""
        self.address = None
        self._due_ms = ticks.add(now_ms, OPEN_MS)
        self._close_ms = self._due_ms
        self._order = None

    def submit(self, now_ms: int, ssid: str, password: str) -> None:
        """Somebody entered a network. What cannot be one is a problem, by name; ignored while one is tried."""
        if self.state != OPEN:
            return
        try:
            check_network(ssid, password, "Wi-Fi")
        except ConfigError as error:
            self.problem = str(error)
            return
        self.wanted = (ssid, password)
        self.problem = ""
        self._enter(SUBMITTED)
        self._due_ms = ticks.add(now_ms, _JOIN_MS)
        self._order = JOIN

    def step(self, now_ms: int, status: int, address: bytes | None) -> int | None:
        """Take the radio's facts; returns what is to be done before the next step."""
        if self._order is not None:
            order = self._order
            self._order = None
            return order
        is_due = ticks.diff(now_ms, self._due_ms) >= 0
        if self.state == TRYING:
            return self._watch(status, address, is_due)
        if self.state in (OPEN, KEPT) and is_due:
            self._enter(EXPIRED)
            return CLOSE
        return None

    def stored(self, now_ms: int, problem: str = "") -> None:
        """What was entered works and is stored, or could not be: `problem` says why."""
        if problem:
            self._refuse(problem)
        else:
            self.wanted = (self.wanted[0], "")
            self._enter(STORED)
            self._due_ms = ticks.add(now_ms, _KEPT_MS)

    def seen(self, now_ms: int) -> None:
        """The page went out."""
        soon_ms = ticks.add(now_ms, _SEEN_MS)
        if self.state == KEPT and ticks.diff(soon_ms, self._due_ms) < 0:
            self._due_ms = soon_ms

    def _enter(self, event: int) -> None:
        """The only writer of `state`."""
        for state, on, following in TRANSITIONS:
            if state == self.state and on == event:
                self.state = following
                return
        raise StateError("set-up: event not expected in this state", (self.state, event))

    def _watch(self, status: int, address: bytes | None, is_late: bool) -> int | None:
        if status == driver.JOINED and address is not None:
            self.address = address
            return STORE
        if status in _PROBLEMS or is_late:
            self._refuse(_PROBLEMS.get(status, _NO_ADDRESS) % self.wanted[0])
            return LEAVE
        return None

    def _refuse(self, problem: str) -> None:
        self._enter(REFUSED)
        self.problem = problem
        self.address = None
        self.wanted = (self.wanted[0], "")
        self._due_ms = self._close_ms
