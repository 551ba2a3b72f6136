"""Which path a session uses: keep-alives prove paths, one is in use, the others stand by (specification, core 5.6).

A device answers to where the last packet came from, so everything goes over the path in use but the keep-alive that
proves another one:

- While no path is proved, all are asked, again and again; the first that answers is used.
- While one is in use, a better one is asked once, and used when it answers. When it does not, a keep-alive on the path
  in use calls the device back, and the better path is left alone for a time that doubles.
- A path in use that is silent for a few keep-alives is lost, and all are asked again.
- The relay, when it is not in use, is asked once in a while, so that it is not forgotten.
"""

from __future__ import annotations

from homeport.client.session.keepalive import PERIOD_MS, KeepAlive
from homeport.client.session.paths import Candidate, Candidates, Path, PathKind

TRIES = 3  # keep-alives without an echo after which a path in use is lost
RETRY_MIN_MS, RETRY_MAX_MS = 400, 1_000  # the wait for an echo on the path in use: two round trips within these
OPENING_GAPS_MS = (250, 500, 1_000, 1_000, 1_000, 1_000)  # between keep-alives on a path that is not proved yet
PROBE_WAIT_MS = 500
LOST_AGAIN_MS = 1_000  # a path that was just lost is asked after the others
STABLE_MS = 30_000  # in use for so long, a path is as good as one that never failed
REFRESH_MS = 600_000  # the GSP keeps a session for an hour of silence
SILENCE_MAX_MS = 3 * PERIOD_MS  # then all paths have had their tries and the device is about to forget us


