"""Stream packets as values: a codec of WINDOW and SACK of its own, written from the specification alone (streams 1).

Tests read and write packets with it instead of the codec under test.
"""

import os
import struct
from typing import NamedTuple

from homeport_core.packet import Packet, PacketWriter
from homeport_core.spec import PL_CRYPTO, PT_DATA

ACK, RST, FIN, SYN = 0x10, 0x20, 0x40, 0x80
FIN_ACK, SYN_ACK = FIN | ACK, SYN | ACK
WSRF, SACK = 1, 2
BOTH = WSRF | SACK
PL_WINDOW_TYPE, PL_SACK_TYPE = 0x3D, 0x41
SACK_MAX = 4
SERIAL = 1 << 32
SP = 0x11223344
TAG = 0x1000

_FIXED = struct.Struct(">BBHHII")
_BLOCK = struct.Struct(">7H")
_HEADER = struct.Struct(">IIBBBBHHH")
_TLV = struct.Struct(">BBH")
_WINDOW_LENGTHS = {SYN: 32, SYN_ACK: 32, ACK: 20}
_SHORT = 18
_MALFORMED = 22
_ROOM = 2000


class Block(NamedTuple):
    """The SYN block, from the sender's point of view (streams 1.3)."""

    options: int = BOTH
    rx_seg: int = 1247
    rx_win: int = 4
    tx_seg: int = 1247
    tx_win: int = 4
    max_retrans: int = 12
    timeout_ms: int = 1000

    def swapped(self):
        """The same from the other end."""
        return Block(
            self.options, self.tx_seg, self.tx_win, self.rx_seg, self.rx_win, self.max_retrans, self.timeout_ms
        )


class Frame(NamedTuple):
    """One stream packet. `window` only with exactly ACK, `block` only with SYN; `malformed`: the reference's RST."""

    tag: int
    flags: int
    initiator: int
    responder: int
    seq: int
    ack: int
    window: int | None = None
    block: Block | None = None
    sack: tuple = ()
    data: bytes = b""
    malformed: bool = False


def window_payload(frame, version=1):
    """The data of the WINDOW payload."""
    data = _FIXED.pack(frame.flags, version, frame.initiator, frame.responder, frame.seq, frame.ack)
    if frame.flags == ACK:
        data += frame.window.to_bytes(2, "big")
    elif frame.flags & SYN and not frame.flags & RST:
        data += _BLOCK.pack(*frame.block)
    return data


def sack_payload(runs):
    """The data of the SACK payload."""
    return b"".join(struct.pack(">II", *run) for run in runs)


class Wire:
    """Frames to datagrams and back, under a context of the packet layer; without one, the plaintext lies open in
    CRYPTO (for simulations of a whole transfer, where sealing would only take time)."""

    def __init__(self, context=None, sp=SP, cp=0, iv=bytes(range(16))):
        self.context = context
        self.sp = sp
        self.cp = cp
        self.iv = iv

    def encode(self, frame):
        """The datagram."""
        if self.context is None:
            return self._open(frame)
        writer = PacketWriter(bytearray(_ROOM))
        writer.begin(PT_DATA, self.sp.to_bytes(4, "big"), cp=self.cp.to_bytes(4, "big"), tag=frame.tag)
        off = writer.reserve(PL_WINDOW_TYPE, len(window := window_payload(frame)))
        writer.buf[off : off + len(window)] = window
        if frame.malformed:
            writer.buf[off - 1] = _MALFORMED
        if frame.sack:
            writer.add(PL_SACK_TYPE, sack_payload(frame.sack))
        writer.seal(self.context, frame.data, self.iv)
        return writer.bytes()

    def _open(self, frame):
        window = window_payload(frame)
        parts = [b"", _TLV.pack(PL_WINDOW_TYPE, 0, _MALFORMED if frame.malformed else 4 + len(window)), window]
        if frame.sack:
            runs = sack_payload(frame.sack)
            parts += [_TLV.pack(PL_SACK_TYPE, 0, 4 + len(runs)), runs]
        parts += [_TLV.pack(PL_CRYPTO, 0, 6 + len(frame.data)), b"\0\0", frame.data]
        body = b"".join(parts)
        header = _HEADER.pack(self.cp, self.sp, PT_DATA, 2, 0, 0x40, 0, 18 + len(body), frame.tag)
        return header + body

    def decode(self, datagram):
        """The frame of a datagram that is well formed; raises ValueError or ProtocolError for any other."""
        if self.context is None:
            return self._decode(memoryview(datagram), None)
        packet = Packet()
        buf = bytearray(datagram)
        packet.decode_from(buf)
        off, n = self.context.open_in_place(packet)
        return self._decode(memoryview(datagram), bytes(buf[off : off + n]))

    def _decode(self, octets, plaintext):
        tag = octets[16] << 8 | octets[17]
        off, window, runs, malformed = 18, None, (), False
        while off < len(octets):
            kind, _, size = _TLV.unpack_from(octets, off)
            if kind == PL_WINDOW_TYPE and window is None:
                malformed = size == _MALFORMED and octets[off + _SHORT] == PL_CRYPTO and bool(octets[off + 4] & RST)
                size = _SHORT if malformed else size
                window = octets[off : off + size]
            elif kind == PL_SACK_TYPE:
                runs = tuple(struct.iter_unpack(">II", octets[off + 4 : off + size]))[:SACK_MAX]
            elif kind == PL_CRYPTO:
                if plaintext is None:
                    plaintext = bytes(octets[off + 6 : off + size])
                break
            off += size
        return frame_of(tag, window, runs, plaintext, malformed)


def frame_of(tag, window, runs, plaintext, malformed):
    """The frame whose WINDOW payload, header included, is `window`. Raises ValueError."""
    if window is None or plaintext is None:
        raise ValueError("no WINDOW or no CRYPTO")
    if len(window) < _SHORT:
        raise ValueError("WINDOW too short")
    flags, _, initiator, responder, seq, ack = _FIXED.unpack_from(window, 4)
    if len(window) < (_SHORT if flags & RST else _WINDOW_LENGTHS.get(flags, _SHORT)):
        raise ValueError("WINDOW too short for its flags")
    size = window[18] << 8 | window[19] if flags == ACK else None
    block = Block(*_BLOCK.unpack_from(window, 18)) if flags in (SYN, SYN_ACK) else None
    return Frame(tag, flags, initiator, responder, seq, ack, size, block, runs, plaintext, malformed)


class FreshWire(Wire):
    """With another IV for each packet, as on real networks: equal packets are replays."""

    def encode(self, frame):
        """The datagram."""
        self.iv = os.urandom(len(self.iv))
        return super().encode(frame)
