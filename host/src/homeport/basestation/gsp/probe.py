"""Clients learn their public endpoint: a probe, sealed under a key the gate gave out, is answered with its source.

The packet is PT_PROBE {NONCE = probe id (8) | token (8), padding, CRYPTO (empty plaintext)}; the answer carries the
same NONCE and EP (docs/gate.md). A probe shorter than its answer is dropped, so that even a replay with a forged
source gains nothing. The first source that shows a token keeps it.
"""

from __future__ import annotations

from homeport_core.crypto import AesContext
from homeport_core.errors import FullError
from homeport_core.packet import Packet, encode
from homeport_core.spec import FL_RESPONSE, IV_LEN, PL_EP, PL_NONCE, PT_PROBE

from homeport.basestation.carrier import Peer, seen_endpoint
from homeport.basestation.counters import GspCounters
from homeport.basestation.gsp.settings import GspSettings
from homeport.basestation.limits import Buckets
from homeport.basestation.machine import NOTHING, Datagrams, Rng

PROBE_ID_LEN = 8
TOKEN_LEN = 8
TOKENS_MAX = 8
ANSWER_LEN = 100


class Probe:
    """A client's probe key and where its tokens came from."""

    __slots__ = ("key", "sources")

    def __init__(self, key: bytes) -> None:
        self.key = key
        self.sources: dict[bytes, Peer] = {}


class Probes:
    """All clients that may probe, by probe id."""

    def __init__(self, settings: GspSettings, rng: Rng, counters: GspCounters) -> None:
        self._settings = settings
        self._rng = rng
        self._counters = counters
        self._by_id: dict[bytes, Probe] = {}
        self._limit = Buckets(settings.probe.burst, settings.probe.per_s, settings.probes_max)

    def __len__(self) -> int:
        return len(self._by_id)

    def add(self, probe_id: bytes, key: bytes) -> None:
        """Let a client probe. Raises FullError when there are too many."""
        if len(self._by_id) >= self._settings.probes_max:
            raise FullError("too many clients may probe")
        self._by_id[probe_id] = Probe(key)

    def remove(self, probe_id: bytes) -> None:
        """Forget a client, if it is known."""
        self._by_id.pop(probe_id, None)

    def source(self, probe_id: bytes, token: bytes) -> bytes | None:
        """The endpoint (6 octets) that the client's probe with that token came from, or None."""
        probe = self._by_id.get(probe_id)
        where = probe.sources.get(token) if probe is not None else None
        return None if where is None else seen_endpoint(where)

    def answer(self, now_ms: int, packet: Packet, address: Peer) -> Datagrams:
        """Answer a probe that verifies. Raises AuthError for one that does not."""
        nonce = packet.get(PL_NONCE)
        if packet.flags & FL_RESPONSE or nonce is None or len(nonce) != PROBE_ID_LEN + TOKEN_LEN:
            self._counters.drop_unexpected += 1
            return NOTHING
        probe_id, token = nonce[:PROBE_ID_LEN], nonce[PROBE_ID_LEN:]
        probe = self._by_id.get(probe_id)
        if probe is None or packet.n < ANSWER_LEN:
            self._counters.drop_unexpected += 1
            return NOTHING
        if not self._limit.take(probe_id, now_ms):
            self._counters.drop_limited += 1
            return NOTHING
        context = AesContext(probe.key, False)
        context.verify(packet)
        if probe.sources.setdefault(token, address) != address:
            self._counters.drop_replayed += 1
            return NOTHING
        if len(probe.sources) > TOKENS_MAX:
            del probe.sources[next(iter(probe.sources))]
        self._counters.probes += 1
        answer = encode(
            PT_PROBE,
            ((PL_NONCE, nonce), (PL_EP, seen_endpoint(address))),
            sp=packet.sp,
            cp=packet.cp,
            seq=packet.seq,
            flags=FL_RESPONSE,
            context=context,
            iv=self._rng(IV_LEN),
        )
        return ((answer, address),)
