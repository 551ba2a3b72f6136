"""Lists of users as a board keeps them: the reference's file, version 4 (specification, application 1.7).

Read more strictly than a device reads: what a device would mend, because it must go on living, is refused here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from homeport_core import users_file

from homeport.client.acl import PERMISSION_ADMIN, PERMISSION_LOCAL, PERMISSION_REMOTE, User
from homeport.errors import ConfigError
from homeport.files import read_bounded
from homeport.fingerprint import FINGERPRINT_LEN, format_fingerprint, parse_fingerprint

USERS_MAX = 32
NAME_MAX = 63
OWNER = PERMISSION_LOCAL | PERMISSION_REMOTE | PERMISSION_ADMIN

# What a device starts with: system, default user, first user (homeport_device.acl).
_SETTINGS = (OWNER, PERMISSION_LOCAL, OWNER)
_FILE_MAX = 16_384
_NAME_LEN = 64
_NOBODY = bytes(FINGERPRINT_LEN)


def read_users(path: Path) -> bytes:
    """The list in a file of version 1 to 4, as version 4. Raises ConfigError, which names the file and what is wrong
    with it; StorageError."""
    try:
        return convert_users(read_bounded(path, _FILE_MAX))
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None


def convert_users(data: bytes) -> bytes:
    """A list of version 1 to 4 as version 4. Raises ConfigError."""
    version = users_file.word(data, 0)
    header_len = users_file.header_len(version)
    if len(data) < users_file.VERSION_LEN or not header_len:
        raise ConfigError(f"not a list of users: expected version 1 to {users_file.VERSION}")
    if len(data) < header_len:
        raise ConfigError(f"cut short: it has {len(data)} octets")
    words = [users_file.word(data, at) for at in range(users_file.VERSION_LEN, header_len, 4)]
    count = words.pop()
    record_len = users_file.record_len(version)
    if count > USERS_MAX or len(data) != header_len + count * record_len:
        expected = f"{header_len} and {record_len} for each of at most {USERS_MAX}"
        raise ConfigError(f"{count} users in {len(data)} octets: cut short or damaged, expected {expected}")
    records = []
    for at in range(header_len, len(data), record_len):
        record = bytearray(users_file.RECORD_LEN)
        users_file.unpack(version, data[at : at + record_len], memoryview(record))
        records.append(bytes(record))
    # Version 1 had no word for the first user.
    return _written((words[0], words[1], words[2] if len(words) > 2 else _SETTINGS[2]), records)


def factory_users(users: Iterable[User]) -> bytes:
    """A list of these users, with the settings of a new device. Raises ConfigError."""
    return _written(_SETTINGS, [_record(user) for user in users])


def parse_owner(text: str) -> User:
    """`FINGERPRINT` or `FINGERPRINT=NAME` as an owner. Raises ConfigError."""
    fingerprint, _, name = text.partition("=")
    return User(parse_fingerprint(fingerprint), name or "owner", OWNER)


def describe_users(payload: bytes) -> list[User]:
    """The users of a list of version 4."""
    return [_user(record) for record in _records(payload)]


def _written(settings: tuple[int, int, int], records: Sequence[bytes]) -> bytes:
    if len(records) > USERS_MAX:
        raise ConfigError(f"{len(records)} users: expected at most {USERS_MAX}")
    words = (users_file.VERSION, *settings, len(records))
    payload = b"".join(word.to_bytes(4, "big") for word in words) + b"".join(records)
    seen: set[bytes] = set()
    for number, user in enumerate(describe_users(payload), 1):
        if user.fingerprint == _NOBODY:
            raise ConfigError(f"user {number} has no fingerprint")
        if user.fingerprint in seen:
            raise ConfigError(f"user {number} is there twice: {format_fingerprint(user.fingerprint)}")
        seen.add(user.fingerprint)
    return payload


def _record(user: User) -> bytes:
    name = user.name.encode()
    if len(name) > NAME_MAX or b"\0" in name:
        raise ConfigError(f"a user's name has at most {NAME_MAX} octets, not {len(name)}")
    record = bytearray(users_file.RECORD_LEN)
    record[:FINGERPRINT_LEN] = user.fingerprint
    record[-users_file.TAIL_LEN :] = name.ljust(_NAME_LEN, b"\0") + user.permissions.to_bytes(4, "big")
    return bytes(record)


def _records(payload: bytes) -> Iterator[bytes]:
    for at in range(users_file.HEADER_LEN, len(payload), users_file.RECORD_LEN):
        yield payload[at : at + users_file.RECORD_LEN]


def _user(record: bytes) -> User:
    name = record[-users_file.TAIL_LEN : -4].partition(b"\0")[0].decode("utf-8", "replace")
    return User(record[:FINGERPRINT_LEN], name, users_file.word(record, users_file.RECORD_LEN - 4))
