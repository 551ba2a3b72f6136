"""Attach: from an invite to a proven registration (specification, core 4.4, 4.5.1 and 9.2).

An invite is worth nothing: it opens a handshake beside whatever is registered, in a table that is bounded in all,
per source and per device, and in which the oldest goes first. Only an answer that proves the device's key over our
fresh nonce, from where the invite came, makes an attachment. Handshakes live a fixed time, so the table's order is
their order of expiry.
"""

from __future__ import annotations

from collections import OrderedDict

from homeport_core.crypto import AesContext, ct_equal, key_material
from homeport_core.errors import AuthError, MalformedError
from homeport_core.packet import Packet, encode
from homeport_core.payloads import (
    build_capability,
    build_ipx,
    parse_capability,
    parse_id,
    parse_ipx,
    parse_notify,
    parse_version,
)
from homeport_core.spec import (
    DESCR_APPLICATION,
    DEVICE_ID_MAX,
    FL_RESPONSE,
    ID_URL,
    IV_LEN,
    NONCE_LEN,
    NOTIFY_OK,
    PL_CAPABILITY,
    PL_DESCR,
    PL_EP,
    PL_IPX,
    PL_NONCE,
    PL_NOTIFY,
    PL_SP_ID,
    PL_VERSION,
    PT_U_ATTACH,
    SEED_LEN,
    SUITE_AES,
)

from homeport.basestation.carrier import Peer, seen_endpoint, source_of
from homeport.basestation.counters import GspCounters
from homeport.basestation.devices import DeviceRecord, Devices
from homeport.basestation.events import AttachFailed, AttachFailure, EventQueue, InviteRefused, Refusal
from homeport.basestation.gsp.nsi import fresh_nsi
from homeport.basestation.gsp.registry import Attachment, Registry, pack_facts
from homeport.basestation.gsp.settings import GspSettings
from homeport.basestation.limits import Buckets
from homeport.basestation.machine import NOTHING, Datagrams, Rng
from homeport.wire import printable

# Shorter than any device's invite, which always has VERSION: U_ATTACH (180 octets) would be over twice as long.
INVITE_MIN_LEN = 90
_ATTACH_SEQ = 1
_SUSPECT_REPEATS = 2


class Handshake:
    """An invite that was answered and is not proven yet. `nonce` is the device's, `packet` our U_ATTACH."""

    __slots__ = (
        "address",
        "expires_ms",
        "failures",
        "gsp_nonce",
        "gsp_seed",
        "nonce",
        "nsi",
        "packet",
        "record",
        "repeats",
        "software",
        "source",
    )

    def __init__(self, record: DeviceRecord, address: Peer, nonce: bytes, software: tuple[str, str]) -> None:
        self.record = record
        self.address = address
        self.source = source_of(address)
        self.nonce = nonce
        self.software = software
        self.nsi = self.gsp_nonce = self.gsp_seed = self.packet = b""
        self.expires_ms = 0
        self.repeats = 0
        self.failures = 0


