"""The face of a machine, which the adapter in `udp` drives (design, section 3)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypeAlias

from homeport.basestation.carrier import Peer
from homeport.basestation.events import Event

Datagrams: TypeAlias = Sequence[tuple[bytes, Peer]]
"""What to send: (octets, destination), in order."""

Rng: TypeAlias = Callable[[int], bytes]
"""`rng(n)`: n octets from a cryptographic source."""

NOTHING: Datagrams = ()


class Machine(Protocol):
    """Datagrams and time in; datagrams and events out. Times are unwrapped milliseconds of one clock."""

    @property
    def deadline_ms(self) -> int | None:
        """When `timeout` has to be called, or None. It may be called earlier."""
        ...

    def datagram(self, now_ms: int, data: bytes, address: Peer) -> Datagrams:
        """Take one datagram from the network. Never raises, whatever it holds."""
        ...

    def timeout(self, now_ms: int) -> Datagrams:
        """Do what is due."""
        ...

    def next_event(self) -> Event | None:
        """The oldest event, taken out, or None."""
        ...
