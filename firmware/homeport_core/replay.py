"""A memory of the MACs seen lately (specification, core 14 row 1)."""

from homeport_core.compat import const

_KEPT_LEN = const(4)  # a MAC is random: among some hundred, four of its octets tell one packet


class MacCache:
    """The last `size` MACs of one direction, oldest forgotten first. Fixed memory: 4 octets each."""

    __slots__ = ("_next", "_ring", "_size", "_used_len")

    def __init__(self, size: int) -> None:
        self._ring = bytearray(size * _KEPT_LEN)
        self._size = size
        self._next = self._used_len = 0

    def seen(self, mac: bytes) -> bool:
        """Whether this MAC was added and is not forgotten yet."""
        kept = mac[:_KEPT_LEN]
        at = self._ring.find(kept, 0, self._used_len)
        while at >= 0:
            if at % _KEPT_LEN == 0:
                return True
            at = self._ring.find(kept, at + 1, self._used_len)
        return False

    def add(self, mac: bytes) -> None:
        """Remember this MAC in the place of the oldest."""
        off = self._next * _KEPT_LEN
        self._ring[off : off + _KEPT_LEN] = mac[:_KEPT_LEN]
        self._next = (self._next + 1) % self._size
        self._used_len = max(self._used_len, off + _KEPT_LEN)

    def clear(self) -> None:
        """Forget all."""
        self._next = self._used_len = 0
