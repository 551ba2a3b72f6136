"""A connection that the basestation introduced: keys are there, the way is to be found (specification, core 10.3).

A direct path is preferred, a private one over a global one; the relay is used when none was found soon enough, and
left again when one is found late. Nothing is sent through the relay before it is chosen: the device stops looking
for a direct path as soon as it gets data (core 5.5).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from homeport_core.crypto import AesContext
from homeport_core.errors import HomeportError, MalformedError
from homeport_core.packet import Context, Packet
from homeport_core.spec import FL_RESPONSE, PT_U_CONNECT

from homeport.client.session.opening import Rng, random_nsi
from homeport.client.session.paths import Candidates, Path, PathKind
from homeport.client.session.rendezvous import DURATION_MS, Rendezvous, usable
from homeport.errors import ConnectFailed

RELAY_AFTER_MS = 2_000  # the shorter end of core 10.3: whoever can be reached directly answers within a second
PRIVATE_GRACE_MS = 50  # what the private endpoint may come later than the global one and still be chosen

_RANK_PRIVATE, _RANK_GLOBAL, _RANK_RELAY = range(3)


@dataclass(frozen=True)
class Introduction:
    """What the gate says about a connection (core 10.2). Endpoints are 6 bytes, zero when unknown."""

    nsi: bytes
    key: bytes = field(repr=False)
    gsp: bytes
    device_private: bytes
    device_global: bytes
    device_nat: int


class IntroducedOpening:
    """Finds the path for an introduced connection; `kinds` says which are allowed (direct, relay or both)."""

    proves_path = False
    remembers = False

    def __init__(self, introduction: Introduction, kinds: frozenset[PathKind], rng: Rng) -> None:
        self.cp = random_nsi(rng)
        self.sp = introduction.nsi
        self.context: Context | None = AesContext(introduction.key, True)
        self.candidates = Candidates()
        self.out: list[tuple[bytes, bytes]] = []
        self.error: HomeportError | None = None
        self._direct = PathKind.DIRECT in kinds
        self._relay = Path(PathKind.RELAY, introduction.gsp) if PathKind.RELAY in kinds else None
        self._private = introduction.device_private
        self._await_private = usable(self._private) and self._private != introduction.device_global
        self._rendezvous = Rendezvous(
            self.cp, self.sp, introduction.device_private, introduction.device_global, introduction.device_nat
        )
        self._relay_at_ms: int | None = None
        self._choose_at_ms: int | None = None

    @property
    def deadline_ms(self) -> int | None:
        times = (self._rendezvous.deadline_ms, self._relay_at_ms, self._choose_at_ms)
        return min((time for time in times if time is not None), default=None)

    @property
    def nsis(self) -> tuple[bytes, ...]:
        return (self.cp, self.sp)

    def start(self, now_ms: int) -> None:
        if self._direct:
            self._rendezvous.start(now_ms)
            self._drain()
        if self._relay is not None:
            self._relay_at_ms = now_ms + RELAY_AFTER_MS if self._direct else now_ms
            self.timeout(now_ms)

    def timeout(self, now_ms: int) -> None:
        self._rendezvous.timeout(now_ms)
        self._drain()
        if self._choose_at_ms is not None and now_ms >= self._choose_at_ms:
            self._choose_at_ms = None
        if self._relay is not None and self._relay_at_ms is not None and now_ms >= self._relay_at_ms:
            self._relay_at_ms = None
            self.candidates.add(self._relay, _RANK_RELAY)

    def packet(self, now_ms: int, packet: Packet, source: bytes) -> None:
        if packet.type != PT_U_CONNECT or packet.flags & FL_RESPONSE or packet.sp != self.sp:
            raise MalformedError("not a rendezvous packet")
        if not self._direct:
            return
        concluded = self._rendezvous.packet(packet, source)
        self._drain()
        if concluded:
            private = source == self._private
            self.candidates.add(Path(PathKind.DIRECT, source), _RANK_PRIVATE if private else _RANK_GLOBAL)
            if private:
                self._choose_at_ms = None
            elif self._await_private:
                self._choose_at_ms = now_ms + PRIVATE_GRACE_MS
            self._await_private = False

    def choose(self, now_ms: int, current: Path | None) -> Path | None:
        if self._choose_at_ms is not None:
            return None  # a private endpoint may still answer
        best = self.candidates.best()
        if best is None:
            self._judge()
        elif current is None or (current.kind is PathKind.RELAY and best.kind is PathKind.DIRECT):
            return best
        return None

    def abandon(self, now_ms: int) -> None:
        self._rendezvous.stop()
        self._relay_at_ms = self._choose_at_ms = None

    def _judge(self) -> None:
        """Set `error` when nothing is left to try and nothing can come."""
        if self._rendezvous.active or self._relay_at_ms is not None:
            return
        attempts = [(str(path.kind), why) for path, why in self.candidates.attempts]
        if self._direct and not self._rendezvous.concluded:
            attempts.insert(0, ("direct", f"no answer to rendezvous within {DURATION_MS // 1000} s"))
        self.error = ConnectFailed(
            "no path to the device works: " + "; ".join(f"{path}: {why}" for path, why in attempts),
            attempts,
            "allow outgoing UDP to the basestation, or use --path auto",
        )

    def _drain(self) -> None:
        self.out += self._rendezvous.out
        self._rendezvous.out.clear()
