"""Whether octets are a list of users that a device may be given (specification, application 1.7).

For hosts: a list is checked as a whole before anything of it is written. A device itself takes what is stored as the
reference does (homeport_device/acl_codec.py); here everything is refused that would lose or confuse a user.
"""

from homeport_core.errors import ConfigError
from homeport_core.users_file import (
    FINGERPRINT_LEN,
    NAME_LEN,
    RECORD_LEN,
    TAIL_LEN,
    TOKEN_LEN,
    TOKEN_OFF,
    VERSION,
    VERSION_LEN,
    header_len,
    record_len,
    unpack,
    word,
)

USERS_MAX = 32
_NOBODY = bytes(FINGERPRINT_LEN)


class User:
    """One user: `fingerprint` of 16 octets, `name` and `token` as octets without the NUL, `permissions`, `has_key`."""

    def __init__(self, record: bytes) -> None:
        """From a record of version 4."""
        self.fingerprint = record[:FINGERPRINT_LEN]
        self.name = _text(record[-TAIL_LEN : NAME_LEN - TAIL_LEN])
        self.token = _text(record[TOKEN_OFF : TOKEN_OFF + TOKEN_LEN])
        self.permissions = word(record, RECORD_LEN - 4)
        self.has_key = bool(record[FINGERPRINT_LEN])


class UserList:
    """A whole list: `version` of its file, `system`, `default_user`, `first_user` (None before version 2), `users`."""

    def __init__(self, version: int, settings: list[int], users: list[User]) -> None:
        self.version = version
        self.system = settings[0]
        self.default_user = settings[1]
        self.first_user = settings[2] if len(settings) > 2 else None
        self.users = users


def parse(octets: bytes) -> UserList:
    """Read a file of version 1 to 4. Raises ConfigError, which says what is wrong with it."""
    version = word(octets, 0)
    start = header_len(version)
    if len(octets) < VERSION_LEN or not start:
        raise ConfigError("not a list of users: it must begin with a version of 1 to %d" % VERSION)
    if len(octets) < start:
        raise ConfigError("the list of users is cut short in its header, at octet %d of %d" % (len(octets), start))
    words = [word(octets, at) for at in range(VERSION_LEN, start, 4)]
    count = words.pop()
    if count > USERS_MAX:
        raise ConfigError("a list has at most %d users, not %d" % (USERS_MAX, count))
    expected = start + count * record_len(version)
    if len(octets) != expected:
        what = "is cut short" if len(octets) < expected else "goes on behind its last user"
        raise ConfigError("the list of users %s: %d octets, not %d" % (what, len(octets), expected))
    return UserList(version, words, _users(version, octets[start:]))


def _users(version: int, octets: bytes) -> list[User]:
    one = record_len(version)
    users: list[User] = []
    for at in range(0, len(octets), one):
        record = bytearray(RECORD_LEN)
        unpack(version, octets[at : at + one], memoryview(record))
        user = User(bytes(record))
        number = len(users) + 1
        if user.fingerprint == _NOBODY:
            raise ConfigError("user %d has no fingerprint" % number)
        for other in users:
            if other.fingerprint == user.fingerprint:
                raise ConfigError("user %d is in the list twice" % number)
        users.append(user)
    return users


def _text(field: bytes) -> bytes:
    return field.split(b"\x00", 1)[0]
