"""SHA-256 and AES-128-CBC from MicroPython's own modules.

A hash cannot be copied or continued after `digest()`, so HMAC keeps the two padded keys, not hash states.
A cipher object knows one direction and cannot be reset, so one is made for each packet.
"""

import hashlib

import cryptolib

from homeport_core.compat import const

_MODE_CBC = const(2)
_BLOCK_LEN = const(64)


class Mac:
    """HMAC-SHA-256 with one key (any length)."""

    __slots__ = ("_inner", "_outer")

    def __init__(self, key: bytes) -> None:
        if len(key) > _BLOCK_LEN:
            key = hashlib.sha256(key).digest()
        key = key + bytes(_BLOCK_LEN - len(key))
        self._inner = bytes(octet ^ 0x36 for octet in key)
        self._outer = bytes(octet ^ 0x5C for octet in key)

    def digest(self, message: bytes | bytearray | memoryview) -> bytes:
        """The 32 octets of HMAC-SHA-256(key, message)."""
        inner = hashlib.sha256(self._inner)
        inner.update(message)
        outer = hashlib.sha256(self._outer)
        outer.update(inner.digest())
        return outer.digest()


def encrypt_in_place(key: bytes, iv: bytes, data: memoryview) -> None:
    """AES-128-CBC over whole blocks."""
    cryptolib.aes(key, _MODE_CBC, iv).encrypt(data, data)


def decrypt_in_place(key: bytes, iv: bytes, data: memoryview) -> None:
    """AES-128-CBC over whole blocks."""
    cryptolib.aes(key, _MODE_CBC, iv).decrypt(data, data)


def ct_equal(a: bytes | bytearray | memoryview, b: bytes | bytearray | memoryview) -> bool:
    """Whether two octet strings are equal, in time that depends on their length only."""
    if len(a) != len(b):
        return False
    difference = 0
    for i in range(len(a)):
        difference |= a[i] ^ b[i]
    return difference == 0


def octet_sum(buf: bytes | bytearray, end: int) -> int:
    """Sum of the octets before `end`, modulo 2**16."""
    total = 0
    for i in range(end):
        total += buf[i]
    return total & 0xFFFF
