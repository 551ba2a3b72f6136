"""The event channel: text for the basestation that rides on alive responses (specification, core 4.7, 8.4).

Delivery is at least once, in the clear and unauthenticated. A new alive sequence number fetches the next event; the
same number, a retransmission, gets the same event again.
"""

from homeport_core.errors import FullError


class Events:
    """Events that wait, oldest first, and the one on its way."""

    __slots__ = ("_event_max", "_events_max", "_last_seq", "_on_its_way", "_waiting")

    def __init__(self, events_max: int, event_max: int) -> None:
        self._events_max = events_max
        self._event_max = event_max
        self._waiting = []
        self._last_seq = 0
        self._on_its_way = b""

    def publish(self, data: bytes) -> None:
        """Queue one event. Raises FullError when it is too long or too many wait."""
        if len(data) > self._event_max:
            raise FullError("event longer than event_max", len(data))
        if len(self._waiting) >= self._events_max:
            raise FullError("too many events wait", len(self._waiting))
        self._waiting.append(bytes(data))

    def reset(self) -> None:
        """A new attachment counts its alive requests anew; what was on its way may be lost, so it goes again."""
        if self._on_its_way:
            self._waiting.insert(0, self._on_its_way)
        self._last_seq = 0
        self._on_its_way = b""

    def fetch(self, seq: int) -> bytes:
        """What the answer to alive request `seq` carries; empty for nothing."""
        if seq != self._last_seq:
            self._last_seq = seq
            self._on_its_way = self._waiting.pop(0) if self._waiting else b""
        return self._on_its_way
