"""An open connection to a device, for asyncio."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from homeport.client.acl import AclCalls
from homeport.client.health import HealthCalls
from homeport.client.network.hub import Hub, now_ms
from homeport.client.profile import Profile
from homeport.client.queries.interface import Interface
from homeport.client.session.events import (
    Answered,
    Closed,
    Event,
    Failed,
    Opened,
    PathChanged,
    SearchWanted,
    StreamChanged,
)
from homeport.client.session.paths import PathKind
from homeport.client.session.refusals import UNKNOWN_QUERY
from homeport.client.session.requests import Retry
from homeport.client.session.session import Session
from homeport.client.session.states import State
from homeport.client.streams.calls import StreamCalls
from homeport.errors import HomeportError, RefusedError, StateError

CALL_TIMEOUT_MS = 10_000


class Device(AclCalls, HealthCalls, StreamCalls):
    """Made by `Client.connect`. Any number of calls may be in flight; use `close`, or `async with`."""

    def __init__(self, device_id: str, session: Session, hub: Hub, on_closed: Callable[[], None]) -> None:
        self.id = device_id
        self.interface: Interface | None = None
        self.profile: Profile | None = None  # whose connection it is; set by `Client.connect`
        self.nat_type: int | None = None  # of the device's NAT, when the basestation introduced us (core 2.5)
        self.proxy: str | None = None  # the HTTP proxy on the way to the basestation that introduced us
        self.connect_ms = 0  # what connecting took, from the call on
        self.elapsed_ms = 0  # what the last request took
        self.on_search: Callable[[], None] = lambda: None  # a direct path is to be looked for again
        self._session = session
        self._hub = hub
        self._on_closed = on_closed
        self._path: PathKind | None = None
        self._answers: dict[int, asyncio.Future[bytes]] = {}
        self._opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._closed = asyncio.Event()
        self._ended_by: HomeportError | None = None

    @property
    def path(self) -> PathKind:
        """How packets travel now: local, direct, relay or tls. Raises StateError before the connection is open."""
        if self._path is None:
            raise StateError("the connection is not open yet")
        return self._path

    @property
    def why_relayed(self) -> str | None:
        """Why the basestation carries the packets, if it does and that is known."""
        return self._session.why_relayed

    @property
    def is_open(self) -> bool:
        """False once the connection has ended."""
        return self._path is not None and not self._closed.is_set()

    @property
    def is_answering(self) -> bool:
        """False while no path to the device works; it may still come back before the connection ends."""
        return self.is_open and self._session.state is State.OPEN

    @property
    def is_private(self) -> bool:
        """Whether the connection is encrypted: a clear local one is not."""
        return self._session.is_sealed

    @property
    def end_to_end(self) -> bool:
        """Whether the keys are ours and the device's alone: the basestation can neither read nor alter anything."""
        return self._session.is_end_to_end

    @property
    def rtt_ms(self) -> int | None:
        """Round trip of the last keep-alive."""
        return self._session.rtt_ms

    async def open(self) -> None:
        """Connect; called by `Client.connect`. Raises the error that ended the attempt."""
        self._hub.add(self._session, self._on_event)
        try:
            await asyncio.shield(self._opened)
        except asyncio.CancelledError:
            self._hub.call(self._session, self._session.close, now_ms())
            raise

    async def request(
        self, payload: bytes, timeout_ms: int = CALL_TIMEOUT_MS, retry: Retry | str = Retry.SAFE
    ) -> bytes:
        """Send a query id (4 bytes) and parameters, return the answer's parameters.

        Raises RefusedError (the device's exception, in `code`), Timeout, DeviceOffline (the connection died),
        StateError (it was closed). What `retry` does is described in `homeport.client.session.requests`.
        """
        if self._ended_by is not None:
            raise self._ended_by
        started_at_ms = now_ms()
        request_id = self._session.request(started_at_ms, payload, timeout_ms, Retry(retry))
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._answers[request_id] = answer
        self._hub.flush(self._session)
        try:
            return await answer
        except asyncio.CancelledError:
            self._session.cancel(request_id)
            raise
        finally:
            self._answers.pop(request_id, None)
            self.elapsed_ms = now_ms() - started_at_ms

    async def call(self, query: str, /, **params: Any) -> dict[str, Any]:
        """Run a query by its name, with named parameters; returns the response as JSON values.

        Raises what `request` raises, QueryError for a query or parameter that is not as described, and
        ResponseError for an answer that is not.
        """
        return await self.call_with(query, params)

    async def call_with(
        self,
        query: str,
        params: Mapping[str, Any],
        timeout_ms: int = CALL_TIMEOUT_MS,
        retry: Retry | str = Retry.SAFE,
    ) -> dict[str, Any]:
        """Like `call`, with a time limit and a choice of repetition."""
        if self.interface is None:
            raise StateError("the device has no interface description")
        found = self.interface.query(query)
        payload = await self.request(found.encode_request(params), timeout_ms, retry)
        return found.decode_response(payload)

    async def status(self) -> dict[str, Any]:
        """What there is to know: id, path, round trip, and the public information of a device that has any."""
        try:
            info = await self.call("get_public_device_info.json")
        except RefusedError as error:
            if error.code not in UNKNOWN_QUERY:
                raise
            info = {}
        return {"id": self.id, "path": str(self.path), "connect_ms": self.connect_ms,
                "round_trip_ms": self.elapsed_ms, "encrypted": self.is_private,
                "end_to_end": self.end_to_end, "proxy": self.proxy,
                "why_relayed": self.why_relayed, **info}  # fmt: skip

    async def wait_closed(self) -> HomeportError | None:
        """Wait until the connection has ended; returns why, None when it was closed here."""
        await self._closed.wait()
        return self._ended_by

    async def close(self) -> None:
        """Tell the device, and wait until the connection is gone (at most 300 ms)."""
        if self._closed.is_set():
            return
        self._hub.call(self._session, self._session.close, now_ms())
        await self._closed.wait()

    async def __aenter__(self) -> Device:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def _on_event(self, event: Event) -> None:
        if isinstance(event, Opened):
            self._path = event.path.kind
            self._opened.set_result(None)
        elif isinstance(event, PathChanged):
            self._path = event.path.kind
            if self.on_path is not None:
                self.on_path(self._path)
        elif isinstance(event, SearchWanted):
            self.on_search()
        elif isinstance(event, Answered):
            self._resolve(event.request_id, event.payload)
        elif isinstance(event, Failed):
            self._resolve(event.request_id, event.error)
        elif isinstance(event, StreamChanged):
            self._stream_changed(event)
        elif isinstance(event, Closed):
            self._end(event.error)

    def _resolve(self, request_id: int, outcome: bytes | HomeportError) -> None:
        answer = self._answers.get(request_id)
        if answer is None or answer.done():
            return
        if isinstance(outcome, bytes):
            answer.set_result(outcome)
        else:
            answer.set_exception(outcome)

    def _end(self, error: HomeportError | None) -> None:
        self._closed.set()
        self._ended_by = error
        self._hub.remove(self._session)
        for answer in self._answers.values():
            if not answer.done():
                answer.set_exception(error or StateError("the connection was closed"))
        self._end_streams(error)
        if not self._opened.done():
            self._opened.set_exception(error or StateError("the connection was closed"))
            self._opened.exception()  # nobody may be waiting any more
        self._on_closed()
