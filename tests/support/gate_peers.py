"""What stands opposite the gate in tests: clients with certificates of every kind, and a session server that only
takes notes."""

import asyncio
import contextlib
import datetime
import functools
import json
import pathlib
import ssl
import tempfile

import jsonschema
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from homeport.gate_messages import PATH, SUBPROTOCOL
from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, BytesMessage, CloseConnection, RejectConnection, Request, TextMessage

SCHEMA = json.loads((pathlib.Path(__file__).parents[2] / "docs" / "gate.schema.json").read_text())
DAY = datetime.timedelta(days=1)


def valid(text):
    """The JSON document, which is as docs/gate.schema.json says."""
    document = json.loads(text)
    jsonschema.validate(document, SCHEMA)
    return document


@functools.cache
def rsa_key(bits=2048):
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


@functools.cache
def ec_key():
    return ec.generate_private_key(ec.SECP256R1())


def certificate(key, names=1, from_days=-1, to_days=1, extension_len=0):
    """A self-signed certificate; `names` components of 64 characters in its name."""
    parts = [x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, "n" * 64) for _ in range(names)]
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name(parts))
        .issuer_name(x509.Name(parts))
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now + from_days * DAY)
        .not_valid_after(now + to_days * DAY)
    )
    if extension_len:
        value = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), bytes(extension_len))
        builder = builder.add_extension(value, critical=False)
    return builder.sign(key, hashes.SHA256())


def client_tls(key=None, cert=None, version=None):
    """A standard library client context, with a certificate unless `key` is None."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if version is not None:
        context.minimum_version = context.maximum_version = version
    if key is not None:
        cert = cert or certificate(key)
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()) + cert.public_bytes(Encoding.PEM)
        with tempfile.NamedTemporaryFile() as file:
            file.write(pem)
            file.flush()
            context.load_cert_chain(file.name)
    return context


def upgrade_request():
    """The bytes of the upgrade that the gate grants."""
    return WSConnection(ConnectionType.CLIENT).send(Request(host="gate", target=PATH, subprotocols=[SUBPROTOCOL]))


class GateClient:
    """A WebSocket client over TLS. Every message it receives is checked against the schema."""

    def __init__(self, reader, writer):
        self.reader = reader
        self.writer = writer
        self.ws = WSConnection(ConnectionType.CLIENT)
        self.events = []

    @classmethod
    async def connect(cls, address, tls):
        return cls(*await asyncio.open_connection(*address, ssl=tls))

    @classmethod
    async def open(cls, address, tls=None, **request):
        """Connect and upgrade; returns the client and the answer to the upgrade."""
        client = await cls.connect(address, tls or client_tls(rsa_key()))
        request = {"host": "gate", "target": PATH, "subprotocols": [SUBPROTOCOL], **request}
        await client.write(client.ws.send(Request(**request)))
        return client, await client.event()

    @classmethod
    async def greeted(cls, address, tls=None):
        """Connect, upgrade, and read `hello`."""
        client, answer = await cls.open(address, tls)
        assert isinstance(answer, AcceptConnection), answer
        client.hello = await client.message()
        return client

    async def write(self, data):
        self.writer.write(data)
        await self.writer.drain()

    async def send(self, document):
        await self.send_text(json.dumps(document))

    async def send_text(self, text):
        await self.write(self.ws.send(TextMessage(data=text)))

    async def send_binary(self, data):
        await self.write(self.ws.send(BytesMessage(data=data)))

    async def event(self):
        """The next event of the WebSocket; None when the connection has ended."""
        while not self.events:
            data = b""
            with contextlib.suppress(ConnectionError, ssl.SSLError):
                data = await asyncio.wait_for(self.reader.read(65536), 10)
            if not data:
                return None
            self.ws.receive_data(data)
            self.events.extend(self.ws.events())
        return self.events.pop(0)

    async def message(self):
        """The next text message, as a document."""
        event = await self.event()
        assert isinstance(event, TextMessage), event
        return valid(event.data)

    async def refusal(self, first):
        """Status and body, when `first` is a rejected upgrade."""
        assert isinstance(first, RejectConnection), first
        body = b""
        while True:
            event = await self.event()
            body += event.data
            if event.body_finished:
                return first.status_code, body.decode()

    async def ended(self):
        """The close code, or None when the connection was cut."""
        while True:
            event = await self.event()
            if event is None:
                return None
            if isinstance(event, CloseConnection):
                return event.code

    async def close(self):
        self.writer.close()
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            await self.writer.wait_closed()


class NotedSwitchboard:
    """A session server that remembers what the gate asked; the test answers."""

    def __init__(self):
        self.probes = {}
        self.introductions = []
        self.hung_up = []
        self.connections = {}  # NSI → fingerprint of the client that made it
        self.carried = []
        self.lost = []

    def relay_endpoint(self, reached):
        self.reached = reached
        return bytes((192, 0, 2, 1)) + (5565).to_bytes(2, "big")

    def second_probe_endpoint(self, reached):
        return bytes((192, 0, 2, 1)) + (5566).to_bytes(2, "big")

    def add_probe(self, probe_id, key_material):
        self.probes[probe_id] = key_material

    def remove_probe(self, probe_id):
        del self.probes[probe_id]

    def introduce(self, fingerprint, probe_id, request):
        self.introductions.append((fingerprint, probe_id, request))
        return len(self.introductions)

    def hang_up(self, nsi):
        self.hung_up.append(nsi)

    def carry(self, carrier, fingerprint, data):
        if self.connections.get(data[4:8]) != fingerprint:
            return False
        self.carried.append((carrier, data))
        return True

    def carrier_lost(self, carrier):
        self.lost.append(carrier)
