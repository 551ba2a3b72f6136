"""A local connection under a pre-shared key (specification, core 6.4).

    we      U_CONNECT_PSK {nonce, sealed with the key}
    device  U_CONNECT_PSK {its nonce, sealed: its random number and our nonce}   proves that it has the key
    we      U_VERIFY_PSK  {sealed: our random number and its nonce}              proves that we have it
    device  U_VERIFY_PSK  {OK, not protected}                                    the first keep-alive echo is the proof

The C device sends zeros for its nonce and random number, and version 0 in its headers: both are accepted. Zeros also
tell that it runs repeated requests again; a device that draws random numbers is one of ours, which does not.
"""

from __future__ import annotations

from enum import Enum, auto

from homeport_core.crypto import AesContext, ct_equal, key_material
from homeport_core.errors import AuthError, HomeportError, MalformedError
from homeport_core.packet import Context, Packet
from homeport_core.payloads import parse_notify, u16
from homeport_core.spec import (
    FL_EXCEPTION,
    FL_RESPONSE,
    IV_LEN,
    KEY_ID_LEN,
    NONCE_LEN,
    NOTIFY_OK,
    PL_NONCE,
    PL_NOTIFY,
    PL_RANDOM,
    PSK_LEN,
    PT_U_CONNECT_PSK,
    PT_U_VERIFY_PSK,
    SEED_LEN,
)

from homeport.client.session import frames
from homeport.client.session.opening import Rng, random_nsi
from homeport.client.session.paths import Candidates, Path, PathKind
from homeport.client.session.refusals import notify_error
from homeport.client.session.rekey import Rekey
from homeport.client.session.searching import Searching
from homeport.errors import DeviceOffline

RETRY_MS = 700
GIVE_UP_MS = 5_000


class _State(Enum):
    CONNECT = auto()
    VERIFY = auto()
    DONE = auto()


class PskOpening:
    """The initiator's side of the handshake. Raises ValueError for a key or key id that is not 16 bytes."""

    proves_path = False
    is_end_to_end = True
    rekey: Rekey | None = None
    searching: Searching | None = None

    def __init__(
        self,
        endpoint: bytes,
        device_id: str,
        client_id: str,
        fingerprint: bytes | None,
        key_id: bytes,
        key: bytes,
        rng: Rng,
    ) -> None:
        if len(key) != PSK_LEN or len(key_id) != KEY_ID_LEN:
            raise ValueError("a pre-shared key and its id have 16 bytes each")
        self.cp = random_nsi(rng)
        self.sp = b""
        self.context: Context | None = None
        self.candidates = Candidates()
        self.out: list[tuple[bytes, bytes]] = []
        self.error: HomeportError | None = None
        self.deadline_ms: int | None = None
        self.remembers = False
        self._rng = rng
        self._path = Path(PathKind.LOCAL, endpoint)
        self._handshake = AesContext(key_material(device_id.encode(), key), True)
        self._nonce = rng(NONCE_LEN)
        self._random = rng(SEED_LEN)
        self._state = _State.CONNECT
        self._message = frames.psk_connect(
            self._handshake, self.cp, client_id, fingerprint, key_id, self._nonce, rng(IV_LEN)
        )
        self._give_up_at_ms = 0

    @property
    def nsis(self) -> tuple[bytes, ...]:
        # The device numbers its own connections, two may use the same number; streams come under that alone.
        return (self.cp, self.sp + self._path.endpoint) if self.sp else (self.cp,)

    def start(self, now_ms: int) -> None:
        self._give_up_at_ms = now_ms + GIVE_UP_MS
        self._send(now_ms)

    def timeout(self, now_ms: int) -> None:
        if self.deadline_ms is None or now_ms < self.deadline_ms:
            return
        if now_ms < self._give_up_at_ms:
            self._send(now_ms)
            return
        self._fail(DeviceOffline(f"the device did not complete the PSK handshake within {GIVE_UP_MS // 1000} s"))

    def packet(self, now_ms: int, packet: Packet, source: bytes) -> None:
        if packet.cp != self.cp or not packet.flags & FL_RESPONSE:
            raise MalformedError("not an answer to our PSK handshake")
        if source != self._path.endpoint or self._state is _State.DONE:
            return
        if packet.flags & FL_EXCEPTION:
            code, _ = parse_notify(packet.get(PL_NOTIFY) or b"")
            self._state = _State.DONE  # the device has nothing to abort
            self._fail(notify_error(code))
        elif packet.type == PT_U_CONNECT_PSK and self._state is _State.CONNECT:
            self._accept(now_ms, packet)
        elif packet.type == PT_U_VERIFY_PSK and self._state is _State.VERIFY and packet.sp == self.sp:
            code, _ = parse_notify(packet.get(PL_NOTIFY) or b"")
            if code == NOTIFY_OK:
                self._state = _State.DONE
                self.deadline_ms = None
                self.candidates.add(self._path, 0, now_ms)

    def abandon(self, now_ms: int) -> None:
        self.deadline_ms = None
        if self._state is _State.VERIFY:
            self.out.append((frames.psk_abort(self.cp, self.sp), self._path.endpoint))
        self._state = _State.DONE

    def _accept(self, now_ms: int, packet: Packet) -> None:
        """Take message 2, derive the data keys and send message 3."""
        device_nonce = packet.get(PL_NONCE)
        if device_nonce is None or len(device_nonce) != NONCE_LEN:
            raise MalformedError("PSK answer without a nonce")
        inner = _inner_payloads(self._handshake.open(packet))
        device_random = inner.get(PL_RANDOM, b"")
        if len(device_random) != SEED_LEN or not ct_equal(inner.get(PL_NONCE, b""), self._nonce):
            raise AuthError("PSK answer does not repeat our nonce")
        self.sp = packet.sp
        self.remembers = any(device_nonce) and any(device_random)
        self.context = AesContext(key_material(self._nonce + device_nonce, self._random + device_random), True)
        self._state = _State.VERIFY
        self._message = frames.psk_verify(
            self._handshake, self.cp, self.sp, self._random, device_nonce, self._rng(IV_LEN)
        )
        self._send(now_ms)

    def _send(self, now_ms: int) -> None:
        self.out.append((self._message, self._path.endpoint))
        self.deadline_ms = now_ms + RETRY_MS

    def _fail(self, error: HomeportError) -> None:
        self.abandon(0)
        self.candidates.fail(self._path, str(error))
        self.error = error


def _inner_payloads(data: bytes) -> dict[int, bytes]:
    """The first payload of each type in a sealed payload sequence. Raises MalformedError."""
    payloads: dict[int, bytes] = {}
    off = 0
    while off < len(data):
        if off + 4 > len(data) or not 4 <= u16(data, off + 2) <= len(data) - off:
            raise MalformedError("sealed payload does not fit", off)
        payloads.setdefault(data[off], data[off + 4 : off + u16(data, off + 2)])
        off += u16(data, off + 2)
    return payloads
