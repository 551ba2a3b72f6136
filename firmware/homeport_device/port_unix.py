"""The port for MicroPython on Unix, where an address is the system's own structure in octets."""

import socket

from homeport_device.port_micropython import MicroPythonPort

# What the structure begins with: the family, and on some systems the size.
_PREFIX = bytes(socket.getaddrinfo("127.0.0.1", 1)[0][-1][:2])
_ZEROS = bytes(8)


class Port(MicroPythonPort):
    """Sockets, clock, names and randomness of this process."""

    def pack(self, endpoint: bytes) -> bytes:
        """The system's form of an endpoint."""
        return _PREFIX + endpoint[4:6] + endpoint[:4] + _ZEROS

    def unpack(self, address: bytes | bytearray) -> bytes:
        """The endpoint of a system's address."""
        return bytes(address[4:8]) + bytes(address[2:4])
