"""The link to a basestation's gate: one TLS WebSocket for all devices of a client (docs/gate.md).

The link is made when it is first needed. When it breaks it is made again, at growing intervals, until closed; a
request in the meantime tries at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import itertools
import time
from collections import Counter
from collections.abc import Callable

from homeport import gate_messages as messages
from homeport.client.gate.proxy import proxy_for
from homeport.client.gate.websocket import Answer, OnDatagrams, WebSocket
from homeport.client.profile import Profile
from homeport.errors import GateError, StateError

BACKOFF_S = (0.1, 1, 2, 4, 8, 16, 32, 60)  # most links that break are wanted, and can be made, at once


class GateLink:
    """Use from one event loop. `connect` may be called many times at once.

    Datagrams from the server go to `on_datagrams`; `on_open` is called when the link is there, first or again.
    """

    def __init__(self, profile: Profile) -> None:
        self.on_datagrams: OnDatagrams = self._lose
        self.on_open: Callable[[], None] = lambda: None
        self.drops: Counter[str] = Counter()
        self._profile = profile
        self._address = profile.basestation_address
        self._ids = itertools.count(1)
        self._socket: WebSocket | None = None
        self._opening: asyncio.Task[WebSocket] | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._closed = False

    async def hello(self) -> messages.Hello:
        """What the server says about itself, from the link as it is now. Raises GateError."""
        return (await self._ready()).hello

    async def connect(
        self,
        device: str,
        private: bytes | None,
        probe: bytes | None,
        nat_type: int,
        rendezvous: bool,
        tcp: bool = False,
    ) -> Answer:
        """Ask for an introduction to `device`; `tcp`: it should come by TCP if it can. Raises GateError."""
        used = self._socket
        socket = await self._ready()
        name = self._profile.name
        request = messages.Connect(next(self._ids), device, name, private, probe, nat_type, rendezvous, tcp)
        try:
            return await socket.ask(request)
        except GateError as error:
            if socket is not used or error.cause != "closed":
                raise
        # The link had broken without our knowing. The token of a probe died with it.
        socket = await self._ready()
        return await socket.ask(dataclasses.replace(request, probe=None))

    def check(self) -> None:
        """Our address may be another: find out soon whether the link still works."""
        if self._socket is not None:
            self._socket.check()

    async def ping(self) -> float:
        """Round trip to the server over TLS, in ms. Raises GateError."""
        socket = await self._ready()
        started = time.monotonic()
        await socket.ask(messages.Ping(next(self._ids)))
        return round((time.monotonic() - started) * 1000, 1)

    def disconnect(self, nsi: bytes) -> None:
        """Tell the server that a connection is over: a hint, without an answer."""
        if self._socket is not None and self._socket.alive:
            self._socket.send(messages.Disconnect(nsi))

    @property
    def round_trip_s(self) -> float:
        """The round trip to the server that opening the link took, 0 before."""
        return 0.0 if self._socket is None else self._socket.round_trip_s

    @property
    def proxy(self) -> str | None:
        """The proxy that the link goes through, without its password. Raises GateError for a setting that is no URL."""
        through = proxy_for(*self._address)
        return None if through is None else str(through)

    def send_datagram(self, data: bytes) -> None:
        """Send a DATA datagram of a connection; it may be lost, as anywhere."""
        if self._socket is None or not self._socket.send_datagram(data):
            self.drops["gate"] += 1

    async def close(self) -> None:
        """End the link and stop making new ones."""
        self._closed = True
        for task in (self._keeper, self._opening):
            if task is not None:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError, GateError):
                    await task
        if self._socket is not None:
            await self._socket.close()

    async def _ready(self) -> WebSocket:
        if self._closed:
            raise StateError("the client is closed")
        if self._socket is not None and self._socket.alive:
            return self._socket
        if self._opening is None:
            self._opening = asyncio.create_task(self._open())
        try:
            return await asyncio.shield(self._opening)
        finally:
            if self._opening is not None and self._opening.done():
                self._opening = None

    async def _open(self) -> WebSocket:
        socket = await WebSocket.open(self._profile, self._ids, self.on_datagrams)
        self._socket = socket
        self.on_open()
        if self._keeper is None:
            self._keeper = asyncio.create_task(self._keep())
        return socket

    async def _keep(self) -> None:
        """Make the link again whenever it has broken."""
        attempt = 0
        while True:
            if self._socket is not None and self._socket.alive:
                await self._socket.ended.wait()
                attempt = 0
            await asyncio.sleep(BACKOFF_S[min(attempt, len(BACKOFF_S) - 1)])
            attempt += 1
            with contextlib.suppress(GateError):  # the next request will raise it to somebody
                await self._ready()

    def _lose(self, datagrams: list[bytes]) -> None:
        self.drops["unexpected"] += len(datagrams)
