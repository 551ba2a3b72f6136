"""The text on a device's label, which a camera reads from its QR code (docs/extensions.md, "The label").

    HOMEPORT1:PUMP.EXAMPLE.ORG:00112233445566778899AABBCCDDEEFF

Version, device id, secret. Capitals, for then a QR code needs fewer squares; read in any case.
"""

from __future__ import annotations

import re

from homeport_core.provisioning import check_id

from homeport.errors import ConfigError

TEXT_MAX = 256

_VERSION = "HOMEPORT1"
_SECRET = re.compile(r"[0-9a-f]{32}")
_SEPARATORS = re.compile(r"[\s:.-]")
_GROUP_LEN = 4


def label_text(device_id: str, secret: bytes) -> str:
    """What the QR code of this device says."""
    return f"{_VERSION}:{device_id}:{secret.hex()}".upper()


def grouped(secret: bytes) -> str:
    """The secret as people type it: groups of four digits."""
    digits = secret.hex()
    return "-".join(digits[at : at + _GROUP_LEN] for at in range(0, len(digits), _GROUP_LEN))


def parse_label(text: str) -> tuple[str | None, bytes]:
    """Device id and secret of a label's text; no id for a secret that was typed. Raises ConfigError, which does not
    repeat the secret."""
    text = text.strip().lower()
    if len(text) > TEXT_MAX:
        raise ConfigError(f"a label's text has at most {TEXT_MAX} characters")
    if not text.startswith("homeport"):
        return None, _parse_secret(text)
    version, _, rest = text.partition(":")
    if version != _VERSION.lower():
        raise ConfigError(f"a label of a kind that this program does not know: {version[:20]!r}, expected {_VERSION!r}")
    device_id, _, secret = rest.partition(":")
    try:
        check_id(device_id)
    except ConfigError as error:
        raise ConfigError(f"a label's text is {_VERSION}:ID:SECRET: {error}") from None
    return device_id, _parse_secret(secret)


def _parse_secret(text: str) -> bytes:
    digits = _SEPARATORS.sub("", text)
    if not _SECRET.fullmatch(digits):
        raise ConfigError("a label's secret is 32 hex digits (blanks, '-' and ':' between them do not matter)")
    return bytes.fromhex(digits)
