"""An image of a board's flash, provisioned before it is flashed: for many boards, and for those without a cable.

The image is the folder that `make firmware` has made. The records go into their own part of it or, for a board that
keeps them in files, into its file system. Everything is made in memory and read back there before a file is replaced.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from zlib import crc32

from homeport_core.record import (
    HEADER_LEN,
    KINDS,
    PAGE_LEN,
    REGION_LEN,
    SECRETS,
    SEQUENCE_MASK,
    SLOTS,
    file_name,
    newest,
    read_header,
    slot_file,
    slot_len,
    slot_offset,
)

from homeport.boards.descriptors import load_board
from homeport.boards.filesystem import add_files, read_files
from homeport.boards.image import FILESYSTEM, MICROPYTHON, RECORDS, Image
from homeport.boards.image_folder import MANIFEST, image_board, load_image, save_image
from homeport.boards.manifest import part_file
from homeport.boards.products import products
from homeport.errors import ConfigError, StorageError
from homeport.files import make_private_directory, read_bounded, write_private
from homeport.provisioning.board import Facts, id_of
from homeport.provisioning.data_set import DAMAGED, MISSING, DataSet

_FOLDER = "state"  # of the records on boards that keep them in files (homeport_device.hardware_common)
_SIMULATED = "unix"
_SIMULATED_FLASH = "flash.img"
_BLANK = b"\xff"


Slots = dict[tuple[str, int], bytes]  # kind and slot → header and payload, to the end of its last page in raw flash


class ImageFolder:
    """The folder that `make firmware` has made, named by itself or any file in it. Raises ConfigError, which names the
    file and what is wrong with it, also when the image is for another board; StorageError."""

    def __init__(self, path: Path, board_name: str | None = None) -> None:
        self._folder = path if path.is_dir() else path.parent
        if not path.exists() or not (self._folder / MANIFEST).is_file():
            raise ConfigError(f"{path} is no image: 'make firmware' makes them, as a folder with a {MANIFEST}")
        self._board = image_board(self._folder) if board_name is None else load_board(board_name)
        self._image = load_image(self._folder, self._board)
        self.platform = self._board.platform
        self.about = f"image for {self._board.name} with {self._image.app}"

    def read(self) -> Slots:
        """The slots that were ever written."""
        return self._slots_of(load_image(self._folder, self._board))

    def replace(self, slots: Slots) -> None:
        """Replace all slots. No file is replaced before the new image is written and has been read back."""
        image = self._image
        if self._board.records is None:
            files = {f"{_FOLDER}/{file_name(kind, slot)}": octets for (kind, slot), octets in slots.items()}
            image = image.with_part(FILESYSTEM, add_files(self._board, image.parts[FILESYSTEM], files))
        else:
            image = image.with_part(RECORDS, _region_of(slots))
        made = products(image, part_file(image, MICROPYTHON))
        try:
            with tempfile.TemporaryDirectory(prefix=".", dir=self._folder) as name:
                scratch = Path(name)
                save_image(scratch, image)
                for product, data in made.items():
                    write_private(scratch / product, data)
                if self._slots_of(load_image(scratch, self._board)) != slots:
                    raise StorageError(f"{self._folder}: the image does not read back as it was written")
                # All is on the disk. The manifest comes last: until then it does not fit the parts, and says so.
                for file in sorted(scratch.iterdir(), key=lambda file: file.name == MANIFEST):
                    os.replace(file, self._folder / file.name)
        except OSError as error:
            raise StorageError(f"cannot write {self._folder}: {error.strerror}") from error

    def _slots_of(self, image: Image) -> Slots:
        if self._board.records is not None:
            return _slots_in(image.parts.get(RECORDS, _BLANK * REGION_LEN))
        files = read_files(self._board, image.parts[FILESYSTEM])
        names = {(kind, slot): f"{_FOLDER}/{file_name(kind, slot)}" for kind in KINDS for slot in SLOTS}
        return {at: files[name] for at, name in names.items() if name in files}


class RegionFile:
    """The records' region alone, in a file: the flash of a simulated board. Raises ConfigError, StorageError."""

    platform = "unix"

    def __init__(self, path: Path, may_be_new: bool = False) -> None:
        self._path = path
        self._may_be_new = may_be_new
        self.about = f"records in {path}"
        self.read()

    def read(self) -> Slots:
        """The slots that were ever written."""
        if self._may_be_new and not self._path.exists():
            return {}
        region = read_bounded(self._path, REGION_LEN)
        if len(region) != REGION_LEN:
            raise ConfigError(f"{self._path} is cut short: it has {len(region)} of {REGION_LEN} octets")
        return _slots_in(region)

    def replace(self, slots: Slots) -> None:
        """Replace all slots in one step."""
        make_private_directory(self._path.parent)
        write_private(self._path, _region_of(slots))


