"""The gate's front door: admits clients within limits, and connects their sessions with the session server."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import count
from typing import Protocol

from homeport_core.spec import KEY_MATERIAL_LEN
from OpenSSL import SSL

from homeport.basestation.carrier import GATE, Carrier
from homeport.basestation.events import Connected, ConnectRefused
from homeport.basestation.gate.link import GateLink
from homeport.basestation.gate.session import GateSession, SessionSettings
from homeport.basestation.gsp.settings import RateLimit
from homeport.basestation.limits import Buckets
from homeport.basestation.machine import Rng
from homeport.fingerprint import format_fingerprint
from homeport.gate_messages import PROBE_ID_LEN, Connect
from homeport.wire import share_of, socket_address

_HANDSHAKE_THREADS = 1  # RSA for strangers may take one core, but never the event loop
_SWEEP_S = 1.0
_FAREWELL_S = 1.0


class Log(Protocol):
    """Where facts for the operator go."""

    def __call__(self, event: str, **facts: object) -> None: ...


class Switchboard(Protocol):
    """What the gate asks of the session server; answers come back to `Gate.connected` and `Gate.refused`."""

    def relay_endpoint(self, reached: str) -> bytes:
        """The session server's endpoint (6 bytes) for a client that reached us at IP address `reached`."""
        ...

    def second_probe_endpoint(self, reached: str) -> bytes | None:
        """Another endpoint that answers probes, for such a client; None without one."""
        ...

    def add_probe(self, probe_id: bytes, key_material: bytes) -> None:
        """Answer probes of this id."""
        ...

    def remove_probe(self, probe_id: bytes) -> None:
        """Answer them no longer."""
        ...

    def introduce(self, fingerprint: bytes, probe_id: bytes, request: Connect) -> int:
        """Ask the device; returns the connect id of the answer."""
        ...

    def hang_up(self, nsi: bytes) -> None:
        """Forget a connection."""
        ...

    def carry(self, carrier: Carrier, fingerprint: bytes, data: bytes) -> bool:
        """Take a DATA datagram of that client; answers go to `Gate.send_datagram`. False: its NSI is not of a
        connection that this client made, and nothing happens."""
        ...

    def carrier_lost(self, carrier: Carrier) -> None:
        """Nothing comes from that link any more, and nothing can be sent there."""
        ...


@dataclass(slots=True, frozen=True)
class GateSettings:
    """Limits of the gate as a whole; each bounds what strangers can take from clients."""

    connections_max: int = 512
    """Below the usual limit of 1,024 open files of a process."""
    connections_per_source: int = 64
    source: RateLimit = RateLimit(64, 10.0)
    """New connections per source address: each may cost two RSA operations."""
    sources_max: int = 16_384
    opening_max: int = 256
    """Connections that have not said yet who they are; each holds some 50 KB of TLS state."""
    opening_per_source: int = 16
    """Without it, one source could fill `opening_max` and lock everybody out."""
    report: RateLimit = RateLimit(3, 0.05)
    """Log lines about one source address."""
    session: SessionSettings = field(default_factory=SessionSettings)


