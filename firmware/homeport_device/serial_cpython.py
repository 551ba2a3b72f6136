"""Serial lines of the port for CPython. See `port` for what each method does."""

import os
import termios

from homeport_device.tcp_cpython import Channel


def connect(loop: object, driver: object, path: str, owner: object) -> object:
    """The line at `path`, raw, 115200 8N1. Raises OSError."""
    descriptor = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    try:
        control = termios.tcgetattr(descriptor)[6]
        control[termios.VMIN], control[termios.VTIME] = 1, 0
        mode = termios.CS8 | termios.CREAD | termios.CLOCAL
        attributes = [0, 0, mode, 0, termios.B115200, termios.B115200, control]
        termios.tcsetattr(descriptor, termios.TCSANOW, attributes)
    except termios.error as error:
        os.close(descriptor)
        raise OSError("not a serial line: " + path) from error
    return SerialChannel(loop, driver, descriptor, owner)


class SerialChannel(Channel):
    """A serial line."""

    def shutdown(self) -> bool:
        return False

    def _read_into(self, buf: bytearray | memoryview) -> int:
        return os.readv(self._descriptor, [buf])

    def _write(self, buf: bytes | bytearray | memoryview) -> int:
        return os.write(self._descriptor, buf)

    def _end(self, reset: bool) -> None:
        os.close(self._descriptor)
