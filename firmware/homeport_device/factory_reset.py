"""Back to how the device left the factory, safe against a power cut at any time.

Three writes, each of which happens or does not: the list of users is replaced by the mark that a reset has begun,
Wi-Fi networks go out of `config`, and the mark gives way to "no list", by which the factory's users count. A start
that finds the mark goes on from there. `secrets` stay.
"""

from homeport_core.errors import ConfigError, StorageError
from homeport_core.provisioning import check_config, dump, load
from homeport_core.record import CONFIG, USERS
from homeport_core.users_file import NO_LIST_LEN

_BEGUN = bytes(NO_LIST_LEN)
_DONE = b""


def factory_reset(store: object) -> None:
    """Reset the records. Raises StorageError; when that happens before anything changed, all is as it was."""
    store.write(USERS, _BEGUN)
    _finish(store)


def resume(store: object) -> bool:
    """At a start, before anything is read: finish a reset that was interrupted; whether there was one.

    Raises StorageError when it cannot be finished. The users of before have no access even then.
    """
    try:
        reader = store.open(USERS)
    except StorageError:
        return False  # damaged: whoever loads the list says so
    if reader is None:
        return False
    reader.close()
    if reader.left != len(_BEGUN):
        return False
    _finish(store)
    return True


def _finish(store: object) -> None:
    try:
        payload = store.read(CONFIG)
        config = None if payload is None else load(payload)
        check_config(config or {})
    except (ConfigError, StorageError):
        config = {}  # it may well be why the device is reset
    if config is not None:
        config.pop("wifi", None)
        store.write(CONFIG, dump(config))
    store.write(USERS, _DONE)
