"""When to send keep-alives, and when silence means that a path is dead (specification, core 5.8)."""

from __future__ import annotations

PERIOD_MS = 5_000
RETRY_MS = 1_000  # an unanswered one is repeated at this pace: the device forgets us after 17.5 s of silence
TRIES = 3
SILENCE_MAX_MS = 3 * PERIOD_MS  # after which all paths have had their tries and the device is about to forget us
_REMEMBERED = 16  # counters whose echo may still come; bounds what a silent device makes us keep


class KeepAlive:
    """Counts keep-alives of one session. The counter grows over all paths: the GSP binds our relay address by it."""

    def __init__(self) -> None:
        self.counter = 0
        self.unanswered = 0
        self.heard_at_ms = 0
        self.deadline_ms: int | None = None
        self.rtt_ms: int | None = None
        self._sent_at_ms: dict[int, int] = {}

    def send(self, now_ms: int, retry_ms: int) -> int:
        """Count one more keep-alive as sent; returns its counter."""
        self.counter += 1
        self.unanswered += 1
        self.deadline_ms = now_ms + retry_ms
        self._sent_at_ms[self.counter] = now_ms
        if len(self._sent_at_ms) > _REMEMBERED:
            del self._sent_at_ms[min(self._sent_at_ms)]
        return self.counter

    def echoed(self, now_ms: int, counter: int) -> bool:
        """Whether `counter` is one that we sent and saw no echo of: a second echo is a replay."""
        sent_at_ms = self._sent_at_ms.pop(counter, None)
        if sent_at_ms is None:
            return False
        self.rtt_ms = now_ms - sent_at_ms
        return True

    def doubt(self, now_ms: int) -> None:
        """A request was not answered in time: see now, not at the next period, whether the path still works."""
        if self.unanswered == 0:
            self.deadline_ms = now_ms

    def heard(self, now_ms: int) -> None:
        """Something authentic and new came from the device."""
        self.unanswered = 0
        self.heard_at_ms = now_ms
        self.deadline_ms = now_ms + PERIOD_MS

    def restart(self) -> None:
        """Begin counting tries afresh, for another path: only an echo of what is sent from now on counts."""
        self.unanswered = 0
        self._sent_at_ms.clear()
