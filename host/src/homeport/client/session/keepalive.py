"""The keep-alives of one session: their counters, and which echo belongs to which path (specification, core 5.8)."""

from __future__ import annotations

from homeport.client.session.paths import Path

PERIOD_MS = 5_000
_REMEMBERED = 32  # counters whose echo may still come; bounds what a silent device makes us keep


class KeepAlive:
    """The counter grows over all paths: the GSP binds our relay address by it."""

    def __init__(self) -> None:
        self.counter = 0
        self._sent: dict[int, tuple[int, Path]] = {}

    def sent(self, now_ms: int, path: Path) -> int:
        """Count one more keep-alive as sent on `path`; returns its counter."""
        self.counter += 1
        self._sent[self.counter] = (now_ms, path)
        if len(self._sent) > _REMEMBERED:
            del self._sent[min(self._sent)]
        return self.counter

    def echoed(self, now_ms: int, counter: int) -> tuple[Path, int] | None:
        """The path that `counter` went out on and its round trip in ms; None for one that we did not send, or saw the
        echo of before: a second echo is a replay."""
        found = self._sent.pop(counter, None)
        return None if found is None else (found[1], now_ms - found[0])
