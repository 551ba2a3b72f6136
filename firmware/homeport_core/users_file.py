"""The layout of the reference's file of users, versions 1 to 4 (specification, application 1.7).

A header of big-endian words (version, system, default user, from version 2 on first user, number of users), then a
record for each user: fingerprint, from version 3 on the two keys with a flag each, from version 4 on the push token,
then the tail of name and permissions. A list in memory has records of version 4, or of version 3 without tokens.
"""

from homeport_core.compat import const

VERSION = const(4)
VERSION_LEN = const(4)
HEADER_LEN = const(20)
RECORD_LEN = const(374)
FINGERPRINT_LEN = const(16)
TOKEN_OFF = const(50)
TOKEN_LEN = const(256)
TAIL_LEN = const(68)
# A payload of the record `users` no longer than this is no list: the factory's users count.
NO_LIST_LEN = const(1)

_HEADER_LEN_V1 = const(16)
_RECORD_LENS = (0, 84, 84, 118, RECORD_LEN)  # by version


def word(octets: bytes, off: int) -> int:
    """The number in these four octets."""
    return int.from_bytes(octets[off : off + 4], "big")


def header_len(version: int) -> int:
    """Octets before the first user; 0 when there is no such version."""
    if not 1 <= version <= VERSION:
        return 0
    return _HEADER_LEN_V1 if version == 1 else HEADER_LEN


def record_len(version: int) -> int:
    """Octets of each user."""
    return _RECORD_LENS[version]


def unpack(version: int, record: bytes, slot: memoryview) -> None:
    """Copy a record of the file into a free slot of a list in memory."""
    keys_end = TOKEN_OFF if version >= 3 else FINGERPRINT_LEN
    slot[:keys_end] = record[:keys_end]
    slot[-TAIL_LEN:] = record[-TAIL_LEN:]
    if version == VERSION and len(slot) == RECORD_LEN:
        slot[TOKEN_OFF:-TAIL_LEN] = record[TOKEN_OFF:-TAIL_LEN]
