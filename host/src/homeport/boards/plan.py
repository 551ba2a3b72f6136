"""What flashing does to a board, region by region, decided before anything is touched.

What the device remembers (identity, settings, users) is kept unless its owner gives it up in so many words. Whether
there is something to keep is decided by what is in flash, not by the partition table alone: that may be half written,
when an earlier attempt was interrupted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from homeport_core.record import HEADER_LEN, KINDS, REGION_LEN, SLOTS, read_header, slot_offset

from homeport.boards.board import Area, Board
from homeport.boards.esp32 import FILES_NAME, RECORDS_NAME, ROMFS_NAME, Piece
from homeport.boards.image import FILESYSTEM, MICROPYTHON, RECORDS, Image
from homeport.boards.partition_table import Partition, find_partition
from homeport.errors import ConfigError

RECORDS_WORDS = "the device's identity, settings and users"
FILES_WORDS = "the application and its files"


class Action(StrEnum):
    """What happens to a region."""

    WRITE = "write"  # erased, and written
    ERASE = "erase"
    KEEP = "keep"


@dataclass(frozen=True, slots=True)
class Step:
    """One region; `data` is what is written."""

    action: Action
    what: str
    area: Area
    data: bytes = b""

    def document(self) -> dict[str, Any]:
        """The step for a script."""
        return {"action": str(self.action), "what": self.what, "at": self.area.at, "len": self.area.len}

    def line(self) -> str:
        """The step for a person."""
        verb = {Action.WRITE: "erases and writes", Action.ERASE: "erases", Action.KEEP: "keeps"}[self.action]
        return f"  {verb:<17}  {self.area}  {self.what}"


@dataclass(frozen=True, slots=True)
class Found:
    """What a board has in its flash now: the partitions that its table names, and the place for records."""

    partitions: Sequence[Partition]
    records: bytes


def has_records(board: Board, found: Found) -> bool:
    """Whether the place for records holds any, be they damaged: known by a header, or by the table that names it."""
    if found.records.count(0xFF) == len(found.records):
        return False
    partition = find_partition(found.partitions, RECORDS_NAME)
    if partition is not None and partition.area == board.records:
        return True
    if len(found.records) < REGION_LEN:
        return False
    places = [(kind, slot_offset(kind, slot)) for kind in KINDS for slot in SLOTS]
    return any(read_header(kind, found.records[at : at + HEADER_LEN]) for kind, at in places)


def plan_esp32(image: Image, pieces: Sequence[Piece], found: Found | None, erase_records: bool | None) -> list[Step]:
    """All steps for an ESP32, in the order of their doing. `found` is None when nobody has looked; `erase_records`
    None: not said, so they are kept. Raises ConfigError when the board cannot take the image, or somebody has to say
    what shall become of its records."""
    board = image.board
    if found is not None:
        _check_table(image, found, erase_records)
    steps = [_records_step(image, found, erase_records)]
    if MICROPYTHON not in image.parts:
        steps.append(Step(Action.KEEP, "MicroPython", Area(0, _files(board).at)))
    written = [piece for piece in pieces if piece.at != _records(board).at]
    return steps + [Step(Action.WRITE, piece.what, piece.area, piece.data) for piece in written]


def _records_step(image: Image, found: Found | None, erase_records: bool | None) -> Step:
    board, area = image.board, _records(image.board)
    new = image.parts.get(RECORDS)
    present = found is not None and has_records(board, found)
    if erase_records:
        if new is not None:
            return Step(Action.WRITE, f"{RECORDS_WORDS}: those of the image", area, new)
        return Step(Action.ERASE, RECORDS_WORDS, area)
    if present and new is not None and erase_records is None:
        raise ConfigError(f"the board has {RECORDS_WORDS}, and so has the image: say --keep-records or --erase-records")
    if present or erase_records is False:
        return Step(Action.KEEP, RECORDS_WORDS, area)
    if new is not None:
        return Step(Action.WRITE, f"{RECORDS_WORDS}: those of the image", area, new)
    if found is None:
        return Step(Action.KEEP, f"{RECORDS_WORDS}, if it has any", area)
    if found.records.count(0xFF) == len(found.records):
        return Step(Action.KEEP, f"the empty place for {RECORDS_WORDS}", area)
    return Step(Action.ERASE, f"leftovers where {RECORDS_WORDS} will be; there are none yet", area)


def _check_table(image: Image, found: Found, erase_records: bool | None) -> None:
    board = image.board
    records = find_partition(found.partitions, RECORDS_NAME)
    if records is not None and records.area != board.records and not erase_records:
        raise ConfigError(
            f"the board's records are at {records.area}, board {board.name} has them at {board.records}: "
            "not kept by this image; --erase-records gives them up"
        )
    if MICROPYTHON in image.parts:
        return
    ours = {FILES_NAME: board.filesystem, ROMFS_NAME: board.romfs, RECORDS_NAME: board.records}
    there = {partition.name: partition.area for partition in found.partitions}
    if any(area is not None and there.get(name) != area for name, area in ours.items()):
        raise ConfigError("the board has no MicroPython with Homeport's partitions: name its file with --firmware")


def plan_drive(image: Image, erase_records: bool | None) -> list[Step]:
    """All steps for an RP2 board on its USB drive: MicroPython, the files, or both. Files and records are one there.
    Raises ConfigError when somebody has to say what shall become of the records."""
    board, files = image.board, _files(image.board)
    steps = []
    if MICROPYTHON in image.parts:
        what = f"MicroPython {image.version or 'of unknown version'}"
        steps.append(Step(Action.WRITE, what, Area(0, files.at)))
    else:
        steps.append(Step(Action.KEEP, "MicroPython", Area(0, files.at)))
    if erase_records:
        what = f"{FILES_WORDS}; with them {RECORDS_WORDS}"
        return [*steps, Step(Action.WRITE, what, files, image.parts[FILESYSTEM])]
    if erase_records is None:
        raise ConfigError(
            f"{board.title} has {RECORDS_WORDS} among its files, which an image replaces: say --erase-records "
            "(a new board has none), or --keep-records to write MicroPython alone and copy the files with --port"
        )
    if MICROPYTHON not in image.parts:
        raise ConfigError("with --keep-records a USB drive takes MicroPython alone: name its file with --firmware")
    return [*steps, Step(Action.KEEP, f"all files; among them {RECORDS_WORDS}", files)]


def plan_files(image: Image, erase_records: bool | None) -> list[Step]:
    """All steps for a board that runs MicroPython and gets its files one by one."""
    files = _files(image.board)
    action = Action.ERASE if erase_records else Action.KEEP
    return [
        Step(Action.KEEP, "MicroPython", Area(0, files.at)),
        Step(action, f"{RECORDS_WORDS}, among the files", files),
        Step(Action.WRITE, FILES_WORDS, files),
    ]


def _files(board: Board) -> Area:
    if board.filesystem is None:
        raise ConfigError(f"board {board.name} has no place for files")
    return board.filesystem


def _records(board: Board) -> Area:
    if board.records is None:
        raise ConfigError(f"board {board.name} has no place for records")
    return board.records
