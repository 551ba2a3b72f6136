"""A bound on how often something is done for strangers."""

from homeport_core import ticks
from homeport_core.compat import const

_WINDOW_MS = const(1000)


class RateLimit:
    """At most `limit` times in any window of one second that starts with the first time."""

    __slots__ = ("_count", "_limit", "_since_ms")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._count = 0
        self._since_ms = 0

    def allows(self, now_ms: int) -> bool:
        """Count one more, and say whether it is within the limit."""
        if self._count == 0 or not 0 <= ticks.diff(now_ms, self._since_ms) < _WINDOW_MS:
            self._since_ms = now_ms
            self._count = 0
        if self._count >= self._limit:
            return False
        self._count += 1
        return True
