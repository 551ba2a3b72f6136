"""A board's way onto its network: which of its known Wi-Fi networks to join, when, and when to leave one.

The networks are tried in turn. A round in which none worked is followed by a pause that doubles each time, from one
second to five minutes, and that chance shortens by up to a half, so that a street of devices does not come back in one
moment. A network that was lost is first left to the driver, which roams and reconnects by itself, and then joined
again. One on which the basestation never answers (a captive or dead network) is left and joined again, the next time
for another one; after five minutes at first, each time later, and never while somebody uses the device locally.

    step(now_ms, status, address) -> order     facts in, an order out: JOIN (the network `current`), LEAVE or None
    is_up                                      whether packets can leave; `address` (4 octets) is ours then
    next_event() -> (code, text) or None       what happened, the oldest first; text is an SSID or an address

`status` and `address` are what the driver says (hardware.py). Times are wrapping ticks.
"""

from homeport_core import ticks
from homeport_core.compat import const
from homeport_core.errors import StateError

from homeport_device import hardware_common as driver

# States
OFF = const(0)  # no network is known
JOINING = const(1)  # the driver has been told to join one
JOINED = const(2)  # it has an address
LOST = const(3)  # it had one, and may have it again without our doing
WAITING = const(4)  # until the next attempt

# Events
CONFIGURED = const(0)  # networks to join
CLEARED = const(1)  # none any more
ADDRESSED = const(2)  # joined, with an address
FAILED = const(3)  # not joined: see the facts
GONE = const(4)  # no longer joined
DUE = const(5)  # the wait is over
DEAD = const(6)  # joined, but of no use
ADOPTED = const(7)  # networks to join, the first of which may be joined already

TRANSITIONS = (
    (OFF, CONFIGURED, WAITING),
    (OFF, ADOPTED, LOST),
    (OFF, CLEARED, OFF),
    (JOINING, CONFIGURED, WAITING),
    (JOINING, CLEARED, OFF),
    (JOINING, ADDRESSED, JOINED),
    (JOINING, FAILED, WAITING),
    (JOINED, CONFIGURED, WAITING),
    (JOINED, CLEARED, OFF),
    (JOINED, GONE, LOST),
    (JOINED, DEAD, WAITING),
    (LOST, CONFIGURED, WAITING),
    (LOST, CLEARED, OFF),
    (LOST, ADDRESSED, JOINED),
    (LOST, DUE, JOINING),
    (WAITING, CONFIGURED, WAITING),
    (WAITING, CLEARED, OFF),
    (WAITING, DUE, JOINING),
)

# Orders
JOIN = const(1)
LEAVE = const(2)

# What `next_event` tells.
JOINED_AS = const(1)  # joined; text: SSID
LOST_IT = const(2)
WRONG_PASSWORD = const(3)
NO_NETWORK = const(4)
NO_ADDRESS = const(5)  # neither joined nor refused in time: no answer, or no DHCP
NEW_ADDRESS = const(6)  # DHCP gave another one; text: address
NO_BASESTATION = const(7)  # left because nobody answers

# A join, address included; the driver's own way back; between the networks of a round.
_JOIN_MS = const(20000)
_ROAM_MS = const(3000)
_NEXT_MS = const(500)
# Between rounds, and until a network without basestation is left.
_PAUSE_MS = const(1000)
_PAUSE_MAX_MS = const(300000)
_PATIENCE_MS = const(300000)
_PATIENCE_DOUBLINGS = const(4)
_EVENTS_MAX = const(8)
_WHY = {driver.WRONG_PASSWORD: WRONG_PASSWORD, driver.NO_NETWORK: NO_NETWORK}


