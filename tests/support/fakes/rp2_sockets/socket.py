"""`socket` of the RP2."""

from fake_socket import Rp2Socket as socket  # noqa: F401, N813
from fake_socket import getaddrinfo  # noqa: F401

AF_INET = 2
SOCK_STREAM = 1
SOCK_DGRAM = 2
SOL_SOCKET = 1
SO_REUSEADDR = 4
TCP_NODELAY = 0x40
