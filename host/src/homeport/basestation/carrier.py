"""Peers that are not on UDP: a device's TCP connection, a client's link to the gate.

A machine answers to where a datagram came from. That is a UDP address, or a Carrier, which stands in its place; the
adapter of the kind takes what is sent there.
"""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

from homeport.wire import Address, address_text, endpoint

TCP = "tcp"
"""Kind of a device's TCP connection to the gateway."""

GATE = "gate"
"""Kind of a client's WebSocket to the gate."""


class Carrier(NamedTuple):
    """One connection that carries datagrams. `number` is never used again; `remote` is its peer's IP and port."""

    kind: str
    number: int
    remote: Address


Peer: TypeAlias = Address | Carrier
"""Where a datagram comes from or goes to."""


def source_of(peer: Peer) -> str:
    """The peer's IP address, by which its share is limited."""
    return peer.remote[0] if isinstance(peer, Carrier) else peer[0]


def seen_endpoint(peer: Peer) -> bytes:
    """What we tell a peer of where we see it, 6 octets (EP, IPX). A carrier's peer has to be on IPv4."""
    return endpoint(peer.remote if isinstance(peer, Carrier) else peer)


def peer_text(peer: Peer) -> str:
    """`host:port`, for a carrier its kind before that."""
    if isinstance(peer, Carrier):
        return f"{peer.kind} {address_text(peer.remote)}"
    return address_text(peer)
