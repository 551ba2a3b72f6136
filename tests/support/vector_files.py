"""Test vectors and captures, found from wherever a test runs, on both interpreters."""

import json

_HERE = __file__.rsplit("/", 1)[0] if "/" in __file__ else "."
_VECTORS = _HERE + "/../vectors/"


def load(name: str) -> dict:
    """A file of tests/vectors, such as "vectors-acl.json" or "captures/local_psk.json"."""
    with open(_VECTORS + name) as file:
        return json.load(file)


def unhex(text: str) -> bytes:
    """Octets from hex digits."""
    return bytes.fromhex(text)
