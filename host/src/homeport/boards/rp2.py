"""What goes where in the flash of a Raspberry Pi Pico: UF2 files with MicroPython, with our files, or with both.

What a Pico W remembers (identity, settings, users) is in its file system: a UF2 file that writes that erases them.
"""

from __future__ import annotations

from homeport.boards.board import Area, Board, Rp2Chip
from homeport.boards.esp32 import check_version
from homeport.boards.esp_image import micropython_version
from homeport.boards.image import FILESYSTEM, MICROPYTHON, Image
from homeport.boards.uf2 import FAMILIES, Uf2, build_uf2, parse_uf2
from homeport.errors import ConfigError


def firmware(board: Board, data: bytes, name: str) -> Uf2:
    """MicroPython's file `name`, checked. Raises ConfigError that says what is wrong with it: cut short, damaged, for
    another chip, too old, or reaching into the place for files."""
    found = parse_uf2(data, name)
    chip = _chip(board)
    if found.family != chip.family:
        other = FAMILIES.get(found.family, f"family {found.family:#010x}")
        raise ConfigError(f"{name} is for {other}, not for {FAMILIES.get(chip.family, board.chip)}")
    files = _files(board)
    if found.at != 0 or found.at + len(found.data) > files.at:
        end = found.at + len(found.data)
        raise ConfigError(f"{name} programs {found.at:#x} to {end:#x}: expected 0x0 to {files.at:#x} at the most")
    check_version(micropython_version(found.data), name)
    return found


def uf2_file(image: Image, with_micropython: bool, with_files: bool, name: str = "micropython.uf2") -> bytes:
    """One UF2 file with what is asked for. Raises ConfigError."""
    files = _files(image.board)
    chip = _chip(image.board)
    data, at, preamble = b"", files.at, b""
    if with_micropython:
        if MICROPYTHON not in image.parts:
            raise ConfigError("there is no MicroPython in the image: name its file with --firmware")
        found = firmware(image.board, image.parts[MICROPYTHON], name)
        data, at, preamble = found.data, found.at, found.preamble
    if with_files:
        data = data.ljust(files.at - at, b"\xff") + image.parts[FILESYSTEM]
    return build_uf2(Uf2(chip.family, at, data, preamble))


def _chip(board: Board) -> Rp2Chip:
    if not isinstance(board.kind, Rp2Chip):
        raise ConfigError(f"board {board.name} has no RP2 chip")
    return board.kind


def _files(board: Board) -> Area:
    if board.filesystem is None:
        raise ConfigError(f"board {board.name} has no place for files")
    return board.filesystem
