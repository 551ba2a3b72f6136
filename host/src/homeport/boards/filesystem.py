"""The file system in a board's flash: littlefs, as MicroPython mounts it.

MicroPython mounts only a file system of exactly as many blocks as its place in flash has, and older versions only disk
version 2.0. Files are written in order of their names, without times: the same files make the same octets.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from homeport.boards.board import ERASE_LEN, Board
from homeport.boards.tools import tool
from homeport.errors import ConfigError

if TYPE_CHECKING:
    from littlefs import LittleFS

_DISK_VERSION = 0x0002_0000
_LOOKAHEAD_LEN = 32
_PATH_MAX = 128
_ENTRY_LEN = 8  # octets that the name of a file takes at least, with what says where the file is
_IS_FOLDER = 2


def build_filesystem(board: Board, files: Mapping[str, bytes]) -> bytes:
    """An image for the board's place for files, with these files by their paths. Raises ConfigError when they do not
    fit; what was written has been read back."""
    filesystem = _context(board)
    filesystem.format()
    filesystem.mount()
    _write(filesystem, files)
    return _read_back(board, filesystem, files)


def add_files(board: Board, image: bytes, files: Mapping[str, bytes]) -> bytes:
    """The image with these files too, in place of those of the same name. Raises ConfigError."""
    filesystem = _mounted(board, image)
    _write(filesystem, files)
    return _read_back(board, filesystem, read_files(board, image) | dict(files))


def read_files(board: Board, image: bytes) -> dict[str, bytes]:
    """All files in an image by their paths. Raises ConfigError unless it mounts as the board would mount it."""
    filesystem = _mounted(board, image)
    found = {}
    try:
        for path in _paths(filesystem, len(image)):
            with filesystem.open(path, "rb") as file:
                found[path] = file.read()
    except (tool("littlefs").LittleFSError, OSError, UnicodeError) as error:
        raise ConfigError(f"the file system is damaged: {error}") from None
    return found


def _paths(filesystem: LittleFS, room: int) -> Iterator[str]:
    """The paths of all files. Raises ConfigError for what takes more than `room`, as a folder in itself does, or a file
    longer than the image."""
    folders = [""]
    while folders:
        folder = folders.pop()
        for entry in filesystem.scandir(folder or "/"):
            room -= entry.size + _ENTRY_LEN
            if room < 0:
                raise ConfigError("the file system is damaged: it holds more than it has room for")
            path = f"{folder}/{entry.name}" if folder else entry.name
            _check_path(path)
            if entry.type == _IS_FOLDER:
                folders.append(path)
            else:
                yield path


def _context(board: Board, image: bytes | None = None) -> LittleFS:
    littlefs: Any = tool("littlefs")
    if board.filesystem is None:
        raise ConfigError(f"board {board.name} has no place for a file system")
    context = littlefs.UserContext(board.filesystem.len)
    if image is not None:
        context.buffer = bytearray(image)
    filesystem: LittleFS = littlefs.LittleFS(
        context,
        mount=False,
        block_size=ERASE_LEN,
        block_count=board.filesystem.len // ERASE_LEN,
        read_size=board.program_len,
        prog_size=board.program_len,
        lookahead_size=_LOOKAHEAD_LEN,
        disk_version=_DISK_VERSION,
    )
    return filesystem


def _mounted(board: Board, image: bytes) -> LittleFS:
    size = board.filesystem.len if board.filesystem else 0
    if len(image) != size:
        raise ConfigError(f"the file system has {len(image)} octets, board {board.name} takes {size}")
    filesystem = _context(board, image)
    try:
        filesystem.mount()
    except tool("littlefs").LittleFSError as error:
        raise ConfigError(f"the file system does not mount: {error}") from None
    return filesystem


def _write(filesystem: LittleFS, files: Mapping[str, bytes]) -> None:
    for path in sorted(files):
        _check_path(path)
        pure = PurePosixPath(path)
        try:
            if len(pure.parts) > 1:
                filesystem.makedirs(str(pure.parent), exist_ok=True)
            with filesystem.open(path, "wb") as file:
                file.write(files[path])
        except tool("littlefs").LittleFSError as error:
            raise ConfigError(f"{path} does not fit into the board's file system: {error}") from None


def _check_path(path: str) -> None:
    pure = PurePosixPath(path)
    if pure.is_absolute() or ".." in pure.parts or not 0 < len(path) <= _PATH_MAX or not path.isprintable():
        raise ConfigError(f"not a file's path on a board: {path[:40]!r}")


def _read_back(board: Board, filesystem: LittleFS, files: Mapping[str, bytes]) -> bytes:
    filesystem.unmount()
    image = bytes(filesystem.context.buffer)
    if read_files(board, image) != files:
        raise ConfigError("the file system does not read back as it was written")
    return image
