"""Packets: header and payload chain, read and written (specification, core 1.2, 1.3 and 1.6).

`Packet` looks at bytes that somebody else owns and copies only small fields; `PacketWriter` fills a buffer that
its owner keeps for life. Both are reused from datagram to datagram, so a device allocates next to nothing.
"""

from homeport_core.compat import const
from homeport_core.errors import FullError, MalformedError
from homeport_core.spec import FL_NSI_CO, FL_TAG, NSI_ZERO, PACKET_MAX, PL_CRYPTO, PL_WINDOW

_HEADER_LEN = const(16)
_TLV_LEN = const(4)
_CRYPTO_CODE_LEN = const(2)
_NSI_LEN = const(4)
_NSI_CO_LEN = const(8)
# The reference's RST for an unknown stream claims four octets too many for its WINDOW, so that CRYPTO's header
# stands inside it; its MAC is right (field notes, "Streams").
_RST_WINDOW_LEN = const(22)
_RST_OVERLAP = const(4)


class Packet:
    """One decoded datagram. All fields are valid only after `decode_from` returned.

    `cp`, `sp` are 4 bytes, `co` 8 bytes or empty, `tag` an int or None when absent. `first` is the type of the
    first payload, 0 when there is none; `crypto_off` the offset of the CRYPTO data (its suite code), -1 without.
    `overlap` is how far the reference's broken RST lets CRYPTO reach back into WINDOW, else 0.
    """

    __slots__ = (
        "body",
        "buf",
        "co",
        "cp",
        "crypto_off",
        "first",
        "flags",
        "found_len",
        "n",
        "overlap",
        "retrans",
        "seq",
        "sp",
        "tag",
        "type",
        "version",
    )

    def __init__(self) -> None:
        self.buf: bytes | bytearray = b""
        self.n = self.body = self.type = self.version = self.retrans = self.flags = self.seq = self.first = 0
        self.found_len = self.overlap = 0
        self.crypto_off = -1
        self.cp = self.sp = NSI_ZERO
        self.co = b""
        self.tag: int | None = None

    def decode_from(self, buf: bytes | bytearray, n: int = -1) -> None:
        """Check `buf[:n]` whole and take the header's fields. Raises MalformedError(detail = offset)."""
        if n < 0:
            n = len(buf)
        if n < _HEADER_LEN:
            raise MalformedError("packet shorter than a header", n)
        if buf[14] << 8 | buf[15] != n:
            raise MalformedError("length field differs from the datagram", 14)
        flags = buf[11]
        off = _HEADER_LEN
        self.co = b""
        if flags & FL_NSI_CO:
            if off + _NSI_CO_LEN > n:
                raise MalformedError("NSI.co cut off", off)
            self.co = bytes(buf[off : off + _NSI_CO_LEN])
            off += _NSI_CO_LEN
        self.tag = None
        if flags & FL_TAG:
            if off + 2 > n:
                raise MalformedError("tag cut off", off)
            self.tag = buf[off] << 8 | buf[off + 1]
            off += 2
        self.crypto_off, self.overlap = _check_chain(buf, off, n)
        self.buf = buf
        self.n = n
        self.body = off
        self.cp = bytes(buf[0:4])
        self.sp = bytes(buf[4:8])
        self.type = buf[8]
        self.version = buf[9]
        self.retrans = buf[10]
        self.flags = flags
        self.seq = buf[12] << 8 | buf[13]
        self.first = buf[off] if off < n else 0

    def find(self, payload_type: int) -> int:
        """Offset of the data of the first payload of that type, its size in `found_len`; -1 when absent."""
        buf = self.buf
        off = self.body
        while off < self.n:
            size = buf[off + 2] << 8 | buf[off + 3]
            if buf[off] == payload_type:
                self.found_len = size - _TLV_LEN
                return off + _TLV_LEN
            off = self._after(off + size)
        return -1

    def get(self, payload_type: int) -> bytes | None:
        """A copy of the data of the first payload of that type, or None."""
        off = self.find(payload_type)
        if off < 0:
            return None
        return bytes(self.buf[off : off + self.found_len])

    def payloads(self) -> list[tuple[int, int, bytes]]:
        """All payloads in order, as (type, flags, data)."""
        buf = self.buf
        off = self.body
        found = []
        while off < self.n:
            size = buf[off + 2] << 8 | buf[off + 3]
            found.append((buf[off], buf[off + 1], bytes(buf[off + _TLV_LEN : off + size])))
            off = self._after(off + size)
        return found

    def _after(self, end: int) -> int:
        """Where the payload that claims to end at `end` is followed by the next."""
        return end - self.overlap if end == self.crypto_off else end

    def mac(self) -> bytes:
        """The last 16 octets: the MAC of a sealed packet, by which replays are recognised."""
        return bytes(self.buf[self.n - 16 : self.n])


