"""Flash of the simulated board: a file that behaves like NOR flash. See `hardware` for what each method does."""

from homeport_core.compat import const
from homeport_core.errors import ConfigError

from homeport_device.hardware_common import check_program

_BLOCKS = const(16)
_ERASE_LEN = const(4096)
_PAGE_LEN = const(256)


class Region:
    """NOR flash in a file: programming clears bits, erasing sets those of a block."""

    size = _BLOCKS * _ERASE_LEN
    erase_len = _ERASE_LEN
    page_len = _PAGE_LEN

    def __init__(self, path: str) -> None:
        try:
            self._file = open(path, "r+b")  # noqa: SIM115
        except OSError:
            with open(path, "wb") as file:
                for _ in range(_BLOCKS):
                    file.write(b"\xff" * _ERASE_LEN)
            self._file = open(path, "r+b")  # noqa: SIM115
        if self._file.seek(0, 2) != self.size:
            raise ConfigError("%s must have %d octets" % (path, self.size))

    def read_into(self, off: int, buf: bytearray | memoryview) -> None:
        if not 0 <= off <= self.size - len(buf):
            raise ValueError("outside of the region")
        self._file.seek(off)
        self._file.readinto(buf)

    def program(self, off: int, octets: bytes | bytearray | memoryview) -> None:
        check_program(self, off, len(octets))
        old = bytearray(len(octets))
        self.read_into(off, old)
        self._put(off, bytes(a & b for a, b in zip(old, octets)))

    def erase(self, block: int) -> None:
        if not 0 <= block < _BLOCKS:
            raise ValueError("outside of the region")
        for off in range(block * _ERASE_LEN, (block + 1) * _ERASE_LEN, _PAGE_LEN):
            self._put(off, b"\xff" * _PAGE_LEN)  # page by page: a small heap has no room for a block

    def _put(self, off: int, octets: bytes) -> None:
        self._file.seek(off)
        self._file.write(octets)
        self._file.flush()
