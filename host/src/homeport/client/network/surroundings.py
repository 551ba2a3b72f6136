"""Where we are on the network: our own endpoints, and what the NAT in front of us does to them.

The session server and a second port of the basestation are probed from the socket that will carry the connections
(docs/gate.md). Connections opened at the same time share one answer. Who gets none soon has no UDP, and need not wait
until the probe gives up.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from dataclasses import dataclass

from homeport_core.catalogue import NAT_OPEN
from homeport_core.spec import NAT_SYMMETRIC, NAT_UNKNOWN

from homeport import wire
from homeport.client.network.broadcast import local_host_towards
from homeport.client.network.hub import Hub
from homeport.client.network.probe import Probe, Probed
from homeport.client.session.rendezvous import usable
from homeport.gate_messages import Hello

REUSE_S = 15.0  # NATs keep a mapping for 30 s or more
# What an answer over UDP may take, in round trips over TCP to the same machine, and at least: a lost datagram is
# repeated within it.
PATIENCE_ROUND_TRIPS = 4
PATIENCE_MIN_S = 0.3
# What the second answer may come later than the first: both come from the same machine.
SECOND_WAIT_S = 0.3


@dataclass(frozen=True)
class Place:
    """Our endpoint in the LAN and the public one (6 bytes, None: unknown), the token by which the basestation knows
    the latter, and the NAT type as an IPX says it (specification, core 2.5)."""

    private: bytes | None
    public: bytes | None
    token: bytes | None
    nat_type: int


NOWHERE = Place(None, None, None, NAT_UNKNOWN)


class Surroundings:
    """Finds our place, and remembers it for a moment."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._found: asyncio.Task[Place] | None = None
        self._found_for = b""
        self._found_at_s = 0.0

    async def find(self, hello: Hello, round_trip_s: float = 0.0) -> Place:
        """Our place as the basestation that said `hello`, `round_trip_s` away, sees it.

        Where UDP does not get through, `public` and `token` are None.
        """
        now_s = time.monotonic()
        if self._found is None or self._found_for != hello.probe_id or now_s - self._found_at_s > REUSE_S:
            self._found = asyncio.create_task(self._probe(hello))
            self._found_for = hello.probe_id
            self._found_at_s = now_s
        patience_s = max(PATIENCE_MIN_S, PATIENCE_ROUND_TRIPS * round_trip_s)
        await asyncio.wait([self._found], timeout=max(0.0, self._found_at_s + patience_s - now_s))
        return self._found.result() if self._found.done() else Place(self._private(hello), None, None, NAT_UNKNOWN)

    def forget(self, older_than_s: float = 0.0) -> None:
        """We may be somewhere else: find out anew, if what is known is older than this."""
        if time.monotonic() - self._found_at_s >= older_than_s:
            self._found_for = b""

    async def close(self) -> None:
        """Stop probing."""
        if self._found is not None:
            self._found.cancel()
            await asyncio.gather(self._found, return_exceptions=True)

    async def _probe(self, hello: Hello) -> Place:
        private = self._private(hello)
        if private is None:
            return NOWHERE
        first = Probe(hello.probe_id, hello.probe_key, hello.gsp, secrets.token_bytes)
        second = None
        if hello.probe_also is not None:
            second = Probe(hello.probe_id, hello.probe_key, hello.probe_also, secrets.token_bytes)
        other = asyncio.create_task(self._answer(second))
        try:
            public = await self._answer(first)
            if public is None:
                return Place(private, None, None, NAT_UNKNOWN)
            await asyncio.wait([other], timeout=SECOND_WAIT_S)
            seen_elsewhere = other.result() if other.done() else None
        finally:
            other.cancel()
        return Place(private, public, first.token, _nat_type(private, public, seen_elsewhere))

    def _private(self, hello: Hello) -> bytes | None:
        """Our endpoint on the way to the session server; None when there is no way, or it has no IPv4 address."""
        host = local_host_towards(hello.gsp) if usable(hello.gsp) else None
        return None if host is None else wire.endpoint((host, self._hub.port))

    async def _answer(self, probe: Probe | None) -> bytes | None:
        if probe is None:
            return None
        return await run_probe(self._hub, probe)


async def run_probe(hub: Hub, probe: Probe) -> bytes | None:
    """Our endpoint as the probed port sees it, or None when it does not answer."""
    result: asyncio.Future[Probed] = asyncio.get_running_loop().create_future()

    def settle(probed: Probed) -> None:
        if not result.done():  # whoever waited may have given up just now
            result.set_result(probed)

    hub.add(probe, settle)
    try:
        return (await result).endpoint
    finally:
        hub.remove(probe)


def _nat_type(private: bytes | None, public: bytes, seen_elsewhere: bytes | None) -> int:
    if public == private:
        return NAT_OPEN
    if seen_elsewhere is not None and seen_elsewhere != public:
        return NAT_SYMMETRIC
    return NAT_UNKNOWN
