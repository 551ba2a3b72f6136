"""When the watchdog is fed no more: sans-IO, beside the run loop.

What blocks the loop starves the watchdog by itself. Two things hang without blocking it: the stack's timer, when its
task is gone or each of its steps fails, and an async handler that waits for ever, which keeps all other requests out.
"""

from homeport_core import ticks
from homeport_core.compat import const

# The dog's own bound: within that of the shortest-lived one, rp2's. Storing a full list of users takes two seconds
# where flash is slow, a scan of the air three.
WATCHDOG_MS = const(8000)
# How late the stack's timer may be, and how long a handler may keep its request.
LATE_MS = const(30000)
HANDLER_MS = const(60000)


class Vigil:
    """`hung` once in each round of the loop; rounds are less than three days apart, for ticks wrap."""

    def __init__(self) -> None:
        self._request = None  # the one at work
        self._since_ms = 0

    def hung(self, now_ms: int, deadline_ms: int | None, request: object) -> str:
        """What hangs, empty while nothing does: `deadline_ms` is the stack's, `request` the oldest without answer."""
        if request is not self._request:
            self._request = request
            self._since_ms = now_ms
        if request is not None and ticks.diff(now_ms, self._since_ms) > HANDLER_MS:
            return "a handler"
        if deadline_ms is not None and ticks.diff(now_ms, deadline_ms) > LATE_MS:
            return "the stack"
        return ""
