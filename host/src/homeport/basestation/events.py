"""What the controller and the GSP report: this file is the reference of their events.

Device ids of known devices are their raw octets. Text that a stranger sent is printable and capped.
`address` is a UDP address (IPv4 text, port) or a Carrier.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias

from homeport.basestation.carrier import Carrier, Peer
from homeport.basestation.gsp.settings import RateLimit
from homeport.basestation.limits import Buckets

_REPORT_KEYS_MAX = 4_096


class Refusal(StrEnum):
    """Why a device got no answer, in words for the operator."""

    UNKNOWN = "no device of this id is provisioned"
    DISABLED = "the device is disabled"
    INSECURE = "the old insecure attach is not offered: give the device its key and turn secure attach on"
    LIMITED = "too many invites for this device or from this address"


class AttachFailure(StrEnum):
    """Why a handshake did not complete."""

    UNANSWERED = "no answer to U_ATTACH: the device's key is probably not the one registered here"
    UNVERIFIED = "the answer to U_ATTACH does not verify under the registered key"
    REPORTED = "the device reports that it could not attach"


@dataclass(slots=True, frozen=True)
class InviteRefused:
    """A device asked and got nothing back. `claimed_id` is what it called itself."""

    claimed_id: str
    address: Peer
    reason: Refusal


@dataclass(slots=True, frozen=True)
class AttachFailed:
    """A known device could not attach. `status` is its own report's code (core 2.22), 0 without one."""

    device_id: bytes
    address: Peer
    reason: AttachFailure
    status: int = 0


@dataclass(slots=True, frozen=True)
class DeviceAttached:
    """A device proved its key. `previous` is where it was attached until now, None when it was not."""

    device_id: bytes
    address: Peer
    previous: Peer | None
    nat_type: int
    stack_version: str
    application: str


@dataclass(slots=True, frozen=True)
class DeviceLost:
    """An attachment ended: silence, or revoked by the operator."""

    device_id: bytes
    address: Peer
    reason: str


@dataclass(slots=True, frozen=True)
class DeviceEvent:
    """Octets the device's application handed over with its keep-alive. Neither secret nor authenticated."""

    device_id: bytes
    data: bytes


@dataclass(slots=True, frozen=True)
class Connected:
    """The device accepted: everything the client needs (core 10.2). `nsi` is 4 octets, endpoints are 6."""

    connect_id: int
    device_id: bytes
    nsi: bytes
    key_material: bytes = field(repr=False)
    device_private: bytes
    device_global: bytes
    nat_type: int
    capability_bits: int
    capability_mask: int


@dataclass(slots=True, frozen=True)
class ConnectRefused:
    """No connection. `code` is a NOTIFY code: the device's own, or ours when it could not be asked."""

    connect_id: int
    device_id: bytes
    code: int
    reason: str


@dataclass(slots=True, frozen=True)
class RelayBound:
    """A client proved its session key from `address`; its packets are relayed from and to there."""

    device_id: bytes
    nsi: bytes
    address: Peer


@dataclass(slots=True, frozen=True)
class SessionClosed:
    """The GSP forgot a session."""

    device_id: bytes
    nsi: bytes
    reason: str


@dataclass(slots=True, frozen=True)
class CarriersJoined:
    """A device and its client have met at the gateway: from now on the one's octets are for the other."""

    device: Carrier
    client: Carrier


@dataclass(slots=True, frozen=True)
class CarrierRefused:
    """Who is at that connection asked for what is not there; nothing more will be answered."""

    carrier: Carrier
    reason: str


@dataclass(slots=True, frozen=True)
class CarrierDone:
    """The connection is needed no longer."""

    carrier: Carrier


Event: TypeAlias = (
    InviteRefused
    | AttachFailed
    | DeviceAttached
    | DeviceLost
    | DeviceEvent
    | Connected
    | ConnectRefused
    | RelayBound
    | SessionClosed
    | CarriersJoined
    | CarrierRefused
    | CarrierDone
)


class EventQueue:
    """Facts for the adapter. Facts that a caller waits for always fit; reports about strangers are rationed."""

    __slots__ = ("_capacity", "_each", "_events", "_total", "suppressed")

    def __init__(self, capacity: int, each: RateLimit, total: RateLimit) -> None:
        self._events: deque[Event] = deque()
        self._capacity = capacity
        self._each = Buckets(each.burst, each.per_s, _REPORT_KEYS_MAX)
        self._total = Buckets(total.burst, total.per_s, 1)
        self.suppressed = 0

    def put(self, event: Event) -> None:
        """Add a fact whose number is bounded by what the basestation itself holds."""
        self._events.append(event)

    def report(self, now_ms: int, key: Hashable, event: Event) -> None:
        """Add a fact that a stranger can cause, unless there were too many of that key or in all."""
        if len(self._events) < self._capacity and self._each.take(key, now_ms) and self._total.take(None, now_ms):
            self._events.append(event)
        else:
            self.suppressed += 1

    def next(self) -> Event | None:
        """The oldest event, taken out, or None."""
        return self._events.popleft() if self._events else None
