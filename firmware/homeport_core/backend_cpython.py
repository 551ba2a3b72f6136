"""SHA-256 and AES-128-CBC from the standard library and `cryptography`."""

import hmac
import zlib

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC


class Mac:
    """HMAC-SHA-256 with one key (any length)."""

    __slots__ = ("_key",)

    def __init__(self, key: bytes) -> None:
        self._key = key

    def digest(self, message: bytes | bytearray | memoryview) -> bytes:
        """The 32 octets of HMAC-SHA-256(key, message)."""
        return hmac.digest(self._key, message, "sha256")


def encrypt_in_place(key: bytes, iv: bytes, data: memoryview) -> None:
    """AES-128-CBC over whole blocks."""
    data[:] = Cipher(AES(key), CBC(iv)).encryptor().update(data)


def decrypt_in_place(key: bytes, iv: bytes, data: memoryview) -> None:
    """AES-128-CBC over whole blocks."""
    data[:] = Cipher(AES(key), CBC(iv)).decryptor().update(data)


def ct_equal(a: bytes | bytearray | memoryview, b: bytes | bytearray | memoryview) -> bool:
    """Whether two octet strings are equal, in time that depends on their length only."""
    return hmac.compare_digest(a, b)


_ADLER_LEN = 256  # of so few octets the first half of an Adler-32 is their plain sum, and 1


def octet_sum(buf: bytes | bytearray, end: int) -> int:
    """Sum of the octets before `end`, modulo 2**16."""
    view = memoryview(buf)[:end]
    total = 0
    for at in range(0, end, _ADLER_LEN):
        total += (zlib.adler32(view[at : at + _ADLER_LEN]) & 0xFFFF) - 1
    return total & 0xFFFF
