"""The port for the ESP32 and the RP2, where an address is (text, port) and lwIP does the networking.

The platforms' own look-up of names lets everything else stand still, so the network's name server is asked here.
Sockets do not tell their address, and only delay of small TCP segments can be switched off: keep-alive and the reset
of a connection are not within reach.
"""

import asyncio
import socket
import sys

# On the ESP32 the import starts lwIP: a socket before that is a crash.
import network
from homeport_core.compat import const

from homeport_device.device_config import parse_address
from homeport_device.port_micropython import MicroPythonPort

_TCP = const(6)
_PACKET_LIMIT = const(1500)
_LOOPBACK = b"\x7f\x00\x00\x01"
_DNS_PORT = const(53)
# How long each of the questions to the name server is waited for, and how often an answer is looked for.
_DNS_WAITS_MS = (1000, 2000, 4000)
_DNS_LOOK_MS = const(50)


def _tcp_options() -> bytes:
    """No Nagle delay. The option's number differs: on the RP2 it is lwIP's flag."""
    option = getattr(socket, "TCP_NODELAY", 0)
    return bytes((_TCP, option, 1)) if option else b""


class Port(MicroPythonPort):
    """Sockets, clock, names and randomness of this board."""

    dns_port = _DNS_PORT

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

    async def ask(self, name: str) -> list:
        """The addresses of a name, empty when nobody knows or answers."""
        from homeport_device.dns_query import DnsQuery

        if name == "localhost":
            return [_LOOPBACK]
        query = DnsQuery(name, self.random)
        server = (self._station.ifconfig()[3], self.dns_port)
        opened, _ = self._free_socket()
        try:
            for wait_ms in _DNS_WAITS_MS:
                opened.sendto(query.octets, server)
                for _ in range(wait_ms // _DNS_LOOK_MS):
                    await asyncio.sleep_ms(_DNS_LOOK_MS)
                    addresses = _answered(opened, query, server)
                    if addresses is not None:
                        return addresses
        finally:
            opened.close()
        return []

    def pack(self, endpoint: bytes) -> tuple:
        """The system's form of an endpoint."""
        if endpoint != self._to:
            self._to_address = ("%d.%d.%d.%d" % tuple(endpoint[:4]), endpoint[4] << 8 | endpoint[5])
            self._to = endpoint
        return self._to_address

    def unpack(self, address: tuple) -> bytes:
        """The endpoint of a system's address."""
        return parse_address(address[0]) + address[1].to_bytes(2, "big")


def _answered(opened: object, query: object, server: tuple) -> list | None:
    """What has arrived from the server in answer to the query, None for nothing yet."""
    from homeport_device.dns_query import ANSWER_MAX

    while True:
        try:
            octets, source = opened.recvfrom(ANSWER_MAX + 1)
        except OSError:
            return None  # nothing more to be read
        addresses = query.addresses(octets) if source == server else None
        if addresses is not None:
            return addresses
