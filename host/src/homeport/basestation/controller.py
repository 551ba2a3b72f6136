"""The controller: tells a device which GSP is its own, and keeps no state about it (specification, core 4.3, 9.1)."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import blake2b

from homeport_core.errors import ConfigError, ProtocolError
from homeport_core.packet import Packet, encode
from homeport_core.payloads import build_ipx, parse_attach_stats, parse_id
from homeport_core.spec import (
    DEVICE_ID_MAX,
    ENDPOINT_ZERO,
    FL_RESPONSE,
    ID_URL,
    PL_ATTACH_STATS,
    PL_IPX,
    PL_NONCE,
    PL_SP_ID,
    PT_PROBE,
    PT_STATS,
    PT_U_INVITE,
)

from homeport.basestation.carrier import Peer, seen_endpoint, source_of
from homeport.basestation.counters import ControllerCounters
from homeport.basestation.devices import Devices
from homeport.basestation.events import AttachFailed, AttachFailure, Event, EventQueue, InviteRefused, Refusal
from homeport.basestation.gsp.settings import ControllerSettings
from homeport.basestation.limits import Buckets
from homeport.basestation.machine import NOTHING, Datagrams
from homeport.wire import endpoint, printable

ANSWER_LEN = 33


class Controller:
    """The machine (see `machine.Machine`).

    A GSP with the address 0.0.0.0 is this machine itself: `route(ip)` says which of its addresses a device at `ip`
    reaches. `probe` answers the probes of clients (docs/gate.md), where a GSP shares the process.
    """

    def __init__(
        self,
        settings: ControllerSettings,
        devices: Devices,
        route: Callable[[str], str] | None = None,
        probe: Callable[[int, Packet, Peer], Datagrams] | None = None,
    ) -> None:
        if not settings.gsps:
            raise ConfigError("the controller needs the address of at least one GSP")
        self.counters = ControllerCounters()
        self._settings = settings
        self._devices = devices
        self._route = route
        self._probe = probe
        self._events = EventQueue(settings.events_max, settings.report, settings.reports)
        self._sources = Buckets(settings.source.burst, settings.source.per_s, settings.sources_max)

    @property
    def deadline_ms(self) -> int | None:
        """Always None: the controller waits for nothing."""
        return None

    def timeout(self, now_ms: int) -> Datagrams:
        """Nothing is ever due."""
        return NOTHING

    def next_event(self) -> Event | None:
        """The oldest event, taken out, or None."""
        return self._events.next()

    def datagram(self, now_ms: int, data: bytes, address: Peer) -> Datagrams:
        """Take one datagram from the network. Never raises, whatever it holds."""
        packet = Packet()
        try:
            packet.decode_from(data)
            if packet.type == PT_U_INVITE:
                return self._invite(now_ms, packet, address)
            if packet.type == PT_PROBE and self._probe is not None:
                return self._probe(now_ms, packet, address)
            if packet.type == PT_STATS:
                self._report(now_ms, packet, address)
            else:
                self.counters.ignored += 1
        except ProtocolError:
            self.counters.malformed += 1
        return NOTHING

    def gsp_for(self, device_id: bytes) -> bytes:
        """The endpoint of the device's GSP: always the same while the list of GSPs is, and the fewest devices
        move when the list changes."""
        return max(self._settings.gsps, key=lambda gsp: blake2b(gsp + device_id, digest_size=8).digest())

    def _invite(self, now_ms: int, packet: Packet, address: Peer) -> Datagrams:
        claimed = packet.get(PL_SP_ID)
        if packet.flags & FL_RESPONSE or claimed is None or packet.find(PL_NONCE) >= 0 or packet.n < ANSWER_LEN:
            self.counters.ignored += 1
            return NOTHING
        if not self._sources.take(source_of(address), now_ms):
            self.counters.limited += 1
            return NOTHING
        kind, device_id = parse_id(claimed)
        record = self._devices.get(device_id) if kind == ID_URL and len(device_id) <= DEVICE_ID_MAX else None
        if record is None or not record.enabled:
            self.counters.refused += 1
            reason = Refusal.UNKNOWN if record is None else Refusal.DISABLED
            event = InviteRefused(printable(device_id, DEVICE_ID_MAX), address, reason)
            self._events.report(now_ms, (source_of(address), reason), event)
            return NOTHING
        self.counters.answered += 1
        gsp = self.gsp_for(device_id)
        if self._route is not None and gsp[:4] == ENDPOINT_ZERO[:4]:
            gsp = endpoint((self._route(source_of(address)), gsp[4] << 8 | gsp[5]))
        ipx = build_ipx(gsp, seen_endpoint(address))
        answer = encode(PT_U_INVITE, ((PL_IPX, ipx),), seq=packet.seq, flags=FL_RESPONSE)
        return ((answer, address),)

    def _report(self, now_ms: int, packet: Packet, address: Peer) -> None:
        """A device tells why it could not attach: diagnostics for the operator, never acted on."""
        claimed, stats = packet.get(PL_SP_ID), packet.get(PL_ATTACH_STATS)
        if claimed is None or stats is None:
            self.counters.ignored += 1
            return
        record = self._devices.get(parse_id(claimed)[1])
        if record is None:
            self.counters.ignored += 1
            return
        self.counters.reports += 1
        status = parse_attach_stats(stats)[1]
        event = AttachFailed(record.device_id, address, AttachFailure.REPORTED, status)
        self._events.report(now_ms, (record.device_id, status), event)
