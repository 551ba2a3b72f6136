"""WINDOW and SACK, the two payloads of a stream packet (specification, streams 1.3, 1.4).

Offsets here are those of the payload's data, behind its 4-octet header. Numbers of segments are 32 bits wide and wrap.
"""

import struct

from homeport_core.compat import const

# Flags of WINDOW, exact values but for RST, which is a bit (streams 1.3).
ACK = const(0x10)
RST = const(0x20)
FIN_ACK = const(0x50)
SYN = const(0x80)
SYN_ACK = const(0x90)

# Options of a SYN block: "window size reduction" (acknowledge what arrived, not what was read), and SACK.
OPTION_WSRF = const(0x0001)
OPTION_SACK = const(0x0002)

# What a packet was to the machine that took it.
NEWS = const(0)  # it advanced something: not a repetition of anything seen before
OLD = const(1)  # well formed, but nothing new
IGNORED = const(2)  # malformed, of an unknown stream or incarnation, or outside of every window

VERSION = const(1)
HEAD_LEN = const(14)  # FIN|ACK and RST
ACK_LEN = const(16)
SYN_LEN = const(28)
RANGE_LEN = const(8)
RANGES_MAX = const(4)
SACK_MAX = const(32)

_HALF = 0x80000000
_MASK = 0xFFFFFFFF


def distance(later: int, earlier: int) -> int:
    """Signed distance from `earlier` to `later` among 32-bit numbers that wrap: -2**31 … 2**31 - 1."""
    d = later - earlier
    if -_HALF <= d < _HALF:
        return d
    return ((d + _HALF) & _MASK) - _HALF


class Window:
    """One decoded WINDOW and what came with it; reused from packet to packet.

    `tag` is the packet's, `ranges` the start, end, start, end … of its SACK, `buf[off:off + n]` its plaintext.
    `size`, the advertised window in segments, is -1 unless the flags are exactly ACK. The members from `options`
    on are valid after a SYN or SYN|ACK and are the sender's view: its largest segments in octets, its windows in
    segments, its retransmission limit and first timeout.
    """

    __slots__ = (
        "ack",
        "buf",
        "flags",
        "initiator",
        "n",
        "off",
        "options",
        "ranges",
        "receive_len",
        "receive_window",
        "responder",
        "retries",
        "seq",
        "size",
        "tag",
        "timeout_ms",
        "transmit_len",
        "transmit_window",
        "version",
    )

    def __init__(self) -> None:
        self.flags = self.version = self.initiator = self.responder = self.seq = self.ack = 0
        self.size = -1
        self.options = self.receive_len = self.receive_window = 0
        self.transmit_len = self.transmit_window = self.retries = self.timeout_ms = 0
        self.ranges: list[int] = []
        self.buf: bytes | bytearray = b""
        self.tag = self.off = self.n = 0

    def read(self, buf: bytes | bytearray, off: int, n: int) -> bool:
        """Take the payload data `buf[off:off + n]`; False when it is too short or its flags mean nothing."""
        if n < HEAD_LEN:
            return False
        flags = buf[off]
        self.flags = flags
        self.version = buf[off + 1]
        self.initiator = buf[off + 2] << 8 | buf[off + 3]
        self.responder = buf[off + 4] << 8 | buf[off + 5]
        self.seq = buf[off + 6] << 24 | buf[off + 7] << 16 | buf[off + 8] << 8 | buf[off + 9]
        self.ack = buf[off + 10] << 24 | buf[off + 11] << 16 | buf[off + 12] << 8 | buf[off + 13]
        self.size = -1
        if flags == ACK:
            if n < ACK_LEN:
                return False
            self.size = buf[off + 14] << 8 | buf[off + 15]
            return True
        if flags & RST or flags == FIN_ACK:
            return True
        if flags not in (SYN, SYN_ACK) or n < SYN_LEN:
            return False
        self.options = buf[off + 14] << 8 | buf[off + 15]
        self.receive_len = buf[off + 16] << 8 | buf[off + 17]
        self.receive_window = buf[off + 18] << 8 | buf[off + 19]
        self.transmit_len = buf[off + 20] << 8 | buf[off + 21]
        self.transmit_window = buf[off + 22] << 8 | buf[off + 23]
        self.retries = buf[off + 24] << 8 | buf[off + 25]
        self.timeout_ms = buf[off + 26] << 8 | buf[off + 27]
        return True


class Outgoing:
    """One packet to be sent: `tag`, the data of its WINDOW and SACK payloads (no SACK when empty), its plaintext."""

    def __init__(self) -> None:
        self.tag = 0
        self._buf = bytearray(SYN_LEN)
        view = memoryview(self._buf)
        self._head, self._ack, self._syn = view[:HEAD_LEN], view[:ACK_LEN], view
        self.window: memoryview = view
        self.sack: bytes | memoryview = b""
        self.data: bytes | bytearray | memoryview = b""

    def put_head(self, flags: int, tag: int, initiator: int, responder: int, seq: int, ack: int) -> None:
        """A packet without data: FIN|ACK or RST."""
        struct.pack_into(">BBHHII", self._buf, 0, flags, VERSION, initiator, responder, seq & _MASK, ack & _MASK)
        self.tag = tag
        self.window = self._head
        self.sack = self.data = b""

    def put_ack(self, tag: int, initiator: int, responder: int, seq: int, ack: int, size: int) -> None:
        """An ACK, which every data packet is too, with its advertised window; the caller adds `sack` and `data`."""
        struct.pack_into(">BBHHIIH", self._buf, 0, ACK, VERSION, initiator, responder, seq & _MASK, ack & _MASK, size)
        self.tag = tag
        self.window = self._ack
        self.sack = self.data = b""

    def put_syn_block(
        self,
        options: int,
        receive_len: int,
        receive_window: int,
        transmit_len: int,
        transmit_window: int,
        retries: int,
        timeout_ms: int,
    ) -> None:
        """Make a SYN or SYN|ACK of what `put_head` wrote."""
        struct.pack_into(
            ">HHHHHHH",
            self._buf,
            HEAD_LEN,
            options,
            receive_len,
            receive_window,
            transmit_len,
            transmit_window,
            retries,
            timeout_ms,
        )
        self.window = self._syn


def read_sack(buf: bytes | bytearray, off: int, n: int, ranges: list[int]) -> bool:
    """Replace `ranges` by the start, end, start, end … of a SACK's data; at most four pairs are read.

    False, and nothing read, when the size is none that a SACK can have.
    """
    ranges.clear()
    if n < RANGE_LEN or n % RANGE_LEN:
        return False
    for at in range(off, off + min(n, SACK_MAX), 4):
        ranges.append(buf[at] << 24 | buf[at + 1] << 16 | buf[at + 2] << 8 | buf[at + 3])
    return True


def write_range(buf: bytearray, at: int, start: int, end: int) -> int:
    """Write one half-open interval at `buf[at]`; returns where the next goes."""
    struct.pack_into(">II", buf, at, start & _MASK, end & _MASK)
    return at + RANGE_LEN