class Attach:
    """The unproven handshakes."""

    def __init__(
        self,
        settings: GspSettings,
        devices: Devices,
        registry: Registry,
        rng: Rng,
        events: EventQueue,
        counters: GspCounters,
    ) -> None:
        self._settings = settings
        self._devices = devices
        self._registry = registry
        self._rng = rng
        self._events = events
        self._counters = counters
        self._by_nsi: OrderedDict[bytes, Handshake] = OrderedDict()
        self._by_device: dict[bytes, list[Handshake]] = {}
        self._by_source: dict[str, OrderedDict[bytes, Handshake]] = {}
        self._sources = Buckets(settings.source.burst, settings.source.per_s, settings.sources_max)
        self._asked = Buckets(settings.device.burst, settings.device.per_s, settings.sources_max)

    def __len__(self) -> int:
        return len(self._by_nsi)

    @property
    def deadline_ms(self) -> int | None:
        """When the oldest handshake expires."""
        return next(iter(self._by_nsi.values())).expires_ms if self._by_nsi else None

    def invite(self, now_ms: int, packet: Packet, address: Peer) -> Datagrams:
        """Answer a device's invite with U_ATTACH, or with nothing and a reason for the operator."""
        nonce = packet.get(PL_NONCE)
        claimed = packet.get(PL_SP_ID)
        if packet.flags & FL_RESPONSE or nonce is None or claimed is None:
            self._counters.drop_unexpected += 1
            return NOTHING
        self._counters.invites += 1
        kind, device_id = parse_id(claimed)
        record = self._devices.get(device_id) if kind == ID_URL and len(device_id) <= DEVICE_ID_MAX else None
        reason = _refusal(record, nonce, packet)
        if record is None or reason is not None:
            self._counters.drop_refused += 1
            return self._refuse(now_ms, device_id, address, reason or Refusal.UNKNOWN)
        if packet.n < INVITE_MIN_LEN:
            self._counters.drop_unexpected += 1
            return NOTHING
        source = source_of(address)
        if not self._sources.take(source, now_ms) or not self._asked.take(self._bucket(record, source), now_ms):
            self._counters.drop_limited += 1
            return self._refuse(now_ms, device_id, address, Refusal.LIMITED)
        handshake = self._pending(record, address, nonce)
        if handshake is None:
            handshake = Handshake(record, address, nonce, _software(packet))
            self._open(now_ms, handshake)
        else:
            self._repeated(now_ms, handshake)
        self._counters.attaches_sent += 1
        return ((handshake.packet, address),)

    def answer(self, now_ms: int, packet: Packet, address: Peer) -> tuple[Attachment, Handshake] | None:
        """Check a U_ATTACH answer (its buffer is decrypted in place); a proven one makes an attachment."""
        handshake = self._by_nsi.get(packet.sp)
        if handshake is None or packet.flags != FL_RESPONSE:
            self._counters.drop_unknown_nsi += 1
            return None
        if handshake.address != address:
            self._counters.drop_source += 1
            return None
        record = self._devices.get(handshake.record.device_id)
        if record is None or not record.enabled:
            self._counters.drop_refused += 1
            self._close(handshake)
            return None
        try:
            attachment = _proven(packet, handshake, record)
        except (AuthError, MalformedError):
            self._counters.drop_auth += 1
            self._fail(now_ms, handshake, AttachFailure.UNVERIFIED)
            handshake.failures += 1
            if handshake.failures >= self._settings.handshake_failures:
                self._close(handshake)
            return None
        self._close(handshake)
        return attachment, handshake

    def expire(self, now_ms: int) -> None:
        """Forget handshakes that nobody completed in time."""
        while self._by_nsi:
            handshake = next(iter(self._by_nsi.values()))
            if handshake.expires_ms > now_ms:
                return
            self._counters.handshakes_expired += 1
            # A stray copy of an attached device's invite stays unanswered too, and means nothing.
            if handshake.repeats < _SUSPECT_REPEATS and self._registry.get(handshake.record.device_id) is None:
                self._fail(now_ms, handshake, AttachFailure.UNANSWERED)
            self._close(handshake)

    def forget(self, device_id: bytes) -> None:
        """Drop the device's handshakes: it was disabled or removed, or has a new key."""
        for handshake in tuple(self._by_device.get(device_id, ())):
            self._close(handshake)

    def _bucket(self, record: DeviceRecord, source: str) -> object:
        """The bucket for a device's U_ATTACHes. Invites from the address where the device is attached have one of
        their own, so that strangers who know its id cannot use up its tokens."""
        attachment = self._registry.get(record.device_id)
        if attachment is not None and source_of(attachment.address) == source:
            return (record.device_id, source)
        return record.device_id

    def _refuse(self, now_ms: int, device_id: bytes, address: Peer, reason: Refusal) -> Datagrams:
        event = InviteRefused(printable(device_id, DEVICE_ID_MAX), address, reason)
        self._events.report(now_ms, (source_of(address), reason), event)
        return NOTHING

    def _pending(self, record: DeviceRecord, address: Peer, nonce: bytes) -> Handshake | None:
        for handshake in self._by_device.get(record.device_id, ()):
            # A key rotated since would make our old U_ATTACH useless to the device.
            if handshake.address == address and handshake.nonce == nonce and handshake.record == record:
                return handshake
        return None

    def _open(self, now_ms: int, handshake: Handshake) -> None:
        handshake.nsi = fresh_nsi(self._rng, self._by_nsi, self._registry.by_nsi)
        handshake.gsp_nonce = self._rng(NONCE_LEN)
        handshake.gsp_seed = self._rng(SEED_LEN)
        handshake.expires_ms = now_ms + self._settings.handshake_ms
        record = handshake.record
        handshake.packet = encode(
            PT_U_ATTACH,
            ((PL_EP, seen_endpoint(handshake.address)), (PL_NONCE, handshake.gsp_nonce)),
            sp=handshake.nsi,
            seq=_ATTACH_SEQ,
            context=AesContext(key_material(record.device_id, record.psk), True),
            plaintext=handshake.nonce + handshake.gsp_seed,
            iv=self._rng(IV_LEN),
        )
        self._make_room(handshake)
        self._by_nsi[handshake.nsi] = handshake
        self._by_device.setdefault(record.device_id, []).append(handshake)
        self._by_source.setdefault(handshake.source, OrderedDict())[handshake.nsi] = handshake

    def _make_room(self, handshake: Handshake) -> None:
        device = self._by_device.get(handshake.record.device_id, [])
        source = self._by_source.get(handshake.source, ())
        if len(device) >= self._settings.handshakes_per_device:
            self._evict(device[0])
        elif len(source) >= self._settings.handshakes_per_source:
            self._evict(next(iter(self._by_source[handshake.source].values())))
        elif len(self._by_nsi) >= self._settings.handshakes_max:
            self._evict(next(iter(self._by_nsi.values())))

    def _evict(self, handshake: Handshake) -> None:
        self._counters.handshakes_evicted += 1
        self._close(handshake)

    def _close(self, handshake: Handshake) -> None:
        del self._by_nsi[handshake.nsi]
        device = self._by_device[handshake.record.device_id]
        device.remove(handshake)
        if not device:
            del self._by_device[handshake.record.device_id]
        source = self._by_source[handshake.source]
        del source[handshake.nsi]
        if not source:
            del self._by_source[handshake.source]

    def _repeated(self, now_ms: int, handshake: Handshake) -> None:
        """A device that asks again has not accepted our U_ATTACH: once may be loss, twice is suspicious."""
        handshake.repeats += 1
        if handshake.repeats == _SUSPECT_REPEATS:
            self._fail(now_ms, handshake, AttachFailure.UNANSWERED)

    def _fail(self, now_ms: int, handshake: Handshake, reason: AttachFailure) -> None:
        device_id = handshake.record.device_id
        self._events.report(now_ms, (device_id, reason), AttachFailed(device_id, handshake.address, reason))


