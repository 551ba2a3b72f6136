"""Random octets for keys, nonces and IVs, of the operating system's generator only."""

import os

from homeport_core.compat import const
from homeport_core.errors import ConfigError

_PROBE_LEN = const(32)


def random(n: int) -> bytes:
    """`n` unpredictable octets."""
    return os.urandom(n)


def require_random() -> None:
    """Raises ConfigError where the source is missing or plainly broken: then no secret could be kept."""
    try:
        first, second = os.urandom(_PROBE_LEN), os.urandom(_PROBE_LEN)
    except (AttributeError, NotImplementedError, OSError):
        raise ConfigError("no source of random numbers: os.urandom does not work here")
    if first == second or first == bytes(_PROBE_LEN) or len(first) != _PROBE_LEN:
        raise ConfigError("the source of random numbers repeats itself")
