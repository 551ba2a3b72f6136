"""The device's side of the end-to-end exchange (docs/extensions.md, "End-to-end keys").

Loaded when the first client asks for it, so that it costs nothing where nobody has a key.
"""

from homeport_core.compat import const
from homeport_core.crypto import ct_equal
from homeport_core.end_to_end import Secrets, build_answer, parse_hello
from homeport_core.rate import RateLimit
from homeport_core.spec import NONCE_LEN, NOTIFY_BAD_KEY, NOTIFY_BAD_KEY_ID, NOTIFY_OK

# Each costs a board some milliseconds of hashing, and whoever introduced the connection can send them.
_ATTEMPTS_PER_S = const(5)


# How far requests may come out of order, and when a client may begin to count anew under another NSI.cp.
_WINDOW = const(64)
_LAST_SEQ = const(0xFF00)


class Sequence:
    """Which requests of a connection have come. Their numbers grow, so an old one is a replay, however old it is:
    whoever relays the connection has all the time that it needs to outlive a memory of MACs."""

    __slots__ = ("_cp", "_high", "_seen")

    def __init__(self) -> None:
        self._cp = b""
        self._high = self._seen = 0

    def is_new(self, cp: bytes, seq: int) -> bool:
        """Note a verified request, and say whether it is the first of its number."""
        if cp != self._cp:
            if self._cp and (self._high < _LAST_SEQ or seq >= _WINDOW):
                return False
            self._cp = cp
            self._high = seq
            self._seen = 1
            return True
        ahead = seq - self._high
        if ahead > 0:
            self._high = seq
            self._seen = (self._seen << min(ahead, _WINDOW) | 1) & (1 << _WINDOW) - 1
            return True
        if ahead <= -_WINDOW or self._seen >> -ahead & 1:
            return False
        self._seen |= 1 << -ahead
        return True


class Exchange:
    """What is remembered of one connection's exchange until the client's first packet under the new keys.

    `context` holds those keys, None until a client has proved that it knows the key, whose id is `key_id` then.
    `sequence` is for the requests under them.
    """

    __slots__ = ("context", "key_id", "sequence", "_answer", "_limit", "_nonce_client")

    def __init__(self) -> None:
        self.context = None
        self.sequence = Sequence()
        self.key_id = b""
        self._nonce_client = self._answer = b""
        self._limit = RateLimit(_ATTEMPTS_PER_S)

    def take(self, now_ms: int, connection: object, found: tuple | None, message: bytes, rng: object) -> bytes | None:
        """The answer to a client's message, None beyond the limit. Raises MalformedError.

        `found` is what the application keeps for this user: (key id, key) or None.
        """
        key_id, nonce, proof = parse_hello(message)
        if not self._limit.allows(now_ms):
            return None
        if found is None or found[0] != key_id:
            return build_answer(NOTIFY_BAD_KEY_ID)
        secrets = Secrets(connection.nsi, connection.fingerprint, key_id, found[1])
        if not ct_equal(secrets.client_proof(nonce), proof):
            return build_answer(NOTIFY_BAD_KEY)
        if nonce != self._nonce_client or key_id != self.key_id:
            nonce_device = rng(NONCE_LEN)
            proof_device, self.context = secrets.agree(nonce, nonce_device, False)
            self._nonce_client = nonce
            self.key_id = key_id
            self._answer = build_answer(NOTIFY_OK, nonce_device, proof_device)
        return self._answer
