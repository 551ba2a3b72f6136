"""Rendezvous packets that come before their session is there (specification, core 5.5).

A device begins to search when the basestation introduces us; we hear of that a round trip later. The reference does not
search on once our first packet came through the relay, so what it sent before may be all that it ever sends.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Container

from homeport_core.spec import FL_RESPONSE, HEADER_LEN, NSI_LEN, PT_U_CONNECT

KEPT_MAX = 32
KEPT_MS = 10_000  # longer than an introduction takes
_LEN_MAX = 64  # a rendezvous packet has 26 to 50 octets
_TYPE_OFF = 8
_FLAGS_OFF = 11


class Early:
    """Keeps the latest of them for a while. Strangers can push them out, which costs a direct path at worst."""

    def __init__(self) -> None:
        self._kept: deque[tuple[int, bytes, bytes]] = deque(maxlen=KEPT_MAX)

    def keep(self, now_ms: int, data: bytes | bytearray, source: bytes) -> None:
        """A datagram that is nobody's, from the endpoint `source` (6 bytes)."""
        is_short = HEADER_LEN <= len(data) <= _LEN_MAX
        if is_short and data[_TYPE_OFF] == PT_U_CONNECT and not data[_FLAGS_OFF] & FL_RESPONSE:
            self._kept.append((now_ms, bytes(data), source))

    def take(self, now_ms: int, nsis: Container[bytes]) -> list[tuple[bytes, bytes]]:
        """Those for a connection whose NSI.sp is among `nsis`, oldest first, with where they came from."""
        if not self._kept:
            return []
        fresh = [kept for kept in self._kept if now_ms - kept[0] <= KEPT_MS]
        self._kept = deque((kept for kept in fresh if _sp(kept[1]) not in nsis), KEPT_MAX)
        return [(data, source) for _, data, source in fresh if _sp(data) in nsis]


def _sp(data: bytes) -> bytes:
    return data[NSI_LEN : 2 * NSI_LEN]
