"""The file system image of a board: right geometry, the same octets each time, and read back before it is believed."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from zlib import crc32

import pytest
from homeport.boards import filesystem
from homeport.boards.board import ERASE_LEN, Board
from homeport.boards.descriptors import load_board
from homeport.boards.filesystem import add_files, build_filesystem, read_files
from homeport.errors import ConfigError

FILES = {"main.py": b"import app\n", "lib/app.mpy": b"M\x06" * 3000, "lib/deep/er/x.mpy": b"", "pins.py": b"PINS = {}"}
BOARDS = ["esp32", "pico_w", "pico2_w", "unix"]
ROOT = 1  # the block with the newer half of the root's pair
FOLDER, LONG_FILE, NAME_OF_FOLDER, CRC = 0x200, 0x202, 0x002, 0x500


def tags(block: bytes) -> Iterator[tuple[int, int, int]]:
    """Kind, place and length of each piece of a block of littlefs metadata (littlefs, SPEC.md)."""
    at, last = 4, 0xFFFFFFFF
    while True:
        (word,) = struct.unpack_from(">I", block, at)
        tag = word ^ last
        if tag >> 31:
            return
        kind, length = tag >> 20, tag & 0x3FF
        yield kind, at + 4, 0 if length == 0x3FF else length
        at, last = at + 4 + length % 0x3FF, tag ^ (kind & 1) << 31 if kind & 0x780 == CRC else tag


def forged(image: bytes, kind: int, octets: bytes) -> bytes:
    """The image with the root's last piece of a kind replaced, and the checksums made to fit."""
    block = bytearray(image[ROOT * ERASE_LEN : (ROOT + 1) * ERASE_LEN])
    at = [at for found, at, _ in tags(block) if found == kind][-1]
    block[at : at + len(octets)] = octets
    begin = 0
    for found, at, length in list(tags(block)):
        if found & 0x780 == CRC:
            struct.pack_into("<I", block, at, crc32(block[begin:at]) ^ 0xFFFFFFFF)
            begin = at + length
    return image[: ROOT * ERASE_LEN] + block + image[(ROOT + 1) * ERASE_LEN :]


@pytest.mark.parametrize("name", BOARDS)
def test_it_fills_the_boards_place_and_holds_the_files(name: str) -> None:
    board = load_board(name)
    image = build_filesystem(board, FILES)
    assert board.filesystem is not None
    assert len(image) == board.filesystem.len
    assert read_files(board, image) == FILES


def test_the_same_files_make_the_same_octets_in_any_order() -> None:
    board = load_board("esp32")
    assert build_filesystem(board, FILES) == build_filesystem(board, dict(reversed(FILES.items())))


def test_the_disk_version_is_the_one_that_older_micropython_mounts() -> None:
    superblock = build_filesystem(load_board("esp32"), FILES)[:64]
    at = superblock.index(b"littlefs") + len(b"littlefs") + 4
    assert int.from_bytes(superblock[at : at + 4], "little") == 0x0002_0000


def test_files_are_added_and_replaced() -> None:
    board = load_board("pico_w")
    image = add_files(board, build_filesystem(board, FILES), {"state/config.0": b"new", "pins.py": b"other"})
    assert read_files(board, image) == {**FILES, "state/config.0": b"new", "pins.py": b"other"}


@pytest.mark.parametrize("path", ["/main.py", "../main.py", "lib/../main.py", "", "a" * 129, "a\nb"])
def test_a_path_that_leads_elsewhere_is_refused(path: str) -> None:
    with pytest.raises(ConfigError, match="not a file's path on a board"):
        build_filesystem(load_board("unix"), {path: b""})


def test_files_that_do_not_fit_are_refused_by_name() -> None:
    with pytest.raises(ConfigError, match="big does not fit into the board's file system"):
        build_filesystem(load_board("unix"), {"big": bytes(2 << 20)})


@pytest.mark.parametrize("size", [0, 4096, (1 << 20) - 1, (1 << 20) + 4096])
def test_an_image_of_another_size_is_refused(size: int) -> None:
    with pytest.raises(ConfigError, match=f"the file system has {size} octets, board unix takes 1048576"):
        read_files(load_board("unix"), build_filesystem(load_board("unix"), FILES).ljust(size, b"\xff")[:size])


def test_an_image_for_another_geometry_is_refused() -> None:
    esp32, pico = load_board("esp32"), load_board("pico2_w")
    image = build_filesystem(esp32, FILES)
    assert pico.filesystem is not None
    with pytest.raises(ConfigError, match="does not mount"):
        read_files(pico, image.ljust(pico.filesystem.len, b"\xff"))


def test_erased_flash_is_no_file_system() -> None:
    with pytest.raises(ConfigError, match="does not mount"):
        read_files(load_board("unix"), b"\xff" * (1 << 20))


@pytest.mark.parametrize(
    ("kind", "octets", "reason"),
    [
        (FOLDER, struct.pack("<II", 0, 1), "not a file's path"),
        (LONG_FILE, struct.pack("<II", 200, 0x7FFFFF00), "more than it has room for"),
        (NAME_OF_FOLDER, b"\x1b[m", "not a file's path"),
        (NAME_OF_FOLDER, b"\xff\xfe\xff", "damaged"),
    ],
)
def test_hostile_metadata_costs_neither_time_nor_memory_and_no_name_controls_a_terminal(
    kind: int, octets: bytes, reason: str
) -> None:
    board = load_board("pico_w")
    image = build_filesystem(board, {"main.py": b"x" * 3000, "lib/a.py": b"y"})
    with pytest.raises(ConfigError, match=reason) as refused:
        read_files(board, forged(image, kind, octets))
    assert str(refused.value).isprintable()


def test_what_does_not_read_back_is_not_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filesystem, "read_files", lambda board, image: {})
    with pytest.raises(ConfigError, match="does not read back"):
        build_filesystem(load_board("unix"), FILES)


def test_a_board_without_files_has_no_image() -> None:
    board = Board("linux", "title", "linux", "full")
    with pytest.raises(ConfigError, match="no place for a file system"):
        build_filesystem(board, FILES)
