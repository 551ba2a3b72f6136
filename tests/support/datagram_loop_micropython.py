"""What a device on Unix MicroPython can carry at most: full segments sealed and sent, or received and opened, in a bare
loop without streams. Usage: micropython FILE send|receive PORT SEGMENT SECONDS, prints how many octets.
"""

import select
import socket
import sys
import time

from homeport_core.crypto import AesContext
from homeport_core.packet import Packet, PacketWriter
from homeport_core.spec import PL_WINDOW, PT_DATA
from homeport_device.randomness import random

KEY = bytes(range(96))
NSI = b"\x00\x00\x12\x34"
WINDOW_LEN = 16


def send(sock, to, segment, seconds):
    """Seal and send."""
    writer = PacketWriter(bytearray(segment + 200))
    context = AesContext(KEY, True)
    window, data = bytes(WINDOW_LEN), bytes(segment)
    count = 0
    start = time.ticks_ms()
    while time.ticks_diff(time.ticks_ms(), start) < seconds * 1000:
        writer.begin(PT_DATA, NSI, tag=0x1000)
        writer.add(PL_WINDOW, window)
        n = writer.seal(context, data, random(16))
        sock.sendto(memoryview(writer.buf)[:n], to)
        count += 1
    return count


def receive(sock, segment, seconds):
    """Receive and open, from the first datagram on."""
    context = AesContext(KEY, False)
    packet = Packet()
    buf = bytearray(segment + 200)
    view = memoryview(buf)
    poller = select.poll()
    poller.register(sock, select.POLLIN)
    count = 0
    start = None
    while start is None or time.ticks_diff(time.ticks_ms(), start) < seconds * 1000:
        poller.poll(1000)
        data, _ = sock.recvfrom(len(buf))
        if start is None:
            start = time.ticks_ms()
        view[: len(data)] = data
        packet.decode_from(buf, len(data))
        context.open_in_place(packet)
        count += 1
    return count


def main():
    kind, port, segment, seconds = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    address = socket.getaddrinfo("127.0.0.1", port)[0][-1]
    if kind == "send":
        count = send(sock, address, segment, seconds)
    else:
        sock.bind(address)
        print("ready")
        count = receive(sock, segment, seconds)
    print(count * segment)


main()
