"""Files that hold secrets or state: private to the user, and either the old content or the new, never half."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from homeport.errors import StorageError

PRIVATE_DIR_MODE = 0o700


def make_private_directory(path: Path) -> None:
    """Create `path` (and its parents) so that only this user can enter it; raise StorageError."""
    try:
        path.mkdir(mode=PRIVATE_DIR_MODE, parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"cannot create directory {path}: {error.strerror}") from error


def write_private(path: Path, data: bytes) -> None:
    """Replace `path` by `data` in one step, readable by this user alone (0600); raise StorageError."""
    temporary = None
    try:
        # mkstemp creates the file with mode 0600, so the content is never readable by others.
        handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        if temporary is not None and os.path.exists(temporary):
            os.unlink(temporary)
        raise StorageError(f"cannot write {path}: {error.strerror}") from error


def read_bounded(path: Path, max_len: int) -> bytes:
    """Return the content of `path`; raise StorageError when it is unreadable or longer than `max_len` bytes."""
    try:
        with open(path, "rb") as file:
            data = file.read(max_len + 1)
    except OSError as error:
        raise StorageError(f"cannot read {path}: {error.strerror}") from error
    if len(data) > max_len:
        raise StorageError(f"cannot read {path}: larger than the {max_len} bytes allowed")
    return data
