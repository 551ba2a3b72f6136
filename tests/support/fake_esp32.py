"""An ESP32 in its bootloader at a pseudo-terminal: esptool's own protocol, by esp32-mock-bootloader; a flash that a
test sees, and can spoil; a cable that can be pulled.

    with FakeEsp32("esp32") as chip:
        homeport("flash", …, "--port", chip.port)
        chip.flash[0x1000:0x2000]
"""

import contextlib
import os
import pty
import select
import threading
import time
import tty

from esp32_mock_bootloader import protocol, server

_STEP_S = 0.05
_IDLE_S = 0.01
# The mock gives its peer this long to acknowledge what it read of the flash.
server._CLIENT_RECV_TIMEOUT = 5.0


class FakeEsp32:
    """One chip. `flash_id` as the flash answers (its third octet is the size, as a power of two); `fuse` counts
    octets from the host down to the moment when the cable is pulled."""

    def __init__(self, chip="esp32", flash_id=protocol.MOCK_FLASH_ID, fuse=None):
        self._chip = chip
        self._image = server.FlashImage()
        self._flash_id = flash_id
        self.fuse = fuse
        self.on_data = None  # called with the number of octets that have come from the host
        self.received_len = 0
        self._stop = threading.Event()
        self._line = self._thread = None
        self.port = ""

    @property
    def flash(self):
        return self._image.data

    @contextlib.contextmanager
    def spoiled(self, at):
        """A flash with a bit at `at` that cannot be set."""
        data = self._image.data

        class Worn(bytearray):
            def __setitem__(self, where, value):
                super().__setitem__(where, value & 0xFE if where == at else value)

        self._image.data = Worn(data)
        yield
        self._image.data = bytearray(self._image.data)

    def __enter__(self):
        self._line, far_end = pty.openpty()
        tty.setraw(far_end)
        self.port = os.ttyname(far_end)
        os.close(far_end)  # the host alone has it open
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()
        with contextlib.suppress(OSError):
            os.close(self._line)

    def _run(self):
        server.protocol.MOCK_FLASH_ID = self._flash_id
        while not self._stop.is_set():
            server.handle_client(server.BootloaderConnection(pty=self), self._stop, self._chip, flash=self._image)

    # What the mock wants of a transport.

    def set_timeout(self, timeout):
        self._timeout = timeout

    def recv(self, size):
        deadline = time.monotonic() + self._timeout
        while time.monotonic() < deadline and not self._stop.is_set():
            if not select.select([self._line], [], [], _STEP_S)[0]:
                continue
            try:
                data = os.read(self._line, size)
            except OSError:  # nobody has the other end open
                time.sleep(_IDLE_S)
                continue
            self.received_len += len(data)
            if self.on_data is not None:
                self.on_data(self.received_len)
            if self.fuse is not None and self.received_len > self.fuse:
                self._pull()
            return data
        raise TimeoutError

    def sendall(self, data):
        while data:
            data = data[os.write(self._line, data) :]

    def close(self):
        """The mock lets go of its client; the line stays."""

    def ignore_eof_for_disconnect(self):
        return False

    def _pull(self):
        self._stop.set()
        os.close(self._line)