def _check_chain(buf: bytes | bytearray, off: int, n: int) -> tuple[int, int]:
    """Walk the payload chain (core 1.6, 14 rows 5 and 20); returns (offset of the CRYPTO data or -1, overlap)."""
    crypto_off = -1
    overlap = 0
    while off < n:
        if crypto_off >= 0:
            raise MalformedError("payload after CRYPTO", off)
        if off + _TLV_LEN > n:
            raise MalformedError("payload header cut off", off)
        size = buf[off + 2] << 8 | buf[off + 3]
        if size < _TLV_LEN or off + size > n:
            raise MalformedError("payload length does not fit", off + 2)
        if buf[off] == PL_CRYPTO:
            if size < _TLV_LEN + _CRYPTO_CODE_LEN:
                raise MalformedError("CRYPTO without a suite code", off + 2)
            crypto_off = off + _TLV_LEN
        elif size == _RST_WINDOW_LEN and not overlap and _is_broken_rst(buf, off, n):
            overlap = _RST_OVERLAP
            size -= _RST_OVERLAP
        off += size
    return crypto_off, overlap


def _is_broken_rst(buf: bytes | bytearray, off: int, n: int) -> bool:
    """Whether the payload of that size at `off` is a WINDOW with the header of CRYPTO, the last payload, inside."""
    crypto = off + _RST_WINDOW_LEN - _RST_OVERLAP
    is_last = crypto + (buf[crypto + 2] << 8 | buf[crypto + 3]) == n
    return buf[off] == PL_WINDOW and buf[crypto] == PL_CRYPTO and is_last


class Context:
    """What seals and opens CRYPTO payloads: one suite with its keys (specification, core 3.1)."""

    __slots__ = ()
    suite = 0

    def sealed_len(self, plaintext_len: int) -> int:
        """Size of the CRYPTO data (suite code included) that carries so much plaintext."""
        raise NotImplementedError

    def plaintext_max(self, space: int) -> int:
        """The most plaintext that fits `space` octets behind the suite code (core 3.8)."""
        raise NotImplementedError

    def seal_into(self, buf: bytearray, off: int, plaintext: bytes | bytearray | memoryview, n: int, iv: bytes) -> None:
        """Fill the CRYPTO data at `off`, the end of the packet `buf[:n]`, whose other octets are final."""
        raise NotImplementedError

    def verify(self, packet: Packet) -> None:
        """Check suite and MAC (or sum) of the packet. Raises AuthError."""
        raise NotImplementedError

    def decrypt_in_place(self, packet: Packet) -> tuple[int, int]:
        """Decrypt a verified packet in its (mutable) buffer; returns (offset, size) of the plaintext."""
        raise NotImplementedError

    def open_in_place(self, packet: Packet) -> tuple[int, int]:
        """`verify`, then `decrypt_in_place`."""
        self.verify(packet)
        return self.decrypt_in_place(packet)

    def open(self, packet: Packet) -> bytes:
        """`open_in_place` with a copy of the plaintext; the packet's buffer must be a bytearray."""
        off, n = self.open_in_place(packet)
        return bytes(packet.buf[off : off + n])