class Steering:
    """`path` is in use, or was last; `is_proved` tells whether it answers. `has_opened`: one did, at some time."""

    def __init__(self, candidates: Candidates) -> None:
        self.is_proved = False
        self.has_opened = False
        self.heard_at_ms = 0
        self._candidates = candidates
        self._keep_alive = KeepAlive()
        self._used: Candidate | None = None
        self._used_since_ms = 0

    @property
    def path(self) -> Path | None:
        """The path in use, or that was in use last."""
        return None if self._used is None else self._used.path

    @property
    def rtt_ms(self) -> int | None:
        """Round trip of the last keep-alive that was echoed on the path in use."""
        return None if self._used is None else self._used.rtt_ms

    @property
    def deadline_ms(self) -> int | None:
        """When `due` has something to do."""
        times = [candidate.due_ms for candidate in self._candidates if candidate.due_ms is not None]
        if self.has_opened and not self.is_proved:
            times.append(self.heard_at_ms + SILENCE_MAX_MS)
        return min(times, default=None)

    @property
    def is_trying(self) -> bool:
        """Whether any path may still answer, while none is proved."""
        return any(candidate.due_ms is not None for candidate in self._candidates)

    def is_silent(self, now_ms: int) -> bool:
        """Whether all paths of an open session have been silent for so long that the device must be gone."""
        return self.has_opened and not self.is_proved and now_ms - self.heard_at_ms >= SILENCE_MAX_MS

    def due(self, now_ms: int) -> list[tuple[Path, int]]:
        """The keep-alives to send now: path and counter."""
        for candidate in self._candidates.take_added():
            if candidate is not self._used:
                self._schedule(now_ms, candidate)
        used = self._used
        ready = [one for one in self._candidates if one is not used and one.due_ms is not None and now_ms >= one.due_ms]
        if used is not None:
            ready.append(used)  # last: what the others need of it, it does at once
        sends: list[tuple[Path, int]] = []
        for candidate in ready:
            if candidate.due_ms is not None and now_ms >= candidate.due_ms and self._act(now_ms, candidate):
                candidate.tries += 1
                sends.append((candidate.path, self._keep_alive.sent(now_ms, candidate.path)))
        return sends

    def use(self, now_ms: int, path: Path) -> None:
        """Use a path that needs no proof."""
        self._candidates.take_added()
        candidate = self._candidates.get(path)
        if candidate is not None:
            self._use(now_ms, candidate)

    def echoed(self, now_ms: int, counter: int) -> bool:
        """An authentic echo came. False when we did not wait for it: a replay."""
        found = self._keep_alive.echoed(now_ms, counter)
        if found is None:
            return False
        path, rtt_ms = found
        self.heard_at_ms = now_ms
        candidate = self._candidates.get(path)
        if candidate is None:
            return True
        candidate.rtt_ms = rtt_ms
        if candidate is self._used and self.is_proved:
            self.heard(now_ms)
        elif self._used is None or not self.is_proved or candidate.rank < self._used.rank:
            self._use(now_ms, candidate)
        else:
            candidate.tries = 0
            self._schedule(now_ms, candidate)
            self._call_back(now_ms)
        return True

    def heard(self, now_ms: int) -> None:
        """Something authentic and new came from the device."""
        self.heard_at_ms = now_ms
        if self._used is not None and self.is_proved:
            self._used.tries = 0
            self._used.due_ms = now_ms + PERIOD_MS

    def doubt(self, now_ms: int) -> None:
        """An answer is late: see now, not at the next period, whether the path in use still works."""
        if self.is_proved and self._used is not None and self._used.tries == 0:
            self._used.due_ms = now_ms

    def moved(self, now_ms: int) -> None:
        """Our own address is another: the path in use has one try to show that it still works."""
        for candidate in self._candidates:
            candidate.failures = 0
        if self.is_proved and self._used is not None:
            self._used.tries = TRIES - 1
            self._used.due_ms = now_ms

    def _act(self, now_ms: int, candidate: Candidate) -> bool:
        """The candidate is due: whether a keep-alive goes out on it."""
        if not self.is_proved:
            return self._ask_again(now_ms, candidate)
        if candidate is self._used:
            if candidate.tries < TRIES:
                candidate.due_ms = now_ms + min(max(RETRY_MIN_MS, 2 * (candidate.rtt_ms or 0)), RETRY_MAX_MS)
                return True
            self._lose(now_ms, candidate)
            return False
        if candidate.tries == 0:
            candidate.due_ms = now_ms + PROBE_WAIT_MS
            return True
        candidate.failed(now_ms)
        self._schedule(now_ms, candidate)
        self._call_back(now_ms)
        return False

    def _ask_again(self, now_ms: int, candidate: Candidate) -> bool:
        """While no path is proved."""
        if not self.has_opened and candidate.tries == len(OPENING_GAPS_MS):
            self._candidates.fail(candidate.path, f"no echo of {candidate.tries} keep-alives")
            candidate.due_ms = None
            return False
        candidate.due_ms = now_ms + OPENING_GAPS_MS[min(candidate.tries, len(OPENING_GAPS_MS) - 1)]
        return True

    def _use(self, now_ms: int, candidate: Candidate) -> None:
        """From now on `candidate`. The device is told by another keep-alive where it may have heard us elsewhere."""
        others = [other for other in self._candidates if other is not candidate]
        is_told = self._used in (None, candidate) and all(other.tries == 0 for other in others)
        if candidate is not self._used:
            self._used_since_ms = now_ms
        self._used = candidate
        self.is_proved = self.has_opened = True
        self.heard(now_ms)
        for other in others:
            other.tries = 0
            self._schedule(now_ms, other)
        if not is_told:
            candidate.due_ms = now_ms

    def _lose(self, now_ms: int, candidate: Candidate) -> None:
        """The path in use is dead: ask all, the relay through the gate only when that over UDP is silent, too."""
        if now_ms - self._used_since_ms >= STABLE_MS:
            candidate.failures = 0
        candidate.failed(now_ms)
        self.is_proved = False
        for other in self._candidates:
            other.tries = 0
            self._schedule(now_ms, other)
        candidate.due_ms = now_ms + LOST_AGAIN_MS if len(list(self._candidates)) > 1 else now_ms

    def _schedule(self, now_ms: int, candidate: Candidate) -> None:
        """When a candidate that is not in use is asked next."""
        if candidate.tries > 0:
            return
        if self._used is None:
            candidate.due_ms = max(now_ms, candidate.retry_at_ms)
        elif not self.is_proved:
            candidate.due_ms = now_ms + (LOST_AGAIN_MS if candidate.path.kind is PathKind.TLS else 0)
        elif candidate.rank < self._used.rank:
            candidate.due_ms = max(now_ms, candidate.retry_at_ms)
        else:
            candidate.due_ms = now_ms + REFRESH_MS if candidate.path.is_relayed else None

    def _call_back(self, now_ms: int) -> None:
        """The device may answer to another path now: the path in use speaks up."""
        if self._used is not None and self._used.tries == 0:
            self._used.due_ms = now_ms
