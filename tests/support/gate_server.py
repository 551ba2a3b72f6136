"""A gate made for tests of clients: TLS from the standard library, a WebSocket, and whatever a test lets it say."""

import asyncio
import contextlib
import datetime
import ipaddress
import ssl

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from homeport import gate_messages as messages
from homeport.fingerprint import fingerprint_of
from homeport.wire import endpoint
from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, BytesMessage, CloseConnection, Request, TextMessage

GSP = endpoint(("192.0.2.11", 5565))
HELLO = messages.Hello(1, bytes(16), "test gate", GSP, b"probe id", bytes(range(96)), datagrams=True)


def self_signed(directory):
    """A certificate for 127.0.0.1 with its key, as a PEM file; returns (path, fingerprint)."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "gate")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = directory / "gate.pem"
    path.write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()) + certificate.public_bytes(Encoding.PEM)
    )
    return path, fingerprint_of(key.public_key())


def connected(request, number=1):
    """The answer that introduces the client to a device."""
    nsi = (0x7A000000 + number).to_bytes(4)
    return messages.Connected(
        request.id, request.device, nsi, bytes(range(96)), 0x230A, GSP, bytes(6), GSP, 0, 0x838, 0xB3C
    )


class Peer:
    """One client at the gate."""

    def __init__(self, gate, reader, writer):
        self._gate = gate
        self._reader = reader
        self.writer = writer
        self.socket = WSConnection(ConnectionType.SERVER)
        self._datagram = b""

    def send(self, message):
        """A message, or any text."""
        text = message if isinstance(message, str) else messages.encode(message)
        self.writer.write(self.socket.send(TextMessage(data=text)))

    def send_datagram(self, data):
        """One datagram."""
        self.writer.write(self.socket.send(BytesMessage(data=data)))

    async def run(self):
        """Upgrade, greet, and hand every message to the gate's `on_message`."""
        if self._gate.on_connect is not None:
            await self._gate.on_connect(self)
            return
        while data := await self._reader.read(65536):
            self.socket.receive_data(data)
            for event in self.socket.events():
                if isinstance(event, Request):
                    self._gate.requests.append(event)
                    self.writer.write(self.socket.send(AcceptConnection(subprotocol=self._gate.subprotocol)))
                    if self._gate.greeting is not None:
                        self.send(self._gate.greeting)
                elif isinstance(event, TextMessage):
                    await self._gate.on_message(self, messages.decode_client(event.data))
                elif isinstance(event, BytesMessage):
                    self._datagram += event.data
                    if event.message_finished:
                        self._gate.on_datagram(self, self._datagram)
                        self._datagram = b""
                elif isinstance(event, CloseConnection):
                    self.writer.write(self.socket.send(event.response()))


class Gate:
    """Listens on 127.0.0.1 until closed. `on_connect` replaces everything after the TLS handshake."""

    def __init__(self, certificate):
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificate)
        self.requests = []
        self.received = []
        self.datagrams = []
        self.peers = []
        self.connections = 0
        self.greeting = HELLO
        self.subprotocol = messages.SUBPROTOCOL
        self.on_connect = None
        self.on_message = self.answer
        self.on_datagram = lambda _peer, data: self.datagrams.append(data)
        self.arrived = asyncio.Event()

    def demand_certificates_of(self, authority):
        """Accept only clients whose certificate `authority` (a PEM file) has signed."""
        self._context.verify_mode = ssl.CERT_REQUIRED
        self._context.load_verify_locations(authority)

    async def answer(self, peer, message):
        """Introduce everybody to everything."""
        self.received.append(message)
        if isinstance(message, messages.Connect):
            peer.send(connected(message, len(self.received)))

    async def __aenter__(self):
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._context)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_):
        self._server.close()
        for peer in self.peers:
            peer.writer.transport.abort()

    async def _serve(self, reader, writer):
        peer = Peer(self, reader, writer)
        self.peers.append(peer)
        self.connections += 1
        self.arrived.set()
        with contextlib.suppress(ConnectionError):
            await peer.run()
        writer.close()
