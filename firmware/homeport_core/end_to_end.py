"""What both ends of an end-to-end exchange compute and send (docs/extensions.md, "End-to-end keys").

An introduced connection has keys that the basestation chose. A client and a device that share a key leave them for
keys that only the two can make: from that key, both their nonces, and what the connection is.
"""

from homeport_core.compat import const
from homeport_core.crypto import AesContext, prf, prf_plus
from homeport_core.errors import MalformedError
from homeport_core.payloads import u32
from homeport_core.spec import (
    FRAMING_END_TO_END,
    KEY_ID_LEN,
    KEY_MATERIAL_LEN,
    NONCE_LEN,
    NOTIFY_OK,
)

_LABEL = b"homeport end-to-end 1"
_COMMAND = FRAMING_END_TO_END.to_bytes(4, "big")
_HELLO_LEN = const(84)
_ANSWER_LEN = const(72)
_CODE_LEN = const(8)


class Secrets:
    """What follows from a key for one connection: its NSI.sp, the client's fingerprint, the key and its id."""

    __slots__ = ("_base", "_key")

    def __init__(self, nsi: bytes, fingerprint: bytes, key_id: bytes, key: bytes) -> None:
        self._base = _LABEL + nsi + fingerprint + key_id
        self._key = key

    def client_proof(self, nonce_client: bytes) -> bytes:
        """32 octets that say: I know the key."""
        return prf(self._key, self._base + b"hello" + nonce_client)

    def agree(self, nonce_client: bytes, nonce_device: bytes, initiator: bool) -> tuple[bytes, AesContext]:
        """The device's proof (32 octets) and the context of the connection from now on."""
        root = prf(self._key, self._base + b"keys" + nonce_client + nonce_device)
        context = AesContext(prf_plus(root, b"data", KEY_MATERIAL_LEN), initiator)
        return prf(root, b"device"), context


def build_hello(key_id: bytes, nonce: bytes, proof: bytes) -> bytes:
    """The client's message."""
    return _COMMAND + key_id + nonce + proof


def parse_hello(message: bytes) -> tuple[bytes, bytes, bytes]:
    """(key id, nonce, proof). Raises MalformedError."""
    if len(message) != _HELLO_LEN:
        raise MalformedError("end-to-end: not a hello", len(message))
    off = 4 + KEY_ID_LEN
    return message[4:off], message[off : off + NONCE_LEN], message[off + NONCE_LEN :]


def build_answer(code: int, nonce: bytes = b"", proof: bytes = b"") -> bytes:
    """The device's message; nonce and proof with NOTIFY_OK alone."""
    return _COMMAND + code.to_bytes(4, "big") + nonce + proof


def parse_answer(message: bytes) -> tuple[int, bytes, bytes]:
    """(code, nonce, proof); the latter are empty when the code is not NOTIFY_OK. Raises MalformedError."""
    if len(message) < _CODE_LEN:
        raise MalformedError("end-to-end: answer cut off", len(message))
    code = u32(message, 4)
    if len(message) != (_ANSWER_LEN if code == NOTIFY_OK else _CODE_LEN):
        raise MalformedError("end-to-end: not an answer", len(message))
    return code, message[_CODE_LEN : _CODE_LEN + NONCE_LEN], message[_CODE_LEN + NONCE_LEN :]
