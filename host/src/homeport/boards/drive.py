"""The USB drive that an RP2 board offers while its BOOTSEL button is held at power-up: UF2 files copied there are
written into flash, and the board starts."""

from __future__ import annotations

import os
import re
from pathlib import Path

from homeport.boards.board import Board, Rp2Chip
from homeport.errors import BoardError, ConfigError
from homeport.files import read_bounded
from homeport.wire import printable

INFO = "INFO_UF2.TXT"
MOUNTS = Path("/proc/self/mounts")

_INFO_MAX = 4096
_MOUNTS_MAX = 1 << 20
_ID_MAX = 40
_BOARD_ID = re.compile(r"^Board-ID:[ \t]*(\S[^\r\n]*?)[ \t]*\r?$", re.MULTILINE)
_NAME = "HOMEPORT.UF2"
_MAC_VOLUMES = Path("/Volumes")
_HOW = "hold BOOTSEL while the board is plugged in, and mount the drive that appears"


def find_drive(board: Board, folder: Path | None, mounts: Path = MOUNTS) -> Path:
    """The drive of such a board: `folder`, checked, or the only one that is mounted. Raises ConfigError."""
    if folder is not None:
        check_drive(board, folder)
        return folder
    found = [place for place in _mounted(mounts) if (place / INFO).is_file()]
    if not found:
        raise ConfigError(f"no drive with {INFO} is mounted: {_HOW}, or name it with --drive")
    if len(found) > 1:
        raise ConfigError(f"say which drive with --drive: there are {', '.join(map(str, found))}")
    check_drive(board, found[0])
    return found[0]


def check_drive(board: Board, folder: Path) -> None:
    """Raise ConfigError unless `folder` is the drive of such a board."""
    if not (folder / INFO).is_file():
        raise ConfigError(f"{folder} is no board's drive, there is no {INFO}: {_HOW}")
    text = read_bounded(folder / INFO, _INFO_MAX).decode("utf-8", "replace")
    found = _BOARD_ID.search(text)
    name = printable(found[1], _ID_MAX) if found else "nameless"
    expected = board.kind.board_id if isinstance(board.kind, Rp2Chip) else ""
    if name != expected:
        raise ConfigError(f"the board on {folder} is {name}, board {board.name} is {expected}")


def write_uf2(folder: Path, data: bytes) -> bool:
    """Copy a UF2 file onto the drive; whether the system has said that all of it is there.

    A board that has the last block starts, and takes its drive away before the system can say so. Raises BoardError
    when the drive is still there, and took only a part.
    """
    path = folder / _NAME
    try:
        with open(path, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        size = _size(path)
    except OSError as error:
        if not (folder / INFO).exists():
            return False
        raise BoardError(f"the drive {folder} took only a part: {error.strerror}") from None
    if size is not None and size != len(data):
        raise BoardError(f"the drive {folder} took {size} of {len(data)} octets")
    return True


def _size(path: Path) -> int | None:
    """None when it is not there any more: a board that has all of it ejects the drive and starts."""
    try:
        return path.stat().st_size
    except OSError:
        return None


def _mounted(mounts: Path) -> list[Path]:
    """Where something is mounted. Raises StorageError."""
    if not mounts.exists():
        return sorted(_MAC_VOLUMES.iterdir()) if _MAC_VOLUMES.is_dir() else []
    lines = read_bounded(mounts, _MOUNTS_MAX).decode("utf-8", "surrogateescape").splitlines()
    places = (line.split(" ")[1] for line in lines if line.count(" ") > 1)
    unescaped = (re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), place) for place in places)
    return [Path(place) for place in unescaped]
