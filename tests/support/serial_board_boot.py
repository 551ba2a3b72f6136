"""What the firmware of a board does before its prompt, for MicroPython's Unix port: see serial_board.

Run as `micropython -i serial_board_boot.py DIR BLOCKS MAIN --board DIR …`; MAIN is 0 where main.py is left alone, as
after a soft reset out of the raw prompt. DIR/littlefs.img is the file system, mounted at /flash. DIR/romfs.img, where
there is one, is mounted at /rom, as by a MicroPython that was built with ROMFS. What remains of the command line is
what an application on this simulated board sees.
"""

import os
import sys

import vfs

BLOCK_LEN = 4096


class Flash:
    """NOR flash in a file: programming clears bits, only erasing sets them again."""

    def __init__(self, path, blocks):
        self.blocks = blocks
        try:
            self.file = open(path, "r+b")  # noqa: SIM115
        except OSError:
            with open(path, "wb") as file:
                for _ in range(blocks):
                    file.write(b"\xff" * BLOCK_LEN)
            self.file = open(path, "r+b")  # noqa: SIM115

    def readblocks(self, block, buf, off=0):
        self.file.seek(block * BLOCK_LEN + off)
        self.file.readinto(buf)

    def writeblocks(self, block, buf, off=None):
        if off is None:
            self.ioctl(6, block)
            off = 0
        self.file.seek(block * BLOCK_LEN + off)
        old = self.file.read(len(buf))
        self.file.seek(block * BLOCK_LEN + off)
        self.file.write(bytes(a & b for a, b in zip(old, buf)))
        self.file.flush()

    def ioctl(self, operation, argument):
        if operation == 4:
            return self.blocks
        if operation == 5:
            return BLOCK_LEN
        if operation == 6:
            self.file.seek(argument * BLOCK_LEN)
            self.file.write(b"\xff" * BLOCK_LEN)
            self.file.flush()
        return 0


def mount(folder, blocks):
    flash = Flash(folder + "/littlefs.img", blocks)
    try:
        system = vfs.VfsLfs2(flash, progsize=256)
    except OSError:
        vfs.VfsLfs2.mkfs(flash, progsize=256)
        system = vfs.VfsLfs2(flash, progsize=256)
    vfs.mount(system, "/flash")
    os.chdir("/flash")
    sys.path[:] = ["", "/flash", "/flash/lib"] + [path for path in sys.path[1:] if path]


def mount_romfs(folder):
    path = folder + "/romfs.img"
    try:
        image = bytearray(os.stat(path)[6])
    except OSError:
        return
    with open(path, "rb") as file:
        file.readinto(image)
    vfs.mount(vfs.VfsRom(image), "/rom")
    sys.path.extend(["/rom", "/rom/lib"])


def run(name):
    try:
        with open(name) as file:
            program = compile(file.read(), name, "exec")
    except OSError:
        return
    try:
        exec(program, {"__name__": "__main__"})
    except SystemExit as error:
        if error.args and error.args[0] == 42:
            raise
    except BaseException as error:
        sys.print_exception(error)


folder, blocks, with_main = sys.argv[1:4]
sys.argv[1:] = sys.argv[4:]
mount(folder, int(blocks))
mount_romfs(folder)
run("boot.py")
if with_main == "1":
    run("main.py")
