"""A basestation and a client reduced to what one device process needs, over real sockets, with the core alone."""

import contextlib
import os
import socket

from homeport_core.crypto import AesContext, NullContext, key_material
from homeport_core.packet import Packet, PacketWriter, encode
from homeport_core.payloads import build_fp, build_id, build_ipx, parse_notify
from homeport_core.spec import (
    FL_EXCEPTION,
    FL_RESPONSE,
    ID_MAIL,
    IPX_CP_ASYNC,
    IPX_NO_RENDEZVOUS,
    NOTIFY_OK,
    PACKET_MAX,
    PL_CP_ID,
    PL_EP,
    PL_FP,
    PL_IPX,
    PL_NONCE,
    PL_NOTIFY,
    PL_TIME,
    PT_DATA,
    PT_U_ALIVE,
    PT_U_ATTACH,
    PT_U_CONNECT,
    PT_U_INVITE,
    TAG_FRAMING,
)

PATIENCE_S = 10
RETRY_S = 0.5
GSP_NSI = b"\x00\x00\x12\x67"
DATAGRAM_MAX = 2000


def endpoint(address: tuple[str, int]) -> bytes:
    """An endpoint's 6 octets."""
    return socket.inet_aton(address[0]) + address[1].to_bytes(2, "big")


def open_socket() -> socket.socket:
    """On loopback, at any port."""
    opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    opened.bind(("127.0.0.1", 0))
    opened.settimeout(PATIENCE_S)
    return opened


def decode(octets: bytes) -> Packet:
    """A packet in a buffer of its own, so that it can be opened in place."""
    packet = Packet()
    packet.decode_from(bytearray(octets))
    return packet


def build(kind, payloads=(), context=None, plaintext=b"", **header):
    """A packet whose payloads are (type, data) or (type, data, flags)."""
    writer = PacketWriter(bytearray(PACKET_MAX))
    writer.begin(kind, **header)
    for payload in payloads:
        writer.add(*payload)
    if context is None:
        writer.finish()
    else:
        writer.seal(context, plaintext, os.urandom(16))
    return writer.bytes()


class Basestation:
    """Controller and GSP on one loopback socket, for one device."""

    def __init__(self, device_id: str, key: bytes, opened: socket.socket | None = None) -> None:
        self.device_id = device_id
        self.key = key
        self.socket = opened or open_socket()
        self.address = self.socket.getsockname()
        self.device: tuple[str, int] = ("", 0)
        self.keys: AesContext | None = None
        self.seq = 0

    def close(self) -> None:
        self.socket.close()

    def attach(self) -> None:
        """Wait for the device's invites and attach it."""
        while self.keys is None:
            octets, self.device = self.socket.recvfrom(DATAGRAM_MAX)
            packet = decode(octets)
            if packet.type == PT_U_INVITE and packet.get(PL_NONCE) is None:
                ipx = build_ipx(endpoint(self.address), endpoint(self.device))
                self.socket.sendto(encode(PT_U_INVITE, [(PL_IPX, ipx)], flags=FL_RESPONSE), self.device)
            elif packet.type == PT_U_INVITE:
                self._challenge(packet.get(PL_NONCE) or b"")

    def alive(self) -> None:
        """Keep the device attached; it answers."""
        self.seq += 1
        self._ask(encode(PT_U_ALIVE, [(PL_TIME, b"\x01\x6b\x02\x3f\xdd")], sp=GSP_NSI, seq=self.seq), PT_U_ALIVE)

    def introduce(self, client: "Client", nsi: bytes, fingerprint: bytes) -> None:
        """Make the device accept a connection of `client` under this NSI."""
        material = os.urandom(96)
        payloads = [
            (PL_IPX, build_ipx(bytes(6), endpoint(client.address), IPX_NO_RENDEZVOUS | IPX_CP_ASYNC, nsi)),
            (PL_CP_ID, build_id(ID_MAIL, b"tester@example.org")),
            (PL_FP, build_fp(fingerprint)),
        ]
        self.seq += 1
        request = encode(
            PT_U_CONNECT, payloads, sp=GSP_NSI, seq=self.seq, context=self.keys, plaintext=material, iv=os.urandom(16)
        )
        answer = self._ask(request, PT_U_CONNECT)
        code = parse_notify(answer.get(PL_NOTIFY) or b"")[0]
        assert code == NOTIFY_OK, hex(code)
        client.begin(self.device, nsi, AesContext(material, True))

    def _challenge(self, nonce_device: bytes) -> None:
        psk_keys = AesContext(key_material(self.device_id.encode(), self.key), True)
        nonce, seed = os.urandom(32), os.urandom(32)
        payloads = [(PL_EP, endpoint(self.device)), (PL_NONCE, nonce)]
        request = encode(
            PT_U_ATTACH,
            payloads,
            sp=GSP_NSI,
            seq=1,
            context=psk_keys,
            plaintext=nonce_device + seed,
            iv=os.urandom(16),
        )
        self.socket.sendto(request, self.device)
        seed_device = psk_keys.open(self._next(PT_U_ATTACH))[32:]
        self.keys = AesContext(key_material(nonce + nonce_device, seed + seed_device), True)

    def _ask(self, request: bytes, packet_type: int) -> Packet:
        """Send until it is answered: a device in the middle of a flood loses datagrams."""
        patience_s = self.socket.gettimeout()
        self.socket.settimeout(RETRY_S)
        try:
            for _ in range(int(patience_s / RETRY_S)):
                self.socket.sendto(request, self.device)
                with contextlib.suppress(TimeoutError):
                    return self._next(packet_type)
        finally:
            self.socket.settimeout(patience_s)
        raise TimeoutError

    def _next(self, packet_type: int) -> Packet:
        while True:
            packet = decode(self.socket.recvfrom(DATAGRAM_MAX)[0])
            if packet.type == packet_type:
                return packet


