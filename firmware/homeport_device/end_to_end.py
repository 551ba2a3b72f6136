"""The device's side of the end-to-end exchange (docs/extensions.md, "End-to-end keys").

Loaded when the first client asks for it, so that it costs nothing where nobody has a key.
"""

from homeport_core.compat import const
from homeport_core.crypto import ct_equal
from homeport_core.end_to_end import Secrets, build_answer, parse_hello
from homeport_core.spec import NONCE_LEN, NOTIFY_BAD_KEY, NOTIFY_BAD_KEY_ID, NOTIFY_OK

from homeport_device.rate import RateLimit

# Each costs a board some milliseconds of hashing, and whoever introduced the connection can send them.
_ATTEMPTS_PER_S = const(5)


class Exchange:
    """What is remembered of one connection's exchange until the client's first packet under the new keys.

    `context` holds those keys, None until a client has proved that it knows the key, whose id is `key_id` then.
    """

    __slots__ = ("context", "key_id", "_answer", "_limit", "_nonce_client")

    def __init__(self) -> None:
        self.context = None
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
