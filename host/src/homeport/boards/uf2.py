"""UF2 files, which RP2 boards take on their USB drive: blocks of 512 octets, 256 of them for flash each.

A block: two magic numbers, flags, address, length, its number, how many there are, the chip's family, 476 octets of
room, a last magic number, all little-endian (microsoft/uf2). MicroPython's files for RP2350 begin with a block of
family "absolute" that works round a fault of the chip (RP2350-E10) and belongs to no sequence: it is kept as it is.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from homeport.errors import ConfigError

BLOCK_LEN = 512
PAGE_LEN = 256  # what an RP2 programs at once: other lengths it refuses
FLASH_BASE = 0x1000_0000  # where the chips show their flash

FAMILY_ABSOLUTE = 0xE48BFF57
FAMILIES = {0xE48BFF56: "RP2040", 0xE48BFF59: "RP2350", FAMILY_ABSOLUTE: "any RP2 chip", 0xE48BFF5A: "RP2350 (RISC-V)"}

_BLOCK = struct.Struct("<8I476sI")
_MAGIC_0, _MAGIC_1, _MAGIC_END = 0x0A324655, 0x9E5D5157, 0x0AB16F30
_NOT_FLASH = 0x1
_HAS_FAMILY = 0x2000
_BLOCKS_MAX = 0x1_0000  # 16 MB of flash


@dataclass(frozen=True, slots=True)
class Uf2:
    """What a file programs: octets from `at` (an offset in flash) on, for chips of a family."""

    family: int
    at: int
    data: bytes
    preamble: bytes = b""


def build_uf2(image: Uf2) -> bytes:
    """The file. Raises ConfigError unless it begins at a page and is of whole pages."""
    if image.at % PAGE_LEN or len(image.data) % PAGE_LEN or not image.data:
        raise ConfigError(f"expected whole pages of {PAGE_LEN} octets, got {len(image.data)} at {image.at:#x}")
    total = len(image.data) // PAGE_LEN
    blocks = [image.preamble]
    for number in range(total):
        page = image.data[number * PAGE_LEN : (number + 1) * PAGE_LEN]
        address = FLASH_BASE + image.at + number * PAGE_LEN
        head = (_MAGIC_0, _MAGIC_1, _HAS_FAMILY, address, PAGE_LEN, number, total, image.family)
        blocks.append(_BLOCK.pack(*head, page, _MAGIC_END))
    return b"".join(blocks)


def parse_uf2(data: bytes, what: str = "the file") -> Uf2:
    """What a UF2 file programs. Raises ConfigError when it is none, cut short, incomplete, or not for an RP2's flash;
    `what` names it."""
    if len(data) < BLOCK_LEN or int.from_bytes(data[:4], "little") != _MAGIC_0:
        raise ConfigError(f"{what} is no UF2 file")
    if len(data) % BLOCK_LEN or len(data) > _BLOCKS_MAX * BLOCK_LEN:
        raise ConfigError(f"{what} is cut short: {len(data)} octets are not whole blocks of {BLOCK_LEN}")
    pages: dict[int, bytes] = {}
    families = set()
    preamble, expected = b"", 0
    for off in range(0, len(data), BLOCK_LEN):
        address, number, total, family, page = _parse_block(data[off : off + BLOCK_LEN], what)
        if family == FAMILY_ABSOLUTE and off == 0:
            preamble = data[:BLOCK_LEN]
            continue
        if number != len(pages) or (expected and total != expected) or address in pages:
            raise ConfigError(f"{what} is damaged: block {number} of {total} is not the one that follows")
        expected = total
        families.add(family)
        pages[address] = page
    if len(pages) != expected or not pages:
        raise ConfigError(f"{what} is cut short: it has {len(pages)} of {expected} blocks")
    if len(families) > 1:
        raise ConfigError(f"{what} is for several chips")
    return Uf2(families.pop(), *_joined(pages, what), preamble)


def _parse_block(block: bytes, what: str) -> tuple[int, int, int, int, bytes]:
    magic_0, magic_1, flags, address, length, number, total, family, room, magic_end = _BLOCK.unpack(block)
    if (magic_0, magic_1, magic_end) != (_MAGIC_0, _MAGIC_1, _MAGIC_END):
        raise ConfigError(f"{what} is damaged: there is a block without the magic numbers of UF2")
    if flags & _NOT_FLASH or not flags & _HAS_FAMILY:
        raise ConfigError(f"{what} is not for the flash of an RP2 chip")
    if length != PAGE_LEN or address % PAGE_LEN or not FLASH_BASE <= address < FLASH_BASE + _BLOCKS_MAX * PAGE_LEN:
        raise ConfigError(f"{what} programs {length} octets at {address:#x}: expected pages of {PAGE_LEN} in flash")
    return address, number, total, family, room[:PAGE_LEN]


def _joined(pages: dict[int, bytes], what: str) -> tuple[int, bytes]:
    """Offset in flash and octets, gaps filled with 0xFF."""
    first, last = min(pages), max(pages)
    if (last - first) // PAGE_LEN >= _BLOCKS_MAX:
        raise ConfigError(f"{what} programs more than any flash holds")
    blank = b"\xff" * PAGE_LEN
    data = b"".join(pages.get(address, blank) for address in range(first, last + PAGE_LEN, PAGE_LEN))
    return first - FLASH_BASE, data
