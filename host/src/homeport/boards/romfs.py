"""ROMFS: a read-only file system from which MicroPython runs compiled modules in place, without copying them into
memory. A board that was built for it mounts its partition at /rom and finds modules in /rom/lib.

    D2 CD 31, length, records    each record: kind, length, content; numbers are big-endian, seven bits an octet, with
                                 the eighth set in all but the last
    folder                       length of the name, name, records
    file                         length of the name, name, a record with the data
(MicroPython, "Working with ROMFS".)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from homeport.boards.board import Board
from homeport.boards.tools import tool
from homeport.errors import ConfigError

_MAGIC = b"\xd2\xcd\x31"
_DATA, _FOLDER, _FILE = 2, 4, 5
_NUMBER_MAX_LEN = 5
_FOLDERS_MAX = 8  # one in another


def build_romfs(files: Mapping[str, bytes]) -> bytes:
    """An image with these files by their paths: the same files make the same octets. Raises ConfigError when it does
    not read back."""
    writer = tool("mpremote.romfs").VfsRomWriter()
    _write(writer, files)
    image = bytes(writer.finalise())
    if read_romfs(image) != files:
        raise ConfigError("the ROMFS image does not read back as it was written")
    return image


def read_romfs(image: bytes) -> dict[str, bytes]:
    """All files in an image by their paths. Raises ConfigError for what is none, is cut short or damaged."""
    if not image.startswith(_MAGIC):
        raise ConfigError(f"no ROMFS image: expected {_MAGIC.hex()}, got {image[: len(_MAGIC)].hex() or 'nothing'}")
    length, at = _number(image, len(_MAGIC))
    if at + length != len(image):
        raise ConfigError(f"the ROMFS image has {len(image)} octets, its head says {at + length}")
    return dict(_files(image[at:], ""))


def check_romfs(board: Board, image: bytes) -> None:
    """Raise ConfigError unless the image is whole and fits the board's place for it."""
    room = board.romfs.len if board.romfs else 0
    if len(image) > room:
        raise ConfigError(f"the code takes {len(image)} octets in ROMFS, board {board.name} has room for {room}")
    read_romfs(image)


def _write(writer: Any, files: Mapping[str, bytes]) -> None:
    folders: dict[str, dict[str, bytes]] = {}
    for path, data in files.items():
        name, _, rest = path.partition("/")
        if rest:
            folders.setdefault(name, {})[rest] = data
    here = {path: data for path, data in files.items() if "/" not in path}
    for name in sorted({*folders, *here}):
        if name in here:
            writer.mkfile(name, here[name])
        else:
            writer.opendir(name)
            _write(writer, folders[name])
            writer.closedir()


def _files(records: bytes, folder: str) -> Iterator[tuple[str, bytes]]:
    for kind, content in _records(records):
        if kind not in (_FOLDER, _FILE):
            continue
        name_len, at = _number(content, 0)
        name, rest = content[at : at + name_len], content[at + name_len :]
        if not 0 < name_len == len(name) or not name.isascii() or not name.decode().isprintable() or b"/" in name:
            raise ConfigError("the ROMFS image is damaged: a name is not printable ASCII")
        path = folder + name.decode()
        if kind == _FILE:
            yield path, _data(rest, path)
        elif path.count("/") == _FOLDERS_MAX:
            raise ConfigError("the ROMFS image is damaged: its folders do not end")
        else:
            yield from _files(rest, path + "/")


def _data(records: bytes, path: str) -> bytes:
    found = [content for kind, content in _records(records) if kind == _DATA]
    if len(found) != 1:
        raise ConfigError(f"the ROMFS image is damaged: {path} has {len(found)} contents")
    return found[0]


def _records(octets: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at < len(octets):
        kind, at = _number(octets, at)
        length, at = _number(octets, at)
        if at + length > len(octets):
            raise ConfigError("the ROMFS image is damaged: a record is longer than what it is in")
        yield kind, octets[at : at + length]
        at += length


def _number(octets: bytes, at: int) -> tuple[int, int]:
    """A number, and where it ends."""
    value = 0
    for end in range(at, min(at + _NUMBER_MAX_LEN, len(octets))):
        value = value << 7 | octets[end] & 0x7F
        if not octets[end] & 0x80:
            return value, end + 1
    raise ConfigError("the ROMFS image is damaged: a number does not end")