def _refusal(record: DeviceRecord | None, nonce: bytes, packet: Packet) -> Refusal | None:
    """Why a device must not attach, or None. The registered policy decides, not what the device asks for."""
    if record is None:
        return Refusal.UNKNOWN
    if not record.enabled:
        return Refusal.DISABLED
    capability = packet.get(PL_CAPABILITY)
    if len(nonce) != NONCE_LEN or capability is None or SUITE_AES not in parse_capability(capability).suites:
        return Refusal.INSECURE
    return None


def _software(packet: Packet) -> tuple[str, str]:
    """(version of the device's stack, of its application), printable."""
    stack = application = ""
    version = packet.get(PL_VERSION)
    if version is not None:
        _, major, minor, patch, label = parse_version(version)
        stack = f"{major}.{minor}" + ("" if patch is None else f".{patch}") + printable(label)
    descr = packet.get(PL_DESCR)
    if descr is not None and descr[:1] == bytes((DESCR_APPLICATION,)):
        application = printable(descr[1:])
    return stack, application


def _proven(packet: Packet, handshake: Handshake, record: DeviceRecord) -> Attachment:
    """The attachment, once the answer shows the key over our nonce. Raises AuthError or MalformedError."""
    plaintext = AesContext(key_material(record.device_id, record.psk), True).open(packet)
    if len(plaintext) != NONCE_LEN + SEED_LEN or not ct_equal(plaintext[:NONCE_LEN], handshake.gsp_nonce):
        raise AuthError("nonce")
    notify, ipx, capability = packet.get(PL_NOTIFY), packet.get(PL_IPX), packet.get(PL_CAPABILITY)
    if notify is None or parse_notify(notify)[0] != NOTIFY_OK:
        raise AuthError("not accepted by the device")
    key = key_material(handshake.gsp_nonce + handshake.nonce, handshake.gsp_seed + plaintext[NONCE_LEN:])
    # What a device leaves out it does not know or cannot do.
    facts = pack_facts(parse_ipx(ipx or build_ipx()), parse_capability(capability or build_capability(0, 0)))
    return Attachment(record.device_id, handshake.nsi, handshake.address, key, facts)
