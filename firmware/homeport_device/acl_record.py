"""The access control list as a record in flash, its payload the reference's file octet for octet (`users_file`).

As long as there is no list of its own, because the device is new or was reset, the factory's users count, from the
record `factory`; without one the application's defaults. A record that is damaged closes the device: all settings
zero, nobody gets in, until somebody who holds the device resets it or writes a good list.
"""

from homeport_core.errors import StorageError
from homeport_core.record import FACTORY, USERS
from homeport_core.rpc import Reader
from homeport_core.spec import AER_ACCEPTED, AER_SYSTEM_ERROR
from homeport_core.users_file import HEADER_LEN, NO_LIST_LEN, RECORD_LEN, VERSION

from homeport_device import log
from homeport_device.acl import CLOSED
from homeport_device.acl_codec import read, write


class AclRecord:
    """A store for `Acl`. `damaged` tells that the device is closed because its list cannot be read."""

    def __init__(self, store: object) -> None:
        self.damaged = False
        self._store = store

    def load(self, acl: object) -> str:
        """Fill the list; returns what was found, for the log."""
        self.damaged = False
        kind = USERS
        try:
            reader = self._open(USERS)
            if reader is None:
                kind = FACTORY
                reader = self._open(FACTORY)
            if reader is None:
                acl.reset(acl.defaults)
                return "no list of users yet"
            try:
                version, missing = read(reader, acl)
            finally:
                reader.close()
        except (OSError, StorageError) as error:
            return self._closed(acl, str(error))
        if missing is None:
            return self._closed(acl, "the record %s is no list of users" % kind)
        if missing:
            return "%d users are missing from the record %s, the others were kept" % (missing, kind)
        if version < VERSION:
            return "%d users %s from version %d" % (len(acl.users()), self._convert(acl), version)
        return "%d users read from the record %s" % (len(acl.users()), kind)

    def save(self, acl: object) -> None:
        """Store the list, unless it is stored already. Raises StorageError when it cannot; then the old one counts."""
        same = self._store.comparison(USERS)
        write(same, acl)
        if not same.close():
            writer = self._store.begin(USERS, HEADER_LEN + RECORD_LEN * len(acl.users()))
            write(writer, acl)
            writer.commit()
        self.damaged = False

    def _open(self, kind: str) -> object | None:
        """A reader of the list in this record, None when there is none."""
        reader = self._store.open(kind)
        if reader is None or reader.left > NO_LIST_LEN:
            return reader
        reader.close()
        return None

    def _convert(self, acl: object) -> str:
        try:
            self.save(acl)
        except StorageError:
            return "not stored anew"  # the old version serves as well, and the next change says that flash fails
        return "converted"

    def _closed(self, acl: object, why: str) -> str:
        self.damaged = True
        acl.reset(CLOSED)
        return why + ", so the device is closed: reset it or write a good list"


def manage_apart(device: object, request: object, reader: object) -> int:
    """Answer a query of those that manage users, from a task of its own: storing the list goes deep, and so has its
    packet until here, but the RP2's stack has room for 30 calls. Returns AER_ACCEPTED."""
    device.accept(request, _Management(device, request, reader), _nothing())
    return AER_ACCEPTED


async def _nothing() -> None:
    """What the task waits for."""


class _Management:
    """A query, as `Device.accept` wants it, that does its work when it writes the answer."""

    def __init__(self, device: object, request: object, reader: object) -> None:
        self._device = device
        self._request = request
        self._reader = Reader(bytes(reader.buf[reader.off : reader.end]))  # the packet's buffer is used again

    def write(self, _: object, writer: object) -> int:
        try:
            return self._device.manage_users(self._request, self._reader, writer)
        except Exception as error:
            return self.failed(error)

    def failed(self, error: object) -> int:
        log.event(log.FAULT, "users failed:", type(error).__name__, log.printable(error))
        return AER_SYSTEM_ERROR
