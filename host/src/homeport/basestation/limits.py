"""Token buckets in a table of bounded size.

A bucket is one number, the time at which it will be full again. A bucket that is full carries no information and
is forgotten; when an attacker with many forged addresses fills the table, the bucket longest unused goes first.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable


class Buckets:
    """`burst` tokens per key, refilled at `per_s` tokens a second; at most `capacity` keys."""

    __slots__ = ("_capacity", "_full_at_ms", "_interval_ms", "_slack_ms")

    def __init__(self, burst: int, per_s: float, capacity: int) -> None:
        self._interval_ms = 1000.0 / per_s
        self._slack_ms = (burst - 1) * self._interval_ms
        self._capacity = capacity
        self._full_at_ms: OrderedDict[Hashable, float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._full_at_ms)

    def take(self, key: Hashable, now_ms: int) -> bool:
        """Take one token; False when there is none, and then nothing is taken."""
        table = self._full_at_ms
        full_at = max(table.get(key, 0.0), now_ms)
        allowed = full_at - now_ms <= self._slack_ms
        if allowed:
            table[key] = full_at + self._interval_ms
            table.move_to_end(key)
            self._forget(now_ms)
        return allowed

    def _forget(self, now_ms: int) -> None:
        """Look at the two buckets longest unused: one more than came in, so the table shrinks by itself."""
        table = self._full_at_ms
        for _ in range(2):
            key = next(iter(table))
            if table[key] > now_ms and len(table) <= self._capacity:
                return
            del table[key]
            if not table:
                return
