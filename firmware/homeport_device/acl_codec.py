"""The list of users from and to the reference's file, a user at a time: a board has no room for the whole."""

from homeport_core.users_file import (
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

_NO_TOKEN = bytes(TOKEN_LEN)


def read(file: object, acl: object) -> tuple:
    """Fill the list from what `file.read(n)` gives; returns version and number of users missing, None if useless."""
    header = file.read(VERSION_LEN)
    version = word(header, 0)
    rest_len = header_len(version) - VERSION_LEN
    if len(header) < VERSION_LEN or rest_len < 0:
        return version, None
    header = file.read(rest_len)
    if len(header) < rest_len:
        return version, None
    # Version 1 had no word for the first user: the application's own takes its place.
    first_user = acl.defaults[2] if version == 1 else word(header, 8)
    acl.reset((word(header, 0), word(header, 4), first_user))
    count = word(header, rest_len - 4)
    expected = min(count, acl.size)
    one = record_len(version)
    for slot in range(expected):
        record = file.read(one)
        if len(record) < one:
            # Only the reference's own version 4 files are known to be short; and a table that lost all its
            # users would make the next stranger its owner.
            return version, expected - slot if version == VERSION and slot else None
        unpack(version, record, acl.record(slot))
    if count <= acl.size and len(file.read(one)) == one:
        return version, None  # users that nobody counted: the header is damaged
    return version, 0


def write(file: object, acl: object) -> None:
    """Write the list as version 4 by `file.write(octets)`."""
    used = acl.users()
    for number in (VERSION, acl.system, acl.default_user, acl.first_user, len(used)):
        file.write(number.to_bytes(4, "big"))
    for slot in used:
        record = acl.record(slot)
        file.write(record[:TOKEN_OFF])
        file.write(record[TOKEN_OFF:-TAIL_LEN] if acl.tokens else _NO_TOKEN)
        file.write(record[-TAIL_LEN:])
