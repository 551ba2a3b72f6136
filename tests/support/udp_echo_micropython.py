"""A bare UDP echo for Unix MicroPython: what a device could do at most. Usage: micropython FILE PORT"""

import select
import socket
import sys


def main() -> None:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(socket.getaddrinfo("127.0.0.1", int(sys.argv[1]))[0][-1])
    poller = select.poll()
    poller.register(sock, select.POLLIN)
    print("ready")
    while True:
        poller.poll()
        data, source = sock.recvfrom(1500)
        sock.sendto(data, source)


main()
