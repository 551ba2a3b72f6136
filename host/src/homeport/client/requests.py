"""Requests in flight: sequence numbers, repetition and time limits (specification, core 7.5 and 10.4).

A device acknowledges a request at once and answers when it is done. A repeated request is byte for byte the same
datagram, so a device that remembers what it ran (ours do) acknowledges or answers it again without running it twice.
The C device runs a *finished* request again. What a lost packet may cost is therefore a choice:

`safe`    repeat while no acknowledgement came, and never before the time in which a device acknowledges; an
          acknowledged request is repeated only to a device known to remember. Default. On a device not known to,
          a query can still run twice when its acknowledgement *and* its answer are lost, and a lost answer after
          an acknowledgement ends in Timeout.
`always`  poll acknowledged requests too: for queries that may run twice, and for devices that the caller knows.
`never`   send once.

Nothing in a clear or introduced connection tells the two kinds of device apart, byte for byte; in a PSK
connection the device's nonce does (see `psk`).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

ACK_TIMEOUT_MS = 1_000
QUICK_ACK_TIMEOUT_MS = 400  # towards a device that never runs a repetition
BACKOFF_MAX_MS = 4_000
POLL_MS = 3_000
SEQ_SPAN = 0x10000


class Retry(StrEnum):
    """When a request is repeated; see the module."""

    SAFE = "safe"
    ALWAYS = "always"
    NEVER = "never"


@dataclass
class Request:
    """One request in flight. `key` (NSI.cp, seq) is what its answer must carry."""

    request_id: int
    key: tuple[bytes, int]
    packet: bytes
    retry: Retry
    expires_at_ms: int
    repeat_at_ms: int | None
    wait_ms: int
    acknowledged: bool = False


class Requests:
    """The table of requests in flight; the session does the sealing and the sending."""

    def __init__(self) -> None:
        self.remembers = False  # the device is known not to run repetitions
        self._by_key: dict[tuple[bytes, int], Request] = {}

    def __len__(self) -> int:
        return len(self._by_key)

    @property
    def deadline_ms(self) -> int | None:
        """When the next repetition or time limit is due."""
        times = [request.expires_at_ms for request in self._by_key.values()]
        times += [r.repeat_at_ms for r in self._by_key.values() if r.repeat_at_ms is not None]
        return min(times, default=None)

    def add(
        self, now_ms: int, request_id: int, key: tuple[bytes, int], packet: bytes, retry: Retry, expires_at_ms: int
    ) -> None:
        """Note a request that was sent just now."""
        wait_ms = QUICK_ACK_TIMEOUT_MS if self._polls(retry) else ACK_TIMEOUT_MS
        repeat_at_ms = None if retry is Retry.NEVER else now_ms + wait_ms
        self._by_key[key] = Request(request_id, key, packet, retry, expires_at_ms, repeat_at_ms, wait_ms)

    def acknowledged(self, now_ms: int, key: tuple[bytes, int]) -> None:
        """The device says that it has the request (unauthenticated: it only changes our waiting)."""
        request = self._by_key.get(key)
        if request is not None and not request.acknowledged:
            request.acknowledged = True
            request.repeat_at_ms = now_ms + POLL_MS if self._polls(request.retry) else None

    def get(self, key: tuple[bytes, int]) -> Request | None:
        """The request that an answer with this key belongs to."""
        return self._by_key.get(key)

    def finish(self, key: tuple[bytes, int]) -> None:
        """Forget an answered request."""
        del self._by_key[key]

    def due(self, now_ms: int) -> list[bytes]:
        """The packets to repeat now."""
        packets = []
        for request in self._by_key.values():
            if request.repeat_at_ms is not None and now_ms >= request.repeat_at_ms:
                packets.append(request.packet)
                request.wait_ms = POLL_MS if request.acknowledged else min(request.wait_ms * 2, BACKOFF_MAX_MS)
                request.repeat_at_ms = now_ms + request.wait_ms
        return packets

    def expired(self, now_ms: int) -> list[Request]:
        """Take out the requests whose time is up."""
        late = [request for request in self._by_key.values() if now_ms >= request.expires_at_ms]
        for request in late:
            del self._by_key[request.key]
        return late

    def clear(self) -> list[Request]:
        """Take out all."""
        requests = list(self._by_key.values())
        self._by_key.clear()
        return requests

    def _polls(self, retry: Retry) -> bool:
        return retry is Retry.ALWAYS or (retry is Retry.SAFE and self.remembers)
