"""The ways to a device, in order of preference, and how each has done so far."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum


class PathKind(StrEnum):
    """How packets travel; the values are what people and scripts see."""

    LOCAL = "local"
    DIRECT = "direct"
    RELAY = "relay"
    TLS = "tls"


# Where the path TLS leads: the relay, through the gate's WebSocket. No host has this address.
GATE_ENDPOINT = bytes((0, 0, 0, 0, 0, 1))


@dataclass(frozen=True)
class Path:
    """Where to send: `endpoint` is 6 bytes, as in an EP payload (the GSP's for the relay, GATE_ENDPOINT for TLS)."""

    kind: PathKind
    endpoint: bytes

    @property
    def is_relayed(self) -> bool:
        """Whether the basestation carries the packets."""
        return self.kind in (PathKind.RELAY, PathKind.TLS)


# A device answers rendezvous from few places; more endpoints than this come from someone who knows the NSI.
MAX_DIRECT = 8

PAUSE_MS = 500
_PAUSE_DOUBLINGS_MAX = 7


@dataclass(eq=False)
class Candidate:
    """One path and what is being tried on it; `steering.Steering` moves it."""

    path: Path
    rank: int  # lower is better
    due_ms: int | None = None  # when something is to be done about it
    tries: int = 0  # keep-alives that went out since it was last heard
    failures: int = 0  # in a row
    retry_at_ms: int = 0  # a path that failed is left alone for so long, while another one works
    rtt_ms: int | None = None

    def failed(self, now_ms: int) -> None:
        """Leave it alone for a while, twice as long each time: 0.5 s to a minute."""
        self.tries = 0
        self.retry_at_ms = now_ms + (PAUSE_MS << min(self.failures, _PAUSE_DOUBLINGS_MAX))
        self.failures += 1


class Candidates:
    """The usable paths. `attempts` holds those given up while the connection was not open yet, and why."""

    def __init__(self) -> None:
        self.attempts: list[tuple[Path, str]] = []
        self._candidates: dict[Path, Candidate] = {}
        self._added: list[Candidate] = []

    def __iter__(self) -> Iterator[Candidate]:
        return iter(self._candidates.values())

    def add(self, path: Path, rank: int, at_ms: int) -> None:
        """Make `path` usable, not before `at_ms`; a lower `rank` is preferred.

        A known path may be tried again. When there are too many direct ones, one that has failed makes room.
        """
        candidate = self._candidates.get(path)
        if candidate is None:
            if path.kind is PathKind.DIRECT and not self._has_room():
                return
            candidate = self._candidates[path] = Candidate(path, rank)
        candidate.retry_at_ms = at_ms
        if candidate not in self._added:
            self._added.append(candidate)

    def get(self, path: Path) -> Candidate | None:
        """What is known of a path."""
        return self._candidates.get(path)

    def take_added(self) -> list[Candidate]:
        """Those that were added, or added again, since the last call."""
        added, self._added = self._added, []
        return added

    def fail(self, path: Path, why: str) -> None:
        """Note that the attempt to open the connection on `path` is given up."""
        self.attempts.append((path, why))

    def best(self) -> Path | None:
        """The preferred path that has not been given up."""
        given_up = {path for path, _ in self.attempts}
        usable = [candidate for candidate in self if candidate.path not in given_up]
        return min(usable, key=lambda candidate: candidate.rank).path if usable else None

    def _has_room(self) -> bool:
        direct = [one for one in self if one.path.kind is PathKind.DIRECT]
        if len(direct) < MAX_DIRECT:
            return True
        worst = max(direct, key=lambda candidate: candidate.failures)
        if worst.failures == 0:
            return False
        del self._candidates[worst.path]
        return True
