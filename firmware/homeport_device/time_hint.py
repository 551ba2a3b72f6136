"""What time it is, by hearsay: the basestation's TIME in its signs of life (specification, core 2.13, 4.7).

Nobody vouches for it, so it is a hint: good for a clock on a display or in a list of events, never for anything that
grants or refuses (core 14 row 7). What cannot be true is not taken.
"""

from homeport_core.compat import const
from homeport_core.payloads import u32

_TIME_LEN = const(5)
_SECONDS_OFF = const(1)
# 2026 to 2099: a device is not older than its firmware.
EARLIEST_S = 1767225600
LATEST_S = 4102444799


class TimeHint:
    """Goes on from what it heard last. Times of the device are seconds since its start."""

    def __init__(self) -> None:
        self._started_s = None  # the device's start, as Unix time

    def take(self, uptime_s: int, payload: bytes | None) -> bool:
        """Hear a TIME payload, None where a sign of life had none; whether it was believed."""
        if payload is None or len(payload) < _TIME_LEN:
            return False
        unix_s = u32(payload, _SECONDS_OFF)
        if not EARLIEST_S <= unix_s <= LATEST_S:
            return False
        self._started_s = unix_s - uptime_s
        return True

    def unix_s(self, uptime_s: int) -> int | None:
        """Unix time in seconds, None as long as nobody has told it."""
        return None if self._started_s is None else self._started_s + uptime_s
