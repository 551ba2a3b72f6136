"""Introducing a client to a device: U_CONNECT and its answer (specification, core 5.2 and 9.5)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import count

from homeport_core.catalogue import (
    NAT_BLOCKED,
    NOTIFY_MICRO_REATTACHING,
    NOTIFY_MICRO_REQ_ERR,
    NOTIFY_NAMES,
    NOTIFY_UNKNOWN_MICRO,
)
from homeport_core.crypto import AesContext
from homeport_core.packet import Packet, encode
from homeport_core.payloads import build_fp, build_id, build_ipx, parse_notify
from homeport_core.spec import (
    CLIENT_ID_MAX,
    ENDPOINT_LEN,
    ENDPOINT_ZERO,
    FINGERPRINT_LEN,
    FL_RESPONSE,
    ID_MAIL,
    IPX_CP_ASYNC,
    IPX_NAT_MASK,
    IPX_NO_RENDEZVOUS,
    IV_LEN,
    KEY_MATERIAL_LEN,
    NOTIFY_BUSY_MICRO,
    NOTIFY_CP_ACCESS,
    NOTIFY_OK,
    PL_CP_ID,
    PL_FP,
    PL_GW,
    PL_IPX,
    PL_NOTIFY,
    PT_U_CONNECT,
)

from homeport.basestation.carrier import Carrier, Peer, seen_endpoint
from homeport.basestation.counters import GspCounters
from homeport.basestation.events import Connected, ConnectRefused, EventQueue
from homeport.basestation.gsp.gateways import Gateways, Meeting
from homeport.basestation.gsp.nsi import fresh_nsi
from homeport.basestation.gsp.registry import Attachment, Registry
from homeport.basestation.gsp.relay import Relay
from homeport.basestation.gsp.settings import GspSettings
from homeport.basestation.gsp.wheel import TICK_MS, Wheel
from homeport.basestation.machine import Datagrams, Rng

# The receive buffer of a device built without streams: one octet more and U_CONNECT vanishes (field notes).
SMALL_DEVICE_PACKET_LEN = 272
# Without a name and with FP, U_CONNECT takes 213 octets; without FP the 64 of the specification fit.
_NAME_MAX_WITH_FP = SMALL_DEVICE_PACKET_LEN - 213
_SEQ_LEN = 2

_REASONS = {
    NOTIFY_UNKNOWN_MICRO: "the device is not attached to this basestation",
    NOTIFY_MICRO_REATTACHING: "the device does not answer at the moment",
    NOTIFY_MICRO_REQ_ERR: "the basestation has no room for another connection",
    NOTIFY_BUSY_MICRO: "the device has too many connections",
    NOTIFY_CP_ACCESS: "the device does not grant this client access",
}


@dataclass(slots=True, frozen=True)
class ConnectRequest:
    """A client that has proved `fingerprint` (16 octets) wants `device_id`. Its endpoints are 6 octets.

    The device believes the fingerprint and the client id blindly, so only the gate may fill them in. Without
    rendezvous, give no endpoints: the reference device sends one packet to them even so (core 5.5). With `tcp` a device
    that can is asked to come to the gateway, for the client has no UDP.
    """

    device_id: bytes
    fingerprint: bytes
    client_id: str = ""
    private: bytes = ENDPOINT_ZERO
    global_: bytes = ENDPOINT_ZERO
    nat_type: int = 0
    rendezvous: bool = True
    tcp: bool = False

    def __post_init__(self) -> None:
        if len(self.fingerprint) != FINGERPRINT_LEN:
            raise ValueError(f"fingerprint has {len(self.fingerprint)} octets, not {FINGERPRINT_LEN}")
        if len(self.private) != ENDPOINT_LEN or len(self.global_) != ENDPOINT_LEN:
            raise ValueError(f"an endpoint is not {ENDPOINT_LEN} octets")
        if not 0 <= self.nat_type <= IPX_NAT_MASK:
            raise ValueError(f"NAT type {self.nat_type} is not in 0 … {IPX_NAT_MASK}")


class Pending:
    """A U_CONNECT on its way. `packet` is repeated unchanged."""

    __slots__ = ("attachment", "connect_id", "fingerprint", "key", "nsi", "packet", "seq", "sent", "started_ms")

    def __init__(
        self, connect_id: int, attachment: Attachment, fingerprint: bytes, nsi: bytes, key: bytes, started_ms: int
    ) -> None:
        self.connect_id = connect_id
        self.attachment = attachment
        self.fingerprint = fingerprint
        self.nsi = nsi
        self.key = key
        self.started_ms = started_ms
        self.packet = b""
        self.seq = 0
        self.sent = 0


class Connects:
    """The introductions that are under way."""

    def __init__(
        self,
        settings: GspSettings,
        registry: Registry,
        relay: Relay,
        gateways: Gateways,
        rng: Rng,
        events: EventQueue,
        counters: GspCounters,
    ) -> None:
        self._settings = settings
        self._registry = registry
        self._relay = relay
        self._gateways = gateways
        self.gateway_for: Callable[[str], bytes] | None = None
        self._rng = rng
        self._events = events
        self._counters = counters
        self._ids = count(1)
        self._by_nsi: dict[bytes, Pending] = {}
        self._of_device: dict[bytes, list[Pending]] = {}
        self._wheel: Wheel[Pending] = Wheel()

    def __len__(self) -> int:
        return len(self._by_nsi)

    @property
    def deadline_ms(self) -> int | None:
        """When the next transmission or timeout is due."""
        return self._wheel.deadline_ms

    def connect(self, now_ms: int, request: ConnectRequest) -> int:
        """Begin. The id returned comes back in exactly one Connected or ConnectRefused, perhaps at once."""
        connect_id = next(self._ids)
        self._counters.connects += 1
        attachment = self._registry.get(request.device_id)
        if attachment is None:
            self._refuse(connect_id, request.device_id, NOTIFY_UNKNOWN_MICRO)
        elif len(self._of_device.get(request.device_id, ())) >= self._settings.connects_per_device:
            self._refuse(connect_id, request.device_id, NOTIFY_BUSY_MICRO)
        elif len(self._by_nsi) >= self._settings.connects_max or self._relay.full:
            self._refuse(connect_id, request.device_id, NOTIFY_MICRO_REQ_ERR)
        else:
            self._begin(now_ms, connect_id, attachment, request)
        return connect_id

    def answer(self, now_ms: int, packet: Packet, address: Peer) -> None:
        """Take a device's U_CONNECT answer. It carries no MAC: NSIs, sequence number and source have to fit."""
        notify = packet.get(PL_NOTIFY)
        if packet.flags != FL_RESPONSE or notify is None:
            self._counters.drop_unexpected += 1
            return
        code, nsi = parse_notify(notify)
        pending = self._by_nsi.get(nsi)
        if pending is None or packet.sp != pending.attachment.nsi or packet.seq != pending.seq:
            self._counters.drop_unknown_nsi += 1
            return
        if pending.attachment.address != address:
            self._counters.drop_source += 1
            return
        self._close(pending)
        if code != NOTIFY_OK:
            self._refuse(pending.connect_id, pending.attachment.device_id, code)
            return
        self._relay.open(now_ms, pending.nsi, pending.key, pending.attachment, pending.fingerprint)
        self._counters.connected += 1
        self._events.put(_connected(pending))

    def timeout(self, now_ms: int) -> tuple[Datagrams, list[Attachment]]:
        """Do what is due: (packets to send, attachments whose device did not answer at all)."""
        out: list[tuple[bytes, Peer]] = []
        silent: list[Attachment] = []
        for pending in self._wheel.due(now_ms):
            if self._by_nsi.get(pending.nsi) is not pending:
                continue
            if now_ms >= pending.started_ms + self._settings.connect_timeout_ms:
                self._close(pending)
                self._counters.connects_timed_out += 1
                self._refuse(pending.connect_id, pending.attachment.device_id, NOTIFY_MICRO_REATTACHING)
                silent.append(pending.attachment)
            else:
                out.append((pending.packet, pending.attachment.address))
                self._counters.connects_sent += 1
                pending.sent += 1
                self._wheel.add(self._next_ms(pending), pending)
        return out, silent

    def abandon(self, device_id: bytes, code: int) -> None:
        """The device's attachment has ended: what was sealed under it can no longer be answered."""
        for pending in tuple(self._of_device.get(device_id, ())):
            self._close(pending)
            self._refuse(pending.connect_id, device_id, code)

    def _begin(self, now_ms: int, connect_id: int, attachment: Attachment, request: ConnectRequest) -> None:
        while True:
            nsi = fresh_nsi(self._rng, self._by_nsi, self._relay, self._registry.by_nsi)
            if not attachment.has_used(nsi):
                break
        attachment.mark_used(nsi)
        pending = Pending(connect_id, attachment, request.fingerprint, nsi, self._rng(KEY_MATERIAL_LEN), now_ms)
        pending.seq = int.from_bytes(self._rng(_SEQ_LEN), "big")
        pending.packet = _u_connect(pending, request, self._rng(IV_LEN), self._offer(now_ms, pending, request))
        self._by_nsi[nsi] = pending
        self._of_device.setdefault(attachment.device_id, []).append(pending)
        self._wheel.add(now_ms - TICK_MS + 1, pending)  # in this tick, not the next: a client waits

    def _offer(self, now_ms: int, pending: Pending, request: ConnectRequest) -> tuple[Meeting, bytes] | None:
        """Invite the device to the gateway, if that is wanted and it can come: the meeting, and the payload GW."""
        attachment = pending.attachment
        where = attachment.address
        if not request.tcp or not attachment.takes_gateway or self.gateway_for is None or isinstance(where, Carrier):
            return None
        meeting = self._gateways.offer(now_ms, pending.nsi)
        return meeting, meeting.payload(self.gateway_for(where[0]))

    def _next_ms(self, pending: Pending) -> int:
        retries = self._settings.connect_retries_ms
        if pending.sent <= len(retries):
            return pending.started_ms + retries[pending.sent - 1]
        return pending.started_ms + self._settings.connect_timeout_ms

    def _close(self, pending: Pending) -> None:
        del self._by_nsi[pending.nsi]
        of_device = self._of_device[pending.attachment.device_id]
        of_device.remove(pending)
        if not of_device:
            del self._of_device[pending.attachment.device_id]

    def _refuse(self, connect_id: int, device_id: bytes, code: int) -> None:
        self._counters.connects_refused += 1
        reason = _REASONS.get(code) or f"the device refused: {NOTIFY_NAMES.get(code, hex(code))}"
        self._events.put(ConnectRefused(connect_id, device_id, code, reason))


