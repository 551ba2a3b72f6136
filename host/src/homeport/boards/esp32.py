"""What goes where in an ESP32's flash: MicroPython's own file taken apart, our partition table, one file to flash all.

MicroPython's official file holds bootloader, partition table and application. Of its table all is kept but the place
for files, which is ours, as are `romfs` for code that runs in place and, at the end of the flash, `homeport` for
records: there it stays where it is when MicroPython grows.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from homeport.boards.board import Area, Board, Esp32Chip
from homeport.boards.esp_image import check_image, micropython_version, with_flash_size
from homeport.boards.image import FILESYSTEM, MICROPYTHON, RECORDS, ROMFS, Image, part_place
from homeport.boards.partition_table import (
    APP_AT,
    SUBTYPE_FAT,
    SUBTYPE_RECORDS,
    SUBTYPE_ROMFS,
    TABLE_AREA,
    TYPE_APP,
    TYPE_DATA,
    Partition,
    build_table,
    parse_table,
)
from homeport.errors import ConfigError

FILES_NAME = "vfs"  # by which MicroPython finds its files
ROMFS_NAME = "romfs"  # by which MicroPython finds code to run in place
RECORDS_NAME = "homeport"  # by which the firmware finds its records
_OUR_NAMES = (FILES_NAME, ROMFS_NAME, RECORDS_NAME)
OLDEST_MICROPYTHON = (1, 23)  # that runs what mpy-cross makes today (.mpy version 6.3)


@dataclass(frozen=True, slots=True)
class Firmware:
    """MicroPython for an ESP32, taken apart."""

    bootloader: bytes
    table: bytes
    app: bytes
    version: str | None


@dataclass(frozen=True, slots=True)
class Piece:
    """Octets for a place in flash; `what` says in words what they are."""

    what: str
    at: int
    data: bytes

    @property
    def area(self) -> Area:
        """What writing it erases: whole blocks."""
        return Area(self.at, -(-len(self.data) // 4096) * 4096)


def take_apart(board: Board, data: bytes, name: str) -> Firmware:
    """MicroPython's file `name`, checked, with our partition table. Raises ConfigError that says what is wrong with
    it: cut short, damaged, for another chip, too old, or of a build whose partitions leave no room."""
    chip = _chip(board)
    bootloader_len = check_image(data, chip.chip_id, f"the bootloader in {name}")
    if chip.bootloader_at + bootloader_len > TABLE_AREA.at:
        raise ConfigError(f"{name} is an application alone: take MicroPython's .bin file, which has a bootloader too")
    try:
        partitions = parse_table(data[TABLE_AREA.at - chip.bootloader_at :])
    except ConfigError as error:
        raise ConfigError(f"{name}: {error}; take MicroPython's .bin file for a first installation") from None
    app = data[_app_partition(partitions, name).area.at - chip.bootloader_at :]
    app = app[: check_image(app, chip.chip_id, f"the application in {name}")]
    if len(app) > _app_partition(partitions, name).area.len:
        raise ConfigError(f"the application in {name} is larger than its partition")
    version = micropython_version(app)
    check_version(version, name)
    table = build_table(our_partitions(board, partitions, name))
    return Firmware(with_flash_size(data[:bootloader_len], board.flash_len), table, app, version)


def our_partitions(board: Board, partitions: Sequence[Partition], name: str) -> list[Partition]:
    """MicroPython's partitions with ours. Raises ConfigError when they leave no room."""
    files, records = _areas(board)
    kept = [partition for partition in partitions if partition.name not in _OUR_NAMES]
    end = max(partition.area.end for partition in kept)
    if end > files.at:
        raise ConfigError(f"the partitions in {name} reach {end:#x}, files begin at {files.at:#x}: not an OTA build")
    code = [Partition(ROMFS_NAME, TYPE_DATA, SUBTYPE_ROMFS, board.romfs)] if board.romfs else []
    return [
        *kept,
        Partition(FILES_NAME, TYPE_DATA, SUBTYPE_FAT, files),
        *code,
        Partition(RECORDS_NAME, TYPE_DATA, SUBTYPE_RECORDS, records),
    ]


def check_version(version: str | None, name: str) -> None:
    """Raise ConfigError for a MicroPython that says it is too old."""
    number = re.match(r"v(\d+)\.(\d+)", version or "")
    if number and (int(number[1]), int(number[2])) < OLDEST_MICROPYTHON:
        oldest = ".".join(map(str, OLDEST_MICROPYTHON))
        raise ConfigError(f"{name} is MicroPython {version}: expected {oldest} or newer")


def pieces(image: Image, name: str = "micropython.bin") -> list[Piece]:
    """What to write for an image, checked; `name` is MicroPython's file for messages. Raises ConfigError."""
    board = image.board
    files, records = _areas(board)
    found = []
    if MICROPYTHON in image.parts:
        firmware = take_apart(board, image.parts[MICROPYTHON], name)
        found = [
            Piece("the bootloader", _chip(board).bootloader_at, firmware.bootloader),
            Piece("the partition table", TABLE_AREA.at, firmware.table),
            Piece(f"MicroPython {firmware.version or 'of unknown version'}", APP_AT, firmware.app),
        ]
    if FILESYSTEM in image.parts:
        found.append(Piece("the application and its files", files.at, image.parts[FILESYSTEM]))
    if ROMFS in image.parts:
        found.append(Piece("the application's code, run in place", part_place(board, ROMFS), image.parts[ROMFS]))
    if RECORDS in image.parts:
        found.append(Piece("the device's identity, settings and users", records.at, image.parts[RECORDS]))
    return found


def merged(image: Image, name: str = "micropython.bin") -> bytes:
    """One file with all pieces, to be written at the bootloader's place. It ends before the records unless it has
    some, so whoever flashes it keeps what is there. Raises ConfigError."""
    found = pieces(image, name)
    start = min(piece.at for piece in found)
    data = bytearray(b"\xff" * (max(piece.area.end for piece in found) - start))
    for piece in found:
        data[piece.at - start : piece.at - start + len(piece.data)] = piece.data
    return bytes(data)


def _chip(board: Board) -> Esp32Chip:
    if not isinstance(board.kind, Esp32Chip):
        raise ConfigError(f"board {board.name} has no Espressif chip")
    return board.kind


def _areas(board: Board) -> tuple[Area, Area]:
    if board.filesystem is None or board.records is None:
        raise ConfigError(f"board {board.name} has no place for files or records")
    return board.filesystem, board.records


def _app_partition(partitions: Sequence[Partition], name: str) -> Partition:
    apps = [partition for partition in partitions if partition.type == TYPE_APP]
    if len(apps) != 1 or apps[0].area.at != APP_AT:
        raise ConfigError(f"{name} has {len(apps)} applications, expected one at {APP_AT:#x}: not an OTA build")
    return apps[0]
