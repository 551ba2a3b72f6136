"""A connection that the basestation introduced: keys are there, the way is to be found (specification, core 10.3).

The relay is there from the beginning, so it is asked first, while both ends look for a direct path; a private endpoint
is preferred to a global one. Where UDP does not get through, the relay is reached through the gate's WebSocket.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from homeport_core.crypto import AesContext
from homeport_core.errors import HomeportError, MalformedError
from homeport_core.packet import Context, Packet
from homeport_core.spec import FL_RESPONSE, NAT_UNKNOWN, PT_U_CONNECT

from homeport.client.session.opening import Rng, random_nsi
from homeport.client.session.paths import GATE_ENDPOINT, Candidates, Path, PathKind
from homeport.client.session.rekey import Rekey
from homeport.client.session.rendezvous import DURATION_MS, Rendezvous, usable
from homeport.client.session.searching import Searching
from homeport.errors import ConnectFailed

TLS_AFTER_MS = 1_000  # UDP has had three tries then
PRIVATE_GRACE_MS = 50  # what the private endpoint may come later than the global one and still be chosen

_RANK_PRIVATE, _RANK_GLOBAL, _RANK_RELAY, _RANK_TLS = range(4)


@dataclass(frozen=True)
class Introduction:
    """What the gate says about a connection (core 10.2). Endpoints are 6 bytes, zero when unknown."""

    nsi: bytes
    key: bytes = field(repr=False)
    gsp: bytes
    device_private: bytes
    device_global: bytes
    device_nat: int
    own_nat: int = NAT_UNKNOWN


class IntroducedOpening:
    """Finds paths for an introduced connection; `kinds` says which are allowed (direct, relay, tls).

    `has_udp` is false when the basestation is known not to be reachable by UDP. With a `rekey` the connection has to go
    over to end-to-end keys.
    """

    proves_path = False
    remembers = False
    is_end_to_end = False

    def __init__(
        self,
        introduction: Introduction,
        kinds: frozenset[PathKind],
        rng: Rng,
        has_udp: bool = True,
        rekey: Rekey | None = None,
    ) -> None:
        self.cp = random_nsi(rng)
        self.sp = introduction.nsi
        self.context: Context | None = AesContext(introduction.key, True)
        self.candidates = Candidates()
        self.out: list[tuple[bytes, bytes]] = []
        self.rekey = rekey
        self._kinds = kinds
        self._has_udp = has_udp
        self._gsp = introduction.gsp
        self._private = introduction.device_private
        self._prefer_private_until_ms: int | None = None
        ends = introduction.device_private, introduction.device_global, introduction.device_nat
        self._rendezvous = Rendezvous(self.cp, self.sp, *ends)
        self.searching = Searching(*ends, introduction.own_nat, self._look) if PathKind.DIRECT in kinds else None

    @property
    def deadline_ms(self) -> int | None:
        return self._rendezvous.deadline_ms

    @property
    def nsis(self) -> tuple[bytes, ...]:
        return (self.cp, self.sp)

    @property
    def error(self) -> HomeportError | None:
        if self._rendezvous.active:
            return None
        attempts = [(str(path.kind), why) for path, why in self.candidates.attempts]
        if self.searching is not None and not self._rendezvous.concluded:
            attempts.insert(0, ("direct", f"no answer to rendezvous within {DURATION_MS // 1000} s"))
        return ConnectFailed(
            "no path to the device works: " + "; ".join(f"{path}: {why}" for path, why in attempts),
            attempts,
            "allow outgoing UDP to the basestation, or use --path auto",
        )

    def start(self, now_ms: int) -> None:
        if PathKind.RELAY in self._kinds:
            self.candidates.add(Path(PathKind.RELAY, self._gsp), _RANK_RELAY, now_ms)
        if PathKind.TLS in self._kinds:
            is_last = self._has_udp and len(self._kinds) > 1
            self.candidates.add(
                Path(PathKind.TLS, GATE_ENDPOINT), _RANK_TLS, now_ms + TLS_AFTER_MS if is_last else now_ms
            )
        if self.searching is not None:
            self._rendezvous.start(now_ms)
            self._drain()

    def timeout(self, now_ms: int) -> None:
        self._rendezvous.timeout(now_ms)
        self._drain()

    def packet(self, now_ms: int, packet: Packet, source: bytes) -> None:
        if packet.type != PT_U_CONNECT or packet.flags & FL_RESPONSE or packet.sp != self.sp:
            raise MalformedError("not a rendezvous packet")
        if self.searching is None:
            return
        concluded = self._rendezvous.packet(packet, source)
        self._drain()
        if concluded:
            self._offer(now_ms, source)

    def abandon(self, now_ms: int) -> None:
        self._rendezvous.stop()

    def _look(self, now_ms: int, private: bytes, global_: bytes, nat_type: int) -> None:
        """Begin another rendezvous."""
        self._private = private
        self._prefer_private_until_ms = None
        self._rendezvous = Rendezvous(self.cp, self.sp, private, global_, nat_type)
        self._rendezvous.start(now_ms)
        self._drain()

    def _offer(self, now_ms: int, source: bytes) -> None:
        """`source` has been heard by, and hears, us."""
        if self._prefer_private_until_ms is None:
            grace_ms = PRIVATE_GRACE_MS if usable(self._private) else 0
            self._prefer_private_until_ms = now_ms + grace_ms
        path = Path(PathKind.DIRECT, source)
        if source == self._private:
            self.candidates.add(path, _RANK_PRIVATE, now_ms)
        else:
            self.candidates.add(path, _RANK_GLOBAL, max(now_ms, self._prefer_private_until_ms))

    def _drain(self) -> None:
        self.out += self._rendezvous.out
        self._rendezvous.out.clear()
