"""How a client learns its own public endpoint: a probe to the session server's UDP port (docs/gate.md), sans I/O.

The probe is sealed under a key of the gate session and names a token; the server notes where it came from, so that
the next `connect` on the gate can refer to that endpoint, and says it in its answer.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from homeport_core.crypto import AesContext, ct_equal
from homeport_core.errors import HomeportError, MalformedError, ProtocolError
from homeport_core.packet import Packet, encode
from homeport_core.spec import (
    ENDPOINT_LEN,
    ENDPOINT_ZERO,
    FL_RESPONSE,
    IV_LEN,
    PL_EP,
    PL_NONCE,
    PT_PROBE,
)

from homeport.client.session.opening import Rng

TOKEN_LEN = 8
SENDS_MS = (0, 100, 250, 750, 1_500)  # a probe that is lost must not cost the direct path
GIVE_UP_MS = 2_500


@dataclass(frozen=True)
class Probed:
    """The end of a probe: our public endpoint (6 bytes), or None when no answer came."""

    endpoint: bytes | None


class Probe:
    """One probe; `token` is what the gate's `connect` refers to it by."""

    nsis: tuple[bytes, ...] = ()

    def __init__(self, probe_id: bytes, key: bytes, gsp: bytes, rng: Rng) -> None:
        self.token = rng(TOKEN_LEN)
        self.deadline_ms: int | None = None
        self.drops: Counter[str] = Counter()
        self._nonce = probe_id + self.token
        self._context = AesContext(key, True)
        self._gsp = gsp
        self._rng = rng
        self._start_ms = 0
        self._sends = 0
        self._over = False
        self._out: list[tuple[bytes, bytes]] = []
        self._events: list[Probed] = []

    def start(self, now_ms: int) -> None:
        """Send the first probe."""
        self._start_ms = now_ms
        self.deadline_ms = now_ms
        self.timeout(now_ms)

    def timeout(self, now_ms: int) -> None:
        """Send again, or give up."""
        if self.deadline_ms is None or now_ms < self.deadline_ms:
            return
        if self._sends == len(SENDS_MS):
            self._end(None)
            return
        self._sends += 1
        delay_ms = SENDS_MS[self._sends] if self._sends < len(SENDS_MS) else GIVE_UP_MS
        self.deadline_ms = self._start_ms + delay_ms
        # The empty EP is where the answer will have ours: so the answer is no larger than the question.
        payloads = [(PL_NONCE, self._nonce), (PL_EP, ENDPOINT_ZERO)]
        packet = encode(PT_PROBE, payloads, context=self._context, iv=self._rng(IV_LEN))
        self._out.append((packet, self._gsp))

    def datagram(self, now_ms: int, data: bytes | bytearray, source: bytes) -> None:
        """Take an answer; anything else is counted and dropped."""
        if self._over:
            return
        try:
            endpoint = self._parse(data)
        except ProtocolError as error:
            self.drops[type(error).__name__] += 1
        else:
            self._end(endpoint)

    def datagrams(self) -> list[tuple[bytes, bytes]]:
        """Take what is to be sent: (datagram, endpoint)."""
        out = self._out
        self._out = []
        return out

    def next_event(self) -> Probed | None:
        """Take the result, once."""
        return self._events.pop() if self._events else None

    def broken(self, error: HomeportError) -> Probed:
        """It cannot go on."""
        return Probed(None)

    def _end(self, endpoint: bytes | None) -> None:
        self._over = True
        self.deadline_ms = None
        self._events.append(Probed(endpoint))

    def _parse(self, data: bytes | bytearray) -> bytes:
        packet = Packet()
        packet.decode_from(bytearray(data))
        endpoint = packet.get(PL_EP)
        if packet.type != PT_PROBE or not packet.flags & FL_RESPONSE or endpoint is None:
            raise MalformedError("not an answer to a probe")
        self._context.verify(packet)
        if len(endpoint) != ENDPOINT_LEN or not ct_equal(packet.get(PL_NONCE) or b"", self._nonce):
            raise MalformedError("an answer to another probe")
        return endpoint
