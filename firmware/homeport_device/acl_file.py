"""The access control list as a file, in the reference's layout (specification, application 1.7, 1.8).

Versions 1 to 4 are read, 4 is written. A save writes a whole new file beside the old one and renames it over the
old one, so a power cut leaves the one or the other; a device that finds only a complete new file takes it. A file
that cannot be read closes the device: all settings zero, nobody gets in, until somebody who holds the device puts
a good file in its place or deletes it. It stays where it is, and is set aside (`….bad`) before anything is saved.
"""

import errno
import os

from homeport_core.errors import StorageError
from homeport_core.users_file import FINGERPRINT_LEN, HEADER_LEN, RECORD_LEN, VERSION, word

from homeport_device.acl import CLOSED, NOBODY
from homeport_device.acl_codec import read, write


class AclFile:
    """A store for `Acl`. `path` is the file; `files` does the work on the file system, for tests to replace."""

    def __init__(self, path: str, files: object = None) -> None:
        self.path = path
        self._new = path + ".new"
        self._bad = path + ".bad"
        self._files = files or Files()
        self._unreadable = False

    def load(self, acl: object) -> str:
        """Fill the list; returns what was found, for the log. Raises StorageError when the disk fails.

        Nothing stored yet: the list's defaults. A short version 4 file, as the reference writes it after a
        removal, keeps the users that are in it. Any other damage closes the device.
        """
        try:
            return self._load(acl)
        except OSError as error:
            raise StorageError("the list of users could not be read from " + self.path, error)

    def _load(self, acl: object) -> str:
        found = "read"
        if self._files.exists(self.path):
            # Left by an interrupted save; after a reset by hand it would bring the old users back.
            self._files.remove(self._new)
        elif self._is_complete(self._new):
            self._files.rename(self._new, self.path)
            found = "recovered from a save that a power cut interrupted"
        else:
            acl.reset(acl.defaults)
            return "no list of users yet"
        self._unreadable = False
        file = self._files.open(self.path, "rb")
        try:
            version, missing = read(file, acl)
        finally:
            file.close()
        if missing is None:
            self._unreadable = True
            acl.reset(CLOSED)
            return "damaged, so the device is closed: restore or delete " + self.path
        if missing:
            self._unreadable = True
            return "%d users are missing from the file, the others were kept" % missing
        if version < VERSION:
            self.save(acl)
            found = "converted from version %d" % version
        return "%d users %s" % (len(acl.users()), found)

    def save(self, acl: object) -> None:
        """Store the list. Raises StorageError when it cannot; then the old file is as it was."""
        files = self._files
        try:
            file = files.open(self._new, "wb")
            try:
                write(file, acl)
                files.sync(file)
            finally:
                file.close()
            if self._unreadable:
                files.rename(self.path, self._bad)
                self._unreadable = False
            files.rename(self._new, self.path)
        except OSError as error:
            self._discard()
            raise StorageError("the list of users could not be stored in " + self.path, error)

    def _discard(self) -> None:
        """Take a failed save off the disk; a disk that refuses that too has been reported already."""
        try:
            self._files.remove(self._new)
        except OSError:
            return

    def _is_complete(self, path: str) -> bool:
        """Whether a whole version 4 file is there, all of its records in use."""
        if not self._files.exists(path):
            return False
        file = self._files.open(path, "rb")
        try:
            header = file.read(HEADER_LEN)
            if len(header) < HEADER_LEN or word(header, 0) != VERSION:
                return False
            for _ in range(word(header, 16)):
                record = file.read(RECORD_LEN)
                if len(record) < RECORD_LEN or record[:FINGERPRINT_LEN] == NOBODY:
                    return False
            return not file.read(1)
        finally:
            file.close()


class Files:
    """What a store needs of a file system."""

    def open(self, path: str, mode: str) -> object:
        """Open a file. Where the system has owners and modes, a new one is for its owner's eyes only."""
        if hasattr(os, "umask"):
            return open(path, mode, opener=lambda name, flags: os.open(name, flags, 0o600))
        return open(path, mode)

    def make_folder(self, path: str) -> None:
        """Make sure that there is a folder, for its owner's eyes only where the system knows owners.

        Raises StorageError.
        """
        try:
            if self.exists(path):
                return
            if hasattr(os, "umask"):
                os.mkdir(path, 0o700)
            else:
                os.mkdir(path)
        except OSError as error:
            raise StorageError("cannot make the folder " + path, error)

    def exists(self, path: str) -> bool:
        """Whether there is such a file."""
        try:
            os.stat(path)
        except OSError as error:
            # Anything else is a file that we cannot see: to take it for missing would open the device.
            if error.errno != errno.ENOENT:
                raise
            return False
        return True

    def remove(self, path: str) -> None:
        """Delete a file if there is one."""
        if self.exists(path):
            os.remove(path)

    def sync(self, file: object) -> None:
        """Get a written file onto the disk. MicroPython does it when the file is closed."""
        file.flush()
        if hasattr(os, "fsync"):
            os.fsync(file.fileno())

    def rename(self, old: str, new: str) -> None:
        """Put `old` in the place of `new` in one step."""
        (os.replace if hasattr(os, "replace") else os.rename)(old, new)
        if hasattr(os, "O_DIRECTORY"):
            folder = os.open(new.rsplit("/", 1)[0] if "/" in new else ".", os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
