"""What other tools than ours take: an image as one file, made from its parts."""

from __future__ import annotations

from homeport.boards import esp32, rp2
from homeport.boards.image import MICROPYTHON, Image


def products(image: Image, firmware_name: str) -> dict[str, bytes]:
    """The files by their names; `firmware_name` is MicroPython's file for messages. Raises ConfigError."""
    found = {}
    if image.board.platform == "esp32" and MICROPYTHON in image.parts:
        found["merged.bin"] = esp32.merged(image, firmware_name)
    if image.board.platform == "rp2":
        found["filesystem.uf2"] = rp2.uf2_file(image, with_micropython=False, with_files=True)
        if MICROPYTHON in image.parts:
            found["merged.uf2"] = rp2.uf2_file(image, True, True, firmware_name)
    return found
