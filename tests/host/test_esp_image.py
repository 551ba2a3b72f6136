"""Espressif's images, made by esptool: a whole one is taken, and one that is cut short, damaged or another's is not."""

from __future__ import annotations

import io

import firmware_images
import pytest
from esptool.bin_image import LoadFirmwareImage
from homeport.boards.esp_image import check_image, micropython_version, with_flash_size
from homeport.errors import ConfigError

CHIPS = {"esp32": 0, "esp32_s3": 9, "esp32_c3": 5}
IMAGE = firmware_images.espressif_image("esp32", b"content." * 40)
MB = 1 << 20


@pytest.mark.parametrize("board", CHIPS)
def test_an_image_is_as_long_as_its_writer_says_whatever_follows(board: str) -> None:
    image = firmware_images.espressif_image(board, b"content." * 40)
    assert check_image(image, CHIPS[board], "it") == len(image)
    assert check_image(image + b"\xff" * 1000, CHIPS[board], "it") == len(image)


def test_an_image_without_a_hash_ends_with_its_checksum() -> None:
    image = bytearray(IMAGE[:-32])
    image[23] = 0
    assert check_image(bytes(image), 0, "it") == len(image)


def test_every_image_cut_short_is_refused() -> None:
    for length in range(len(IMAGE)):
        with pytest.raises(ConfigError, match="^it is (cut short|no image)"):
            check_image(IMAGE[:length], 0, "it")


def test_every_damaged_octet_is_seen() -> None:
    for at in range(len(IMAGE)):
        damaged = bytearray(IMAGE)
        damaged[at] ^= 0x01
        if at == 23:  # says that no hash follows; then the checksum of the content decides
            continue
        with pytest.raises(ConfigError):
            check_image(bytes(damaged), 0, "it")


@pytest.mark.parametrize(("board", "name"), [("esp32_s3", "ESP32-S3"), ("esp32_c3", "ESP32-C3")])
def test_an_image_for_another_chip_is_refused_by_its_name(board: str, name: str) -> None:
    with pytest.raises(ConfigError, match=f"it is for {name}, not for ESP32"):
        check_image(firmware_images.espressif_image(board, b"content."), 0, "it")


@pytest.mark.parametrize("data", [b"", b"\x00" * 64, b"\xff" * 64, b"UF2\n" * 16, b"<html>" * 10])
def test_what_is_no_image_is_refused(data: bytes) -> None:
    with pytest.raises(ConfigError, match="is no image for an Espressif chip"):
        check_image(data, 0, "it")


@pytest.mark.parametrize("size_mb", [2, 4, 8, 16])
def test_a_bootloader_for_another_flash_is_still_whole(size_mb: int) -> None:
    changed = with_flash_size(IMAGE, size_mb * MB)
    assert check_image(changed, 0, "it") == len(IMAGE)
    seen = LoadFirmwareImage("esp32", io.BytesIO(changed).getvalue())
    assert seen.flash_size_freq == seen.ROM_LOADER.FLASH_SIZES[f"{size_mb}MB"] | 0xF
    assert seen.stored_digest == seen.calc_digest


def test_a_bootloader_for_the_flash_that_it_names_is_not_changed() -> None:
    assert with_flash_size(IMAGE, 4 * MB) == IMAGE


@pytest.mark.parametrize(
    ("content", "version"),
    [
        (b"..MicroPython v1.29.0 on 2026-08-19; Pico", "v1.29.0"),
        (b"MicroPython v1.30.0-preview.12.g1a2b3c on 2026-09-01;", "v1.30.0-preview.12.g1a2b3c"),
        (b"MicroPython on 2026-08-19", None),
        (b"MicroPython v1\x1b[2J on 2026-08-19", None),
        (b"", None),
    ],
)
def test_the_version_is_that_of_the_banner(content: bytes, version: str | None) -> None:
    assert micropython_version(content) == version
