"""An image: what belongs on a board.

Its parts: `filesystem`; `romfs`, its code once more, to be run in place; `micropython`, the official file as it was
given; `records`, the identity, settings and users that `homeport provision` gives to a board that has a place of its
own for them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from homeport.boards.board import Board
from homeport.boards.esp_image import micropython_version
from homeport.boards.filesystem import read_files
from homeport.boards.romfs import check_romfs
from homeport.boards.uf2 import parse_uf2
from homeport.errors import ConfigError

MAIN = "main.py"

FILESYSTEM = "filesystem"
ROMFS = "romfs"
MICROPYTHON = "micropython"
RECORDS = "records"


@dataclass(frozen=True, slots=True)
class Image:
    """What belongs on a board: its parts by what they are."""

    board: Board
    app: str
    variant: str
    parts: Mapping[str, bytes] = field(repr=False)

    @property
    def version(self) -> str | None:
        """MicroPython's version, if there is a MicroPython that names it. Raises ConfigError for no UF2 file."""
        data = self.parts.get(MICROPYTHON, b"")
        if data and self.board.platform == "rp2":
            data = parse_uf2(data).data
        return micropython_version(data)

    def with_part(self, what: str, data: bytes) -> Image:
        """The image with that part in place of its own."""
        return replace(self, parts={**self.parts, what: data})

    def check(self) -> None:
        """Raise ConfigError unless the file system mounts and starts an application, and all parts have a place."""
        for what in self.parts:
            part_place(self.board, what)
        if FILESYSTEM not in self.parts:
            raise ConfigError("there is no file system in the image: make it again")
        if MAIN not in read_files(self.board, self.parts[FILESYSTEM]):
            raise ConfigError(f"there is no {MAIN} in the file system: nothing would start")
        if self.board.romfs:
            if ROMFS not in self.parts:
                raise ConfigError("there is no ROMFS in the image: make it again")
            check_romfs(self.board, self.parts[ROMFS])
        records = self.parts.get(RECORDS)
        if records is not None and self.board.records and len(records) != self.board.records.len:
            raise ConfigError(f"the records have {len(records)} octets, expected {self.board.records.len}")


def part_place(board: Board, what: str) -> int:
    """Where a part begins in flash. Raises ConfigError when the board has no place for it."""
    if what == FILESYSTEM and board.filesystem:
        return board.filesystem.at
    if what == ROMFS and board.romfs:
        return board.romfs.at
    if what == RECORDS and board.records:
        return board.records.at
    if what == MICROPYTHON and board.kind:
        return getattr(board.kind, "bootloader_at", 0)
    raise ConfigError(f"board {board.name} has no place for the part {what[:40]!r}")
