"""An image in a folder: the manifest and a file for each part. The rest of the folder (the files one by one, merged
images) is for other tools and is made from these."""

from __future__ import annotations

import hashlib
from pathlib import Path

from homeport.boards.board import Board
from homeport.boards.descriptors import load_board
from homeport.boards.image import Image, part_place
from homeport.boards.manifest import PART_MAX, Entry, Manifest, build_manifest, parse_manifest, part_file
from homeport.errors import ConfigError
from homeport.files import read_bounded, write_private

MANIFEST = "manifest.json"
_MANIFEST_MAX = 64 * 1024


def save_image(folder: Path, image: Image) -> None:
    """Write the parts and, at the end, the manifest; readable by this user alone, as records are secret. Raises
    StorageError, ConfigError."""
    image.check()
    for what, data in image.parts.items():
        write_private(folder / part_file(image, what), data)
    write_private(folder / MANIFEST, build_manifest(image))


def load_image(folder: Path, board: Board) -> Image:
    """The image in a folder, checked as a whole. Raises ConfigError (naming the file and what was expected) when it
    is for another board, damaged, cut short or incomplete; StorageError."""
    path = folder / MANIFEST
    if not path.is_file():
        raise ConfigError(f"there is no {path}: 'make firmware BOARD={board.name}' makes it, --image names another")
    manifest = _read_manifest(path)
    if manifest.board != board.name:
        raise ConfigError(f"{folder} is an image for board {manifest.board}, not for {board.name}")
    parts = {}
    for entry in manifest.entries:
        if entry.at != part_place(board, entry.what):
            raise ConfigError(f"{path}: part {entry.what!r} is not where board {board.name} has it; build it again")
        parts[entry.what] = _read_part(folder / entry.file, entry)
    image = Image(board, manifest.app, manifest.variant, parts)
    try:
        image.check()
    except ConfigError as error:
        raise ConfigError(f"{folder}: {error}") from None
    return image


def image_board(folder: Path) -> Board:
    """The board that an image is for. Raises ConfigError, StorageError."""
    return load_board(_read_manifest(folder / MANIFEST).board)


def _read_manifest(path: Path) -> Manifest:
    try:
        return parse_manifest(read_bounded(path, _MANIFEST_MAX))
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None


def _read_part(path: Path, entry: Entry) -> bytes:
    data = read_bounded(path, PART_MAX)
    if len(data) != entry.len:
        state = "cut short" if len(data) < entry.len else "too long"
        raise ConfigError(f"{path} is {state}: it has {len(data)} of {entry.len} octets")
    if hashlib.sha256(data).hexdigest() != entry.sha256:
        raise ConfigError(f"{path} is damaged: its SHA-256 is not that of the manifest")
    return data
