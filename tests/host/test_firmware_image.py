"""Images for boards: MicroPython's own file taken apart, the folder with its manifest, and what is refused of both."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import firmware_images
import pytest
from board_images import FILES, firmware_for, image_folder, image_for, records_region
from homeport.boards import esp32, rp2
from homeport.boards.board import Area
from homeport.boards.descriptors import load_board
from homeport.boards.filesystem import add_files, build_filesystem, read_files
from homeport.boards.image import FILESYSTEM, MICROPYTHON, RECORDS, ROMFS, Image
from homeport.boards.image_folder import image_board, load_image, save_image
from homeport.boards.manifest import parse_manifest
from homeport.boards.partition_table import find_partition, parse_table
from homeport.boards.uf2 import parse_uf2
from homeport.errors import ConfigError

ESP32 = load_board("esp32")
PICO = load_board("pico_w")
ESPRESSIF = ["esp32", "esp32_s3", "esp32_c3"]


@pytest.mark.parametrize("name", ESPRESSIF)
def test_micropythons_file_is_taken_apart_and_put_together(name: str) -> None:
    board = load_board(name)
    data = firmware_images.esp32_firmware(name)
    found = esp32.take_apart(board, data, "official.bin")
    assert found.version == firmware_images.VERSION
    assert data.startswith(found.bootloader)
    assert data.endswith(found.app)
    merged = esp32.merged(image_for(name))
    start = esp32.pieces(image_for(name))[0].at
    assert merged[: len(found.bootloader)] == found.bootloader
    assert merged[0x10000 - start : 0x10000 - start + len(found.app)] == found.app
    assert read_files(board, merged[0x220000 - start : 0x3B0000 - start]) == FILES
    assert merged[0x3B0000 - start :].startswith(image_for(name).parts[ROMFS])


def test_the_table_has_micropythons_partitions_and_ours() -> None:
    found = parse_table(esp32.take_apart(ESP32, firmware_for("esp32"), "official.bin").table)
    assert [partition.name for partition in found] == ["nvs", "phy_init", "factory", "vfs", "romfs", "homeport"]
    assert [partition.area for partition in found[-3:]] == [ESP32.filesystem, ESP32.romfs, ESP32.records]
    assert (found[-2].type, found[-2].subtype) == (1, 0x8F)


def test_places_for_files_and_code_that_micropython_names_give_way_to_ours() -> None:
    places = (("romfs", 1, 0x8F, 0x200000, 0x60000), ("vfs", 1, 0x81, 0x260000, 0x1A0000))
    data = firmware_images.esp32_firmware(partitions=(*firmware_images.TABLE, *places))
    found = parse_table(esp32.take_apart(ESP32, data, "official.bin").table)
    for name, area in (("vfs", ESP32.filesystem), ("romfs", ESP32.romfs)):
        partition = find_partition(found, name)
        assert partition is not None
        assert partition.area == area


def test_a_merged_image_ends_before_the_records() -> None:
    """Whoever writes it with another tool keeps what the device remembers."""
    assert ESP32.records is not None
    assert 0x1000 + len(esp32.merged(image_for("esp32"))) <= ESP32.records.at
    merged = esp32.merged(image_for("esp32", records=records_region()))
    assert merged.endswith(records_region())
    assert 0x1000 + len(merged) == ESP32.flash_len


def test_an_image_without_micropython_merges_to_its_file_system_and_code() -> None:
    image = image_for("esp32", with_micropython=False)
    assert esp32.merged(image).rstrip(b"\xff") == (image.parts[FILESYSTEM] + image.parts[ROMFS]).rstrip(b"\xff")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (firmware_images.esp32_firmware("esp32_s3"), "the bootloader in f.bin is for ESP32-S3, not for ESP32"),
        (firmware_images.esp32_firmware("esp32_c3"), "the bootloader in f.bin is for ESP32-C3, not for ESP32"),
        (firmware_images.rp2_firmware(), "is no image for an Espressif chip"),
        (b"", "is no image for an Espressif chip"),
        (firmware_images.esp32_firmware()[:0x6FFF], "f.bin: there is no partition table"),
        (firmware_images.esp32_firmware()[:0xEFFF], "the application in f.bin is no image"),
        (firmware_images.esp32_firmware()[:-1], "the application in f.bin is cut short"),
        (firmware_images.esp32_firmware()[:-30_000] + bytes(30_000), "the application in f.bin is damaged"),
        (firmware_images.esp32_firmware(version="v1.22.2"), "f.bin is MicroPython v1.22.2: expected 1.23 or newer"),
        (
            firmware_images.esp32_firmware(partitions=firmware_images.OTA_TABLE),
            "f.bin has 2 applications, expected one",
        ),
        (
            firmware_images.espressif_image("esp32", bytes(40_000)),
            "f.bin is an application alone: take MicroPython's .bin file",
        ),
        (firmware_images.espressif_image("esp32", bytes(4000)), "f.bin: there is no partition table"),
        (
            firmware_images.esp32_firmware(partitions=(("factory", 0, 0, 0x10000, 0x300000),)),
            "the partitions in f.bin reach 0x310000, files begin at 0x220000",
        ),
        (
            firmware_images.esp32_firmware(partitions=(("factory", 0, 0, 0x10000, 0x1000),)),
            "the application in f.bin is larger than its partition",
        ),
    ],
)
def test_a_file_that_is_not_for_this_board_is_refused_by_name(data: bytes, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        esp32.take_apart(ESP32, data, "f.bin")
    assert words in str(caught.value)


def test_a_pico_gets_micropython_and_files_in_one_uf2_file() -> None:
    image = image_for("pico_w")
    found = parse_uf2(rp2.uf2_file(image, with_micropython=True, with_files=True))
    files = PICO.filesystem
    assert files is not None
    assert found.data[: files.at] == parse_uf2(firmware_for("pico_w")).data.ljust(files.at, b"\xff")
    assert read_files(PICO, found.data[files.at :]) == FILES


def test_a_pico_gets_files_alone_in_their_place() -> None:
    found = parse_uf2(rp2.uf2_file(image_for("pico_w"), with_micropython=False, with_files=True))
    assert PICO.filesystem is not None
    assert Area(found.at, len(found.data)) == PICO.filesystem


def test_a_pico_2_keeps_the_block_that_works_round_its_fault() -> None:
    data = rp2.uf2_file(image_for("pico2_w"), with_micropython=True, with_files=True)
    assert data[:512] == firmware_for("pico2_w")[:512]


def test_micropython_alone_is_the_file_as_it_was() -> None:
    for name in ("pico_w", "pico2_w"):
        assert rp2.uf2_file(image_for(name), with_micropython=True, with_files=False) == firmware_for(name)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (firmware_images.rp2_firmware(0xE48BFF59), "f.uf2 is for RP2350, not for RP2040"),
        (firmware_images.rp2_firmware(0xADA52840), "f.uf2 is for family 0xada52840, not for RP2040"),
        (firmware_images.rp2_firmware()[:-512], "f.uf2 is cut short"),
        (firmware_images.rp2_firmware(size=0x12C100), "f.uf2 programs 0x0 to 0x12c100: expected 0x0 to 0x12c000"),
        (firmware_images.uf2_blocks(0xE48BFF56, 0x12C000, bytes(256)), "f.uf2 programs 0x12c000 to 0x12c100"),
        (firmware_images.rp2_firmware(version="v1.19.1"), "f.uf2 is MicroPython v1.19.1: expected 1.23 or newer"),
        (firmware_images.esp32_firmware(), "f.uf2 is no UF2 file"),
    ],
)
def test_a_uf2_file_that_is_not_for_this_board_is_refused_by_name(data: bytes, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        rp2.firmware(PICO, data, "f.uf2")
    assert words in str(caught.value)


def test_an_image_without_micropython_has_no_uf2_file_with_it() -> None:
    with pytest.raises(ConfigError, match="name its file with --firmware"):
        rp2.uf2_file(image_for("pico_w", with_micropython=False), with_micropython=True, with_files=True)


@pytest.mark.parametrize("name", ["esp32", "pico_w", "pico2_w"])
def test_a_saved_image_is_the_one_that_is_loaded(name: str, tmp_path: Path) -> None:
    image = image_for(name)
    save_image(tmp_path, image)
    assert load_image(tmp_path, image.board) == image
    assert image_board(tmp_path) == image.board


def test_records_are_saved_for_their_owner_alone(tmp_path: Path) -> None:
    save_image(tmp_path, image_for("esp32", records=records_region()))
    assert load_image(tmp_path, ESP32).parts[RECORDS] == records_region()
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}


def test_the_manifest_names_what_there_is(tmp_path: Path) -> None:
    image = image_for("esp32")
    save_image(tmp_path, image)
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert manifest["micropython"] == firmware_images.VERSION
    files = next(part for part in manifest["parts"] if part["what"] == "filesystem")
    assert files == {
        "what": "filesystem",
        "file": "filesystem.img",
        "at": "0x220000",
        "len": 0x190000,
        "sha256": hashlib.sha256(image.parts[FILESYSTEM]).hexdigest(),
    }


def test_the_version_in_a_uf2_file_is_found_across_its_blocks() -> None:
    assert image_for("pico_w").version == firmware_images.VERSION


def test_an_image_for_another_board_is_refused(tmp_path: Path) -> None:
    image_folder(tmp_path / "image", "esp32_s3")
    with pytest.raises(ConfigError, match="is an image for board esp32_s3, not for esp32"):
        load_image(tmp_path / "image", ESP32)


def test_a_part_cut_short_is_refused_by_name(tmp_path: Path) -> None:
    folder = image_folder(tmp_path / "image", "esp32")
    os.truncate(folder / "filesystem.img", 1000)
    with pytest.raises(ConfigError, match=r"filesystem\.img is cut short: it has 1000 of 1638400 octets"):
        load_image(folder, ESP32)


def test_a_damaged_part_is_refused_by_name(tmp_path: Path) -> None:
    folder = image_folder(tmp_path / "image", "esp32")
    data = bytearray((folder / "micropython.bin").read_bytes())
    data[50_000] ^= 1
    (folder / "micropython.bin").write_bytes(data)
    with pytest.raises(ConfigError, match=r"micropython\.bin is damaged"):
        load_image(folder, ESP32)


def test_a_missing_image_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="'make firmware BOARD=esp32' makes it"):
        load_image(tmp_path, ESP32)


def test_an_image_that_would_start_nothing_is_refused() -> None:
    image = image_for("esp32", files={"lib/app.mpy": b""})
    with pytest.raises(ConfigError, match=r"there is no main\.py in the file system"):
        image.check()


def test_an_image_without_code_for_its_place_is_refused() -> None:
    """The board would run what is there from before."""
    image = image_for("esp32")
    parts = {what: data for what, data in image.parts.items() if what != ROMFS}
    with pytest.raises(ConfigError, match="there is no ROMFS in the image: make it again"):
        Image(ESP32, "app", "full", parts).check()


def test_damaged_code_is_refused() -> None:
    image = image_for("esp32")
    with pytest.raises(ConfigError, match="no ROMFS image"):
        image.with_part(ROMFS, b"\xff" * 100).check()


def test_an_image_without_files_is_refused() -> None:
    with pytest.raises(ConfigError, match="there is no file system in the image"):
        Image(ESP32, "app", "full", {MICROPYTHON: firmware_for("esp32")}).check()


def test_records_of_another_size_are_refused() -> None:
    with pytest.raises(ConfigError, match="the records have 100 octets, expected 65536"):
        image_for("esp32", records=bytes(100)).check()


def test_a_board_that_keeps_records_among_its_files_takes_no_part_with_them() -> None:
    with pytest.raises(ConfigError, match="board pico_w has no place for the part 'records'"):
        image_for("pico_w", records=records_region()).check()


def test_files_can_be_added_to_an_image(tmp_path: Path) -> None:
    image = image_for("pico_w")
    files = add_files(PICO, image.parts[FILESYSTEM], {"state/config.0": b"{}"})
    save_image(tmp_path, image.with_part(FILESYSTEM, files))
    assert read_files(PICO, load_image(tmp_path, PICO).parts[FILESYSTEM])["state/config.0"] == b"{}"


def test_an_image_is_of_one_layout(tmp_path: Path) -> None:
    """A descriptor that has changed since is not guessed about."""
    image_folder(tmp_path / "image", "esp32")
    path = tmp_path / "image/manifest.json"
    path.write_text(path.read_text().replace('"0x220000"', '"0x200000"'))
    with pytest.raises(ConfigError, match="part 'filesystem' is not where board esp32 has it; build it again"):
        load_image(tmp_path / "image", ESP32)


PART = {"what": "filesystem", "file": "filesystem.img", "at": "0x0", "len": 1, "sha256": "0" * 64}
MANIFEST = {
    "format": "homeport-image-1",
    "board": "esp32",
    "variant": "full",
    "app": "sunpi",
    "homeport": "0.1.0",
    "micropython": None,
    "parts": [PART],
}


def test_such_a_manifest_is_read() -> None:
    assert parse_manifest(json.dumps(MANIFEST).encode()).board == "esp32"


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"format": "homeport-image-2"}, "field 'format': expected one of homeport-image-1"),
        ({"board": None}, "field 'board': expected text"),
        ({"app": "a/b"}, "field 'app': expected text that fits"),
        ({"variant": "huge"}, "field 'variant': expected one of full, tiny"),
        ({"micropython": 1}, "field 'micropython': expected text"),
        ({"parts": []}, "field 'parts': expected at least one, and none twice"),
        ({"parts": [PART, PART]}, "field 'parts': expected at least one, and none twice"),
        ({"parts": {}}, "field 'parts': expected a list of objects"),
        ({"parts": [{**PART, "what": "secrets"}]}, "field 'parts.what': expected one of"),
        ({"parts": [{**PART, "file": "../x.img"}]}, "field 'parts.file': expected text that fits"),
        ({"parts": [{**PART, "file": "/etc/passwd"}]}, "field 'parts.file': expected text that fits"),
        ({"parts": [{**PART, "len": 0}]}, "field 'parts.len': expected a number from 1"),
        ({"parts": [{**PART, "len": 1 << 40}]}, "field 'parts.len': expected a number from 1"),
        ({"parts": [{**PART, "at": 0}]}, "field 'parts.at': expected a hex text"),
        ({"parts": [{**PART, "sha256": "0" * 63}]}, "field 'parts.sha256': expected text that fits"),
        ({"parts": [{**PART, "mode": 7}]}, "unknown field 'parts.mode'"),
        ({"parts": [None]}, "field 'parts': expected a JSON object"),
        ({"signature": ""}, "unknown field 'signature'"),
    ],
)
def test_a_wrong_field_of_a_manifest_is_named(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_manifest(json.dumps({**MANIFEST, **fields}).encode())
    assert words in str(caught.value)


def test_every_manifest_cut_short_is_refused() -> None:
    text = json.dumps(MANIFEST).encode()
    for length in range(len(text)):
        with pytest.raises(ConfigError):
            parse_manifest(text[:length])


def test_a_file_system_for_another_board_is_refused() -> None:
    files = build_filesystem(load_board("pico2_w"), FILES)
    with pytest.raises(ConfigError, match="the file system has 2621440 octets, board esp32 takes 1638400"):
        Image(ESP32, "app", "full", {FILESYSTEM: files}).check()


def test_the_pieces_follow_each_other_and_never_touch_the_records() -> None:
    found = esp32.pieces(image_for("esp32"))
    assert MICROPYTHON in image_for("esp32").parts
    assert [piece.at for piece in found] == [0x1000, 0x8000, 0x10000, 0x220000, 0x3B0000]
    for first, second in zip(found, found[1:]):
        assert not first.area.overlaps(second.area)
    assert ESP32.records is not None
    assert not any(piece.area.overlaps(ESP32.records) for piece in found)
