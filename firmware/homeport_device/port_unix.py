"""The port for MicroPython on Unix, where an address is the system's own structure in octets."""

import _thread
import asyncio
import socket
import sys

from homeport_core.compat import const
from homeport_core.errors import ConfigError

from homeport_device.output import EXTRA_MAX, FIRST_EXTRA
from homeport_device.port_micropython import MicroPythonPort

# What the structure begins with: the family, and on some systems the size.
_PREFIX = bytes(socket.getaddrinfo("127.0.0.1", 1)[0][-1][:2])
_ZEROS = bytes(8)
# Larger than any packet but those of streams.
_USUAL_LEN = const(320)
_PACKET_LIMIT = const(1500)
_LOOK_UP_MS = const(10000)
_LOOK_AGAIN_MS = const(20)
# Linux's numbers: no delay; keep-alive, after 60 s, 60 s apart, 9 times.
_TCP_RESET = (1, 13, b"\x01\x00\x00\x00\x00\x00\x00\x00")  # linger for no time, on little-endian machines
_TCP_OPTIONS = b"\x06\x01\x01" + b"\x01\x09\x01" + b"\x06\x04\x3c" + b"\x06\x05\x3c" + b"\x06\x06\x09"


class Port(MicroPythonPort):
    """Sockets, clock, names and randomness of this process."""

    tcp_options = _TCP_OPTIONS if sys.platform == "linux" else b""
    tcp_reset = _TCP_RESET if sys.platform == "linux" else ()

    def __init__(self) -> None:
        super().__init__()
        self._whole_len = 0
        self._address = self._endpoint = b""  # of the last datagram
        self._to = self._to_address = b""

    def receive_up_to(self, size: int) -> None:
        self._whole_len = size + 1

    def receive(self, opened: object) -> tuple:
        """Look at the beginning first: a read of full size would need 1.5 KB in one piece for every datagram."""
        if self._whole_len:
            data, address = opened.recvfrom(self._whole_len)
            if address != self._address:
                self._address = address
                self._endpoint = self.unpack(address)
            return data, self._endpoint
        data, address = opened.recvfrom(_USUAL_LEN, socket.MSG_PEEK)
        if len(data) < _USUAL_LEN:
            opened.recvfrom(1)
        else:
            # One octet more than the packet claims, so that a longer datagram is found out.
            data = opened.recvfrom(min(data[14] << 8 | data[15], _PACKET_LIMIT) + 1)[0]
        return data, self.unpack(address)

    def open_serial(self, path: str, owner: object) -> object:
        from homeport_device.serial_unix import connect

        return connect(self._driver, path, owner)

    def open_extra(self) -> int:
        if len(self._sockets) >= FIRST_EXTRA + EXTRA_MAX:
            return 0
        index = FIRST_EXTRA
        while index in self._sockets:
            index += 1
        try:
            self._sockets[index], _ = self._free_socket()
        except (OSError, ConfigError):
            return 0
        self._tasks[index] = asyncio.create_task(self._receive(index))
        return index

    def close_extra(self, index: int) -> None:
        opened = self._sockets.pop(index)
        waiting = self._tasks.pop(index)
        if waiting is not asyncio.current_task():
            waiting.cancel()
        opened.close()

    async def ask(self, name: str) -> list:
        """A thread waits for the answer, so that nothing else has to."""
        answers = []

        def wait() -> None:
            try:
                answers.append(socket.getaddrinfo(name, 0, socket.AF_INET, socket.SOCK_DGRAM))
            except OSError:
                answers.append(())

        _thread.start_new_thread(wait, ())
        for _ in range(_LOOK_UP_MS // _LOOK_AGAIN_MS):
            if answers:
                break
            await asyncio.sleep_ms(_LOOK_AGAIN_MS)
        return [self.unpack(entry[4])[:4] for entry in answers[0]] if answers else []

    def pack(self, endpoint: bytes) -> bytes:
        """The system's form of an endpoint."""
        if endpoint != self._to:
            self._to = endpoint
            self._to_address = _PREFIX + endpoint[4:6] + endpoint[:4] + _ZEROS
        return self._to_address

    def unpack(self, address: bytes | bytearray) -> bytes:
        """The endpoint of a system's address."""
        return bytes(address[4:8]) + bytes(address[2:4])
