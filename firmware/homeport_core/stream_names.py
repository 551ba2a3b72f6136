"""Which tag and id a new stream gets (specification, streams 2.1)."""

from homeport_core import ticks
from homeport_core.compat import MICROPYTHON, const
from homeport_core.spec import TAG_STREAM_FIRST

if not MICROPYTHON:
    from collections.abc import Container

_TAGS = const(0x1000)
_REST_MS = const(60000)  # the reference may still hold a stream that is over
_ID_MAX = const(0xFFFF)


class Names:
    """Tags in turn from a random one, none within a minute of its last use; ids likewise, never 0."""

    __slots__ = ("_next_id", "_next_tag", "_rested")

    def __init__(self, seed: bytes) -> None:
        """`seed` is four random octets."""
        self._next_tag = (seed[0] << 8 | seed[1]) % _TAGS
        self._next_id = seed[2] << 8 | seed[3]
        self._rested: dict[int, int] = {}  # tag: when it may be used again

    def new_id(self) -> int:
        """The next id."""
        self._next_id = self._next_id % _ID_MAX + 1
        return self._next_id

    def new_tag(self, now_ms: int, used: "Container[int]") -> int:
        """The next tag that is not in `used` and has rested; when none has, the next that is not in use."""
        fallback = -1
        for i in range(_TAGS):
            tag = TAG_STREAM_FIRST + (self._next_tag + i) % _TAGS
            if tag in used:
                continue
            free_at_ms = self._rested.get(tag, -1)
            if free_at_ms < 0 or ticks.diff(now_ms, free_at_ms) >= 0:
                fallback = tag
                break
            if fallback < 0:
                fallback = tag
        self._next_tag = fallback - TAG_STREAM_FIRST + 1
        return fallback

    def rest(self, now_ms: int, tag: int) -> None:
        """The stream with this tag is over."""
        self._rested[tag] = ticks.add(now_ms, _REST_MS)
