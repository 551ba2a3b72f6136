"""A file system in memory that can lose power or fail at any octet written and at any operation."""

import errno


class PowerCut(Exception):
    """Everything stops here; only what is on the disk remains."""


class MemoryFiles:
    """Stands in for homeport_device.acl_file.Files.

    `fuse` counts octets written and operations down to the cut. With `lossy` what was not synced is lost in the
    cut, as on a disk with a cache. `failure` is raised as OSError where the fuse would cut, without
    `reads_fail` by no opening for reading.
    """

    def __init__(self, disk=None):
        self.disk = {} if disk is None else dict(disk)
        self.unsynced = set()
        self.fuse = -1
        self.failure = None
        self.reads_fail = True
        self.lossy = False
        self.steps = 0

    def step(self):
        self.steps += 1
        if self.fuse == 0:
            if self.failure:
                raise OSError(self.failure, "as the test wants")
            if self.lossy:
                for path in self.unsynced:
                    self.disk[path] = b""
            raise PowerCut()
        self.fuse -= 1

    def make_folder(self, path):
        """There is but one."""

    def open(self, path, mode):
        if mode != "wb" and path not in self.disk:
            raise OSError(errno.ENOENT)
        if mode != "rb" or self.reads_fail:
            self.step()
        return _File(self, path, mode)

    def exists(self, path):
        return path in self.disk

    def remove(self, path):
        self.step()
        self.disk.pop(path, None)

    def sync(self, file):
        self.step()
        self.unsynced.discard(file.path)

    def rename(self, old, new):
        self.step()
        self.disk[new] = self.disk.pop(old)


class _File:
    def __init__(self, files, path, mode):
        self.files = files
        self.path = path
        self.at = 0
        if mode == "wb":
            files.disk[path] = b""
            files.unsynced.add(path)

    def read(self, n):
        data = self.files.disk[self.path][self.at : self.at + n]
        self.at += len(data)
        return data

    def write(self, data):
        for octet in bytes(data):
            self.files.step()
            old = self.files.disk[self.path]
            if self.at == len(old):
                self.files.disk[self.path] += bytes((octet,))
            else:
                self.files.disk[self.path] = old[: self.at] + bytes((octet,)) + old[self.at + 1 :]
            self.at += 1

    def close(self):
        pass
