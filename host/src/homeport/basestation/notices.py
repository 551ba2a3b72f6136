"""What the machines report, turned into log lines, records for `homeport device show`, and answers to clients."""

from __future__ import annotations

from homeport_core.spec import ATTACH_INTEGRITY, ATTACH_NONCE

from homeport.basestation.carrier import peer_text
from homeport.basestation.events import (
    AttachFailed,
    AttachFailure,
    CarrierDone,
    CarrierRefused,
    CarriersJoined,
    Connected,
    ConnectRefused,
    DeviceAttached,
    DeviceEvent,
    DeviceLost,
    Event,
    InviteRefused,
    RelayBound,
    SessionClosed,
)
from homeport.basestation.gate.admission import Gate, Log
from homeport.basestation.gateway.listener import Gateway
from homeport.basestation.gsp.dispatch import Gsp
from homeport.basestation.inventory.archive import Archive, now_s
from homeport.basestation.inventory.roster import Roster

_REPORTED = {
    ATTACH_INTEGRITY: "wrong key: the device could not verify the basestation's answer",
    ATTACH_NONCE: "the device received the answer to an older request",
}


class Notices:
    """Call it with each event of the controller and the session server."""

    def __init__(self, log: Log, archive: Archive, roster: Roster, gsp: Gsp, gate: Gate, gateway: Gateway) -> None:
        self._log = log
        self._archive = archive
        self._roster = roster
        self._gsp = gsp
        self._gate = gate
        self._gateway = gateway

    def __call__(self, event: Event) -> None:
        """Take one event."""
        match event:
            case Connected():
                self._gate.connected(event)
            case ConnectRefused():
                self._gate.refused(event)
            case CarriersJoined():
                self._gateway.joined(event.device, event.client)
            case CarrierRefused():
                self._gateway.refused(event.carrier, event.reason)
            case CarrierDone():
                self._gateway.done(event.carrier)
            case DeviceAttached():
                self._attached(event)
            case DeviceLost():
                self._lost(event)
            case InviteRefused():
                self._refused(event.claimed_id.encode(), event.reason)
                self._log(
                    "invite_refused", device=event.claimed_id, address=peer_text(event.address), reason=event.reason
                )
            case AttachFailed():
                self._failed(event)
            case RelayBound():
                self._log(
                    "relay_bound",
                    device=event.device_id.decode(),
                    nsi=event.nsi.hex(),
                    address=peer_text(event.address),
                )
            case SessionClosed():
                self._log("session_closed", device=event.device_id.decode(), nsi=event.nsi.hex(), reason=event.reason)
            case DeviceEvent():
                self._log("device_event", device=event.device_id.decode(), data_len=len(event.data))

    def _attached(self, event: DeviceAttached) -> None:
        where = peer_text(event.address)
        if self._roster.get(event.device_id) is not None:
            row = self._gsp.row(event.device_id)
            self._archive.batch.attached(event.device_id, row, where, now_s())
        self._log(
            "device_attached",
            device=event.device_id.decode(),
            address=where,
            previous=None if event.previous is None else peer_text(event.previous),
            nat_type=event.nat_type,
            stack=event.stack_version,
            application=event.application,
        )

    def _lost(self, event: DeviceLost) -> None:
        if self._roster.get(event.device_id) is not None:
            self._archive.batch.lost(event.device_id, now_s())
        self._log("device_lost", device=event.device_id.decode(), address=peer_text(event.address), reason=event.reason)

    def _failed(self, event: AttachFailed) -> None:
        reason: str = event.reason
        if event.reason is AttachFailure.REPORTED:
            reason = _REPORTED.get(event.status, f"{event.reason} (status {event.status})")
        self._refused(event.device_id, reason)
        self._log("attach_failed", device=event.device_id.decode(), address=peer_text(event.address), reason=reason)

    def _refused(self, device_id: bytes, reason: str) -> None:
        """Only registered devices have a place in the records: strangers' names must not fill the database."""
        if self._roster.get(device_id) is not None:
            self._archive.batch.refused(device_id, reason, now_s())
