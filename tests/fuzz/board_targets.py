"""Fuzz targets of what flashing reads: files that people download, and what is in a board's flash."""

from __future__ import annotations

from collections.abc import Callable

import firmware_images
from homeport.boards.board import parse_board
from homeport.boards.descriptors import boards_directory
from homeport.boards.esp_image import check_image, micropython_version
from homeport.boards.manifest import parse_manifest
from homeport.boards.partition_table import TABLE_LEN, build_table, parse_table
from homeport.boards.uf2 import build_uf2, parse_uf2
from homeport.errors import ConfigError

_IMAGE = firmware_images.espressif_image("esp32", b"content." * 8)
_TABLE = firmware_images.table(firmware_images.TABLE)[: 5 * 32]
_UF2 = firmware_images.uf2_blocks(0xE48BFF56, 0, bytes(range(256)) * 2)
_MANIFEST = (
    b'{"format": "homeport-image-1", "board": "esp32", "variant": "full", "app": "a", "homeport": "0.1.0",'
    b'"micropython": null, "parts": [{"what": "filesystem", "file": "filesystem.img", "at": "0x0", "len": 1,'
    b'"sha256": "' + b"0" * 64 + b'"}]}'
)


def partition_table(data: bytes) -> None:
    """A table that is read is written again to one that is read alike."""
    try:
        partitions = parse_table(data)
    except ConfigError:
        return
    assert parse_table(build_table(partitions)) == partitions
    assert max(partition.area.end for partition in partitions) <= 1 << 32
    assert len(build_table(partitions)) == TABLE_LEN


def uf2(data: bytes) -> None:
    """A file that is read is written again to one that is read alike, and programs whole pages."""
    try:
        image = parse_uf2(data)
    except ConfigError:
        return
    assert len(image.data) % 256 == 0
    assert parse_uf2(build_uf2(image)) == image


def espressif_image(data: bytes) -> None:
    """An image that is taken is no longer than what there is."""
    micropython_version(data)
    try:
        length = check_image(data, 0, "it")
    except ConfigError:
        return
    assert length <= len(data)


def descriptor(data: bytes) -> None:
    """A descriptor is read or refused; what is read has its places within its flash."""
    try:
        board = parse_board("board", data)
    except ConfigError as error:
        assert str(error).isprintable()
        return
    for area in (board.filesystem, board.records):
        assert area is None or area.end <= board.flash_len


def manifest(data: bytes) -> None:
    """A manifest is read or refused; no part of it is outside its folder."""
    try:
        found = parse_manifest(data)
    except ConfigError as error:
        assert str(error).isprintable()
        return
    assert all("/" not in entry.file and ".." not in entry.file for entry in found.entries)


SEEDS = [_IMAGE, _TABLE, _UF2, _MANIFEST, *(path.read_bytes() for path in boards_directory().glob("*/board.json"))]
TARGETS: dict[str, Callable[[bytes], None]] = {
    "partition_table": partition_table,
    "uf2": uf2,
    "espressif_image": espressif_image,
    "descriptor": descriptor,
    "manifest": manifest,
}
