"""Pre-shared keys: their kinds, and those that a profile keeps for its devices.

    HOME/profiles/NAME/keys/ID.json    {"version": 1, "sealed": ["…", …]}    mode 0600, one file a device

Each entry is a key and its id under AES-128-GCM, with a key that follows from the profile's private key: whoever can
open that can open these, so a profile's password protects both. The device's id is bound to the entry. There are two
entries while a new key is on its way to the device and nobody knows yet whether it arrived.
"""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from homeport_core.spec import KEY_ID_LEN, KEY_ID_PREFIX, NOTIFY_BAD_KEY, NOTIFY_BAD_KEY_ID, PSK_LEN

from homeport.client.session.rekey import refused
from homeport.errors import ConfigError, NotEndToEnd, RefusedError, StateError, StorageError
from homeport.files import make_private_directory, read_bounded, write_private
from homeport.label import parse_label

T = TypeVar("T")

LABEL_KEY_ID = bytes(KEY_ID_LEN)  # names the secret on a device's label (specification, application 1.10)

_FORMAT_VERSION = 1
_FILE_MAX_LEN = 4_096
_KEYS_MAX = 2
_NONCE_LEN = 12
_PURPOSE = b"homeport device keys 1"


@dataclass(frozen=True)
class Psk:
    """A pre-shared key: 16 bytes, and the 16 bytes that name it."""

    key_id: bytes
    key: bytes = field(repr=False)

    @classmethod
    def draw(cls) -> Psk:
        """A new end-to-end key."""
        return cls(KEY_ID_PREFIX + secrets.token_bytes(KEY_ID_LEN - len(KEY_ID_PREFIX)), secrets.token_bytes(PSK_LEN))

    @classmethod
    def of_label(cls, text: str, device_id: str | None = None) -> Psk:
        """The key on a device's label: 32 hex digits, grouped as one likes, or the text of its QR code, which has to be
        of `device_id` if that is given. Raises ConfigError."""
        found_id, secret = parse_label(text)
        if None not in (found_id, device_id) and found_id != device_id:
            raise ConfigError(f"this is the label of {found_id}, not of {device_id}")
        return cls(LABEL_KEY_ID, secret)


class DeviceKeys:
    """The end-to-end keys of one profile, by device id. `directory` None keeps them in memory only."""

    def __init__(self, directory: Path | None, private_key: RSAPrivateKey) -> None:
        self._directory = directory
        self._memory: dict[str, list[Psk]] = {}
        der = private_key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
        self._sealer = AESGCM(HKDF(hashes.SHA256(), 16, None, _PURPOSE).derive(der))

    def of(self, device_id: str) -> list[Psk]:
        """The device's keys, the one to try first first; empty without any. Raises StorageError."""
        if self._directory is None:
            return list(self._memory.get(device_id, []))
        path = self._directory / f"{device_id}.json"
        if not path.exists():
            return []
        try:
            document = json.loads(read_bounded(path, _FILE_MAX_LEN))
            if document["version"] != _FORMAT_VERSION or not 1 <= len(document["sealed"]) <= _KEYS_MAX:
                raise ValueError("version or number of keys")
            return [self._open(device_id, text) for text in document["sealed"]]
        except (ValueError, TypeError, KeyError, InvalidTag) as error:
            raise StorageError(
                f"{path} is damaged, or of another profile: delete it and pair with the device again"
            ) from error

    def offer(self, device_id: str, psk: Psk) -> None:
        """Keep a key that is about to be given to the device, beside the one that it may have. Raises StorageError."""
        self._store(device_id, [*self.of(device_id)[:1], psk])

    def settle(self, device_id: str, psk: Psk) -> None:
        """The device uses this key: forget others. Raises StorageError."""
        if self.of(device_id) != [psk]:
            self._store(device_id, [psk])

    def withdraw(self, device_id: str, psk: Psk) -> None:
        """The device did not take this key. Raises StorageError."""
        self._store(device_id, [kept for kept in self.of(device_id) if kept != psk])

    def remove(self, device_id: str) -> bool:
        """Forget the device's keys; whether there were any. Raises StorageError."""
        if self._directory is None:
            return self._memory.pop(device_id, None) is not None
        path = self._directory / f"{device_id}.json"
        try:
            path.unlink()
        except FileNotFoundError:
            return False
        except OSError as error:
            raise StorageError(f"cannot remove {path}: {error.strerror}") from error
        return True

    def _store(self, device_id: str, psks: list[Psk]) -> None:
        if not psks:
            self.remove(device_id)
        elif self._directory is None:
            self._memory[device_id] = psks
        else:
            make_private_directory(self._directory)
            document = {"version": _FORMAT_VERSION, "sealed": [self._seal(device_id, psk) for psk in psks]}
            write_private(self._directory / f"{device_id}.json", json.dumps(document).encode() + b"\n")

    def _seal(self, device_id: str, psk: Psk) -> str:
        nonce = secrets.token_bytes(_NONCE_LEN)
        return base64.b64encode(nonce + self._sealer.encrypt(nonce, psk.key_id + psk.key, device_id.encode())).decode()

    def _open(self, device_id: str, text: str) -> Psk:
        sealed = base64.b64decode(text, validate=True)
        plaintext = self._sealer.decrypt(sealed[:_NONCE_LEN], sealed[_NONCE_LEN:], device_id.encode())
        if len(plaintext) != KEY_ID_LEN + PSK_LEN:
            raise ValueError("size of a key")
        return Psk(plaintext[:KEY_ID_LEN], plaintext[KEY_ID_LEN:])


def not_keyed(device_id: str) -> NotEndToEnd:
    """The error for a device that there is no key for, where one is required."""
    return NotEndToEnd(
        f"{device_id}: this profile has no end-to-end key for it, and nothing less is accepted",
        None,
        "pair with it on its own network, by the secret on its label: 'homeport pair DEVICE --label-secret'",
    )


async def with_keys(keys: DeviceKeys, device_id: str, attempt: Callable[[Psk], Awaitable[T]]) -> T:
    """Connect by `attempt` with the device's key, or with the next where the device turns out to use that.

    Raises what `attempt` raises; NotEndToEnd when the device knows none of the keys.
    """
    psks = keys.of(device_id)
    for psk in psks:
        try:
            connected = await attempt(psk)
        except (RefusedError, NotEndToEnd) as error:
            code = error.code if isinstance(error, RefusedError) else error.detail
            if code not in (NOTIFY_BAD_KEY_ID, NOTIFY_BAD_KEY):
                raise
            if psk is psks[-1]:
                raise refused(code) from error
        else:
            keys.settle(device_id, psk)
            return connected
    raise StateError("no key to connect with")


def keyed_devices(directory: Path) -> list[str]:
    """The ids of the devices that have a key in `directory`, sorted; no password needed. Raises StorageError."""
    try:
        return sorted(path.name.removesuffix(".json") for path in directory.iterdir() if path.name.endswith(".json"))
    except FileNotFoundError:
        return []
    except OSError as error:
        raise StorageError(f"cannot read {directory}: {error.strerror}") from error
