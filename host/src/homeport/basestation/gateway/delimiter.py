"""Packets out of a stream of octets: they stand back to back, each with its Length (specification, core 1.1)."""

from __future__ import annotations

from homeport_core.errors import MalformedError
from homeport_core.spec import HEADER_LEN, PACKET_MAX

_LENGTH_OFF = 14
LENGTH_MAX = PACKET_MAX * 3 // 2
"""The largest packet taken: the largest of streams over TCP has 1,512 octets (streams 3.11)."""


class Delimiter:
    """Add what arrives, then take `next` until it has none. Then it holds less than one packet."""

    __slots__ = ("_data", "_off")

    def __init__(self) -> None:
        self._data = b""
        self._off = 0

    def add(self, data: bytes) -> None:
        """Octets have arrived."""
        self._data = self._data[self._off :] + data
        self._off = 0

    def next(self) -> bytes | None:
        """The next packet, None when it is not complete yet. Raises MalformedError when no packet has such a Length."""
        data, off = self._data, self._off
        size = HEADER_LEN
        if len(data) - off >= HEADER_LEN:
            size = data[off + _LENGTH_OFF] << 8 | data[off + _LENGTH_OFF + 1]
            if not HEADER_LEN <= size <= LENGTH_MAX:
                raise MalformedError(f"Length is not in {HEADER_LEN} … {LENGTH_MAX}", size)
        if len(data) - off < size:
            self._data, self._off = data[off:], 0  # a connection that waits holds no more than it needs
            return None
        self._off += size
        return data[off : self._off]

    def rest(self) -> bytes:
        """Take everything that is left, packet or not."""
        rest = self._data[self._off :]
        self._data, self._off = b"", 0
        return rest
