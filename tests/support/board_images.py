"""Images for boards, small and quick to make: a few files instead of the whole firmware."""

import firmware_images
from homeport.boards.descriptors import load_board
from homeport.boards.filesystem import build_filesystem
from homeport.boards.image import FILESYSTEM, MICROPYTHON, RECORDS, ROMFS, Image
from homeport.boards.image_folder import save_image
from homeport.boards.romfs import build_romfs
from homeport_core.record import CONFIG, KINDS, REGION_LEN, slot_file, slot_offset

FILES = {"main.py": b"print('hello')\n", "lib/app.mpy": bytes(range(256)) * 20, "pins.py": b"PINS = {}\n"}
CODE = {"lib/app.mpy": FILES["lib/app.mpy"]}


def firmware_for(name):
    """MicroPython's own file for a board."""
    if name.startswith("pico"):
        return firmware_images.rp2_firmware(0xE48BFF59 if name == "pico2_w" else 0xE48BFF56)
    return firmware_images.esp32_firmware(name)


def image_for(name, with_micropython=True, records=None, files=FILES):
    """An image for a board."""
    board = load_board(name)
    parts = {FILESYSTEM: build_filesystem(board, files)}
    if board.romfs:
        parts[ROMFS] = build_romfs(CODE)
    if with_micropython:
        parts[MICROPYTHON] = firmware_for(name)
    if records is not None:
        parts[RECORDS] = records
    return Image(board, "app", "full", parts)


def image_folder(folder, name, **how):
    """An image for a board, saved; returns its folder."""
    folder.mkdir()
    save_image(folder, image_for(name, **how))
    return folder


def records_region(payload=b"{}", kind=CONFIG):
    """The place for records of a board that has one."""
    region = bytearray(b"\xff" * REGION_LEN)
    assert kind in KINDS
    octets = slot_file(kind, 1, payload)
    header, body = octets[:24], octets[24:]
    at = slot_offset(kind, 0)
    region[at : at + len(header)] = header
    region[at + 256 : at + 256 + len(body)] = body
    return bytes(region)
