"""`socket` of the ESP32."""

import fake_socket
from fake_socket import Esp32Socket as socket  # noqa: F401, N813

AF_INET = 2
SOCK_STREAM = 1
SOCK_DGRAM = 2
IPPROTO_TCP = 6
SOL_SOCKET = 0xFFF
SO_REUSEADDR = 4
TCP_NODELAY = 1


def getaddrinfo(host, port, af=0, type=0):
    return fake_socket.getaddrinfo(host, port, af, type, -202)