class Client:
    """One remote client, talking straight to the device's remote socket."""

    def __init__(self, opened: socket.socket | None = None) -> None:
        self.socket = opened or open_socket()
        self.address = self.socket.getsockname()
        self.seq = 100
        self.device: tuple[str, int] = ("", 0)
        self.nsi = b""
        self.keys: AesContext | None = None

    def close(self) -> None:
        self.socket.close()

    def begin(self, device: tuple[str, int], nsi: bytes, keys: AesContext) -> None:
        """Fix the path with a first keep-alive."""
        self.device, self.nsi, self.keys = device, nsi, keys
        self._send(bytes(8), TAG_FRAMING)
        assert self._answer().tag == TAG_FRAMING

    def call(self, query_id: int, parameters: bytes = b"") -> bytes:
        """The response; an exception fails the test."""
        assert self.keys is not None
        self.send_request(query_id, parameters)
        answer = self._answer()
        response = self.keys.open(answer)
        assert not answer.flags & FL_EXCEPTION, response.hex()
        return response

    def send_request(self, query_id: int, parameters: bytes = b"") -> None:
        """Ask without waiting for the answer."""
        self._send(query_id.to_bytes(4, "big") + parameters, None)

    def _send(self, plaintext: bytes, tag: int | None) -> None:
        self.seq = self.seq % 0xFFFF + 1
        packet = encode(
            PT_DATA,
            sp=self.nsi,
            cp=b"\x99\x99\x99\x99",
            seq=self.seq,
            tag=tag,
            context=self.keys,
            plaintext=plaintext,
            iv=os.urandom(16),
        )
        self.socket.sendto(packet, self.device)

    def _answer(self) -> Packet:
        """The answer to what was sent last, acknowledgements passed over."""
        while True:
            packet = decode(self.socket.recvfrom(DATAGRAM_MAX)[0])
            if packet.seq == self.seq and packet.flags & FL_RESPONSE and packet.crypto_off >= 0:
                return packet


class LanClient:
    """A clear connection on the local network."""

    def __init__(self, port: int, fingerprint: bytes, opened: socket.socket | None = None) -> None:
        self.socket = opened or socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.settimeout(PATIENCE_S)
        self.socket.connect(("127.0.0.1", port))
        self.seq = 1
        payloads = [
            (PL_IPX, build_ipx(flags=IPX_NO_RENDEZVOUS | IPX_CP_ASYNC)),
            (PL_CP_ID, build_id(ID_MAIL, b"me@example.org")),
            (PL_FP, build_fp(fingerprint)),
        ]
        self.socket.send(encode(PT_U_CONNECT, payloads, cp=b"\x77\x00\x00\x01"))
        code, self.nsi = parse_notify(self._receive().get(PL_NOTIFY) or b"")
        assert code == NOTIFY_OK

    def call(self, query_id: int, parameters: bytes = b"") -> tuple[bool, bytes]:
        """(whether it is a response and no exception, plaintext)."""
        self.seq += 1
        plaintext = query_id.to_bytes(4, "big") + parameters
        cp = b"\x77\x00\x00\x01"
        self.socket.send(encode(PT_DATA, sp=self.nsi, cp=cp, seq=self.seq, context=NullContext(), plaintext=plaintext))
        while True:
            packet = self._receive()
            if packet.crypto_off >= 0:
                assert packet.flags & FL_RESPONSE
                return not packet.flags & FL_EXCEPTION, NullContext().open(packet)

    def _receive(self) -> Packet:
        return decode(self.socket.recv(DATAGRAM_MAX))

    def close(self) -> None:
        self.socket.close()
