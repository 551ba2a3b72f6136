"""The ways to a device, in order of preference, and what became of each.

A device follows the source of the last verified packet (specification, core 5.6), so a client uses one path at a
time: it commits to the best candidate by a keep-alive, and moves to the next when no echo comes.
"""

from __future__ import annotations

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


# A device answers rendezvous from few places; more endpoints than this come from someone who knows the NSI.
MAX_DIRECT = 8


class Candidates:
    """Usable paths, best first, each with its state in the present round of attempts."""

    def __init__(self) -> None:
        self._ranks: dict[Path, int] = {}
        self._failed: set[Path] = set()
        self.attempts: list[tuple[Path, str]] = []

    def add(self, path: Path, rank: int) -> None:
        """Make `path` usable; a lower `rank` is preferred. Known and surplus direct paths change nothing."""
        direct = sum(known.kind is PathKind.DIRECT for known in self._ranks)
        if path not in self._ranks and (path.kind is not PathKind.DIRECT or direct < MAX_DIRECT):
            self._ranks[path] = rank

    def best(self) -> Path | None:
        """The preferred path that has not failed in this round."""
        usable = [path for path in self._ranks if path not in self._failed]
        return min(usable, key=lambda path: self._ranks[path], default=None)

    def fail(self, path: Path, why: str) -> None:
        """Put `path` aside for this round."""
        self._failed.add(path)
        self.attempts.append((path, why))

    def new_round(self, last: Path) -> None:
        """Try everything again, with `last` (the path just lost) after all others."""
        self._failed.clear()
        self.attempts.clear()
        self._ranks[last] = max(self._ranks.values(), default=0) + 1
