"""Where to ask for devices: the broadcast address of every interface, the general one, and this host."""

from __future__ import annotations

import socket
import struct
import sys

from homeport import wire

_SIOCGIFBRDADDR = 0x8919
_IFREQ_LEN = 40
_ADDRESS_OFF = 20  # in struct ifreq: name (16), family (2), port (2), IPv4 address


def search_endpoints(port: int) -> list[bytes]:
    """The endpoints (6 bytes) that a discovery goes to. Beyond Linux only the general broadcast address."""
    hosts = ["255.255.255.255", *_interface_broadcasts(), "127.0.0.1"]
    return [wire.endpoint((host, port)) for host in dict.fromkeys(hosts)]


def _interface_broadcasts() -> list[str]:
    if sys.platform != "linux":
        return []
    import fcntl

    hosts = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        for _, name in socket.if_nameindex():
            request = struct.pack(f"{_IFREQ_LEN}s", name.encode()[:15])
            try:
                reply = fcntl.ioctl(sock, _SIOCGIFBRDADDR, request)
            except OSError:
                continue  # no IPv4 address, or an interface that cannot broadcast
            hosts.append(socket.inet_ntoa(reply[_ADDRESS_OFF : _ADDRESS_OFF + 4]))
    return [host for host in hosts if host != "0.0.0.0"]


def is_own_address(endpoint: bytes) -> bool:
    """Whether the address of `endpoint` is this machine's."""
    return local_host_towards(endpoint) == wire.address(endpoint)[0]


def local_host_towards(endpoint: bytes) -> str | None:
    """Our own address on the way to `endpoint`, or None without a route; nothing is sent."""
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.connect(wire.address(endpoint))
            return str(sock.getsockname()[0])
    except OSError:
        return None
