"""The queries 11200 and 11210, by which users give the device their end-to-end keys (docs/extensions.md).

Loaded with the first of them; `acl_rpc` has checked what it checks for all queries.
"""

from homeport_core.compat import const
from homeport_core.errors import MalformedError, StorageError
from homeport_core.spec import AER_NO_ACCESS, KEY_ID_LEN, KEY_ID_PREFIX, PSK_LEN

from homeport_device.acl_rpc import STATUS_OK, STATUS_SAVE_FAILED, add, answer_status, answer_user

STATUS_KEY_ID_TAKEN = const(6)


def pair(acl: object, connection: object, reader: object, writer: object) -> int:
    """Add a user together with a key, over a local connection that is keyed by the secret on the label."""
    if not connection.is_psk:
        return AER_NO_ACCESS  # a secret never crosses the network in clear
    name = reader.read_raw()
    key_id, key = _read_key(reader)
    if acl.has_key_id(key_id):
        return answer_user(writer, STATUS_KEY_ID_TAKEN, acl, -1)
    return add(acl, connection.fingerprint, name, writer, key_id, key)


def set_mine(acl: object, connection: object, reader: object, writer: object) -> int:
    """Replace the caller's key, or with two empty parameters take it away."""
    slot = acl.find(connection.fingerprint)
    if not connection.key_id or connection.key_id != acl.key_id(slot):
        return AER_NO_ACCESS  # only who uses a key may change it
    key_id, key = reader.read_raw(), reader.read_raw()
    if key_id or key:
        _check(key_id, key)
        if acl.has_key_id(key_id) and key_id != connection.key_id:
            return answer_status(writer, STATUS_KEY_ID_TAKEN)
    try:
        acl.set_psk(slot, key_id or None, key or None)
    except StorageError:
        return answer_status(writer, STATUS_SAVE_FAILED)
    connection.key_id = key_id
    return answer_status(writer, STATUS_OK)


def _read_key(reader: object) -> tuple:
    key_id, key = reader.read_raw(), reader.read_raw()
    _check(key_id, key)
    return key_id, key


def _check(key_id: bytes, key: bytes) -> None:
    if len(key_id) != KEY_ID_LEN or not key_id.startswith(KEY_ID_PREFIX) or len(key) != PSK_LEN:
        raise MalformedError("an end-to-end key and its id are 16 octets", len(key))
