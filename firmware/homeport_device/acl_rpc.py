"""The queries by which users manage users: 11000 to 11090 (specification, application 1.9), and two of ours by which
they keep keys (docs/extensions.md).

For each: permission, then parameters in order, then look-up, then action. What a client sees of a failure is part
of the interface, so the codes here are the reference's, except where application 1.14 decides otherwise.
"""

from homeport_core.compat import const
from homeport_core.errors import FullError, MalformedError, StorageError
from homeport_core.rpc import UINT8, UINT32
from homeport_core.spec import (
    AER_INV_QUERY_ID,
    AER_NO_ACCESS,
    AER_READY,
    AER_SYSTEM_ERROR,
    AER_TOO_LARGE,
    AER_TOO_SMALL,
)

from homeport_device import log
from homeport_device.acl import ADMIN, NOBODY

FIRST_ID = const(11000)
LAST_ID = const(11999)

STATUS_OK = const(0)
STATUS_NO_SUCH_USER = const(1)
STATUS_FULL = const(2)
STATUS_SAVE_FAILED = const(3)
STATUS_REMOVE_FAILED = const(4)
STATUS_USER_EXISTS = const(5)

# A further user is listed only while more than this is free: the longest one and `next` (application 1.9).
_LIST_RESERVE = const(92)

_PAIRED = const(0)
_STRANGER = const(-1)


def request(acl: object, connection: object, query_id: int, reader: object, writer: object) -> int:
    """Answer one query; returns its AER code, AER_READY when `writer` holds the response."""
    entry = _QUERIES.get(query_id)
    if entry is None:
        return AER_INV_QUERY_ID
    required, answer = entry
    if not (acl.pair_allowed(connection) if required == _STRANGER else acl.request_allowed(connection, required)):
        return AER_NO_ACCESS
    try:
        return answer(acl, connection, reader, writer)
    except MalformedError:
        return AER_TOO_SMALL
    except FullError:
        return AER_TOO_LARGE


def _read_fingerprint(reader: object) -> bytes:
    fingerprint = reader.read_raw()
    if len(fingerprint) != len(NOBODY):
        raise MalformedError("a fingerprint is 16 octets", len(fingerprint))
    return fingerprint


def _write_user(writer: object, acl: object, slot: int) -> None:
    writer.write_raw(acl.fingerprint(slot))
    writer.write_raw(acl.name(slot))
    writer.write_number(UINT32, acl.permissions(slot))


def answer_user(writer: object, status: int, acl: object, slot: int) -> int:
    """A status and a user, an empty one when `slot` is -1."""
    writer.write_number(UINT8, status)
    if slot >= 0:
        _write_user(writer, acl, slot)
    else:
        writer.write_raw(b"")
        writer.write_raw(b"")
        writer.write_number(UINT32, 0)
    return AER_READY


def answer_status(writer: object, status: int) -> int:
    """A status alone."""
    writer.write_number(UINT8, status)
    return AER_READY


def _get_users(acl: object, connection: object, reader: object, writer: object) -> int:
    count = reader.read_number(UINT8) or 255
    start = reader.read_number(UINT32)
    users = acl.users()
    at = start
    mark = writer.start_list()
    while at < len(users) and at - start < count and writer.remaining() > _LIST_RESERVE:
        _write_user(writer, acl, users[at])
        at += 1
    writer.end_list(mark, at - start)
    writer.write_number(UINT32, at if at < len(users) else 0)
    return AER_READY


def _pair(acl: object, connection: object, reader: object, writer: object) -> int:
    return add(acl, connection.fingerprint, reader.read_raw(), writer)


def _pair_with_key(*arguments: object) -> int:
    from homeport_device.acl_keys import pair

    return pair(*arguments)


def _set_my_key(*arguments: object) -> int:
    from homeport_device.acl_keys import set_mine

    return set_mine(*arguments)


def _add_user(acl: object, connection: object, reader: object, writer: object) -> int:
    fingerprint = _read_fingerprint(reader)
    return add(acl, fingerprint, reader.read_raw(), writer)


def add(
    acl: object, fingerprint: bytes, name: bytes, writer: object, key_id: bytes | None = None, key: bytes | None = None
) -> int:
    """Give somebody a slot, with a key if there is one, and answer with the user."""
    slot = acl.find(fingerprint)
    if slot >= 0:
        return answer_user(writer, STATUS_USER_EXISTS, acl, slot)
    if fingerprint == NOBODY:
        raise MalformedError("the all-zero fingerprint is nobody's")
    try:
        slot = acl.add(fingerprint, name, key_id, key)
    except FullError:
        return answer_user(writer, STATUS_FULL, acl, -1)
    except StorageError:
        return answer_user(writer, STATUS_SAVE_FAILED, acl, -1)
    log.event(log.PERSON, "user added:", log.printable(acl.name(slot)))
    return answer_user(writer, STATUS_OK, acl, slot)