def open_image(path: Path, board_name: str | None = None) -> ImageTarget:
    """The image at `path`: a folder of `make firmware`, a file with a region or, for the board `unix`, the folder of a
    simulated board. Raises ConfigError, StorageError."""
    if board_name == _SIMULATED and not (path / MANIFEST).exists():
        return ImageTarget(RegionFile(path / _SIMULATED_FLASH if path.suffix != ".img" else path, may_be_new=True))
    if board_name is None and path.is_file() and not (path.parent / MANIFEST).exists():
        return ImageTarget(RegionFile(path))
    return ImageTarget(ImageFolder(path, board_name))


class ImageTarget:
    """What `homeport provision` sees of an image."""

    def __init__(self, container: ImageFolder | RegionFile) -> None:
        self._container = container
        self._slots = container.read()

    def open(self) -> Facts:
        """What is in it."""
        records = {kind: self._state(kind) for kind in KINDS}
        about, platform = self._container.about, self._container.platform
        return Facts("", platform, about, "", id_of(self._payload(SECRETS)), records)

    def write(self, data: DataSet, progress: Callable[[str], None]) -> None:
        """Replace the records, and make sure that they are there. Raises ConfigError, StorageError."""
        slots = dict(self._slots)
        for kind, payload in data.payloads.items():
            octets = slot_file(kind, self._next_sequence(kind), payload)
            slots.update({(kind, slot): octets for slot in SLOTS})
        progress(f"replacing {self._container.about}")
        self._container.replace(slots)
        self._slots = self._container.read()
        if self._slots != slots:
            raise StorageError(f"{self._container.about}: it does not read back as it was written")

    def users(self, kind: str) -> bytes | None:
        """A list of users, None where there is none. Raises ConfigError when it is damaged."""
        if self._state(kind) == DAMAGED:
            raise ConfigError(f"the record {kind} is damaged")
        return self._payload(kind)

    def _newest(self, kind: str) -> tuple[int, bytes | None] | None:
        """Sequence number and payload of the newest slot, the payload None when it is damaged; None without any."""
        headers = []
        payloads = []
        for slot in SLOTS:
            octets = self._slots.get((kind, slot), b"")
            header = read_header(kind, octets[:HEADER_LEN])
            payload = octets[HEADER_LEN : HEADER_LEN + header[1]] if header else b""
            headers.append(header)
            payloads.append(payload if header and (len(payload), crc32(payload)) == header[1:] else None)
        counts = newest(headers, [payload is not None for payload in payloads])
        found = headers[counts]
        return None if found is None else (found[0], payloads[counts])

    def _payload(self, kind: str) -> bytes | None:
        found = self._newest(kind)
        return None if found is None else found[1]

    def _state(self, kind: str) -> str:
        found = self._newest(kind)
        if found is None:
            return MISSING if not any((kind, slot) in self._slots for slot in SLOTS) else DAMAGED
        return DAMAGED if found[1] is None else hashlib.sha256(found[1]).hexdigest()

    def _next_sequence(self, kind: str) -> int:
        found = self._newest(kind)
        return 1 if found is None else (found[0] + 1) & SEQUENCE_MASK


def _slots_in(region: bytes) -> Slots:
    found = {}
    for kind in KINDS:
        for slot in SLOTS:
            at = slot_offset(kind, slot)
            octets = region[at : at + slot_len(kind)]
            if octets.strip(_BLANK):
                header = read_header(kind, octets[:HEADER_LEN])
                length = slot_len(kind) - PAGE_LEN if header is None else header[1]
                found[kind, slot] = octets[:HEADER_LEN] + octets[PAGE_LEN : PAGE_LEN + length]
    return found


def _region_of(slots: Slots) -> bytes:
    region = bytearray(_BLANK * REGION_LEN)
    for (kind, slot), octets in slots.items():
        at = slot_offset(kind, slot)
        region[at : at + HEADER_LEN] = octets[:HEADER_LEN]
        region[at + PAGE_LEN : at + PAGE_LEN + len(octets) - HEADER_LEN] = octets[HEADER_LEN:]
    return bytes(region)
