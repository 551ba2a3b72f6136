"""The list of users on LittleFS over simulated NOR flash, with power cut in every flash operation of a save."""

import unittest

import vfs
from homeport_device.acl import Acl
from homeport_device.acl_file import AclFile

BLOCK_LEN = 4096
BLOCKS = 32
PAGE_LEN = 256
USERS = 8


class PowerCut(Exception):
    """The operation in work stays half done."""


class Flash:
    """NOR flash: erasing sets all bits, programming only clears them. `fuse` counts operations down to the cut."""

    def __init__(self, content=None):
        self.content = bytearray(content or b"\xff" * (BLOCK_LEN * BLOCKS))
        self.fuse = -1
        self.operations = 0
        self.violations = 0

    def cut_now(self):
        self.operations += 1
        self.fuse -= 1
        return self.fuse == -1

    def readblocks(self, block, buf, off=0):
        at = block * BLOCK_LEN + off
        buf[:] = memoryview(self.content)[at : at + len(buf)]

    def writeblocks(self, block, buf, off=None):
        if off is None:
            self.ioctl(6, block)
            off = 0
        cut = self.cut_now()
        at = block * BLOCK_LEN + off
        for i in range(len(buf) // 2 + 1 if cut else len(buf)):
            left = self.content[at + i] & buf[i]
            self.violations += left != buf[i]
            self.content[at + i] = left
        if cut:
            raise PowerCut()

    def ioctl(self, operation, argument):
        if operation == 4:
            return BLOCKS
        if operation == 5:
            return BLOCK_LEN
        if operation == 6:
            cut = self.cut_now()
            at = argument * BLOCK_LEN
            n = BLOCK_LEN // 2 if cut else BLOCK_LEN
            self.content[at : at + n] = b"\xff" * n
            if cut:
                raise PowerCut()
        return 0


def state(acl):
    return acl.system, [bytes(acl.record(slot)) for slot in acl.users()]


class Save(unittest.TestCase):
    def mounted(self, content):
        """A flash of this content at /flash, and the list of users on it."""
        flash = Flash(content)
        vfs.mount(vfs.VfsLfs2(flash, progsize=PAGE_LEN), "/flash")
        acl = Acl(AclFile("/flash/acl.bin"))
        acl.load()
        return flash, acl

    def unmount(self):
        try:
            vfs.umount("/flash")
        except OSError as error:
            self.assertEqual(error.errno, 22)

    def base(self):
        flash = Flash()
        vfs.VfsLfs2.mkfs(flash, progsize=PAGE_LEN)
        flash, acl = self.mounted(flash.content)
        for number in range(USERS):
            acl.add(bytes((number + 1,)) * 16, b"user %d" % number)
        self.unmount()
        return bytes(flash.content)

    def check(self, content, change):
        flash, acl = self.mounted(content)
        old, before = state(acl), flash.operations
        change(acl)
        new, operations = state(acl), flash.operations - before
        self.unmount()
        found_old = found_new = 0
        for fuse in range(operations + 1):
            flash, acl = self.mounted(content)
            flash.fuse = fuse
            try:
                change(acl)
            except PowerCut:
                pass
            flash.fuse = -1
            self.unmount()
            again, acl = self.mounted(flash.content)
            found = state(acl)
            self.assertIn(found, (old, new))
            found_old += found == old
            found_new += found == new
            acl.set_settings(acl.system, acl.default_user)
            self.assertEqual(state(acl), found)
            self.assertEqual(flash.violations + again.violations, 0)
            self.unmount()
        self.assertGreater(operations, 2)
        self.assertGreater(found_old, 0)
        self.assertGreater(found_new, 0)

    def test_adding_a_user(self):
        self.check(self.base(), lambda acl: acl.add(b"\xee" * 16, b"new"))

    def test_removing_a_user(self):
        self.check(self.base(), lambda acl: acl.remove(2))

    def test_the_first_user(self):
        flash = Flash()
        vfs.VfsLfs2.mkfs(flash, progsize=PAGE_LEN)
        self.check(bytes(flash.content), lambda acl: acl.add(b"\xee" * 16, b"new"))


if __name__ == "__main__":
    unittest.main()
