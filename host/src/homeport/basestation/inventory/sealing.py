"""Secrets at rest: sealed under the basestation's master key with AES-256-GCM.

A sealed secret is version (1 byte) | nonce (12) | ciphertext and tag. What the secret is for (its purpose and the
device id) is authenticated with it, so a sealed value copied to another row does not open.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from homeport.errors import StorageError
from homeport.files import read_bounded

MASTER_KEY_LEN = 32
_VERSION = b"\x01"
_NONCE_LEN = 12


class Sealer:
    """Seals and opens secrets under one master key of 32 bytes."""

    def __init__(self, master_key: bytes) -> None:
        if len(master_key) != MASTER_KEY_LEN:
            raise StorageError(f"master key: expected {MASTER_KEY_LEN} bytes, got {len(master_key)}")
        self._aead = AESGCM(master_key)

    def seal(self, secret: bytes, purpose: str, owner: bytes) -> bytes:
        """Return `secret` sealed for `purpose` of `owner` (a device id)."""
        # Random nonces: 2**32 sealings under one key before they become a worry.
        nonce = os.urandom(_NONCE_LEN)
        return _VERSION + nonce + self._aead.encrypt(nonce, secret, _bind(purpose, owner))

    def open(self, sealed: bytes, purpose: str, owner: bytes) -> bytes:
        """Return the secret; raise StorageError if it was not sealed with this key, purpose and owner."""
        if sealed[:1] != _VERSION or len(sealed) <= 1 + _NONCE_LEN:
            raise StorageError(f"{purpose} of {owner.decode()}: sealed value has an unknown form")
        nonce, body = sealed[1 : 1 + _NONCE_LEN], sealed[1 + _NONCE_LEN :]
        try:
            return self._aead.decrypt(nonce, body, _bind(purpose, owner))
        except InvalidTag:
            raise StorageError(
                f"{purpose} of {owner.decode()} does not open: master.key is not the one this database was made "
                "with, or the database was altered"
            ) from None


def _bind(purpose: str, owner: bytes) -> bytes:
    return purpose.encode() + b"\0" + owner


def read_master_key(path: Path) -> Sealer:
    """Return the sealer for a key file (64 hex digits); raise StorageError if unreadable or open to others."""
    check_private(path)
    try:
        return Sealer(bytes.fromhex(read_bounded(path, 2 * MASTER_KEY_LEN + 2).decode("ascii").strip()))
    except ValueError:
        raise StorageError(f"{path}: expected {2 * MASTER_KEY_LEN} hex digits") from None


def check_private(path: Path) -> None:
    """Raise StorageError when other users of this machine can read or change `path`."""
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise StorageError(f"cannot read {path}: {error.strerror}") from error
    if os.name == "posix" and mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise StorageError(f"{path} holds a secret but is open to other users; run: chmod 600 {path}")
