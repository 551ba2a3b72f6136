"""A device's label, to be printed and stuck onto it: QR code, id, name, and the secret for who types it.

As SVG for printers, as PNG with letters of its own (`letters`), so that no font is needed, and for the terminal.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

from homeport.boards.tools import tool
from homeport.errors import ConfigError
from homeport.files import write_private
from homeport.label import grouped, label_text
from homeport.provisioning.letters import rows_of

TERMINAL = "-"

_BORDER = 4  # squares of quiet around a QR code
_LINE_PITCH = 5  # squares from one line of text to the next
_LETTER_SIZE = 3.4  # squares
_PIXELS_PER_SQUARE = 8
_PIXELS_PER_DOT = 2
_TEXT_GAP = 4  # dots between lines
_SECRET_LINES = 2


@dataclass(frozen=True)
class Label:
    """What is on it."""

    device_id: str
    secret: bytes = field(repr=False)
    name: str | None = None

    def lines(self) -> list[str]:
        """The texts below the code."""
        groups = grouped(self.secret).split("-")
        half = len(groups) // _SECRET_LINES
        secret = ["-".join(groups[at : at + half]) for at in range(0, len(groups), half)]
        return [text for text in (self.name, self.device_id) if text] + secret

    def qr(self) -> Any:
        """Its QR code. Raises ConfigError when segno is missing."""
        return tool("segno").make(label_text(self.device_id, self.secret), error="m", micro=False)


def check_label_file(path: str, replace: bool) -> None:
    """Raise ConfigError when no label could be written to `path`; `-` is the terminal."""
    tool("segno")
    if path == TERMINAL:
        return
    file = Path(path)
    if file.suffix.lower() not in _WRITERS:
        raise ConfigError(f"a label is a file .svg or .png, or '-' for the terminal, not {path[:80]!r}")
    if not file.parent.is_dir():
        raise ConfigError(f"there is no directory {file.parent}")
    if file.exists() and not replace:
        raise ConfigError(f"{file} is there already: it is not replaced without --replace")


def write_label(label: Label, path: str) -> None:
    """Write a label, readable by this user alone, as it is a secret. Raises ConfigError, StorageError."""
    file = Path(path)
    write_private(file, _WRITERS[file.suffix.lower()](label))


def as_text(label: Label) -> str:
    """The label for a terminal."""
    out = io.StringIO()
    label.qr().terminal(out=out, border=_BORDER // 2, compact=True)
    return out.getvalue() + "\n".join(label.lines())


def as_svg(label: Label) -> bytes:
    """The label for a printer: one square of the code is a millimetre."""
    squares = _squares(label)
    size = len(squares)
    lines = label.lines()
    height = size + len(lines) * _LINE_PITCH
    path = "".join(f"M{x} {y}h1v1h-1z" for y, row in enumerate(squares) for x, is_dark in enumerate(row) if is_dark)
    texts = "".join(_svg_text(text, size, size + (number + 0.5) * _LINE_PITCH) for number, text in enumerate(lines))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{size}mm" height="{height}mm" viewBox="0 0 {size} {height}">'
        f'<rect width="{size}" height="{height}" fill="#fff"/><path d="{path}"/>'
        f'<g font-family="monospace" text-anchor="middle">{texts}</g></svg>\n'
    ).encode()


def as_png(label: Label) -> bytes:
    """The label as pixels. Letters that it has no form for are left out."""
    dots = [
        [is_dark for is_dark in row for _ in range(_PIXELS_PER_SQUARE)]
        for row in _squares(label)
        for _ in range(_PIXELS_PER_SQUARE)
    ]
    width = len(dots[0])
    for text in label.lines():
        dots += _text_rows(text, width)
    return _png(dots)


_WRITERS = {".svg": as_svg, ".png": as_png}


def _squares(label: Label) -> list[list[bool]]:
    return [[bool(value) for value in row] for row in label.qr().matrix_iter(border=_BORDER)]


def _svg_text(text: str, size: int, y: float) -> str:
    """A line of text as large as the label is wide; letters are about 0.6 of their size apart."""
    letter_size = round(min(_LETTER_SIZE, (size - _BORDER) / (0.6 * len(text))), 2)
    return f'<text x="{size / 2}" y="{y}" font-size="{letter_size}">{escape(text)}</text>'


def _text_rows(text: str, width: int) -> list[list[bool]]:
    """A line of text as rows of pixels, in the middle, and the gap below it."""
    rows = rows_of(text)
    scale = max(1, min(_PIXELS_PER_DOT, width // max(1, len(rows[0]))))
    blank = [False] * width
    found = []
    for row in rows:
        pixels = [is_dark for is_dark in row for _ in range(scale)][:width]
        before = (width - len(pixels)) // 2
        line = [False] * before + pixels + [False] * (width - before - len(pixels))
        found += [line] * scale
    return found + [blank] * (_TEXT_GAP * scale)


def _png(rows: Sequence[Sequence[bool]]) -> bytes:
    """Rows of dark pixels as a PNG file (ISO/IEC 15948) of one bit each."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    width = len(rows[0])
    packed = b"".join(b"\0" + _bits(row) for row in rows)
    header = struct.pack(">IIBBBBB", width, len(rows), 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(packed)) + chunk(b"IEND", b"")


def _bits(row: Sequence[bool]) -> bytes:
    """A row of pixels, the first in the highest bit; white is 1."""
    text = "".join("0" if is_dark else "1" for is_dark in row).ljust(-(-len(row) // 8) * 8, "1")
    return int(text, 2).to_bytes(len(text) // 8, "big")