def _get_current_user(acl: object, connection: object, reader: object, writer: object) -> int:
    return answer_user(writer, STATUS_OK, acl, acl.find(connection.fingerprint))


def _answer_settings(acl: object, writer: object) -> int:
    writer.write_number(UINT8, STATUS_OK)
    writer.write_number(UINT32, acl.system)
    writer.write_number(UINT32, acl.default_user)
    return AER_READY


def _get_settings(acl: object, connection: object, reader: object, writer: object) -> int:
    return _answer_settings(acl, writer)


def _set_settings(acl: object, connection: object, reader: object, writer: object) -> int:
    system = reader.read_number(UINT32)
    default_user = reader.read_number(UINT32)
    try:
        acl.set_settings(system, default_user)
    except StorageError:
        return AER_SYSTEM_ERROR
    return _answer_settings(acl, writer)


def _set_permissions(acl: object, connection: object, reader: object, writer: object) -> int:
    fingerprint = _read_fingerprint(reader)
    permissions = reader.read_number(UINT32)
    slot = acl.find(fingerprint)
    return _change(acl, slot, acl.set_permissions, permissions, writer)


def _set_name(acl: object, connection: object, reader: object, writer: object) -> int:
    # The look-up comes before the name here, so an unknown user counts more than a missing name.
    slot = acl.find(_read_fingerprint(reader))
    name = reader.read_raw() if slot >= 0 else b""
    return _change(acl, slot, acl.set_name, name, writer)


def _change(acl: object, slot: int, change: object, value: object, writer: object) -> int:
    if slot < 0:
        return answer_user(writer, STATUS_NO_SUCH_USER, acl, -1)
    status = STATUS_OK
    try:
        change(slot, value)
    except StorageError:
        status = STATUS_SAVE_FAILED
    return answer_user(writer, status, acl, slot)


def _remove_user(acl: object, connection: object, reader: object, writer: object) -> int:
    slot = acl.find(_read_fingerprint(reader))
    if slot < 0:
        return answer_status(writer, STATUS_NO_SUCH_USER)
    try:
        acl.remove(slot)
    except StorageError:
        return answer_status(writer, STATUS_REMOVE_FAILED)
    return answer_status(writer, STATUS_OK)


def _get_user_token(acl: object, connection: object, reader: object, writer: object) -> int:
    return _answer_token(acl, acl.find(_read_fingerprint(reader)), writer)


def _get_my_token(acl: object, connection: object, reader: object, writer: object) -> int:
    return _answer_token(acl, acl.find(connection.fingerprint), writer)


def _answer_token(acl: object, slot: int, writer: object) -> int:
    if not acl.tokens:
        return AER_SYSTEM_ERROR
    writer.write_number(UINT8, STATUS_OK if slot >= 0 else STATUS_NO_SUCH_USER)
    writer.write_raw(acl.token(slot) if slot >= 0 else b"")
    return AER_READY


def _set_user_token(acl: object, connection: object, reader: object, writer: object) -> int:
    return _set_token(acl, acl.find(_read_fingerprint(reader)), reader, writer)


def _set_my_token(acl: object, connection: object, reader: object, writer: object) -> int:
    return _set_token(acl, acl.find(connection.fingerprint), reader, writer)


def _set_token(acl: object, slot: int, reader: object, writer: object) -> int:
    if not acl.tokens:
        return AER_SYSTEM_ERROR
    token = reader.read_raw()
    if slot < 0:
        return answer_status(writer, STATUS_NO_SUCH_USER)
    try:
        acl.set_token(slot, token)
    except StorageError:
        return answer_status(writer, STATUS_SAVE_FAILED)
    return answer_status(writer, STATUS_OK)


_QUERIES = {
    11000: (_PAIRED, _get_users),
    11010: (_STRANGER, _pair),
    11020: (_PAIRED, _get_current_user),
    11030: (ADMIN, _get_settings),
    11040: (ADMIN, _set_settings),
    11050: (ADMIN, _set_permissions),
    11060: (ADMIN, _set_name),
    11065: (ADMIN, _add_user),
    11070: (ADMIN, _remove_user),
    11075: (ADMIN, _get_user_token),
    11080: (_PAIRED, _get_my_token),
    11085: (ADMIN, _set_user_token),
    11090: (_PAIRED, _set_my_token),
    11200: (_STRANGER, _pair_with_key),
    11210: (_PAIRED, _set_my_key),
}
