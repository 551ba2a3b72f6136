"""The format of what a board keeps in flash (docs/boards.md, "What is kept in flash").

Four records, each in two slots that hold the same. A slot begins with a header, which is written last: the payload
is complete and checked before anything says that it is there. On raw flash a slot is some erase blocks of its own,
the header alone in the first page; on a file system a slot is a file, the payload right behind the header.

Header, big-endian: magic and format 4, kind 1, zeros 3, sequence number 4, length of the payload 4, CRC-32 of the
payload 4, CRC-32 of the 20 octets before 4. The sequence number counts how often the record was written, modulo 2**32.
"""

from binascii import crc32

from homeport_core.compat import const
from homeport_core.errors import ConfigError

SECRETS = "secrets"
CONFIG = "config"
USERS = "users"
FACTORY = "factory"
KINDS = (SECRETS, CONFIG, USERS, FACTORY)
SLOTS = (0, 1)

BLOCK_LEN = const(4096)
PAGE_LEN = const(256)
SLOT_BLOCKS = {SECRETS: 1, CONFIG: 1, USERS: 3, FACTORY: 3}
REGION_LEN = const(0x10000)

HEADER_LEN = const(24)
SEQUENCE_MASK = const(0xFFFFFFFF)
_HALF = const(0x80000000)
_CHECKED_LEN = const(20)
_MAGIC = b"HPR\x01"


def slot_len(kind: str) -> int:
    """Octets that a slot of this record takes in raw flash."""
    return SLOT_BLOCKS[kind] * BLOCK_LEN


def slot_offset(kind: str, slot: int) -> int:
    """Where a slot begins in the region."""
    before = sum(SLOT_BLOCKS[other] for other in KINDS[: KINDS.index(kind)])
    return (len(SLOTS) * before + slot * SLOT_BLOCKS[kind]) * BLOCK_LEN


def capacity(kind: str) -> int:
    """The longest payload, in octets, wherever it is kept."""
    return slot_len(kind) - PAGE_LEN


def file_name(kind: str, slot: int) -> str:
    """The slot's name where slots are files."""
    return "%s.%d" % (kind, slot)


def pack_header(kind: str, sequence: int, length: int, crc: int) -> bytes:
    """The 24 octets that make a payload of this length and CRC-32 a record."""
    words = b"".join(word.to_bytes(4, "big") for word in (KINDS.index(kind) << 24, sequence, length, crc))
    head = _MAGIC + words
    return head + crc32(head).to_bytes(4, "big")


def read_header(kind: str, octets: bytes) -> tuple[int, int, int] | None:
    """(sequence number, length, CRC-32 of the payload), or None when these octets are no header of such a record."""
    if len(octets) != HEADER_LEN or octets[:4] != _MAGIC or _word(octets, 4) != KINDS.index(kind) << 24:
        return None
    if crc32(octets[:_CHECKED_LEN]) != _word(octets, _CHECKED_LEN) or _word(octets, 12) > capacity(kind):
        return None
    return _word(octets, 8), _word(octets, 12), _word(octets, 16)


def is_newer(sequence: int, than: int) -> bool:
    """Whether a sequence number comes after another, across the wrap."""
    return 0 < (sequence - than) & SEQUENCE_MASK < _HALF


def newest(headers: list[tuple[int, int, int] | None], whole: list[bool]) -> int:
    """Which slot counts: the newer, or of two with the same number a whole one; the first when none has a header.

    The record is damaged when the slot that counts is not whole, even if the other one is: that is an older record,
    and to go back to it would bring back a user who was removed.
    """
    first, second = headers
    if second is None:
        return 0
    if first is None or is_newer(second[0], first[0]):
        return 1
    return int(second[0] == first[0] and not whole[0])


def slot_file(kind: str, sequence: int, payload: bytes) -> bytes:
    """The file of a slot, for who builds images. Raises ConfigError when the payload is too long."""
    check_length(kind, len(payload))
    return pack_header(kind, sequence, len(payload), crc32(payload)) + payload


def check_length(kind: str, length: int) -> None:
    """Raises ConfigError when a payload of this length does not fit."""
    if length > capacity(kind):
        reason = "the record %s takes %d octets, not %d" % (kind, capacity(kind), length)
        raise ConfigError(reason, length)


def _word(octets: bytes, off: int) -> int:
    return int.from_bytes(octets[off : off + 4], "big")
