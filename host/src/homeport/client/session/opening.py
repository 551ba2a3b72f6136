"""What the ways of opening a connection have in common; the session drives one of them.

`clear.ClearOpening` and `psk.PskOpening` talk to the device's local port, `introduced.IntroducedOpening` begins
with what the gate said. Each ends in an NSI, a context, and candidate paths.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from homeport_core.errors import HomeportError
from homeport_core.packet import Context, Packet

from homeport.client.session.paths import Candidates
from homeport.client.session.rekey import Rekey
from homeport.client.session.searching import Searching

Rng = Callable[[int], bytes]


def random_nsi(rng: Rng) -> bytes:
    """An NSI of our own choosing: above what devices assign (core 1.5), and not how a legacy response begins."""
    octets = rng(4)
    return bytes((octets[0] or 1,)) + octets[1:]


class Opening(Protocol):
    """A way of opening a connection, sans I/O."""

    cp: bytes
    sp: bytes  # empty until the device has said it
    context: Context | None
    candidates: Candidates
    out: list[tuple[bytes, bytes]]  # (datagram, endpoint) to send; the session drains it
    rekey: Rekey | None  # the exchange that has to be done before anything else, if there is one
    searching: Searching | None  # what looks for a direct path again, where there may be one

    @property
    def is_end_to_end(self) -> bool:
        """Whether the keys are the client's and the device's alone from the beginning."""

    @property
    def error(self) -> HomeportError | None:
        """Why there is no path, once none will come any more; asked when no candidate is left."""

    @property
    def nsis(self) -> tuple[bytes, ...]:
        """The NSIs of this connection that no other connection of ours can have, alone or with an endpoint behind."""

    @property
    def proves_path(self) -> bool:
        """False when a keep-alive has to show that a path carries authentic packets."""

    @property
    def remembers(self) -> bool:
        """Whether the device is known not to run repeated requests twice."""

    @property
    def deadline_ms(self) -> int | None:
        """When to call `timeout`."""

    def start(self, now_ms: int) -> None:
        """Send the first packets."""

    def packet(self, now_ms: int, packet: Packet, source: bytes) -> None:
        """Take a packet that is not DATA. Raises ProtocolError for one that is wrong."""

    def timeout(self, now_ms: int) -> None:
        """The deadline has come."""

    def abandon(self, now_ms: int) -> None:
        """The session is given up before it was open."""