class Network:
    """`networks` are (SSID, password); `random(n)` gives octets."""

    def __init__(self, random: object) -> None:
        self._random = random
        self.state = OFF
        self.networks = ()
        self.address = None
        self._at = 0  # of the network that is tried or joined
        self._failures = 0  # in a row: attempts that led nowhere
        self._dead = 0  # in a row: networks left for want of a basestation
        self._due_ms = 0
        self._patience_ms = None  # when to leave; None while there is no reason to
        self._events = []

    @property
    def current(self) -> tuple:
        """(SSID, password) of the network that is tried or joined."""
        return self.networks[self._at]

    @property
    def is_up(self) -> bool:
        """Whether packets can leave."""
        return self.state == JOINED

    def configure(self, now_ms: int, networks: object, is_joined: bool = False) -> None:
        """Join one of these from now on; none at all with an empty list. The first one of a board that was OFF may be
        joined already."""
        self.networks = tuple(networks)
        self._at = self._failures = self._dead = 0
        self.address = None
        self._due_ms = now_ms
        self._enter(CLEARED if not self.networks else ADOPTED if is_joined else CONFIGURED)

    def step(self, now_ms: int, status: int, address: bytes | None) -> int | None:
        """Take the driver's facts; returns what it has to do before the next step."""
        is_joined = status == driver.JOINED and address is not None
        if self.state == JOINED:
            return self._stay(now_ms, address if is_joined else None)
        if self.state in (JOINING, LOST) and is_joined:
            self._arrive(address)
        elif self.state == JOINING:
            return self._watch(now_ms, status)
        elif self.state in (LOST, WAITING) and ticks.diff(now_ms, self._due_ms) >= 0:
            self._enter(DUE)
            self._due_ms = ticks.add(now_ms, _JOIN_MS)
            return JOIN
        return None

    def served(self, now_ms: int, is_attached: bool, is_wanted: bool) -> None:
        """Whether the basestation answers, and whether the lack of it is a reason to leave: not with remote access off,
        nor while somebody is connected locally. Call it before each step."""
        if is_attached:
            self._dead = 0
        if is_attached or not is_wanted or self.state != JOINED:
            self._patience_ms = None
        elif self._patience_ms is None:
            self._patience_ms = ticks.add(now_ms, _PATIENCE_MS << min(self._dead, _PATIENCE_DOUBLINGS))

    def next_event(self) -> tuple | None:
        """(code, text) of what happened, None when all is told."""
        return self._events.pop(0) if self._events else None

    # Steps

    def _enter(self, event: int) -> None:
        """The only writer of `state`."""
        for state, on, following in TRANSITIONS:
            if state == self.state and on == event:
                self.state = following
                return
        raise StateError("network: event not expected in this state", (self.state, event))

    def _tell(self, code: int, text: str) -> None:
        if len(self._events) < _EVENTS_MAX:
            self._events.append((code, text))

    def _arrive(self, address: bytes) -> None:
        self._enter(ADDRESSED)
        self._failures = 0
        self.address = address
        self._tell(JOINED_AS, self.current[0])

    def _stay(self, now_ms: int, address: bytes | None) -> int | None:
        if address is None:
            self._enter(GONE)
            self._due_ms = ticks.add(now_ms, _ROAM_MS)
            self._tell(LOST_IT, self.current[0])
            return None
        if address != self.address:
            self.address = address
            self._tell(NEW_ADDRESS, ".".join(str(octet) for octet in address))
        if self._patience_ms is None or ticks.diff(now_ms, self._patience_ms) < 0:
            return None
        self._tell(NO_BASESTATION, self.current[0])
        self._patience_ms = None
        self._dead += 1
        if self._dead % 2 == 0:
            self._at = (self._at + 1) % len(self.networks)
        self._enter(DEAD)
        self._due_ms = ticks.add(now_ms, _PAUSE_MS)
        return LEAVE

    def _watch(self, now_ms: int, status: int) -> int | None:
        is_late = ticks.diff(now_ms, self._due_ms) >= 0
        if status not in (driver.WRONG_PASSWORD, driver.NO_NETWORK, driver.FAILED) and not is_late:
            return None
        self._tell(_WHY.get(status, NO_ADDRESS), self.current[0])
        self._at = (self._at + 1) % len(self.networks)
        self._failures += 1
        self._due_ms = ticks.add(now_ms, self._pause_ms())
        self._enter(FAILED)
        return LEAVE

    def _pause_ms(self) -> int:
        """Short within a round; after one, doubled for each, less up to a half by chance."""
        rounds, within = divmod(self._failures, len(self.networks))
        if within:
            return _NEXT_MS
        pause_ms = _PAUSE_MAX_MS
        if rounds < 10:
            pause_ms = min(_PAUSE_MS << rounds - 1, _PAUSE_MAX_MS)
        return pause_ms - (pause_ms * self._random(1)[0] >> 9)
