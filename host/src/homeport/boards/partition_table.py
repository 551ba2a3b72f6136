"""The partition table in an ESP32's flash, at 0x8000: which partition lies where (ESP-IDF, "Partition Tables").

Entries of 32 octets: magic AA 50, type, subtype, offset and length (little-endian), name, flags. Behind the last one
an entry EB EB carries the MD5 of all before it; the rest of the 0xC00 octets is erased flash. We write the MD5 always,
and read tables without one.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence
from dataclasses import dataclass

from homeport.boards.board import ERASE_LEN, Area
from homeport.errors import ConfigError

TABLE_AREA = Area(0x8000, ERASE_LEN)
TABLE_LEN = 0xC00

TYPE_APP = 0
TYPE_DATA = 1
SUBTYPE_FAT = 0x81  # what MicroPython calls its file system's partition, whatever is in it
SUBTYPE_ROMFS = 0x8F  # that of MicroPython's own tables with ROMFS
SUBTYPE_RECORDS = 0x40  # the first that ESP-IDF leaves to applications
APP_AT = 0x10000

_ENTRY = struct.Struct("<2sBBII16sI")
_MAGIC = b"\xaa\x50"
_MD5_MAGIC = b"\xeb\xeb" + b"\xff" * 14
_BLANK = b"\xff" * _ENTRY.size
_NAME_MAX = 16


@dataclass(frozen=True, slots=True)
class Partition:
    """One entry."""

    name: str
    type: int
    subtype: int
    area: Area
    flags: int = 0


def build_table(partitions: Sequence[Partition]) -> bytes:
    """The table's 0xC00 octets. Raises ConfigError when the partitions overlap, or are too many."""
    entries = b""
    for partition in partitions:
        name = partition.name.encode()
        area = partition.area
        entries += _ENTRY.pack(_MAGIC, partition.type, partition.subtype, area.at, area.len, name, partition.flags)
    table = entries + _MD5_MAGIC + hashlib.md5(entries, usedforsecurity=False).digest()
    if len(table) > TABLE_LEN:
        raise ConfigError(f"{len(partitions)} partitions do not fit into the table")
    table = table.ljust(TABLE_LEN, b"\xff")
    if parse_table(table) != list(partitions):
        raise ConfigError("a partition's name or number does not fit into the table")
    return table


def parse_table(data: bytes) -> list[Partition]:
    """The partitions of a table. Raises ConfigError for anything that the bootloader, or a reader, would refuse."""
    found: list[Partition] = []
    for at in range(0, min(len(data), TABLE_LEN), _ENTRY.size):
        entry = data[at : at + _ENTRY.size]
        if entry == _BLANK:
            break
        if entry[: len(_MD5_MAGIC)] == _MD5_MAGIC:
            if entry[len(_MD5_MAGIC) :] != hashlib.md5(data[:at], usedforsecurity=False).digest():
                raise ConfigError("the partition table's MD5 is not that of its entries")
            break
        found.append(_parse_entry(entry, at // _ENTRY.size))
    if not found:
        raise ConfigError("there is no partition table")
    _check(found)
    return found


def find_partition(partitions: Sequence[Partition], name: str) -> Partition | None:
    """The partition of that name."""
    return next((partition for partition in partitions if partition.name == name), None)


def _parse_entry(entry: bytes, index: int) -> Partition:
    if len(entry) < _ENTRY.size or entry[:2] != _MAGIC:
        raise ConfigError(f"entry {index} of the partition table: expected aa50, got {entry[:2].hex() or 'nothing'}")
    _, kind, subtype, at, length, raw, flags = _ENTRY.unpack(entry)
    name, _, rest = raw.partition(b"\0")
    if not name.isascii() or not name.decode("latin-1").isprintable() or not name or rest.strip(b"\0"):
        raise ConfigError(f"entry {index} of the partition table: the name is not printable ASCII")
    if at % ERASE_LEN or length % ERASE_LEN or not length or at + length > 1 << 32:
        raise ConfigError(f"partition {name.decode()!r}: {at:#x} and {length:#x} are not whole erase blocks of flash")
    return Partition(name.decode(), kind, subtype, Area(at, length), flags)


def _check(partitions: list[Partition]) -> None:
    names = [partition.name for partition in partitions]
    if len(set(names)) < len(names):
        raise ConfigError("two partitions have the same name")
    ordered = sorted(partitions, key=lambda partition: partition.area.at)
    if ordered[0].area.at < TABLE_AREA.end:
        raise ConfigError(f"partition {ordered[0].name!r} overlaps the partition table")
    for first, second in zip(ordered, ordered[1:]):
        if first.area.overlaps(second.area):
            raise ConfigError(f"partitions {first.name!r} and {second.name!r} overlap")
