"""Fuzz targets of records in flash: whatever is there, nothing is believed that was not written."""

from __future__ import annotations

from collections.abc import Callable

from homeport.provisioning.users import USERS_MAX, convert_users, describe_users
from homeport_core.errors import ConfigError, StorageError
from homeport_core.record import HEADER_LEN, KINDS, PAGE_LEN, USERS, capacity, slot_offset
from homeport_device.acl import Acl
from homeport_device.acl_record import AclRecord
from homeport_device.flash_slots import FlashSlots
from homeport_device.record_store import RecordStore
from nor_flash import NorFlash


def records(data: bytes) -> None:
    """Octets at the start of each slot's header and payload: found damaged or not at all, and a write mends it."""
    flash = NorFlash()
    half = len(data) // 2
    for kind in KINDS:
        for slot, part in enumerate((data[:half], data[half:])):
            at = slot_offset(kind, slot)
            flash.content[at : at + len(part[:HEADER_LEN])] = part[:HEADER_LEN]
            payload = part[HEADER_LEN:][: capacity(kind)]
            flash.content[at + PAGE_LEN : at + PAGE_LEN + len(payload)] = payload
    for kind in KINDS:
        store = RecordStore(FlashSlots(flash))
        try:
            found = store.read(kind)
        except StorageError:
            found = None
        if found is not None and found not in data:
            raise AssertionError("what was read was never written")
        store.write(kind, b"whole")
        if store.read(kind) != b"whole":
            raise AssertionError("a write did not mend the record")


def handed_users(data: bytes) -> None:
    """A list that a host accepts is loaded whole by a device."""
    try:
        payload = convert_users(data)
    except ConfigError:
        return
    store = RecordStore(FlashSlots(NorFlash()))
    store.write(USERS, payload)
    acl = Acl(AclRecord(store), size=USERS_MAX)
    acl.load()
    by_host = [(user.fingerprint, user.permissions) for user in describe_users(payload)]
    if by_host != [(acl.fingerprint(slot), acl.permissions(slot)) for slot in acl.users()]:
        raise AssertionError("host and device read different users")


TARGETS: dict[str, Callable[[bytes], None]] = {"records": records, "handed_users": handed_users}
