"""Slots of records on a file system: a file each, header and payload.

For boards without raw flash of their own and for Linux. The header is written last here as well, into the place that
was kept for it; LittleFS takes each of the two writes over in one step when the file is closed.
"""

from homeport_core.record import HEADER_LEN, file_name

from homeport_device.acl_file import Files

_NO_HEADER = b"\xff" * HEADER_LEN


class FileSlots:
    """For `RecordStore`. `files` does the work on the file system, for tests to replace."""

    def __init__(self, folder: str, files: object = None) -> None:
        self._folder = folder
        self._files = files or Files()
        self._file = None

    def read_header(self, kind: str, slot: int) -> bytes:
        """The octets where the slot's header is, or would be."""
        path = self._path(kind, slot)
        if not self._files.exists(path):
            return b""
        file = self._files.open(path, "rb")
        try:
            return file.read(HEADER_LEN)
        finally:
            file.close()

    def open(self, kind: str, slot: int) -> object:
        """The payload: `read(n)` gives the next n octets at most; `close()`."""
        file = self._files.open(self._path(kind, slot), "rb")
        file.read(HEADER_LEN)
        return file

    def is_blank(self, kind: str, slot: int) -> bool:
        """Whether nothing was ever written there, not even in part."""
        return not self._files.exists(self._path(kind, slot))

    def clear(self, kind: str, slot: int) -> None:
        """Make the slot blank."""
        self._files.remove(self._path(kind, slot))

    def begin(self, kind: str, slot: int) -> None:
        """Clear the slot, for `append`."""
        self.discard()
        self._files.make_folder(self._folder)
        self._file = self._files.open(self._path(kind, slot), "wb")
        self._file.write(_NO_HEADER)

    def append(self, octets: bytes | memoryview) -> None:
        """More of the payload."""
        self._file.write(octets)

    def end(self) -> None:
        """The payload is complete: get it onto the disk."""
        file, self._file = self._file, None
        self._close(file)

    def put_header(self, kind: str, slot: int, header: bytes) -> None:
        """Make the payload a record."""
        file = self._files.open(self._path(kind, slot), "r+b")
        try:
            file.write(header)
        finally:
            self._close(file)

    def strengthen(self, kind: str, slot: int, header: bytes) -> None:
        """Files do not fade: nothing to do."""

    def discard(self) -> None:
        """Give up what was begun. A disk that refuses to close it has said so before."""
        file, self._file = self._file, None
        try:
            if file is not None:
                file.close()
        except OSError:
            return

    def _path(self, kind: str, slot: int) -> str:
        return self._folder + "/" + file_name(kind, slot)

    def _close(self, file: object) -> None:
        try:
            self._files.sync(file)
        finally:
            file.close()