def _u_connect(pending: Pending, request: ConnectRequest, iv: bytes, offer: tuple[Meeting, bytes] | None) -> bytes:
    """The packet: IPX first, FP only for a device that knows it, the client id cut to what the device can take."""
    attachment = pending.attachment
    flags = IPX_CP_ASYNC | request.nat_type
    if not request.rendezvous:
        flags |= IPX_NO_RENDEZVOUS
    co, cp = (offer[0].co, offer[0].cp) if offer else (b"", b"")
    head = [(PL_IPX, build_ipx(request.private, request.global_, flags, pending.nsi, co, cp))]
    tail = [(PL_FP, build_fp(request.fingerprint))] if attachment.takes_fingerprint else []
    if offer:
        tail.append((PL_GW, offer[1]))
    name_max = _NAME_MAX_WITH_FP if attachment.takes_fingerprint else CLIENT_ID_MAX
    name = (PL_CP_ID, build_id(ID_MAIL, cut(request.client_id, name_max)))
    return encode(
        PT_U_CONNECT,
        [*head, name, *tail],
        sp=attachment.nsi,
        seq=pending.seq,
        context=AesContext(attachment.key, True),
        plaintext=pending.key,
        iv=iv,
    )


def cut(text: str, limit: int) -> bytes:
    """UTF-8 of at most `limit` octets, cut between characters."""
    return text.encode(errors="replace")[:limit].decode(errors="ignore").encode()


def _connected(pending: Pending) -> Connected:
    attachment = pending.attachment
    on_tcp = isinstance(attachment.address, Carrier)  # its UDP is blocked: nothing to aim at
    return Connected(
        pending.connect_id,
        attachment.device_id,
        pending.nsi,
        pending.key,
        attachment.private,
        ENDPOINT_ZERO if on_tcp else seen_endpoint(attachment.address),
        NAT_BLOCKED if on_tcp else attachment.nat_type,
        attachment.capability_bits,
        attachment.capability_mask,
    )