class Gate:
    """TCP listener and the sessions behind it. `clock_ms` is the clock of all machines."""

    def __init__(
        self,
        tls: SSL.Context,
        switchboard: Switchboard,
        clock_ms: Callable[[], int],
        rng: Rng,
        log: Log,
        settings: GateSettings | None = None,
    ) -> None:
        self.tls = tls
        self.settings = settings or GateSettings()
        self.pool = ThreadPoolExecutor(_HANDSHAKE_THREADS, thread_name_prefix="gate-tls")
        self.counters: Counter[str] = Counter()
        self._switchboard = switchboard
        self._clock_ms = clock_ms
        self._rng = rng
        self._log = log
        self._links: dict[GateLink, asyncio.Task[None]] = {}
        self._numbers = count(1)
        self._by_number: dict[int, GateLink] = {}  # those whose client is known
        self._probes: dict[GateLink, bytes] = {}
        self._asked: dict[int, tuple[GateLink, int]] = {}  # connect id → who asked, and by which id
        self._per_source: Counter[str] = Counter()
        self._new = Buckets(self.settings.source.burst, self.settings.source.per_s, self.settings.sources_max)
        self._reports = Buckets(self.settings.report.burst, self.settings.report.per_s, self.settings.sources_max)
        self._server: asyncio.Server | None = None
        self._sweeper: asyncio.Task[None] | None = None

    @property
    def connections(self) -> int:
        """Open connections, whatever their state."""
        return len(self._links)

    @property
    def links(self) -> tuple[GateLink, ...]:
        """The connections themselves."""
        return tuple(self._links)

    @property
    def sessions(self) -> int:
        """Connections whose client is known."""
        return len(self._probes)

    async def start(self, listener: socket.socket, sweep_s: float | None = _SWEEP_S) -> None:
        """Serve on a bound socket. `sweep_s` None: the caller calls `sweep`."""
        self._server = await asyncio.start_server(self._accept, sock=listener, limit=32_768)
        if sweep_s is not None:
            self._sweeper = asyncio.create_task(self._sweep_forever(sweep_s))

    async def close(self, reason: str = "the basestation stops") -> None:
        """Tell every client, wait a moment for them, and stop."""
        if self._sweeper is not None:
            self._sweeper.cancel()
        if self._server is not None:
            self._server.close()
        for link in list(self._links):
            if link.session is None:
                link.abort()
            else:
                link.perform(link.session.stop(reason))
        if self._links:
            await asyncio.wait(self._links.values(), timeout=_FAREWELL_S)
        for link in self._links:
            link.abort()
        if self._links:
            await asyncio.wait(self._links.values())
        self.pool.shutdown()

    def sweep(self, now_ms: int) -> None:
        """End what has lasted too long; call it about once a second."""
        for link in list(self._links):
            link.sweep(now_ms)

    def connected(self, event: Connected) -> None:
        """The session server reports success."""
        self._answer(event, "connected")

    def refused(self, event: ConnectRefused) -> None:
        """The session server reports failure."""
        self._answer(event, "refused")

    def now_ms(self) -> int:
        """The clock of all machines."""
        return self._clock_ms()

    def open_session(self, link: GateLink, fingerprint: bytes) -> GateSession:
        """A client is known: give it a session and a probe."""
        probe_id, probe_key = self._rng(PROBE_ID_LEN), self._rng(KEY_MATERIAL_LEN)
        self._switchboard.add_probe(probe_id, probe_key)
        self._probes[link] = probe_id
        self._by_number[link.carrier.number] = link
        self.counters["opened"] += 1
        self._log("gate_opened", fingerprint=format_fingerprint(fingerprint), source=link.source)
        relay = self._switchboard.relay_endpoint(link.reached)
        also = self._switchboard.second_probe_endpoint(link.reached)
        return GateSession(fingerprint, relay, probe_id, probe_key, self.settings.session, also)

    def introduce(self, link: GateLink, request: Connect) -> None:
        """A client wants a device."""
        assert link.session is not None
        self.counters["connects"] += 1
        connect_id = self._switchboard.introduce(link.session.fingerprint, self._probes[link], request)
        self._asked[connect_id] = (link, request.id)

    def hang_up(self, nsi: bytes) -> None:
        """A client needs a connection no longer."""
        self._switchboard.hang_up(nsi)

    def carry(self, link: GateLink, data: bytes) -> bool:
        """A client's datagram; False: for no connection of its own."""
        assert link.session is not None
        taken = self._switchboard.carry(link.carrier, link.session.fingerprint, data)
        self.counters["datagrams_up" if taken else "datagrams_stray"] += 1
        return taken

    def send_datagram(self, number: int, data: bytes) -> None:
        """A datagram for the client of the link of that number; lost when the link is gone, or its queue full."""
        link = self._by_number.get(number)
        sent = link is not None and link.send_datagram(data)
        self.counters["datagrams_down" if sent else "datagrams_lost"] += 1

    def report(self, link: GateLink, stage: str, reason: str) -> None:
        """A connection failed: count it, and log it unless this source has filled the log already."""
        self.counters[f"failed_{stage}"] += 1
        if self._reports.take(link.share, self.now_ms()):
            self._log("gate_failed", source=link.source, stage=stage, reason=reason)

    def _answer(self, event: Connected | ConnectRefused, outcome: str) -> None:
        link, id_ = self._asked.pop(event.connect_id)
        session = link.session
        assert session is not None
        self.counters[outcome] += 1
        facts: dict[str, object] = {
            "device": event.device_id.decode(),
            "fingerprint": format_fingerprint(session.fingerprint),
        }
        if isinstance(event, ConnectRefused):
            self._log("connect_refused", **facts, code=f"{event.code:04x}", reason=event.reason)
            link.perform(session.refused(id_, event))
        else:
            self._log("connect_accepted", **facts, nsi=event.nsi.hex())
            link.perform(session.connected(id_, event))

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        remote = socket_address(writer.get_extra_info("peername") or ("", 0))
        share = share_of(remote[0])
        limit = self._limit(share)
        if limit:
            self.counters[f"limited_{limit}"] += 1
            writer.transport.abort()
            return
        link = GateLink(self, reader, writer, Carrier(GATE, next(self._numbers), remote))
        task = asyncio.current_task()
        assert task is not None
        self._links[link] = task
        self._per_source[share] += 1
        try:
            await link.run()
            # Still ours until the last byte is taken: `sweep` cuts a client that does not.
            with contextlib.suppress(OSError):
                await writer.wait_closed()
        finally:
            self._forget(link)

    def _limit(self, share: str) -> str:
        """Which limit a new connection of that share (`wire.share_of`) would exceed, if any."""
        if len(self._links) >= self.settings.connections_max:
            return "connections"
        if len(self._links) - len(self._probes) >= self.settings.opening_max:
            return "opening"
        if self._per_source[share] >= self.settings.connections_per_source:
            return "source"
        if sum(link.session is None for link in self._links if link.share == share) >= self.settings.opening_per_source:
            return "opening_source"
        return "" if self._new.take(share, self.now_ms()) else "rate"

    def _forget(self, link: GateLink) -> None:
        del self._links[link]
        self._per_source[link.share] -= 1
        if not self._per_source[link.share]:
            del self._per_source[link.share]
        probe_id = self._probes.pop(link, None)
        if probe_id is not None:
            del self._by_number[link.carrier.number]
            self._switchboard.remove_probe(probe_id)
            self._switchboard.carrier_lost(link.carrier)
            self._log("gate_closed", source=link.source)

    async def _sweep_forever(self, period_s: float) -> None:
        while True:
            await asyncio.sleep(period_s)
            self.sweep(self.now_ms())
