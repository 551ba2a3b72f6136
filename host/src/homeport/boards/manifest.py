"""The manifest of an image's folder: which parts there are, and how to know them again.

{"format": "homeport-image-1", "board": "esp32", "variant": "full", "app": "sunpi", "homeport": "0.1.0",
 "micropython": "v1.29.0",
 "parts": [{"what": "filesystem", "file": "filesystem.img", "at": "0x220000", "len": 1638400, "sha256": "…"}]}
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass

import homeport
from homeport.boards.board import VARIANTS
from homeport.boards.fields import Fields
from homeport.boards.image import FILESYSTEM, MICROPYTHON, RECORDS, ROMFS, Image, part_place
from homeport.errors import ConfigError

FORMAT = "homeport-image-1"
PART_MAX = 64 * 1024 * 1024

_APP = "[A-Za-z_][A-Za-z0-9_]{0,40}"


@dataclass(frozen=True, slots=True)
class Entry:
    """A part of an image, and its file."""

    what: str
    file: str
    at: int
    len: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a manifest says of the image as a whole, and its parts."""

    board: str
    app: str
    variant: str
    entries: list[Entry]


def part_file(image: Image, what: str) -> str:
    """The name of a part's file."""
    firmware = ".uf2" if image.board.platform == "rp2" else ".bin"
    return what + {FILESYSTEM: ".img", ROMFS: ".img", MICROPYTHON: firmware, RECORDS: ".bin"}[what]


def build_manifest(image: Image) -> bytes:
    """The manifest of an image."""
    parts = [
        {
            "what": what,
            "file": part_file(image, what),
            "at": f"{part_place(image.board, what):#x}",
            "len": len(data),
            "sha256": hashlib.sha256(data).hexdigest(),
        }
        for what, data in sorted(image.parts.items())
    ]
    manifest = {
        "format": FORMAT,
        "board": image.board.name,
        "variant": image.variant,
        "app": image.app,
        "homeport": homeport.__version__,
        "micropython": image.version,
        "parts": parts,
    }
    return json.dumps(manifest, indent=2).encode() + b"\n"


def parse_manifest(data: bytes) -> Manifest:
    """What a manifest says. Raises ConfigError naming the field and what was expected."""
    fields = Fields.of_json(data)
    fields.one_of("format", (FORMAT,))
    fields.text("homeport")
    if fields.left.get("micropython", "") is None:
        del fields.left["micropython"]
    else:
        fields.text("micropython")
    board, app = fields.text("board"), fields.text("app", _APP)
    variant = fields.one_of("variant", VARIANTS)
    entries = [_parse_entry(part) for part in fields.inners("parts")]
    fields.end()
    if len({entry.what for entry in entries}) < max(len(entries), 1):
        raise ConfigError("field 'parts': expected at least one, and none twice")
    return Manifest(board, app, variant, entries)


def _parse_entry(part: Fields) -> Entry:
    entry = Entry(
        part.one_of("what", (FILESYSTEM, ROMFS, MICROPYTHON, RECORDS)),
        part.text("file", r"[a-z]+\.[a-z0-9]+"),
        part.hex("at"),
        part.number("len", 1, PART_MAX),
        part.text("sha256", "[0-9a-f]{64}"),
    )
    part.end()
    return entry
