"""Looking for a direct path again, on a connection that is relayed: when, and what the device is asked for.

The first search belongs to the opening. Another one follows at once when a direct path died or our address changed, and
then now and then, ever more rarely. It begins with our own endpoints, which only the adapter can find out
(`SearchWanted`), and tells them to a device that can search in its turn (docs/extensions.md).
"""

from __future__ import annotations

from collections.abc import Callable

from homeport_core.errors import MalformedError
from homeport_core.spec import ENDPOINT_LEN, ENDPOINT_ZERO, NAT_SYMMETRIC, SEARCH_LEN

from homeport.client.session.paths import Path
from homeport.client.session.steering import STABLE_MS

# From one search to the next; the opening's was the one before the third pause.
PAUSES_MS = (0, 5_000, 15_000, 30_000, 60_000, 120_000, 300_000, 600_000)
_AFTER_OPENING = 3
ASKS = 3
ASK_PERIOD_MS = 1_000

Look = Callable[[int, bytes, bytes, int], None]


class Searching:
    """`look(now_ms, private, global, nat_type)` begins a rendezvous of ours with these endpoints of the device."""

    def __init__(self, private: bytes, global_: bytes, nat_type: int, own_nat: int, look: Look) -> None:
        self.device_private, self.device_global, self.device_nat = private, global_, nat_type
        self._own_nat = own_nat
        self._look = look
        self._step = _AFTER_OPENING
        self._direct_since_ms: int | None = None
        self._was_lost = False
        self._due_ms: int | None = None
        self._message = b""
        self._asks_left = 0
        self._ask_at_ms = 0

    @property
    def deadline_ms(self) -> int | None:
        """When `wants_place` or `next_ask` has something to do."""
        asks = [self._ask_at_ms] if self._asks_left else []
        return min(asks if self._due_ms is None else [*asks, self._due_ms], default=None)

    @property
    def obstacle(self) -> str | None:
        """Why there can be no direct path, if it is known that there can be none."""
        if self._own_nat == NAT_SYMMETRIC == self.device_nat:
            return "both NATs are symmetric: neither end can know a port of the other's"
        return None

    def follow(self, now_ms: int, path: Path) -> None:
        """The session uses `path` from now on."""
        if not path.is_relayed:
            self._direct_since_ms = now_ms
            self._due_ms = None
            self._asks_left = 0
        elif self._direct_since_ms is not None:
            if not self._was_lost or now_ms - self._direct_since_ms >= STABLE_MS:
                self._step = 0
            self._was_lost = True
            self._direct_since_ms = None
            self._plan(now_ms)
        elif self._due_ms is None:
            self._plan(now_ms)

    def moved(self, now_ms: int) -> None:
        """Our own address is another."""
        self._step = 0
        self._was_lost = False
        if self._direct_since_ms is None:
            self._plan(now_ms)

    def wants_place(self, now_ms: int) -> bool:
        """Whether it is time to search again: somebody has to find out where we are, and call `begin`."""
        if self._due_ms is None or now_ms < self._due_ms:
            return False
        self._plan(now_ms)
        return True

    def begin(self, now_ms: int, private: bytes | None, public: bytes | None, nat_type: int) -> None:
        """Search, if the connection is still relayed: we are at these endpoints, as far as known."""
        if self._direct_since_ms is not None:
            return
        self._message = (private or ENDPOINT_ZERO) + (public or ENDPOINT_ZERO) + bytes((nat_type,))
        self._own_nat = nat_type
        self._asks_left = ASKS
        self._ask_at_ms = now_ms
        self._look(now_ms, self.device_private, self.device_global, self.device_nat)

    def next_ask(self, now_ms: int) -> bytes | None:
        """The question to send to the device now."""
        if not self._asks_left or now_ms < self._ask_at_ms:
            return None
        self._asks_left -= 1
        self._ask_at_ms = now_ms + ASK_PERIOD_MS
        return self._message

    def answered(self, now_ms: int, answer: bytes) -> None:
        """The device says where it is: a new address of its is searched at. Raises MalformedError."""
        if len(answer) != SEARCH_LEN:
            raise MalformedError("an answer to a search has 13 octets", len(answer))
        if not self._asks_left and self._ask_at_ms < now_ms:
            return  # late, and the search is over
        self._asks_left = 0
        found = answer[:ENDPOINT_LEN], answer[ENDPOINT_LEN : 2 * ENDPOINT_LEN], answer[-1]
        if found != (self.device_private, self.device_global, self.device_nat):
            self.device_private, self.device_global, self.device_nat = found
            self._look(now_ms, *found)

    def _plan(self, now_ms: int) -> None:
        self._due_ms = now_ms + PAUSES_MS[self._step]
        self._step = min(self._step + 1, len(PAUSES_MS) - 1)
