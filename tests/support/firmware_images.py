"""Files as MicroPython offers them for download, made for tests: right in every number that is checked, with nothing
in them that would run. Espressif's images are made by esptool, so that our reader is held against another's writer."""

import hashlib
import random
import struct

from esptool.bin_image import ELFSection, ESP32C3FirmwareImage, ESP32FirmwareImage, ESP32S3FirmwareImage

BANNER = "MicroPython %s on 2026-08-19; Test board"
VERSION = "v1.29.0"
NVS = ("nvs", 1, 2, 0x9000, 0x6000)
PHY = ("phy_init", 1, 1, 0xF000, 0x1000)
FACTORY = ("factory", 0, 0, 0x10000, 0x1F0000)
TABLE = (NVS, PHY, FACTORY)
OTA_TABLE = (
    NVS,
    ("otadata", 1, 0, 0xF000, 0x2000),
    ("ota_0", 0, 0x10, 0x20000, 0x180000),
    ("ota_1", 0, 0x11, 0x1A0000, 0x180000),
)
ABSOLUTE_FAMILY = 0xE48BFF57

_WRITERS = {"esp32": ESP32FirmwareImage, "esp32_s3": ESP32S3FirmwareImage, "esp32_c3": ESP32C3FirmwareImage}
_BOOTLOADERS_AT = {"esp32": 0x1000, "esp32_s3": 0, "esp32_c3": 0}
_RAM = {"esp32": 0x3FFB_0000, "esp32_s3": 0x3FC9_0000, "esp32_c3": 0x3FC9_0000}


def espressif_image(board, content, flash_size_freq=0x2F):
    """One executable with this content."""
    writer = _WRITERS[board]()
    writer.flash_mode, writer.flash_size_freq, writer.entrypoint = 2, flash_size_freq, _RAM[board]
    parts = ((b"first", 0, content), (b"second", 0x1_0000, b"second segment.."))
    writer.segments = [ELFSection(name, _RAM[board] + at, data, 0) for name, at, data in parts]
    return writer.save(None)


def table(entries, with_md5=True):
    """A partition table of (name, type, subtype, at, len)."""
    octets = b"".join(
        struct.pack("<2sBBII16sI", b"\xaa\x50", kind, subtype, at, length, name.encode(), 0)
        for name, kind, subtype, at, length in entries
    )
    if with_md5:
        octets += b"\xeb\xeb" + b"\xff" * 14 + hashlib.md5(octets).digest()
    return octets.ljust(0xC00, b"\xff")


def esp32_firmware(board="esp32", version=VERSION, partitions=TABLE, app_len=60_000):
    """MicroPython's .bin file for an ESP32: bootloader, partition table, application."""
    banner = (BANNER % version).encode()
    app = espressif_image(board, banner + random.Random(app_len).randbytes(app_len - len(banner)))
    data = espressif_image(board, b"bootloader......" * 64).ljust(0x8000 - _BOOTLOADERS_AT[board], b"\xff")
    data = (data + table(partitions)).ljust(0x10000 - _BOOTLOADERS_AT[board], b"\xff")
    return data + app


def uf2_blocks(family, at, data, number=0, total=None):
    """UF2 blocks of 256 octets each, from an offset in flash on."""
    pages = [data[off : off + 256].ljust(256, b"\0") for off in range(0, len(data), 256)]
    total = len(pages) if total is None else total
    blocks = []
    for index, page in enumerate(pages):
        address = 0x1000_0000 + at + 256 * index
        head = struct.pack("<8I", 0x0A324655, 0x9E5D5157, 0x2000, address, 256, number + index, total, family)
        blocks.append(head + page.ljust(476, b"\0") + struct.pack("<I", 0x0AB16F30))
    return b"".join(blocks)


def rp2_firmware(family=0xE48BFF56, version=VERSION, size=80_128):
    """MicroPython's .uf2 file for a Pico W; for a Pico 2 W with the block that its chip's fault asks for."""
    content = (BANNER % version).encode().rjust(400, b"\x11").ljust(size, b"\x5a")
    work_round = uf2_blocks(ABSOLUTE_FAMILY, 0xFFFF00, b"\xef" * 256, total=2) if family == 0xE48BFF59 else b""
    return work_round + uf2_blocks(family, 0, content)
