"""A timing wheel: many deadlines, one timer.

Items due in the same tick share a bucket, so that adding one costs a list append, and an item costs eight octets
while it waits. Nothing is ever removed early: an owner that has lost interest ignores the item when it comes.
"""

from __future__ import annotations

from heapq import heappop, heappush
from typing import Generic, TypeVar

TICK_MS = 100

T = TypeVar("T")


class Wheel(Generic[T]):
    """Items by the time at which they are due, in ticks of TICK_MS (rounded up, never early)."""

    __slots__ = ("_buckets", "_ticks")

    def __init__(self) -> None:
        self._buckets: dict[int, list[T]] = {}
        self._ticks: list[int] = []

    @property
    def deadline_ms(self) -> int | None:
        """When the next item is due, or None."""
        return self._ticks[0] * TICK_MS if self._ticks else None

    def add(self, at_ms: int, item: T) -> None:
        """Have `item` come out of `due` at `at_ms` or within one tick after it."""
        tick = -(-at_ms // TICK_MS)
        bucket = self._buckets.get(tick)
        if bucket is None:
            self._buckets[tick] = [item]
            heappush(self._ticks, tick)
        else:
            bucket.append(item)

    def due(self, now_ms: int) -> list[T]:
        """Take out all items whose tick has come, earliest first."""
        items: list[T] = []
        while self._ticks and self._ticks[0] * TICK_MS <= now_ms:
            items += self._buckets.pop(heappop(self._ticks))
        return items
