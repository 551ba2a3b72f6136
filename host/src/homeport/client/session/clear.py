"""A clear local connection: one request, one answer, no keys (specification, core 6.3)."""

from __future__ import annotations

from homeport_core.crypto import NullContext
from homeport_core.errors import HomeportError, MalformedError
from homeport_core.packet import Context, Packet
from homeport_core.payloads import parse_notify
from homeport_core.spec import FL_RESPONSE, NOTIFY_OK, NSI_ZERO, PL_NOTIFY, PT_U_CONNECT

from homeport.client.session import frames
from homeport.client.session.opening import Rng, random_nsi
from homeport.client.session.paths import Candidates, Path, PathKind
from homeport.client.session.refusals import notify_error
from homeport.client.session.rekey import Rekey
from homeport.client.session.searching import Searching
from homeport.errors import DeviceOffline

RETRY_MS = 500
GIVE_UP_MS = 5_000
_NEXT_STEP = "see that it is switched on, and that the address is its own ('homeport discover')"


class ClearOpening:
    """Asks a device for a clear connection under an NSI of our choosing, so that repeating the request is harmless.

    Nothing here is authenticated: identity and answers are only as good as the local network.
    """

    proves_path = True
    remembers = False
    is_end_to_end = False
    rekey: Rekey | None = None
    searching: Searching | None = None

    def __init__(self, endpoint: bytes, client_id: str, fingerprint: bytes | None, rng: Rng) -> None:
        self.cp = random_nsi(rng)
        self.sp = self._own_sp = random_nsi(rng)
        self.context: Context | None = NullContext()
        self.candidates = Candidates()
        self.out: list[tuple[bytes, bytes]] = []
        self.error: HomeportError | None = None
        self.deadline_ms: int | None = None
        self._path = Path(PathKind.LOCAL, endpoint)
        self._request = frames.clear_connect(self.cp, self.sp, client_id, fingerprint)
        self._give_up_at_ms = 0

    @property
    def nsis(self) -> tuple[bytes, ...]:
        return (self.cp, self._own_sp)

    def start(self, now_ms: int) -> None:
        self._give_up_at_ms = now_ms + GIVE_UP_MS
        self._send(now_ms)

    def timeout(self, now_ms: int) -> None:
        if self.deadline_ms is None or now_ms < self.deadline_ms:
            return
        if now_ms < self._give_up_at_ms:
            self._send(now_ms)
            return
        self.deadline_ms = None
        self.candidates.fail(self._path, f"no answer within {GIVE_UP_MS // 1000} s")
        self.error = DeviceOffline("the device does not answer on the local network", None, _NEXT_STEP)

    def packet(self, now_ms: int, packet: Packet, source: bytes) -> None:
        if packet.type != PT_U_CONNECT or not packet.flags & FL_RESPONSE or packet.cp != self.cp:
            raise MalformedError("not the answer to a local connect")
        if self.deadline_ms is None or source != self._path.endpoint:
            return  # late, or from somebody else
        code, nsi = parse_notify(packet.get(PL_NOTIFY) or b"")
        self.deadline_ms = None
        if code != NOTIFY_OK:
            self.error = notify_error(code)
            self.candidates.fail(self._path, str(self.error))
            return
        if nsi and nsi != NSI_ZERO:
            self.sp = nsi  # a device that does not take our NSI says which one it uses
        self.candidates.add(self._path, 0, now_ms)

    def abandon(self, now_ms: int) -> None:
        if self.deadline_ms is not None and self.context is not None:
            # The answer may be under way: a device would hold a slot for 20 s for a connection that nobody has.
            self.out.append((frames.close(self.context, self.cp, self.sp), self._path.endpoint))
        self.deadline_ms = None

    def _send(self, now_ms: int) -> None:
        self.out.append((self._request, self._path.endpoint))
        self.deadline_ms = now_ms + RETRY_MS
