"""The gateway's front door: admits connections within limits, and feeds controller and session server from them.

What a device sends here is what it would send over UDP. One connection serves both machines: which of them a packet
is for, its type tells (specification, core 0.3).
"""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass
from itertools import count
from typing import Protocol

from homeport_core.errors import MalformedError
from homeport_core.packet import Packet
from homeport_core.spec import NSI_ZERO, PL_NONCE, PT_GW_CONN_U, PT_STATS, PT_U_INVITE

from homeport.basestation.carrier import Carrier
from homeport.basestation.gateway.link import GatewayLink
from homeport.basestation.gsp.settings import RateLimit
from homeport.basestation.limits import Buckets

_SWEEP_S = 1.0


class Log(Protocol):
    """Where facts for the operator go."""

    def __call__(self, event: str, **facts: object) -> None: ...


class Receiver(Protocol):
    """A machine's adapter."""

    def receive(self, data: bytes, carrier: Carrier) -> None:
        """Take a datagram that came over a carrier."""
        ...


class Sessions(Protocol):
    """What the gateway asks of the session server."""

    def carrier_lost(self, carrier: Carrier) -> None:
        """A connection has ended."""
        ...

    def in_use(self, carrier: Carrier) -> bool:
        """Whether an attachment or a session depends on that connection."""
        ...


@dataclass(slots=True, frozen=True)
class GatewaySettings:
    """Limits of the gateway as a whole; each bounds what strangers can take from devices."""

    connections_max: int = 384
    """With the gate's, below the usual limit of 1,024 open files of a process."""
    connections_per_source: int = 64
    """A source may be a carrier's NAT."""
    opening_max: int = 128
    """Connections that said nothing of use yet."""
    opening_per_source: int = 16
    source: RateLimit = RateLimit(64, 10.0)
    """New connections per source address."""
    sources_max: int = 16_384
    report: RateLimit = RateLimit(3, 0.05)
    """Log lines about one source address."""


