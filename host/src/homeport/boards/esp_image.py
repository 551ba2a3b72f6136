"""Executables for Espressif's chips, bootloader and application alike: header, segments, checksum, SHA-256.

    24 octets   E9, number of segments, flash mode, flash size and speed, entry, …, number of the chip (at 12),
                …, whether a SHA-256 follows (at 23)
    segments    each: load address, length (little-endian), octets
    padding     so that the checksum's octet ends a block of 16
    32 octets   SHA-256 of all before
(Espressif, "Firmware Image Format".)
"""

from __future__ import annotations

import hashlib
import re
import struct
from functools import reduce
from operator import xor

from homeport.errors import ConfigError

CHIPS = {0: "ESP32", 2: "ESP32-S2", 5: "ESP32-C3", 9: "ESP32-S3", 12: "ESP32-C2", 13: "ESP32-C6", 16: "ESP32-H2"}

_HEADER_LEN = 24
_MAGIC = 0xE9
_CHIP_AT = 12
_HAS_HASH_AT = 23
_SEGMENTS_MAX = 16
_CHECKSUM_START = 0xEF
_HASH_LEN = 32
_FLASH_SIZE_AT = 3  # its upper half; the speed is in the lower
_VERSION = re.compile(rb"MicroPython (v\d{1,3}\.\d{1,3}[\w.+-]{0,40}) on (\d{4}-\d\d-\d\d)")


def check_image(data: bytes, chip_id: int, what: str) -> int:
    """The length of the image that `data` begins with. Raises ConfigError when it is cut short, damaged, or for
    another chip than `chip_id`; `what` names it."""
    if len(data) < _HEADER_LEN or data[0] != _MAGIC:
        found = f"{data[0]:#04x}" if data else "nothing"
        raise ConfigError(f"{what} is no image for an Espressif chip: expected {_MAGIC:#04x}, got {found}")
    chip = int.from_bytes(data[_CHIP_AT : _CHIP_AT + 2], "little")
    if chip != chip_id:
        raise ConfigError(f"{what} is for {_chip(chip)}, not for {_chip(chip_id)}")
    if not 0 < data[1] <= _SEGMENTS_MAX:
        raise ConfigError(f"{what} is damaged: it has {data[1]} segments")
    at, checksum = _HEADER_LEN, _CHECKSUM_START
    for _ in range(data[1]):
        if len(data) < at + 8:
            raise _cut(what)
        (length,) = struct.unpack_from("<I", data, at + 4)
        at += 8
        if len(data) < at + length:
            raise _cut(what)
        checksum = reduce(xor, data[at : at + length], checksum)
        at += length
    at = at // 16 * 16 + 16
    if len(data) < at + (_HASH_LEN if data[_HAS_HASH_AT] else 0):
        raise _cut(what)
    if data[at - 1] != checksum:
        raise ConfigError(f"{what} is damaged: its checksum is {data[at - 1]:#04x}, expected {checksum:#04x}")
    if not data[_HAS_HASH_AT]:
        return at
    if hashlib.sha256(data[:at]).digest() != data[at : at + _HASH_LEN]:
        raise ConfigError(f"{what} is damaged: its SHA-256 is not that of its content")
    return at + _HASH_LEN


def with_flash_size(image: bytes, flash_len: int) -> bytes:
    """A checked bootloader that takes the flash to be of that size, a power of two from 1 MB on: it refuses to start
    on less than it says."""
    size = (flash_len >> 20).bit_length() - 1
    changed = bytearray(image)
    changed[_FLASH_SIZE_AT] = size << 4 | changed[_FLASH_SIZE_AT] & 0xF
    if changed[_HAS_HASH_AT]:
        changed[-_HASH_LEN:] = hashlib.sha256(changed[:-_HASH_LEN]).digest()
    return bytes(changed)


def micropython_version(data: bytes) -> str | None:
    """The version that a MicroPython firmware names in its banner, such as "v1.29.0"; None if there is none."""
    found = _VERSION.search(data)
    return found[1].decode() if found else None


def _chip(number: int) -> str:
    return CHIPS.get(number, f"chip number {number}")


def _cut(what: str) -> ConfigError:
    return ConfigError(f"{what} is cut short")
