"""The GSP: the session server that devices register with and clients are introduced and relayed by.

This file only joins the parts: it checks a datagram's length, looks at its type, and hands it to the part that the
type belongs to. What ends an attachment is decided here, because every part has to hear of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from homeport_core.catalogue import NOTIFY_MICRO_REATTACHING, NOTIFY_UNKNOWN_MICRO
from homeport_core.errors import AuthError, ProtocolError
from homeport_core.packet import Packet
from homeport_core.payloads import u16
from homeport_core.spec import (
    HEADER_LEN,
    PL_STATS,
    PT_DATA,
    PT_GW_CONN_U,
    PT_PROBE,
    PT_STATS,
    PT_U_ALIVE,
    PT_U_ATTACH,
    PT_U_CONNECT,
    PT_U_INVITE,
    PT_U_PUSH,
    STATS_CONNECTION_CLOSE,
)

from homeport.basestation.carrier import Carrier, Peer
from homeport.basestation.counters import GspCounters
from homeport.basestation.devices import Devices
from homeport.basestation.events import DeviceAttached, DeviceLost, Event, EventQueue
from homeport.basestation.gsp.alive import Alive
from homeport.basestation.gsp.attach import Attach
from homeport.basestation.gsp.connect import ConnectRequest, Connects
from homeport.basestation.gsp.gateways import Gateways
from homeport.basestation.gsp.probe import Probes
from homeport.basestation.gsp.registry import Attachment, Registry, Row, from_row, to_row
from homeport.basestation.gsp.relay import Relay
from homeport.basestation.gsp.settings import GspSettings
from homeport.basestation.machine import NOTHING, Datagrams, Rng


class Gsp:
    """The machine (see `machine.Machine`), and the calls of the gate and the operator.

    After any of those calls the adapter has to be woken: what they send and report comes out with the next
    `timeout` and `next_event`.
    """

    def __init__(self, settings: GspSettings, devices: Devices, rng: Rng) -> None:
        self.counters = GspCounters()
        self._devices = devices
        self._rng = rng
        self._events = EventQueue(settings.events_max, settings.report, settings.reports)
        self._registry = Registry(settings.carrier_grace_ms)
        parts = (self._events, self.counters)
        self._attach = Attach(settings, devices, self._registry, rng, *parts)
        self._alive = Alive(settings, self._registry, *parts)
        self._gateways = Gateways(settings, rng, *parts)
        self._relay = Relay(settings, self._gateways, *parts)
        self._connects = Connects(settings, self._registry, self._relay, self._gateways, rng, *parts)
        self._probes = Probes(settings, rng, self.counters)
        self._handlers: dict[int, Callable[[int, Packet, Peer], Datagrams]] = {
            PT_U_INVITE: self._attach.invite,
            PT_U_ATTACH: self._attach_answer,
            PT_U_CONNECT: self._connect_answer,
            PT_PROBE: self._probes.answer,
            PT_STATS: self._report,
            PT_U_PUSH: self._push,
            PT_GW_CONN_U: self._gateways.take,
        }

    # The machine

    @property
    def deadline_ms(self) -> int | None:
        """When `timeout` has to be called, or None."""
        parts = (self._alive, self._connects, self._relay, self._attach, self._registry, self._gateways)
        return min((part.deadline_ms for part in parts if part.deadline_ms is not None), default=None)

    def datagram(self, now_ms: int, data: bytes, address: Peer) -> Datagrams:
        """Take one datagram from the network. Never raises, whatever it holds."""
        size = len(data)
        if size < HEADER_LEN or data[14] << 8 | data[15] != size:
            self.counters.drop_malformed += 1
            return NOTHING
        kind = data[8]
        if kind == PT_DATA:
            return self._relay.forward(now_ms, data, address)
        try:
            if kind == PT_U_ALIVE:
                return self._alive.answer(now_ms, data, address)
            handler = self._handlers.get(kind)
            if handler is None:
                self.counters.drop_unexpected += 1
                return NOTHING
            packet = Packet()
            # A private, mutable copy: an answer to U_ATTACH is decrypted in place.
            packet.decode_from(bytearray(data))
            return handler(now_ms, packet, address)
        except AuthError:
            self.counters.drop_auth += 1
        except ProtocolError:
            self.counters.drop_malformed += 1
        return NOTHING

    def timeout(self, now_ms: int) -> Datagrams:
        """Do what is due."""
        self._attach.expire(now_ms)
        self._relay.timeout(now_ms)
        self._gateways.timeout(now_ms)
        rounds, lost = self._alive.timeout(now_ms)
        for attachment in lost:
            self.counters.lost += 1
            self._end(attachment, "silent", NOTIFY_UNKNOWN_MICRO)
        for attachment in self._registry.orphans(now_ms):
            self.counters.lost += 1
            self._end(attachment, "connection closed", NOTIFY_UNKNOWN_MICRO)
        connects, silent = self._connects.timeout(now_ms)
        suspected = [datagram for attachment in silent for datagram in self._alive.suspect(now_ms, attachment)]
        return [*rounds, *connects, *suspected]

    def carrier_lost(self, now_ms: int, carrier: Carrier) -> None:
        """A connection has ended. Clients on it have to bind again; a device has a moment to come back on another."""
        self._relay.carrier_lost(carrier)
        self._gateways.carrier_lost(carrier)
        self._registry.carrier_lost(now_ms, carrier)

    def set_gateway(self, endpoint_for: Callable[[str], bytes]) -> None:
        """Where devices at an IP address find the gateway: 6 octets. Without, no device is told of it."""
        self._connects.gateway_for = endpoint_for

    def in_use(self, carrier: Carrier) -> bool:
        """Whether an attachment or a session depends on a connection."""
        return carrier in self._registry or self._relay.uses(carrier) or self._gateways.uses(carrier)

    def next_event(self) -> Event | None:
        """The oldest event, taken out, or None."""
        return self._events.next()

    # The gate

    def connect(self, now_ms: int, request: ConnectRequest) -> int:
        """Introduce a client to a device. The id returned comes back in one Connected or ConnectRefused."""
        return self._connects.connect(now_ms, request)

    def disconnect(self, nsi: bytes) -> None:
        """Stop relaying for a session (4 octets), if there is one."""
        self._relay.close(nsi, "closed by the client")

    def is_of(self, nsi: bytes, fingerprint: bytes) -> bool:
        """Whether the client of that fingerprint (16 octets) made the session (4 octets)."""
        return self._relay.is_of(nsi, fingerprint)

    def add_probe(self, probe_id: bytes, key_material: bytes) -> None:
        """Answer probes with that id (8 octets) sealed under that key material (96). Raises FullError."""
        self._probes.add(probe_id, key_material)

    def answer_probe(self, now_ms: int, packet: Packet, address: Peer) -> Datagrams:
        """Answer a probe that came to another port of this machine. Raises ProtocolError."""
        return self._probes.answer(now_ms, packet, address)

    def remove_probe(self, probe_id: bytes) -> None:
        """Answer no more probes with that id."""
        self._probes.remove(probe_id)

    def probed(self, probe_id: bytes, token: bytes) -> bytes | None:
        """The endpoint (6 octets) a probe with that token (8) came from, or None."""
        return self._probes.source(probe_id, token)

    # The operator

    @property
    def attached(self) -> int:
        """How many devices are attached."""
        return len(self._registry)

    @property
    def attached_over_tcp(self) -> int:
        """How many of them by TCP, for want of UDP."""
        return self._registry.carriers

    @property
    def handshakes(self) -> int:
        """How many invites are answered and not proven yet."""
        return len(self._attach)

    @property
    def sessions(self) -> int:
        """How many sessions could be relayed."""
        return len(self._relay)

    @property
    def probes(self) -> int:
        """How many clients may probe."""
        return len(self._probes)

    @property
    def suppressed_reports(self) -> int:
        """How many reports about strangers were left out of the events."""
        return self._events.suppressed

    def attachment(self, device_id: bytes) -> Attachment | None:
        """A device's attachment, to look at."""
        return self._registry.get(device_id)

    def revoke(self, device_id: bytes, reason: str = "revoked") -> None:
        """Drop a device's attachment, handshakes and sessions: disabled, removed, or given a new key."""
        self._attach.forget(device_id)
        attachment = self._registry.get(device_id)
        if attachment is not None:
            self._end(attachment, reason, NOTIFY_UNKNOWN_MICRO)
        self._relay.close_device(device_id, reason)

    def set_unix_offset(self, offset_ms: int) -> None:
        """What to add to now_ms for Unix time in ms, so that U_ALIVE can tell devices the time."""
        self._alive.unix_offset_ms = offset_ms

    def row(self, device_id: bytes) -> Row | None:
        """One attachment for safe keeping, or None. It does not change until the device attaches again."""
        attachment = self._registry.get(device_id)
        record = self._devices.get(device_id)
        return None if attachment is None or record is None else to_row(attachment, record)

    def snapshot(self) -> list[Row]:
        """All attachments for safe keeping."""
        rows = (self.row(attachment.device_id) for attachment in self._registry)
        return [row for row in rows if row is not None]

    def restore(self, now_ms: int, rows: Iterable[Row]) -> int:
        """Attach the devices of a snapshot again, and begin their rounds at once; returns how many.

        Rows that are damaged, and those of devices that are gone, disabled or have a new key, are left out.
        """
        restored = 0
        for row in rows:
            record = self._devices.get(row[0])
            attachment = from_row(row, record) if record is not None and record.enabled else None
            if attachment is None or attachment.nsi in self._registry.by_nsi:
                continue
            if self._registry.get(attachment.device_id) is not None:
                continue
            self._registry.replace(attachment)
            # Any number but the device's last: a random one, so that a row never goes stale.
            self._alive.resume(now_ms, restored, attachment, u16(self._rng(2), 0))
            restored += 1
        self.counters.restored += restored
        return restored

    # Between the parts

    def _attach_answer(self, now_ms: int, packet: Packet, address: Peer) -> Datagrams:
        proven = self._attach.answer(now_ms, packet, address)
        if proven is None:
            return NOTHING
        attachment, handshake = proven
        previous = self._registry.replace(attachment)
        if previous is not None:
            attachment.used = previous.used
            self.counters.replaced += 1
            self._connects.abandon(attachment.device_id, NOTIFY_MICRO_REATTACHING)
        self.counters.attached += 1
        self._relay.move(attachment)
        self._events.put(
            DeviceAttached(
                attachment.device_id,
                address,
                None if previous is None else previous.address,
                attachment.nat_type,
                *handshake.software,
            )
        )
        return self._alive.start(now_ms, attachment)

    def _connect_answer(self, now_ms: int, packet: Packet, address: Peer) -> Datagrams:
        self._connects.answer(now_ms, packet, address)
        return NOTHING

    def _report(self, now_ms: int, packet: Packet, address: Peer) -> Datagrams:
        """A device's statistics, unauthenticated: the end of a connection is a hint, the rest is counted."""
        self.counters.drop_reports += 1
        stats = packet.get(PL_STATS)
        if stats is not None and stats[:1] == bytes((STATS_CONNECTION_CLOSE,)):
            self._relay.close_hinted(now_ms, packet.sp, address)
        return NOTHING

    def _push(self, now_ms: int, packet: Packet, address: Peer) -> Datagrams:
        """Push notifications are not carried yet: not acknowledged, so the device reports them failed."""
        self.counters.drop_push += 1
        return NOTHING

    def _end(self, attachment: Attachment, reason: str, code: int) -> None:
        self._registry.remove(attachment)
        self._connects.abandon(attachment.device_id, code)
        self._events.put(DeviceLost(attachment.device_id, attachment.address, reason))
