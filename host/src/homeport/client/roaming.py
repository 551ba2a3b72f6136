"""Keeps sessions on good paths while this machine moves between networks, and gathers crowds where a NAT needs one.

A session is told when our address on the way to its device is another; when it wants to search for a direct path again
(`SearchWanted`), our public endpoint is found out anew.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from homeport_core.spec import NAT_SYMMETRIC, NAT_UNKNOWN

from homeport import wire
from homeport.client.gate.link import GateLink
from homeport.client.network.broadcast import local_host_towards
from homeport.client.network.crowd import Crowd
from homeport.client.network.hub import Hub, now_ms
from homeport.client.network.surroundings import Place, Surroundings
from homeport.client.session import frames
from homeport.client.session.paths import PathKind
from homeport.client.session.rendezvous import usable
from homeport.client.session.session import Session
from homeport.client.session.states import State
from homeport.errors import HomeportError

WATCH_S = 1.0
PLACE_WITHIN_S = 5.0
PLACE_GOOD_FOR_S = 1.0  # so that sessions that search at the same time ask once
_ANYWHERE = wire.endpoint(("192.0.2.1", 9))  # asked for the way to it only; nothing is sent there


class Roaming:
    """Watches the sessions that were added. `link` returns the link to the basestation."""

    def __init__(self, hub: Hub, surroundings: Surroundings, link: Callable[[], GateLink]) -> None:
        self._hub = hub
        self._surroundings = surroundings
        self._link = link
        self._sessions: dict[Session, tuple[bytes, str] | None] = {}  # where it leads, and our address on the way
        self._tasks: set[asyncio.Task[None]] = set()
        self._watch: asyncio.Task[None] | None = None
        self._crowd_turn = asyncio.Lock()

    def add(self, session: Session) -> None:
        """Look after a session."""
        host = local_host_towards(_ANYWHERE)
        self._sessions[session] = None if host is None else (_ANYWHERE, host)
        if self._watch is None or self._watch.done():
            self._watch = self._start(self._watch_all())

    def discard(self, session: Session) -> None:
        """It is over."""
        self._sessions.pop(session, None)

    async def close(self) -> None:
        """Stop everything."""
        self._sessions.clear()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def search(self, session: Session) -> None:
        """The session wants to look for a direct path again."""
        self._start(self._search(session))

    def gather(self, session: Session, endpoint: bytes) -> None:
        """Ask the device from many sockets, one session after the other: together they would take too many files."""
        ask = frames.rendezvous(session.opening.cp, session.opening.sp, 0, endpoint)
        self._start(self._run_crowd(Crowd(self._hub, session, ask, endpoint, lambda: _needs_no_path(session))))

    def link_opened(self) -> None:
        """The link to the basestation is there, perhaps again: who goes through it proves itself to it first."""
        for session in list(self._sessions):
            if session.path is not None and session.path.kind is PathKind.TLS:
                self._hub.call(session, session.moved, now_ms())

    async def _run_crowd(self, crowd: Crowd) -> None:
        async with self._crowd_turn:
            await crowd.run()

    async def _watch_all(self) -> None:
        while self._sessions:
            await asyncio.sleep(WATCH_S)
            for session in list(self._sessions):
                self._look_at(session)

    def _look_at(self, session: Session) -> None:
        path = session.path
        if path is None:
            return
        to = _ANYWHERE if path.kind is PathKind.TLS else path.endpoint
        host = local_host_towards(to)
        if host is None:
            return  # no network at the moment: what matters is where we are when there is one again
        known = self._sessions[session]
        self._sessions[session] = (to, host)
        if known is not None and known[0] == to and known[1] != host:
            self._surroundings.forget()
            if session.opening.searching is not None:
                self._link().check()
            self._hub.call(session, session.moved, now_ms())

    async def _search(self, session: Session) -> None:
        place = await self._place()
        if not _needs_no_path(session):
            self._hub.close_extra_of(session)  # holes of a path that is no more
        self._hub.call(session, session.search, now_ms(), place.private, place.public, place.nat_type)
        device = session.opening.searching
        if device is not None and NAT_SYMMETRIC == place.nat_type != device.device_nat and usable(device.device_global):
            self.gather(session, device.device_global)

    async def _place(self) -> Place:
        """Our place now; without the basestation all that is known is our address in the LAN."""
        self._surroundings.forget(PLACE_GOOD_FOR_S)
        try:
            async with asyncio.timeout(PLACE_WITHIN_S):
                link = self._link()
                return await self._surroundings.find(await link.hello(), link.round_trip_s)
        except (TimeoutError, HomeportError):
            host = local_host_towards(_ANYWHERE)
            private = None if host is None else wire.endpoint((host, self._hub.port))
            return Place(private, None, None, NAT_UNKNOWN)

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


def _needs_no_path(session: Session) -> bool:
    if session.state is State.OPEN and session.path is not None:
        return session.path.kind is PathKind.DIRECT
    return session.state is State.CLOSED
