"""Wrapping millisecond ticks for machines that run on boards.

A board's tick counter wraps at 2**30 and its small integers end there too, so every time in a device machine
is kept modulo 2**29: sums stay below 2**30 and differences cover 3.1 days either way.
"""

from homeport_core.compat import const

PERIOD = const(1 << 29)
_HALF = const(1 << 28)


def add(ticks_ms: int, delta_ms: int) -> int:
    """The tick `delta_ms` after `ticks_ms` (before it when negative)."""
    return (ticks_ms + delta_ms) & (PERIOD - 1)


def diff(later_ms: int, earlier_ms: int) -> int:
    """Signed distance in ms from `earlier_ms` to `later_ms`, in -2**28 … 2**28 - 1."""
    return ((later_ms - earlier_ms + _HALF) & (PERIOD - 1)) - _HALF


def sooner(a: int, b: int) -> int:
    """The earlier of two ticks, either of which may be -1 for never."""
    if a < 0 or b < 0:
        return b if a < 0 else a
    return b if diff(b, a) < 0 else a