class Gateway:
    """The listener and its links."""

    def __init__(
        self,
        controller: Receiver,
        gsp: Receiver,
        sessions: Sessions,
        clock_ms: Callable[[], int],
        log: Log,
        settings: GatewaySettings | None = None,
    ) -> None:
        self.settings = settings or GatewaySettings()
        self.now_ms = clock_ms
        self.counters: Counter[str] = Counter()
        self._controller = controller
        self._gsp = gsp
        self._sessions = sessions
        self._log = log
        self._links: dict[int, GatewayLink] = {}
        self._numbers = count(1)
        self._limits = _Limits(self.settings)
        self._server: asyncio.Server | None = None
        self._sweeper: asyncio.Task[None] | None = None

    @property
    def connections(self) -> int:
        """Open connections."""
        return len(self._links)

    async def start(self, listener: socket.socket, sweep_s: float | None = _SWEEP_S) -> None:
        """Serve on a bound socket. `sweep_s` None: the caller calls `sweep`."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: GatewayLink(self, next(self._numbers)), sock=listener)
        if sweep_s is not None:
            self._sweeper = asyncio.create_task(self._sweep_forever(sweep_s))

    async def close(self) -> None:
        """Stop, and cut every connection: devices attach again elsewhere or later."""
        if self._sweeper is not None:
            self._sweeper.cancel()
        if self._server is not None:
            self._server.close()
        for link in list(self._links.values()):
            link.close()
        await asyncio.sleep(0)

    def send(self, number: int, data: bytes) -> None:
        """A datagram for the connection of that number; lost when the connection is gone, or its queue full."""
        link = self._links.get(number)
        sent = link is not None and link.send(data)
        self.counters["datagrams_down" if sent else "datagrams_lost"] += 1

    def sweep(self, now_ms: int) -> None:
        """End what has lasted too long; call it about once a second."""
        for link in list(self._links.values()):
            link.sweep(now_ms)

    # What the session server decides

    def joined(self, device: Carrier, client: Carrier) -> None:
        """Pass octets on between these two from now on."""
        ends = [self._links.get(carrier.number) for carrier in (device, client)]
        if ends[0] is None or ends[1] is None:
            for link in ends:
                if link is not None:
                    link.close()
            return
        self.counters["joined"] += 1
        ends[0].join(ends[1])
        ends[1].join(ends[0])

    def refused(self, carrier: Carrier, reason: str) -> None:
        """Close for what the peer wanted."""
        link = self._links.get(carrier.number)
        if link is not None:
            link.fail(reason)

    def done(self, carrier: Carrier) -> None:
        """Close, for the connection is needed no longer."""
        link = self._links.get(carrier.number)
        if link is not None:
            link.close()

    # The links

    def opened(self, link: GatewayLink) -> bool:
        """A connection came; False if it is one too many."""
        limit = self._limits.exceeded(link, self._links.values(), self.now_ms())
        if limit:
            self.counters[f"limited_{limit}"] += 1
            return False
        self.counters["opened"] += 1
        self._links[link.carrier.number] = link
        return True

    def packet(self, link: GatewayLink, data: bytes) -> None:
        """A packet whose length fits came from a link."""
        self.counters["datagrams_up"] += 1
        kind = data[8]
        if not link.answered and kind not in (PT_U_INVITE, PT_GW_CONN_U):
            link.fail("begins with neither an invite nor a gateway handshake")
        elif _is_for_controller(kind, data):
            self._controller.receive(data, link.carrier)
        else:
            self._gsp.receive(data, link.carrier)

    def failed(self, link: GatewayLink, reason: str) -> None:
        """A link is closed for what its peer did: count it, and log it unless its source has filled the log."""
        self.counters["failed"] += 1
        source = link.carrier.remote[0]
        if self._limits.reports.take(source, self.now_ms()):
            self._log("gateway_failed", source=source, reason=reason)

    def closed(self, link: GatewayLink) -> None:
        """A connection has ended."""
        if self._links.pop(link.carrier.number, None) is not None:
            self.counters["closed"] += 1
            self._sessions.carrier_lost(link.carrier)

    def in_use(self, link: GatewayLink) -> bool:
        """Whether anything depends on a link."""
        return self._sessions.in_use(link.carrier)

    async def _sweep_forever(self, period_s: float) -> None:
        while True:
            await asyncio.sleep(period_s)
            self.sweep(self.now_ms())


class _Limits:
    """Whether one more connection may come."""

    def __init__(self, settings: GatewaySettings) -> None:
        self._settings = settings
        self._new = Buckets(settings.source.burst, settings.source.per_s, settings.sources_max)
        self.reports = Buckets(settings.report.burst, settings.report.per_s, settings.sources_max)

    def exceeded(self, link: GatewayLink, links: Collection[GatewayLink], now_ms: int) -> str:
        """The limit that `link` would exceed beside `links`, empty if none."""
        settings = self._settings
        source = link.carrier.remote[0]
        fellows = [other for other in links if other.carrier.remote[0] == source]
        if ":" in source:
            return "ipv6"  # devices are told the address we see, which has four octets on this wire
        if len(links) >= settings.connections_max:
            return "connections"
        if sum(not other.answered for other in links) >= settings.opening_max:
            return "opening"
        if len(fellows) >= settings.connections_per_source:
            return "source"
        if sum(not other.answered for other in fellows) >= settings.opening_per_source:
            return "opening_source"
        return "" if self._new.take(source, now_ms) else "rate"


def _is_for_controller(kind: int, data: bytes) -> bool:
    """Invites without a nonce, and statistics about attaching (core 0.3, 4.9)."""
    if kind == PT_STATS:
        return data[4:8] == NSI_ZERO
    if kind != PT_U_INVITE:
        return False
    packet = Packet()
    try:
        packet.decode_from(data)
    except MalformedError:
        return True  # which counts it, and no more
    return packet.find(PL_NONCE) < 0
