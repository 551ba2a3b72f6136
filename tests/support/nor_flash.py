"""Simulated NOR flash that loses power, wears out and forgets, as the `Region` of a board and for file systems.

Erasing a block sets its bits, programming only clears them. A power cut leaves an operation half done: `cut` makes the
state from the one before. Half-done bits may be weak: they read differently each time, until they are programmed or
erased once more. Uses the module `random`, so a test that fails says what it seeded it with.
"""

import random

BLOCK_LEN = 4096
PAGE_LEN = 256

ERASE = "erase"
PROGRAM = "program"


class PowerCut(Exception):
    """Everything stops here; only what is in flash remains."""


class NorFlash:
    """`operations` lists what was done: (ERASE, offset, length) or (PROGRAM, offset, octets); None keeps no list.

    `weak` has the weak bits by offset, and `flicker(8)` says which of them read wrong. `fuse` counts operations down to
    a power cut; negative is never. `stuck` has the bits, by offset, that are (always 0, always 1); `bad_blocks` are
    those whose erasure fails with an error.
    """

    erase_len = BLOCK_LEN
    page_len = PAGE_LEN

    def __init__(self, content=None, size=0x10000):
        self.content = bytearray(b"\xff" * size if content is None else content)
        self.size = len(self.content)
        self.weak = {}
        self.flicker = random.getrandbits
        self.stuck = {}
        self.bad_blocks = ()
        self.operations = []
        self.erasures = [0] * (self.size // BLOCK_LEN)
        self.fuse = -1

    # What a board's region does

    def read_into(self, off, buf):
        if not 0 <= off <= self.size - len(buf):
            raise ValueError("outside of the region")
        buf[:] = memoryview(self.content)[off : off + len(buf)]
        for at in self.weak:
            if off <= at < off + len(buf):
                buf[at - off] ^= self.flicker(8) & self.weak[at]
        for at in self.stuck:
            if off <= at < off + len(buf):
                buf[at - off] = self._stuck(at, buf[at - off])

    def program(self, off, octets):
        if off // PAGE_LEN != (off + len(octets) - 1) // PAGE_LEN:
            raise ValueError("a program stays within a page")
        self._perform((PROGRAM, off, bytes(octets)))

    def erase(self, block):
        if block in self.bad_blocks:
            raise OSError(5)
        self.erasures[block] += 1
        self._perform((ERASE, block * BLOCK_LEN, BLOCK_LEN))

    # What happens to it

    def restart(self):
        """Power is back."""
        self.fuse = -1
        self.operations = []

    def apply(self, operation):
        """Do the whole of an operation."""
        kind, off, octets = operation
        length = octets if kind == ERASE else len(octets)
        if self.weak:
            self._settle(off, length, octets if kind == PROGRAM else None)
        if kind == ERASE:
            self.content[off : off + length] = b"\xff" * length
        else:
            old = int.from_bytes(self.content[off : off + length], "big")
            self.content[off : off + length] = (old & int.from_bytes(octets, "big")).to_bytes(length, "big")

    def cut(self, operation, at):
        """Do the first `at` octets of an operation and a part of the next one."""
        kind, off, octets = operation
        self.apply((kind, off, at if kind == ERASE else octets[:at]))
        self._tear(kind, off + at, 0xFF if kind == ERASE else octets[at])

    def cut_everywhere(self, operation):
        """Do an operation to all of its octets at once, and to none completely."""
        kind, off, octets = operation
        for i in range(octets if kind == ERASE else len(octets)):
            self._tear(kind, off + i, 0xFF if kind == ERASE else octets[i])

    def _perform(self, operation):
        if self.fuse == 0:
            raise PowerCut()
        self.fuse -= 1
        if self.operations is not None:
            self.operations.append(operation)
        self.apply(operation)

    def _tear(self, kind, at, wanted):
        """Of the bits of an octet that change, some have, some have not, and some are weak."""
        old = self.content[at]
        changing = ~old & 0xFF if kind == ERASE else old & ~wanted & 0xFF
        done = changing & random.getrandbits(8)
        weak = changing & ~done & random.getrandbits(8)
        self.content[at] = old | done if kind == ERASE else old & ~done
        weak |= self.weak.pop(at, 0)
        if weak:
            self.weak[at] = weak

    def _settle(self, off, length, octets):
        """Bits are no longer weak that are erased, or programmed to be 0."""
        for at in [at for at in self.weak if off <= at < off + length]:
            left = self.weak.pop(at)
            if octets is not None and left & octets[at - off]:
                self.weak[at] = left & octets[at - off]

    def _stuck(self, at, octet):
        zeros, ones = self.stuck[at]
        return octet & ~zeros & 0xFF | ones


class BlockDevice:
    """The same flash as file systems of MicroPython want it."""

    def __init__(self, flash):
        self.flash = flash

    def readblocks(self, block, buf, off=0):
        self.flash.read_into(block * BLOCK_LEN + off, buf)

    def writeblocks(self, block, buf, off=None):
        if off is None:
            self.ioctl(6, block)
            off = 0
        at = block * BLOCK_LEN + off
        for done in range(0, len(buf), PAGE_LEN):
            self.flash.program(at + done, buf[done : done + PAGE_LEN])

    def ioctl(self, operation, argument):
        if operation == 4:
            return self.flash.size // BLOCK_LEN
        if operation == 5:
            return BLOCK_LEN
        if operation == 6:
            self.flash.erase(argument)
        return 0
