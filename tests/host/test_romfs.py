"""ROMFS images: what is written is what we read, and what MicroPython reads; what is damaged is refused."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from homeport.boards.descriptors import load_board
from homeport.boards.romfs import build_romfs, check_romfs, read_romfs
from homeport.errors import ConfigError
from hypothesis import given
from hypothesis import strategies as st

MICROPYTHON = Path(sys.executable).with_name("micropython")
FILES = {"lib/app.mpy": bytes(range(256)) * 80, "lib/drivers/a.mpy": b"a", "lib/empty.mpy": b"", "z": b"last"}
# Prints all files of an image by their paths.
READ = """
import json, os, sys, vfs
vfs.mount(vfs.VfsRom(open(sys.argv[1], "rb").read()), "/rom")
def read(folder, found):
    for entry in os.ilistdir("/rom" + folder):
        path = folder + "/" + entry[0]
        if entry[1] == 0x4000:
            read(path, found)
        else:
            found[path[1:]] = open("/rom" + path, "rb").read().hex()
    return found
print(json.dumps(read("", {})))
"""

NAMES = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters="/"), min_size=1, max_size=20)


def test_what_is_written_is_what_is_read() -> None:
    assert read_romfs(build_romfs(FILES)) == FILES


def test_micropython_reads_the_same(tmp_path: Path) -> None:
    (tmp_path / "read.py").write_text(READ)
    (tmp_path / "romfs.img").write_bytes(build_romfs(FILES))
    command = [MICROPYTHON, tmp_path / "read.py", tmp_path / "romfs.img"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert {path: bytes.fromhex(data) for path, data in json.loads(done.stdout).items()} == FILES


@given(st.dictionaries(NAMES, st.binary(max_size=300), max_size=8))
def test_any_files_are_the_same_whatever_order_they_come_in(files: dict[str, bytes]) -> None:
    files = {f"lib/{name}": data for name, data in files.items()}
    image = build_romfs(files)
    assert read_romfs(image) == files
    assert build_romfs(dict(reversed(files.items()))) == image


@given(st.binary(max_size=200))
def test_any_octets_are_read_or_refused(data: bytes) -> None:
    image = b"\xd2\xcd\x31" + bytes((0x80 | len(data) >> 7, len(data) & 0x7F)) + data
    try:
        assert isinstance(read_romfs(image), dict)
    except ConfigError as error:
        assert "ROMFS image" in str(error)


def test_every_image_cut_short_is_refused() -> None:
    image = build_romfs({"lib/a.mpy": b"abc", "lib/b.mpy": b"defg"})
    for length in range(len(image)):
        with pytest.raises(ConfigError):
            read_romfs(image[:length])


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (b"", "no ROMFS image: expected d2cd31, got nothing"),
        (b"\xff" * 100, "no ROMFS image: expected d2cd31, got ffffff"),
        (b"\xd2\xcd\x31\x05abc", "the ROMFS image has 7 octets, its head says 9"),
        (b"\xd2\xcd\x31\x80\x80\x80\x80\x80\x00", "a number does not end"),
        (b"\xd2\xcd\x31\x03\x05\x09a", "a record is longer than what it is in"),
        (b"\xd2\xcd\x31\x05\x05\x03\x01a\x00", "a number does not end"),
        (b"\xd2\xcd\x31\x04\x05\x02\x01a", "a has 0 contents"),
        (b"\xd2\xcd\x31\x04\x05\x02\x01\x1b", "a name is not printable ASCII"),
    ],
)
def test_what_makes_no_sense_is_refused(image: bytes, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_romfs(image)
    assert words in str(caught.value)


def test_folders_without_end_are_refused() -> None:
    with pytest.raises(ConfigError, match="its folders do not end"):
        build_romfs({"a/" * 40 + "b": b""})


def test_code_that_does_not_fit_is_one_line() -> None:
    esp32 = load_board("esp32")
    check_romfs(esp32, build_romfs({"lib/a.mpy": bytes(0x3F000)}))
    with pytest.raises(ConfigError, match="the code takes 262172 octets in ROMFS, board esp32 has room for 262144"):
        check_romfs(esp32, build_romfs({"lib/a.mpy": bytes(0x40000)}))


def test_a_board_without_a_place_for_it_takes_none() -> None:
    with pytest.raises(ConfigError, match="board pico_w has room for 0"):
        check_romfs(load_board("pico_w"), build_romfs({}))
