"""Serial lines of the port for MicroPython on Unix. See `port` for what each method does.

A line cannot be opened so that writing never blocks, so it is written to in small pieces, when there is room for them.
"""

import select
import termios

from homeport_core.compat import const

from homeport_device.tcp_micropython import Channel

_MODE = const(0x08B0)  # 8 data bits, receiver on, no modem lines
_VTIME = const(5)
_VMIN = const(6)
_PIECE_LEN = const(256)


def connect(driver: object, path: str, owner: object) -> object:
    """The line at `path`, raw, 115200 8N1. Raises OSError."""
    opened = open(path, "r+b")  # noqa: SIM115
    try:
        control = termios.tcgetattr(opened.fileno())[6]
        control[_VMIN] = control[_VTIME] = 0
        speed = termios.B115200
        termios.tcsetattr(opened.fileno(), termios.TCSANOW, [0, 0, _MODE | speed, 0, speed, speed, control])
    except OSError:
        opened.close()
        raise
    return SerialChannel(driver, opened, owner)


class SerialChannel(Channel):
    """A serial line."""

    def __init__(self, driver: object, opened: object, owner: object) -> None:
        super().__init__(driver, opened, owner)
        self._room = select.poll()
        self._room.register(opened, select.POLLOUT)
        self._was_empty = False

    def send(self, buf: bytes | bytearray | memoryview) -> int:
        if not self._room.poll(0):
            return 0
        return super().send(memoryview(buf)[:_PIECE_LEN])

    def receive_into(self, buf: bytearray | memoryview) -> int:
        """Nothing is no end here, unless there was nothing the time before."""
        n = super().receive_into(buf)
        was_empty = self._was_empty
        self._was_empty = n <= 0
        return n if n > 0 or was_empty else 0
