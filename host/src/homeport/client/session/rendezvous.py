"""Rendezvous: both ends send to each other's possible endpoints until a pair works (specification, core 5.4, 5.5).

    seq 0   "here I am"         answered with seq 1 to where it came from
    seq 1   "I heard you"       answered with seq 2; the path works both ways
    seq 2   "I heard you too"   the path works both ways

Nothing is authenticated: whoever knows the NSI can take part. So a path found here is a candidate only, and the
first verified keep-alive echo is the proof.
"""

from __future__ import annotations

from collections.abc import Iterator

from homeport_core.errors import MalformedError
from homeport_core.packet import Packet
from homeport_core.spec import ENDPOINT_LEN, NAT_SYMMETRIC, PL_EP

from homeport.client.session import frames
from homeport.client.session.keepalive import PERIOD_MS

DURATION_MS = 5_000
_FIRST_SENDS_MS = (0, 200, 400, 800)  # a first packet often only opens the NAT for the second
_PERIOD_MS = 1_000
_EXTENDED_PERIOD_MS = 50
_EXTENDED_PORTS = 10
MAX_ANSWERS = 64  # of one session: enough for any honest exchange, little for a reflector

_PORT_MIN = 1024
_NEAR_PORTS = 100
_SERIES_START = 4567


def guessed_ports(base: int) -> Iterator[int]:
    """The ports to try on a symmetric NAT that showed us `base`: near it first, then a fixed series, for ever."""
    for n in range(_NEAR_PORTS):
        port = (base - (n - 1) // 2 - 1 if n % 2 else base + n // 2 + 1) & 0xFFFF
        if port >= _PORT_MIN:
            yield port
    x = _SERIES_START
    while True:
        x = 13 * x & 0xFFFF
        if x >= _PORT_MIN:
            yield x


class Rendezvous:
    """One rendezvous from our side: what to send when, and whether any endpoint has answered (`concluded`)."""

    def __init__(self, cp: bytes, sp: bytes, private: bytes, global_: bytes, device_nat: int) -> None:
        self._cp = cp
        self._sp = sp
        self._targets = [endpoint for endpoint in dict.fromkeys((private, global_)) if usable(endpoint)]
        self._global_address = global_[:4]
        extended = device_nat == NAT_SYMMETRIC and usable(global_)
        self._ports = guessed_ports(int.from_bytes(global_[4:])) if extended else None
        self._next_ms: int | None = None
        self._next_extended_ms: int | None = None
        self._end_ms = 0
        self._round = 0
        self._answers_left = MAX_ANSWERS
        self.concluded = False
        self.out: list[tuple[bytes, bytes]] = []

    @property
    def deadline_ms(self) -> int | None:
        """When the next packet of our own, or the end, is due; None when over."""
        return min((t for t in (self._next_ms, self._next_extended_ms) if t is not None), default=None)

    @property
    def active(self) -> bool:
        """Whether we still try of our own accord."""
        return self._next_ms is not None

    def start(self, now_ms: int) -> None:
        """Begin to send."""
        self._end_ms = now_ms + DURATION_MS
        self._next_ms = now_ms
        if self._ports is not None:
            self._next_extended_ms = now_ms
        self.timeout(now_ms)

    def stop(self) -> None:
        """Send no more of our own accord; the other end is still answered."""
        self._next_ms = self._next_extended_ms = None

    def timeout(self, now_ms: int) -> None:
        """Send what is due."""
        if now_ms >= self._end_ms:
            self.stop()
            return
        if self._next_ms is not None and now_ms >= self._next_ms:
            for endpoint in self._targets:
                self._send(0, endpoint)
            self._round += 1
            if self._round < len(_FIRST_SENDS_MS):
                gap_ms = _FIRST_SENDS_MS[self._round] - _FIRST_SENDS_MS[self._round - 1]
            else:
                gap_ms = _PERIOD_MS
            self._next_ms = min(now_ms + gap_ms, self._end_ms)
        if self._ports is not None and self._next_extended_ms is not None and now_ms >= self._next_extended_ms:
            for _ in range(_EXTENDED_PORTS):
                self._send(0, self._global_address + next(self._ports).to_bytes(2))
            self._next_extended_ms = min(now_ms + _EXTENDED_PERIOD_MS, self._end_ms)

    def packet(self, packet: Packet, source: bytes) -> bool:
        """Take a rendezvous packet; whether it shows that packets pass both ways. Raises MalformedError."""
        own = packet.get(PL_EP)
        if packet.first != PL_EP or own is None or len(own) != ENDPOINT_LEN or packet.seq > 2:
            raise MalformedError("not a rendezvous packet")
        if packet.seq < 2 and self._answers_left:
            self._answers_left -= 1
            answer = frames.rendezvous(self._cp, self._sp, packet.seq + 1, source, own, PERIOD_MS)
            self.out.append((answer, source))
        if packet.seq == 0:
            return False
        self.concluded = True
        return True

    def _send(self, seq: int, endpoint: bytes) -> None:
        self.out.append((frames.rendezvous(self._cp, self._sp, seq, endpoint), endpoint))


def usable(endpoint: bytes) -> bool:
    """Whether an announced endpoint can be sent to: a zero address or port stands for unknown."""
    return any(endpoint[:4]) and any(endpoint[4:])
