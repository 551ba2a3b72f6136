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

A device of ours says on an encrypted connection that it remembers (docs/extensions.md), and a PSK handshake gives it
away (see `psk`). On a clear connection there is nothing to recognise a repetition by, so there no device remembers.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from enum import StrEnum

from homeport_core.errors import StateError

from homeport.client.session.opening import Rng, random_nsi

ACK_TIMEOUT_MS = 1_000
QUICK_ACK_TIMEOUT_MS = 400  # towards a device that never runs a repetition
BACKOFF_MAX_MS = 4_000
FIRST_POLL_MS = 500  # finds an answer that was lost; a device that is still at work says so
POLL_MS = 3_000
MAX_IN_FLIGHT = 16  # the rest waits in our queue: small devices hold few requests
# So many answers our devices keep. No more requests than fit beside a lost answer may be run between a request and
# its repetition, or the answer is gone for good.
ANSWERS_KEPT = 4
MAX_WAITING = 1_000
_FIRST_SEQ = 100
_SEQ_SPAN = 0x10000

Key = tuple[bytes, int]


class Retry(StrEnum):
    """When a request is repeated; see the module."""

    SAFE = "safe"
    ALWAYS = "always"
    NEVER = "never"


@dataclass
class Request:
    """One request. Once sent it has a `key` (NSI.cp, seq), which its answer must carry, and a `packet`."""

    request_id: int
    payload: bytes
    retry: Retry
    expires_at_ms: int
    key: Key = (b"", 0)
    packet: bytes = b""
    sent_at_ms: int = 0
    repeat_at_ms: int | None = None
    wait_ms: int = 0
    acknowledged: bool = False
    polled: bool = False
    settled: bool = False  # the device was still at work on it when last asked: no answer is lost yet
    companions: int = 0  # requests that a device may have run between this one and its repetition

    @property
    def may_need_its_answer_again(self) -> bool:
        """Whether an answer could have been lost that a repetition would ask for."""
        return self.repeat_at_ms is not None and not self.settled


