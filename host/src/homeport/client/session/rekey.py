"""The client's side of the exchange that takes an introduced connection to end-to-end keys (docs/extensions.md).

The message goes out beside the keep-alives that look for a path, and again on the path that was found until the device
answers. An answer counts only when it proves the key over our nonce; from then on everything is under the new keys,
and the first packet proves the key to the device.
"""

from __future__ import annotations

from collections.abc import Callable

from homeport_core.crypto import ct_equal
from homeport_core.end_to_end import Secrets, build_hello, parse_answer
from homeport_core.errors import AuthError, HomeportError
from homeport_core.packet import Context
from homeport_core.spec import NONCE_LEN, NOTIFY_BAD_KEY, NOTIFY_BAD_KEY_ID, NOTIFY_OK

from homeport.errors import NotEndToEnd

RETRY_MS = 500
TRIES = 10

PAIR_AGAIN = "pair again on the device's own network: 'homeport pair DEVICE --label-secret'"
_REFUSALS = {
    NOTIFY_BAD_KEY_ID: "the device does not know this client's end-to-end key: it was reset, or the user removed",
    NOTIFY_BAD_KEY: "the device has another end-to-end key under this id",
}


def key_missing() -> NotEndToEnd:
    """The error for a device that wants a key which this client does not have."""
    return NotEndToEnd(
        "the device keeps an end-to-end key of this client, which is not in this profile",
        None,
        "restore the profile's keys from a copy, or let another owner remove this user, and pair again",
    )


def refused(code: int) -> NotEndToEnd:
    """The error for a device that does not take this client's key."""
    return NotEndToEnd(_REFUSALS.get(code, f"the device refuses end-to-end keys (0x{code:X})"), code, PAIR_AGAIN)


class Rekey:
    """One exchange. `error` is set when the device refuses; `is_done` when the connection has gone over."""

    def __init__(self, nsi: bytes, fingerprint: bytes, key_id: bytes, key: bytes, rng: Callable[[int], bytes]) -> None:
        self._secrets = Secrets(nsi, fingerprint, key_id, key)
        self._nonce = rng(NONCE_LEN)
        self.message = build_hello(key_id, self._nonce, self._secrets.client_proof(self._nonce))
        self.is_done = False
        self.error: HomeportError | None = None
        self.deadline_ms: int | None = None  # of the next repetition, once there is a path
        self._tries = 0

    def take(self, plaintext: bytes) -> Context | None:
        """The new context, if this answer proves the key; None for a refusal. Raises ProtocolError."""
        code, nonce, proof = parse_answer(plaintext)
        if code != NOTIFY_OK:
            self.error = refused(code)
            return None
        expected, context = self._secrets.agree(self._nonce, nonce, True)
        if not ct_equal(proof, expected):
            raise AuthError("end-to-end: the device does not prove the key")
        self.is_done = True
        self.deadline_ms = None
        return context

    def due(self, now_ms: int) -> bool:
        """There is a path: whether the message is to be sent on it now. Sets `error` when it was in vain for long."""
        if self.deadline_ms is None:
            self.deadline_ms = now_ms + RETRY_MS  # the message went out with the keep-alive that found the path
        if now_ms < self.deadline_ms or self.error is not None:
            return False
        if self._tries == TRIES:
            self.error = NotEndToEnd(
                "the device does not answer in the end-to-end exchange: its firmware is too old, or somebody between "
                "you and the device keeps it from you",
                None,
                "connect on the device's own network (--path local)",
            )
            return False
        self._tries += 1
        self.deadline_ms = now_ms + RETRY_MS
        return True
