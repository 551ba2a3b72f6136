"""Local connections under a pre-shared key (specification, core 6.4; application 1.10).

The client names a key and proves it, the device proves it back with a nonce and a random number of its own, and the
client returns the nonce with its random number; both make the connection's keys from all four. Only after that
third message does the device take any DATA. Errors are told in the clear, but nothing a stranger sends can make
or end a connection. Key material, not the claimed name, says who the client is: the key store binds a
fingerprint to the key.
"""

from homeport_core.compat import const
from homeport_core.crypto import AesContext, ct_equal, key_material
from homeport_core.errors import AuthError, MalformedError
from homeport_core.payloads import build_capability, build_notify, parse_capability, parse_fp, u32
from homeport_core.rate import RateLimit
from homeport_core.spec import (
    CAP_ASYNC,
    CAP_FP,
    CAP_FRCTRL,
    CAP_TAG,
    FL_EXCEPTION,
    FL_RESPONSE,
    KEY_ID_LEN,
    NONCE_LEN,
    NOTIFY_BAD_KEY,
    NOTIFY_BAD_KEY_ID,
    NOTIFY_BUSY_MICRO,
    NOTIFY_CONNECTION_ABORTED,
    NOTIFY_CP_ACCESS,
    NOTIFY_MISSING_CAPABILITIES,
    NOTIFY_OK,
    NSI_ZERO,
    PL_CAPABILITY,
    PL_FP,
    PL_KEY_ID,
    PL_NONCE,
    PL_NOTIFY,
    PL_RANDOM,
    PLF_PAYLOADS,
    PT_U_CONNECT_PSK,
    SUITE_AES,
    TLV_LEN,
)

from homeport_device.connect import client_name
from homeport_device.connection import VERIFIED, VERIFYING, Connection
from homeport_device.drops import AUTH, MALFORMED, RATE, SOURCE, STATE, TAKEN, UNKNOWN
from homeport_device.output import LOCAL

_NEEDED = CAP_TAG | CAP_FRCTRL | CAP_ASYNC
_OFFERED = CAP_TAG | CAP_FRCTRL | CAP_ASYNC | CAP_FP
_VERSION = const(0)  # the reference answers with version 0, and clients have learnt to expect it
# Each attempt costs some milliseconds of hashing on a board.
_ATTEMPTS_PER_S = const(20)


class Handshake:
    """What is remembered between the messages of one attempt."""

    __slots__ = ("bits", "context", "nonce", "nonce_client", "random", "random_client")

    def __init__(self, context: object, bits: int, nonce_client: bytes, rng: object) -> None:
        self.context = context
        self.bits = bits
        self.nonce_client = nonce_client
        self.nonce = rng(NONCE_LEN)
        self.random = rng(NONCE_LEN)
        self.random_client = b""  # known once the client has proved itself


