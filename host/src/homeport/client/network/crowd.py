"""A client behind a symmetric NAT asks from many sockets at once (specification, core 5.5, mirrored).

Each socket has a public port of its own that nobody knows. The device, told that our NAT is symmetric, tries many
ports of our address; the more of them are ours, the sooner it meets one. The session keeps the socket on which it
heard the device, the others are closed.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

from homeport.client.network.hub import Hub
from homeport.client.network.machine import Machine
from homeport.client.session.rendezvous import DURATION_MS

SOCKETS_MAX = 250  # a quarter of what a process may usually open; so one crowd at a time
PERIOD_MS = 20
REPEAT_MS = 1_000


class Crowd:
    """The sockets of one session, sending `ask` (a rendezvous packet of sequence 0) to `endpoint`."""

    def __init__(self, hub: Hub, machine: Machine, ask: bytes, endpoint: bytes, done: Callable[[], bool]) -> None:
        self._hub = hub
        self._machine = machine
        self._ask = ask
        self._endpoint = endpoint
        self._done = done
        self._sockets: list[socket.socket] = []

    async def run(self) -> None:
        """Open sockets and ask until `done()` or the time of a rendezvous is over."""
        try:
            for step in range(DURATION_MS // PERIOD_MS):
                if self._done():
                    return
                if step * PERIOD_MS % REPEAT_MS == 0:
                    self._send(self._sockets)
                if len(self._sockets) < SOCKETS_MAX:
                    self._grow()
                await asyncio.sleep(PERIOD_MS / 1000)
        finally:
            self._hub.close_unused(self._machine)

    def _grow(self) -> None:
        try:
            made = self._hub.open_extra(self._machine)
        except OSError:
            return  # no more files: those that there are will have to do
        self._sockets.append(made)
        self._send([made])

    def _send(self, sockets: list[socket.socket]) -> None:
        for sock in sockets:
            self._hub.send(sock, self._ask, self._endpoint)
