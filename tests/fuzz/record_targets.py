"""Fuzz targets of records in flash: whatever is there, nothing is believed that was not written."""

from __future__ import annotations

from collections.abc import Callable

from homeport_core.errors import ConfigError, StorageError
from homeport_core.record import HEADER_LEN, KINDS, PAGE_LEN, USERS, capacity, payload_of, region_slots, slot_offset
from homeport_core.users_check import parse
from homeport_device.acl import Acl
from homeport_device.acl_record import AclRecord
from homeport_device.flash_slots import FlashSlots
from homeport_device.record_store import RecordStore
from nor_flash import NorFlash


def records(data: bytes) -> None:
    """Octets at the start of each slot's header and payload: host and device find the same, and a write mends all."""
    flash = NorFlash()
    half = len(data) // 2
    for kind in KINDS:
        for slot, part in enumerate((data[:half], data[half:])):
            at = slot_offset(kind, slot)
            flash.content[at : at + len(part[:HEADER_LEN])] = part[:HEADER_LEN]
            payload = part[HEADER_LEN:][: capacity(kind)]
            flash.content[at + PAGE_LEN : at + PAGE_LEN + len(payload)] = payload
    for kind in KINDS:
        by_host = found_by(lambda kind=kind: payload_of(kind, region_slots(kind, bytes(flash.content))))
        store = RecordStore(FlashSlots(flash))
        by_device = found_by(lambda kind=kind, store=store: store.read(kind))
        if by_host != by_device:
            raise AssertionError(f"{kind}: {by_host!r} for a host, {by_device!r} for a device")
        store.write(kind, b"whole")
        if store.read(kind) != b"whole":
            raise AssertionError("a write did not mend the record")


def handed_users(data: bytes) -> None:
    """A list that a host accepts is loaded whole by a device."""
    try:
        accepted = parse(data)
    except ConfigError:
        return
    store = RecordStore(FlashSlots(NorFlash()))
    store.write(USERS, data)
    acl = Acl(AclRecord(store))
    acl.load()
    shown = [(user.fingerprint, user.name, user.permissions) for user in accepted.users]
    if shown != [(acl.fingerprint(slot), acl.name(slot), acl.permissions(slot)) for slot in acl.users()]:
        raise AssertionError("host and device read different users")
    if acl.system != accepted.system:
        raise AssertionError("host and device read different settings")


def found_by(read: Callable[[], bytes | None]) -> bytes | str | None:
    try:
        return read()
    except StorageError as error:
        return str(error)


TARGETS: dict[str, Callable[[bytes], None]] = {"records": records, "handed_users": handed_users}
