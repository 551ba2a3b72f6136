"""Key derivation and the two suites (specification, core 3).

The AES suite encrypts, then authenticates the whole packet from its first octet. The null suite has only a sum
against transmission errors: it is no security, and is used on clear local connections alone.
"""

from homeport_core.compat import MICROPYTHON, const
from homeport_core.errors import AuthError
from homeport_core.packet import Context, Packet
from homeport_core.spec import SUITE_AES, SUITE_NULL

if MICROPYTHON:
    from homeport_core.backend_micropython import Mac, ct_equal, decrypt_in_place, encrypt_in_place, octet_sum
else:
    from homeport_core.backend_cpython import Mac, ct_equal, decrypt_in_place, encrypt_in_place, octet_sum

__all__ = [
    "AesContext",
    "Mac",
    "NullContext",
    "ct_equal",
    "decrypt_in_place",
    "encrypt_in_place",
    "key_material",
    "prf",
    "prf_plus",
]

_CODE_LEN = const(2)
_IV_LEN = const(16)
_MAC_LEN = const(16)
_BLOCK_LEN = const(16)
_SUM_LEN = const(2)
_KEY_MATERIAL_LEN = const(96)


def prf(key: bytes, message: bytes) -> bytes:
    """HMAC-SHA-256: 32 octets (core 3.2)."""
    return Mac(key).digest(message)


def prf_plus(key: bytes, seed: bytes, n: int) -> bytes:
    """`n` octets (at most 255 * 32) of the IKEv2 expansion (core 3.2)."""
    mac = Mac(key)
    block = b""
    out = b""
    count = 1
    while len(out) < n:
        block = mac.digest(block + seed + bytes((count,)))
        out += block
        count += 1
    return out[:n]


def key_material(nonces: bytes, seeds: bytes) -> bytes:
    """The 96 octets of a context; the nonces are the HMAC key, the seeds its message (core 3.2)."""
    return prf_plus(prf(nonces, seeds), nonces, _KEY_MATERIAL_LEN)


class AesContext(Context):
    """AES-128-CBC with HMAC-SHA-256 cut to 16 octets, from 96 octets of key material (core 3.3, 3.5, 3.6)."""

    __slots__ = ("_open_key", "_open_mac", "_seal_key", "_seal_mac")
    suite = SUITE_AES

    def __init__(self, material: bytes, initiator: bool) -> None:
        if len(material) != _KEY_MATERIAL_LEN:
            raise AuthError("key material is not 96 octets", len(material))
        own, peer = (0, 1) if initiator else (1, 0)
        self._seal_key = material[own * 16 : own * 16 + 16]
        self._open_key = material[peer * 16 : peer * 16 + 16]
        self._seal_mac = Mac(material[32 + own * 32 : 64 + own * 32])
        self._open_mac = Mac(material[32 + peer * 32 : 64 + peer * 32])

    def sealed_len(self, plaintext_len: int) -> int:
        return _CODE_LEN + _IV_LEN + (plaintext_len // _BLOCK_LEN + 1) * _BLOCK_LEN + _MAC_LEN

    def plaintext_max(self, space: int) -> int:
        return (space - _IV_LEN - _MAC_LEN) // _BLOCK_LEN * _BLOCK_LEN - 1

    def seal_into(self, buf: bytearray, off: int, plaintext: bytes | bytearray | memoryview, n: int, iv: bytes) -> None:
        buf[off] = SUITE_AES >> 8
        buf[off + 1] = SUITE_AES & 0xFF
        start = off + _CODE_LEN
        buf[start : start + _IV_LEN] = iv
        start += _IV_LEN
        end = n - _MAC_LEN
        size = len(plaintext)
        buf[start : start + size] = plaintext
        pad = end - start - size
        for i in range(end - pad, end):
            buf[i] = pad
        view = memoryview(buf)
        encrypt_in_place(self._seal_key, iv, view[start:end])
        buf[end:n] = self._seal_mac.digest(view[:end])[:_MAC_LEN]

    def verify(self, packet: Packet) -> None:
        end = packet.n - _MAC_LEN
        if not self._has_form(packet, end):
            raise AuthError("not sealed with the AES suite")
        view = memoryview(packet.buf)
        if not ct_equal(self._open_mac.digest(view[:end])[:_MAC_LEN], view[end : packet.n]):
            raise AuthError("MAC")

    def _has_form(self, packet: Packet, end: int) -> bool:
        """Whether it has the suite's code, and whole blocks up to `end`."""
        off = packet.crypto_off
        if off < 0 or packet.buf[off] << 8 | packet.buf[off + 1] != SUITE_AES:
            return False
        body_len = end - off - _CODE_LEN
        return body_len >= _IV_LEN + _BLOCK_LEN and body_len % _BLOCK_LEN == 0

    def decrypt_in_place(self, packet: Packet) -> tuple[int, int]:
        buf = packet.buf
        iv_off = packet.crypto_off + _CODE_LEN
        start = iv_off + _IV_LEN
        end = packet.n - _MAC_LEN
        decrypt_in_place(self._open_key, bytes(buf[iv_off:start]), memoryview(buf)[start:end])
        pad = buf[end - 1]
        if not 1 <= pad <= _BLOCK_LEN:
            raise AuthError("padding")
        for i in range(end - pad, end):
            if buf[i] != pad:
                raise AuthError("padding")
        return start, end - pad - start


class NullContext(Context):
    """Clear data with a 16-bit sum and one or two pad octets (core 3.7)."""

    __slots__ = ()
    suite = SUITE_NULL

    def sealed_len(self, plaintext_len: int) -> int:
        return _CODE_LEN + (plaintext_len // 2 + 1) * 2 + _SUM_LEN

    def plaintext_max(self, space: int) -> int:
        return (space - _SUM_LEN) // 2 * 2 - 1

    def seal_into(self, buf: bytearray, off: int, plaintext: bytes | bytearray | memoryview, n: int, iv: bytes) -> None:
        buf[off] = SUITE_NULL >> 8
        buf[off + 1] = SUITE_NULL & 0xFF
        start = off + _CODE_LEN
        end = n - _SUM_LEN
        size = len(plaintext)
        buf[start : start + size] = plaintext
        pad = end - start - size
        for i in range(end - pad, end):
            buf[i] = pad
        total = octet_sum(buf, end)
        buf[end] = total >> 8
        buf[end + 1] = total & 0xFF

    def verify(self, packet: Packet) -> None:
        off = packet.crypto_off
        buf = packet.buf
        end = packet.n - _SUM_LEN
        if off < 0 or buf[off] << 8 | buf[off + 1] != SUITE_NULL or end - off - _CODE_LEN < 1:
            raise AuthError("not under the null suite")
        if buf[end] << 8 | buf[end + 1] != octet_sum(buf, end):
            raise AuthError("sum")

    def decrypt_in_place(self, packet: Packet) -> tuple[int, int]:
        start = packet.crypto_off + _CODE_LEN
        end = packet.n - _SUM_LEN
        # Clients in the field pad with one octet of value 2 behind a sacrificial octet, so only the
        # last octet counts.
        pad = packet.buf[end - 1]
        if pad > end - start:
            raise AuthError("padding")
        return start, end - pad - start
