"""A process between a client and the basestation's relay that knows the keys which the basestation chose.

    evil_relay.py GSP_HOST GSP_PORT NSI KEY REQUEST     the last three in hex; prints its port, and a report at the end

It passes everything on, and for every packet of the client's sends the device REQUEST (a query id with parameters)
under those keys, the client an answer of its own, and the packet itself once more. The report, one JSON object when
stdin ends, has all that it could read in either direction: lists of hex.
"""

import json
import select
import socket
import sys

from homeport_core.crypto import AesContext
from homeport_core.errors import ProtocolError
from homeport_core.packet import Packet, encode
from homeport_core.spec import FL_RESPONSE, PT_DATA

FORGED_ANSWER = b"forged answer"
FORGED_CP = b"\x66\x66\x66\x66"


class Relay:
    def __init__(self, gsp, nsi, material, request):
        self.gsp = gsp
        self.nsi = nsi
        self.request = request
        self.client_end = AesContext(material, True)
        self.device_end = AesContext(material, False)
        self.client = None
        self.counter = 0
        self.report = {"up": [], "down": [], "sealed": 0}

    def serve(self, sock):
        while True:
            readable, _, _ = select.select([sock, sys.stdin], [], [])
            if sys.stdin in readable:
                return
            data, source = sock.recvfrom(2048)
            if source == self.gsp:
                self.read("down", self.client_end, data)
                sock.sendto(data, self.client)
                continue
            self.client = source
            self.read("up", self.device_end, data)
            sock.sendto(data, self.gsp)
            sock.sendto(self.forged(self.client_end, self.request, 0, FORGED_CP, self.counter), self.gsp)
            sock.sendto(self.forged(self.device_end, FORGED_ANSWER, FL_RESPONSE, data[:4], data[13]), source)
            sock.sendto(data, self.gsp)

    def read(self, direction, context, data):
        packet = Packet()
        try:
            packet.decode_from(bytearray(data))
            self.report[direction].append(context.open(packet).hex())
        except ProtocolError:
            self.report["sealed"] += 1

    def forged(self, context, plaintext, flags, cp, seq):
        self.counter += 1
        iv = self.counter.to_bytes(16)
        return encode(PT_DATA, sp=self.nsi, seq=seq, flags=flags, cp=cp, context=context, plaintext=plaintext, iv=iv)


def main():
    host, port, nsi, material, request = sys.argv[1:]
    relay = Relay((host, int(port)), bytes.fromhex(nsi), bytes.fromhex(material), bytes.fromhex(request))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind((host, 0))
        print(sock.getsockname()[1], flush=True)
        relay.serve(sock)
    print(json.dumps(relay.report))


if __name__ == "__main__":
    main()
