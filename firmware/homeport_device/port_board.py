"""The port for the ESP32 and the RP2, where an address is (text, port) and lwIP does the networking.

A name server is waited for with everything else standing still, sockets do not tell their address, and only delay of
small TCP segments can be switched off: keep-alive and the reset of a connection are not within reach.
"""

import socket
import sys

# On the ESP32 the import starts lwIP: a socket before that is a crash.
import network
from homeport_core.compat import const

from homeport_device.device_config import parse_address
from homeport_device.port_micropython import MicroPythonPort

_TCP = const(6)
_PACKET_LIMIT = const(1500)


def _tcp_options() -> bytes:
    """No Nagle delay. The option's number differs: on the RP2 it is lwIP's flag."""
    option = getattr(socket, "TCP_NODELAY", 0)
    return bytes((_TCP, option, 1)) if option else b""


class Port(MicroPythonPort):
    """Sockets, clock, names and randomness of this board."""

    def __init__(self) -> None:
        self._station = network.WLAN(network.STA_IF)
        if sys.platform == "esp32":
            # Its generator is fed by the radio: without it, numbers can be told from those before.
            self._station.active(True)
        super().__init__()
        self.tcp_options = _tcp_options()
        self._receive_len = _PACKET_LIMIT + 1
        self._address = self._endpoint = None  # of the last datagram
        self._to = self._to_address = None

    def receive_up_to(self, size: int) -> None:
        self._receive_len = size + 1

    def local_endpoint(self) -> bytes:
        return parse_address(self._station.ifconfig()[0]) + super().local_endpoint()[4:]

    def receive(self, opened: object) -> tuple:
        """One octet more than any packet, so that a longer datagram is found out."""
        data, address = opened.recvfrom(self._receive_len)
        if address != self._address:
            self._endpoint = self.unpack(address)
            self._address = address
        return data, self._endpoint

    def pack(self, endpoint: bytes) -> tuple:
        """The system's form of an endpoint."""
        if endpoint != self._to:
            self._to_address = ("%d.%d.%d.%d" % tuple(endpoint[:4]), endpoint[4] << 8 | endpoint[5])
            self._to = endpoint
        return self._to_address

    def unpack(self, address: tuple) -> bytes:
        """The endpoint of a system's address."""
        return parse_address(address[0]) + address[1].to_bytes(2, "big")
