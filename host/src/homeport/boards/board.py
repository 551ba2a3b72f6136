"""Board descriptors: `boards/NAME/board.json` says what chip a board has and what lies where in its flash.

    {"title": "ESP32 with …", "platform": "esp32", "chip": "ESP32", "micropython": "ESP32_GENERIC", "variant": "full",
     "heap_len": 112640, "flash_len": "0x400000",
     "esp32": {"chip_id": 0, "bootloader_at": "0x1000"},
     "filesystem": {"at": "0x220000", "len": "0x190000", "program_len": 32},
     "romfs": {"at": "0x3b0000", "len": "0x40000"},
     "records": {"at": "0x3f0000", "len": "0x10000"}}

`platform` is what `sys.platform` is there. Places in flash are hex texts, in whole erase blocks. `rp2` boards have
{"family": "0xe48bff56", "board_id": "RPI-RP2"} in place of `esp32`. `romfs` is where the application's code runs in
place; without it, it is in the file system alone. Without `records` they are files in the file system. A board without
`filesystem` has no image.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from homeport.boards.fields import Fields
from homeport.errors import ConfigError

ERASE_LEN = 4096  # the unit in which flash is erased, on all boards
MAPPED_LEN = 0x10000  # the unit in which an ESP32 maps flash into its address space
PLATFORMS = ("esp32", "rp2", "unix", "linux")
VARIANTS = ("full", "tiny")

_NAME = re.compile(r"[a-z][a-z0-9_]{0,31}")
_FLASH_MAX = 0x1000_0000  # 256 MB, the most that a chip can address
_PROGRAM_LENS = (32, 64, 128, 256)


@dataclass(frozen=True, slots=True)
class Area:
    """A place in flash."""

    at: int
    len: int

    @property
    def end(self) -> int:
        """The first octet behind it."""
        return self.at + self.len

    def overlaps(self, other: Area) -> bool:
        """Whether they share an octet."""
        return self.at < other.end and other.at < self.end

    def __str__(self) -> str:
        return f"{self.at:#08x}-{self.end:#08x}"


@dataclass(frozen=True, slots=True)
class Esp32Chip:
    """What its images say: number of the chip; and where its ROM looks for the bootloader."""

    chip_id: int
    bootloader_at: int


@dataclass(frozen=True, slots=True)
class Rp2Chip:
    """What its UF2 files say: family; and what it calls itself on its USB drive."""

    family: int
    board_id: str


@dataclass(frozen=True, slots=True)
class Board:
    """One kind of board. `program_len` is the least that its file system writes at once."""

    name: str
    title: str
    platform: str
    variant: str
    chip: str = ""
    micropython: str = ""
    heap_len: int = 0
    flash_len: int = 0
    kind: Esp32Chip | Rp2Chip | None = None
    filesystem: Area | None = None
    program_len: int = 0
    romfs: Area | None = None
    records: Area | None = None


def parse_board(name: str, data: bytes) -> Board:
    """The board that `data` (a board.json) describes. Raises ConfigError, naming the field and what was expected."""
    if not _NAME.fullmatch(name):
        raise ConfigError(f"a board's name is lower-case letters, digits and '_', not {name[:40]!r}")
    fields = Fields.of_json(data)
    platform = fields.one_of("platform", PLATFORMS)
    board = Board(
        name,
        title=fields.text("title"),
        platform=platform,
        variant=fields.one_of("variant", VARIANTS),
        chip=fields.text("chip") if platform in ("esp32", "rp2") else "",
        micropython=fields.text("micropython") if platform in ("esp32", "rp2") else "",
        heap_len=fields.number("heap_len", 1, _FLASH_MAX) if "heap_len" in fields.left else 0,
        flash_len=_place(fields, "flash_len", ERASE_LEN) if "flash_len" in fields.left else 0,
        kind=_kind(fields, platform),
        **_areas(fields),
    )
    fields.end()
    _check_places(board)
    return board


def _kind(fields: Fields, platform: str) -> Esp32Chip | Rp2Chip | None:
    if platform == "esp32":
        inner = fields.inner("esp32")
        esp32 = Esp32Chip(inner.number("chip_id", 0, 0xFFFF), _place(inner, "bootloader_at"))
        inner.end()
        return esp32
    if platform == "rp2":
        inner = fields.inner("rp2")
        rp2 = Rp2Chip(inner.hex("family"), inner.text("board_id"))
        inner.end()
        return rp2
    return None


def _areas(fields: Fields) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in ("filesystem", "romfs", "records"):
        if name in fields.left:
            inner = fields.inner(name)
            found[name] = Area(_place(inner, "at"), _place(inner, "len", ERASE_LEN))
            if name == "filesystem":
                found["program_len"] = inner.number("program_len", _PROGRAM_LENS[0], _PROGRAM_LENS[-1])
                if found["program_len"] not in _PROGRAM_LENS:
                    raise ConfigError(f"field 'filesystem.program_len': expected one of {_PROGRAM_LENS}")
            inner.end()
    return found


def _place(fields: Fields, name: str, least: int = 0) -> int:
    value = fields.hex(name)
    if not least <= value <= _FLASH_MAX or value % ERASE_LEN:
        raise fields.wrong(name, f"a multiple of {ERASE_LEN:#x}, at least {least:#x}", hex(value))
    return value


def _check_places(board: Board) -> None:
    if board.platform in ("esp32", "rp2") and (not board.flash_len or board.filesystem is None):
        raise ConfigError(f"a board of platform {board.platform} has the fields 'flash_len' and 'filesystem'")
    places = {"filesystem": board.filesystem, "romfs": board.romfs, "records": board.records}
    found = {name: area for name, area in places.items() if area is not None}
    for name, area in found.items():
        if area.end > board.flash_len:
            raise ConfigError(f"field '{name}': {area} is expected to end within flash_len, {board.flash_len:#x}")
    for (name, area), (other, second) in combinations(found.items(), 2):
        if area.overlaps(second):
            raise ConfigError(f"fields '{name}' and '{other}' overlap: {area} and {second}")
    if board.romfs and (board.romfs.at % MAPPED_LEN or board.romfs.len % MAPPED_LEN):
        raise ConfigError(f"field 'romfs': {board.romfs} is expected to be whole units of {MAPPED_LEN:#x}")
