"""`rp2`: the storage as a block device, or a part of it. Reading outside is not noticed, programming is in pages."""

import fake_board


class Flash:
    def __init__(self, start=-1, len=-1):
        self._nor = fake_board.chip.flash["storage"]
        size = self._nor.size
        start = 0 if start == -1 else start
        if not 0 <= start < size or start % fake_board.ERASE_LEN:
            raise ValueError
        len = size - start if len == -1 else len
        if not 0 < len <= size - start or len % fake_board.ERASE_LEN:
            raise ValueError
        self._first = start // fake_board.ERASE_LEN
        self._count = len // fake_board.ERASE_LEN

    def readblocks(self, block, buf, off=0):
        self._nor.readblocks(self._first + block, buf, off)

    def writeblocks(self, block, buf, off=None):
        self._nor.writeblocks(self._first + block, buf, off)

    def ioctl(self, command, argument):
        if command == 4:
            return self._count
        return self._nor.ioctl(command, self._first + argument if command == 6 else argument)
