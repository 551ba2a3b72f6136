"""Who is attached: the GSP's soft state, and its form for a restart.

An attachment is kept small, for there is one per device: ids and endpoints are octets or shared with the inventory,
the key material is 96 octets from which contexts are made when a rare packet needs one.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

from homeport_core.crypto import ct_equal, prf
from homeport_core.payloads import Capability, Ipx
from homeport_core.spec import CAP_FB_TCP_U, CAP_FP, ENDPOINT_LEN, IPX_NAT_MASK, KEY_MATERIAL_LEN, NSI_LEN

from homeport.basestation.carrier import Carrier, Peer, seen_endpoint
from homeport.basestation.devices import DeviceRecord
from homeport.basestation.gsp.wheel import Wheel
from homeport.wire import address

Row: TypeAlias = tuple[bytes, bytes, bytes, bytes, bytes, bytes]
"""An attachment at rest: device id, NSI, endpoint, key material, facts, proof. It holds a key: keep it sealed."""

_FACTS_LEN = ENDPOINT_LEN + 1 + 4 + 4
_PROOF_LEN = 16
_USED_MAX = 256


class Attachment:
    """One device's registration. `key` is the material of its connect context, `facts` what it said of itself.

    `seq`, `round_ms`, `answered` and `missed` belong to the keep-alive; `used` are the NSIs of its connections so far.
    """

    __slots__ = (
        "address",
        "answered",
        "device_id",
        "facts",
        "key",
        "missed",
        "nsi",
        "round_ms",
        "seq",
        "used",
    )

    def __init__(self, device_id: bytes, nsi: bytes, address: Peer, key: bytes, facts: bytes) -> None:
        self.device_id = device_id
        self.nsi = nsi
        self.address = address
        self.key = key
        self.facts = facts
        self.seq = 0
        self.missed = 0
        self.round_ms = 0
        self.answered = True
        self.used = b""

    @property
    def private(self) -> bytes:
        """The device's endpoint on its own network, 6 octets, the address zero when it does not say."""
        return self.facts[:ENDPOINT_LEN]

    @property
    def nat_type(self) -> int:
        """NAT type (core 2.5)."""
        return self.facts[ENDPOINT_LEN]

    @property
    def capability_bits(self) -> int:
        """Capability bits (core 2.11)."""
        return int.from_bytes(self.facts[7:11], "big")

    @property
    def capability_mask(self) -> int:
        """Which capability bits are valid."""
        return int.from_bytes(self.facts[11:15], "big")

    @property
    def takes_fingerprint(self) -> bool:
        """Whether the device announced that it understands FP."""
        return bool(self.capability_bits & self.capability_mask & CAP_FP)

    @property
    def takes_gateway(self) -> bool:
        """Whether the device announced that it can come to the gateway by TCP."""
        return bool(self.capability_bits & self.capability_mask & CAP_FB_TCP_U)

    def mark_used(self, nsi: bytes) -> None:
        """Remember a connection's NSI; the oldest of very many is forgotten."""
        self.used = (self.used + nsi)[-_USED_MAX * NSI_LEN :]

    def has_used(self, nsi: bytes) -> bool:
        """Whether a connection of this attachment had that NSI."""
        return any(self.used[off : off + NSI_LEN] == nsi for off in range(0, len(self.used), NSI_LEN))


def pack_facts(ipx: Ipx, capability: Capability) -> bytes:
    """What an attachment keeps of the device's U_ATTACH answer."""
    nat_type = ipx.flags & IPX_NAT_MASK
    return bytes(
        ipx.private + bytes((nat_type,)) + capability.bits.to_bytes(4, "big") + capability.mask.to_bytes(4, "big")
    )


class Registry:
    """The attachments, by NSI and by device."""

    __slots__ = ("_by_device", "_grace_ms", "_on_carrier", "_orphans", "by_nsi")

    def __init__(self, carrier_grace_ms: int) -> None:
        self.by_nsi: dict[bytes, Attachment] = {}
        self._on_carrier: dict[Carrier, set[bytes]] = {}
        self._orphans: Wheel[Attachment] = Wheel()
        self._grace_ms = carrier_grace_ms
        self._by_device: dict[bytes, Attachment] = {}

    def __len__(self) -> int:
        return len(self._by_device)

    @property
    def carriers(self) -> int:
        """How many attachments are on carriers."""
        return sum(map(len, self._on_carrier.values()))

    def __contains__(self, carrier: object) -> bool:
        return carrier in self._on_carrier

    def __iter__(self) -> Iterator[Attachment]:
        return iter(self._by_device.values())

    def get(self, device_id: bytes) -> Attachment | None:
        """The device's attachment, or None."""
        return self._by_device.get(device_id)

    def replace(self, attachment: Attachment) -> Attachment | None:
        """Register, in place of what the device had; returns that."""
        old = self._by_device.get(attachment.device_id)
        if old is not None:
            self.remove(old)
        self.by_nsi[attachment.nsi] = attachment
        self._by_device[attachment.device_id] = attachment
        if isinstance(attachment.address, Carrier):
            self._on_carrier.setdefault(attachment.address, set()).add(attachment.nsi)
        return old

    @property
    def deadline_ms(self) -> int | None:
        """When `orphans` has to be asked."""
        return self._orphans.deadline_ms

    def carrier_lost(self, now_ms: int, carrier: Carrier) -> None:
        """A connection has ended: the attachments made over it are orphans, unless replaced within the grace."""
        for nsi in self._on_carrier.get(carrier, ()):
            self._orphans.add(now_ms + self._grace_ms, self.by_nsi[nsi])

    def orphans(self, now_ms: int) -> list[Attachment]:
        """The attachments whose grace is over."""
        due = self._orphans.due(now_ms)
        return [attachment for attachment in due if self.by_nsi.get(attachment.nsi) is attachment]

    def remove(self, attachment: Attachment) -> None:
        """Forget an attachment that is registered."""
        del self.by_nsi[attachment.nsi]
        del self._by_device[attachment.device_id]
        if isinstance(attachment.address, Carrier):
            fellows = self._on_carrier[attachment.address]
            fellows.remove(attachment.nsi)
            if not fellows:
                del self._on_carrier[attachment.address]


def to_row(attachment: Attachment, record: DeviceRecord) -> Row | None:
    """An attachment for safe keeping, the proof ties it to the device's present key. None for one on a carrier, which
    does not survive a restart."""
    if isinstance(attachment.address, Carrier):
        return None
    where = seen_endpoint(attachment.address)
    body = (attachment.nsi, where, attachment.key, attachment.facts)
    return (attachment.device_id, *body, prf(record.psk, b"".join(body))[:_PROOF_LEN])


def from_row(row: Row, record: DeviceRecord) -> Attachment | None:
    """The attachment again, or None when it is damaged or the device's key has changed since."""
    device_id, nsi, where, key, facts, proof = row
    sizes = (len(nsi), len(where), len(key), len(facts))
    if sizes != (NSI_LEN, ENDPOINT_LEN, KEY_MATERIAL_LEN, _FACTS_LEN) or device_id != record.device_id:
        return None
    if not ct_equal(prf(record.psk, nsi + where + key + facts)[:_PROOF_LEN], proof):
        return None
    return Attachment(record.device_id, nsi, address(where), key, facts)