class Psk:
    """Answers U_CONNECT_PSK and U_VERIFY_PSK at the local socket."""

    __slots__ = ("_limit", "_stack")

    def __init__(self, stack: object) -> None:
        self._stack = stack
        self._limit = RateLimit(_ATTEMPTS_PER_S)

    def take_connect(self, now_ms: int, packet: object, source: bytes) -> int:
        """Message 1, its retransmission, or the client's abort."""
        stack = self._stack
        if packet.flags == FL_EXCEPTION:
            return self._abort(now_ms, packet, source)
        if packet.flags or packet.sp != NSI_ZERO:
            return STATE
        if not self._limit.allows(now_ms):
            return RATE
        attempt = stack.connections.find_client(packet.cp)
        if attempt is not None:
            return self._repeat(packet, attempt, source)
        nonce = packet.get(PL_NONCE) or b""
        key_id = packet.get(PL_KEY_ID) or b""
        try:
            capability = parse_capability(packet.get(PL_CAPABILITY) or b"")
        except MalformedError:
            return MALFORMED
        if len(nonce) != NONCE_LEN or len(key_id) != KEY_ID_LEN or packet.crypto_off < 0:
            return MALFORMED
        return self._attempt(now_ms, packet, source, nonce, key_id, capability)

    def take_verify(self, packet: object, source: bytes) -> int:
        """Message 3: the client's proof. A repeated one, under the same or a fresh IV, is answered again."""
        connection = self._stack.connections.find(packet.sp)
        if connection is None or not connection.is_psk:
            return UNKNOWN
        if packet.flags or packet.cp != connection.cp:
            return STATE
        if source != connection.peer:
            return SOURCE
        handshake = connection.handshake
        random = self._read_proof(packet, handshake)
        if random is None:
            return AUTH
        if connection.state != VERIFYING:
            if not ct_equal(random, handshake.random_client):
                return AUTH
        else:
            handshake.random_client = random
            seeds = random + handshake.random
            keys = AesContext(key_material(handshake.nonce_client + handshake.nonce, seeds), False)
            connection.install(keys, self._stack.config.replay_window)
            connection.enter(VERIFIED)
        self._stack.output.writer.reply_to(packet, FL_RESPONSE, _VERSION)
        self._stack.output.writer.add(PL_NOTIFY, build_notify(NOTIFY_OK))
        self._stack.output.send(LOCAL, source)
        return TAKEN

    def _attempt(
        self, now_ms: int, packet: object, source: bytes, nonce: bytes, key_id: bytes, capability: object
    ) -> int:
        stack = self._stack
        connection = Connection(stack.connections.new_nsi(), packet.cp, None, LOCAL, source, now_ms)
        connection.is_local = connection.is_psk = connection.is_async = True
        connection.client_id = client_name(packet, stack.config)
        victim = stack.connections.victim(connection.source)
        if victim is None and not stack.connections.has_room(connection.source):
            return self._refuse(packet, connection, NOTIFY_BUSY_MICRO)
        found = stack.app.psk_for(key_id, connection.client_id, parse_fp(packet.get(PL_FP) or b""))
        if found is None:
            return self._refuse(packet, connection, NOTIFY_BAD_KEY_ID)
        psk, connection.fingerprint = found
        connection.key_id = key_id
        context = AesContext(key_material(stack.config.device_id.encode(), psk), False)
        try:
            context.open(packet)
        except AuthError:
            return self._refuse(packet, connection, NOTIFY_BAD_KEY)
        bits = capability.bits & capability.mask
        if bits & _NEEDED != _NEEDED or SUITE_AES not in capability.suites:
            return self._refuse(packet, connection, NOTIFY_MISSING_CAPABILITIES)
        if not stack.app.connection_allowed(connection):
            return self._refuse(packet, connection, NOTIFY_CP_ACCESS)
        if victim is not None:
            stack.release(now_ms, victim)
        connection.begin_handshake(Handshake(context, capability.bits & _OFFERED, nonce, stack.rng))
        stack.connections.add(connection)
        self._challenge(packet, connection)
        return TAKEN

    def _repeat(self, packet: object, connection: Connection, source: bytes) -> int:
        """Message 2 again, for the same client only."""
        if connection.state != VERIFYING:
            return STATE
        if source != connection.peer:
            return SOURCE
        try:
            connection.handshake.context.open(packet)
        except AuthError:
            return AUTH
        self._challenge(packet, connection)
        return TAKEN

    def _challenge(self, packet: object, connection: Connection) -> None:
        """Message 2."""
        handshake = connection.handshake
        output = self._stack.output
        writer = output.writer
        writer.begin(PT_U_CONNECT_PSK, connection.nsi, 0, FL_RESPONSE, packet.cp, version=_VERSION)
        writer.add(PL_CAPABILITY, build_capability(handshake.bits, _OFFERED, (SUITE_AES,)))
        writer.add(PL_NONCE, handshake.nonce)
        plaintext = _payload(PL_RANDOM, handshake.random) + _payload(PL_NONCE, handshake.nonce_client)
        output.seal(handshake.context, plaintext, PLF_PAYLOADS)
        output.send(LOCAL, connection.peer)

    def _read_proof(self, packet: object, handshake: Handshake) -> bytes | None:
        """The client's random number, if the packet proves the key and our nonce; else None."""
        try:
            plaintext = handshake.context.open(packet)
        except AuthError:
            return None
        values = _read_payloads(plaintext)
        random = values.get(PL_RANDOM, b"")
        if len(random) != NONCE_LEN or not ct_equal(values.get(PL_NONCE, b""), handshake.nonce):
            return None
        return random

    def _abort(self, now_ms: int, packet: object, source: bytes) -> int:
        connection = self._stack.connections.find(packet.sp)
        if connection is None or connection.state != VERIFYING:
            return UNKNOWN
        if source != connection.peer or packet.cp != connection.cp:
            return SOURCE
        notify = packet.get(PL_NOTIFY) or b""
        if len(notify) != 4 or u32(notify, 0) != NOTIFY_CONNECTION_ABORTED:
            return MALFORMED
        self._stack.release(now_ms, connection)
        return TAKEN

    def _refuse(self, packet: object, connection: Connection, code: int) -> int:
        output = self._stack.output
        writer = output.writer
        flags = FL_RESPONSE | FL_EXCEPTION
        writer.begin(packet.type, connection.nsi, 0, flags, packet.cp, version=_VERSION)
        writer.add(PL_NOTIFY, build_notify(code))
        output.send(LOCAL, connection.peer)
        return AUTH


def _payload(payload_type: int, data: bytes) -> bytes:
    return bytes((payload_type, 0, 0, TLV_LEN + len(data))) + data


def _read_payloads(plaintext: bytes) -> dict:
    """The payloads inside a CRYPTO payload, by type; nothing at all when the chain is broken."""
    values = {}
    off = 0
    while off < len(plaintext):
        if off + TLV_LEN > len(plaintext):
            return {}
        size = plaintext[off + 2] << 8 | plaintext[off + 3]
        if size < TLV_LEN or off + size > len(plaintext):
            return {}
        values.setdefault(plaintext[off], plaintext[off + TLV_LEN : off + size])
        off += size
    return values