class PacketWriter:
    """Writes one packet after another into `buf`, which bounds their size. Raises FullError past its end."""

    __slots__ = ("buf", "n")

    def __init__(self, buf: bytearray) -> None:
        self.buf = buf
        self.n = 0

    def begin(
        self,
        packet_type: int,
        sp: bytes = NSI_ZERO,
        seq: int = 0,
        flags: int = 0,
        cp: bytes = NSI_ZERO,
        tag: int | None = None,
        co: bytes = b"",
        version: int = 2,
        retrans: int = 0,
    ) -> None:
        """Write a header. The flags TAG and NSI_CO follow from `tag` and `co`; Length comes at the end."""
        buf = self.buf
        flags &= ~(FL_TAG | FL_NSI_CO)
        n = _HEADER_LEN
        if co:
            flags |= FL_NSI_CO
            buf[n : n + _NSI_CO_LEN] = co
            n += _NSI_CO_LEN
        if tag is not None:
            flags |= FL_TAG
            buf[n] = tag >> 8
            buf[n + 1] = tag & 0xFF
            n += 2
        buf[0:4] = cp
        buf[4:8] = sp
        buf[8] = packet_type
        buf[9] = version
        buf[10] = retrans
        buf[11] = flags
        buf[12] = seq >> 8
        buf[13] = seq & 0xFF
        self.n = n

    def reply_to(self, packet: Packet, flags: int, version: int = -1) -> None:
        """Begin the answer to `packet`: its header with `flags` added, NSI.co and tag included."""
        self.begin(
            packet.type,
            packet.sp,
            packet.seq,
            packet.flags | flags,
            packet.cp,
            packet.tag,
            packet.co,
            packet.version if version < 0 else version,
            packet.retrans,
        )

    def add(self, payload_type: int, data: bytes | bytearray | memoryview, flags: int = 0) -> None:
        """Append one payload."""
        size = len(data)
        off = self.reserve(payload_type, size, flags)
        self.buf[off : off + size] = data

    def reserve(self, payload_type: int, size: int, flags: int = 0) -> int:
        """Append a payload header for `size` octets that the caller fills in; returns their offset."""
        buf = self.buf
        n = self.n
        end = n + _TLV_LEN + size
        if end > len(buf):
            raise FullError("packet buffer too small", end)
        buf[n] = payload_type
        buf[n + 1] = flags
        buf[n + 2] = (size + _TLV_LEN) >> 8
        buf[n + 3] = (size + _TLV_LEN) & 0xFF
        self.n = end
        return n + _TLV_LEN

    def set_length(self) -> None:
        """Write the header's Length for what is there now."""
        self.buf[14] = self.n >> 8
        self.buf[15] = self.n & 0xFF

    def finish(self) -> int:
        """Complete a packet without CRYPTO; returns its size."""
        self.set_length()
        return self.n

    def space(self, context: Context) -> int:
        """The most plaintext that still fits under `context`."""
        return context.plaintext_max(len(self.buf) - self.n - _TLV_LEN - _CRYPTO_CODE_LEN)

    def seal(self, context: Context, plaintext: bytes | bytearray | memoryview, iv: bytes = b"", flags: int = 0) -> int:
        """Append CRYPTO under `context`, complete the packet and return its size (core 3.5, 3.7).

        `iv` is 16 unpredictable octets for the AES suite, unused by the null suite.
        """
        size = context.sealed_len(len(plaintext))
        off = self.reserve(PL_CRYPTO, size, flags)
        self.set_length()
        context.seal_into(self.buf, off, plaintext, self.n, iv)
        return self.n

    def bytes(self) -> bytes:
        """A copy of the packet."""
        return bytes(self.buf[: self.n])


def encode(
    packet_type: int,
    payloads: list[tuple[int, bytes]] | tuple[tuple[int, bytes], ...] = (),
    sp: bytes = NSI_ZERO,
    seq: int = 0,
    flags: int = 0,
    cp: bytes = NSI_ZERO,
    tag: int | None = None,
    context: Context | None = None,
    plaintext: bytes = b"",
    iv: bytes = b"",
    crypto_flags: int = 0,
    co: bytes = b"",
) -> bytes:
    """Build a whole packet in a buffer of its own: for hosts and tests, where allocation is cheap."""
    writer = PacketWriter(bytearray(PACKET_MAX))
    writer.begin(packet_type, sp, seq, flags, cp, tag, co)
    for payload_type, data in payloads:
        writer.add(payload_type, data)
    if context is None:
        writer.finish()
    else:
        writer.seal(context, plaintext, iv, crypto_flags)
    return writer.bytes()
