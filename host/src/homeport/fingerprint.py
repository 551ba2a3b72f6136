"""Fingerprints: who a client or a basestation is, as 16 bytes.

A fingerprint is the first 16 bytes of SHA-256 over the DER SubjectPublicKeyInfo (docs/gate.md). People see it as
16 lower-case hex pairs joined by colons, and may type it with colons, spaces or nothing between the digits.
"""

from __future__ import annotations

import hashlib
import re

from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from homeport.errors import ConfigError

FINGERPRINT_LEN = 16

_TYPED = re.compile(r"[0-9a-fA-F]{2}(?:[: ]?[0-9a-fA-F]{2}){15}")


def fingerprint_of(public_key: PublicKeyTypes) -> bytes:
    """Return the 16-byte fingerprint of a public key."""
    der = public_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(der).digest()[:FINGERPRINT_LEN]


def format_fingerprint(fingerprint: bytes) -> str:
    """Return the form shown to people: 16 lower-case hex pairs joined by colons."""
    return fingerprint.hex(":")


def parse_fingerprint(text: str) -> bytes:
    """Read a fingerprint as typed or pasted; raise ConfigError when it is not 16 hex pairs."""
    text = text.strip()
    if not _TYPED.fullmatch(text):
        raise ConfigError("not a fingerprint: expected 32 hex digits, in pairs or not", text[:64])
    return bytes.fromhex(text.replace(":", "").replace(" ", ""))