class Requests:
    """The requests of one session, waiting and in flight; the session seals and sends."""

    def __init__(self, cp: bytes, rng: Rng) -> None:
        self.remembers = False  # the device is known not to run repetitions
        self.cp = cp  # changes when seq has gone round, so that no key comes twice
        self._rng = rng
        self._seq = _FIRST_SEQ
        self._last_id = 0
        self._waiting: deque[Request] = deque()
        self._in_flight: dict[Key, Request] = {}

    @property
    def deadline_ms(self) -> int | None:
        """When the next repetition or time limit is due."""
        times = [request.expires_at_ms for request in (*self._waiting, *self._in_flight.values())]
        times += [r.repeat_at_ms for r in self._in_flight.values() if r.repeat_at_ms is not None]
        return min(times, default=None)

    def submit(self, payload: bytes, retry: Retry, expires_at_ms: int) -> int:
        """Queue a request and return its id. Raises StateError when too many wait."""
        if len(self._waiting) >= MAX_WAITING:
            raise StateError(f"more than {MAX_WAITING} requests wait for the device")
        self._last_id += 1
        self._waiting.append(Request(self._last_id, payload, retry, expires_at_ms))
        return self._last_id

    def next_to_send(self) -> Request | None:
        """Take the next request that may be sent now, with its key; hand it back with `sent`."""
        if not self._waiting or len(self._in_flight) >= MAX_IN_FLIGHT or not self._answers_are_safe():
            return None
        if self._seq + 1 == _SEQ_SPAN and self._in_flight:
            return None  # one NSI.cp at a time: a device may take no request of the old one after the new
        self._seq += 1
        if self._seq == _SEQ_SPAN:
            self._seq = 1
            self.cp = random_nsi(self._rng)
        request = self._waiting.popleft()
        request.key = (self.cp, self._seq)
        return request

    def sent(self, now_ms: int, request: Request, packet: bytes) -> None:
        """Note that `request` went out as `packet`; every repetition will be the same."""
        request.packet = packet
        request.sent_at_ms = now_ms
        request.wait_ms = QUICK_ACK_TIMEOUT_MS if self._polls(request.retry) else ACK_TIMEOUT_MS
        request.repeat_at_ms = None if request.retry is Retry.NEVER else now_ms + request.wait_ms
        exposed = self._exposed()
        request.companions = len(exposed)
        for other in exposed:
            other.companions += 1
        self._in_flight[request.key] = request

    def in_flight(self, key: Key) -> Request | None:
        """The request that an answer with this key belongs to."""
        return self._in_flight.get(key)

    def acknowledged(self, now_ms: int, request: Request) -> None:
        """The device says that it has the request (unauthenticated: it only changes our waiting)."""
        if request.acknowledged:
            request.settled = request.settled or request.polled
            return
        request.acknowledged = True
        request.wait_ms = FIRST_POLL_MS
        request.repeat_at_ms = now_ms + FIRST_POLL_MS if self._polls(request.retry) else None

    def trust(self, now_ms: int) -> None:
        """The device turns out to remember what it ran: what it acknowledged may be asked for after all."""
        self.remembers = True
        for request in self._in_flight.values():
            if request.acknowledged and request.repeat_at_ms is None and self._polls(request.retry):
                request.repeat_at_ms = now_ms + FIRST_POLL_MS

    def finish(self, request: Request) -> None:
        """Forget an answered request."""
        del self._in_flight[request.key]

    def due(self, now_ms: int) -> list[bytes]:
        """The packets to repeat now."""
        packets = []
        for request in self._in_flight.values():
            if request.repeat_at_ms is not None and now_ms >= request.repeat_at_ms:
                packets.append(request.packet)
                request.sent_at_ms = now_ms
                request.polled = request.acknowledged
                request.wait_ms = POLL_MS if request.settled else min(request.wait_ms * 2, BACKOFF_MAX_MS)
                request.repeat_at_ms = now_ms + request.wait_ms
        return packets

    def hurry(self, now_ms: int) -> None:
        """There is another path: what would be repeated later is repeated as soon as it may be."""
        for request in self._in_flight.values():
            if request.repeat_at_ms is not None:
                wait_ms = QUICK_ACK_TIMEOUT_MS if self._polls(request.retry) else ACK_TIMEOUT_MS
                request.repeat_at_ms = max(now_ms, request.sent_at_ms + wait_ms)
                request.wait_ms = wait_ms

    def expire(self, now_ms: int) -> list[Request]:
        """Take out the requests whose time is up."""
        late = [r for r in (*self._in_flight.values(), *self._waiting) if now_ms >= r.expires_at_ms]
        for request in late:
            if request.packet:
                self.finish(request)
            else:
                self._waiting.remove(request)
        return late

    def cancel(self, request_id: int) -> None:
        """Nobody waits any more: send it neither first nor again. A device may have run it."""
        self._waiting = deque(request for request in self._waiting if request.request_id != request_id)
        self._in_flight = {key: r for key, r in self._in_flight.items() if r.request_id != request_id}

    def clear(self) -> list[Request]:
        """Take out all."""
        requests = [*self._in_flight.values(), *self._waiting]
        self._in_flight.clear()
        self._waiting.clear()
        return requests

    def _exposed(self) -> list[Request]:
        return [request for request in self._in_flight.values() if request.may_need_its_answer_again]

    def _answers_are_safe(self) -> bool:
        """Whether the device can run one more request without forgetting an answer that may have been lost."""
        exposed = self._exposed()
        return len(exposed) < ANSWERS_KEPT and all(r.companions < ANSWERS_KEPT - 1 for r in exposed)

    def _polls(self, retry: Retry) -> bool:
        return retry is Retry.ALWAYS or (retry is Retry.SAFE and self.remembers)
