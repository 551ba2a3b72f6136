"""Who has to show life so that the board is not reset: sans-IO, beside the run loop.

A pulse is a name and a bound; `beat` says that it lives and must again in time, `rest` that nothing is expected.
The watchdog is fed only while no pulse is overdue, so whatever hangs, the loop or one of its tasks, ends in a reset.
"""

from homeport_core import ticks


class Pulses:
    """Bounds are at most three days, for ticks wrap."""

    def __init__(self) -> None:
        self._due_ms = {}  # by name; None while nothing is expected
        self._bound_ms = {}

    def add(self, name: str, bound_ms: int) -> None:
        """Something that has to beat at least so often, from the first `beat` on."""
        self._bound_ms[name] = bound_ms
        self._due_ms[name] = None

    def beat(self, name: str, now_ms: int) -> None:
        """It lives."""
        self._due_ms[name] = ticks.add(now_ms, self._bound_ms[name])

    def rest(self, name: str) -> None:
        """Nothing is expected of it until it beats again."""
        self._due_ms[name] = None

    def overdue(self, now_ms: int) -> str | None:
        """The name of one that should have shown life; None while all is well."""
        for name in self._due_ms:
            due_ms = self._due_ms[name]
            if due_ms is not None and ticks.diff(now_ms, due_ms) > 0:
                return name
        return None
