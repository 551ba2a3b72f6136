"""One TLS WebSocket to a gate, from opening to end: messages, and datagrams as binary messages (docs/gate.md)."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from collections.abc import Callable

from wsproto import ConnectionType, WSConnection
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Event,
    Ping,
    RejectConnection,
    Request,
    TextMessage,
)
from wsproto.utilities import RemoteProtocolError

from homeport import gate_messages as messages
from homeport.client.gate.dial import Dialled, dial, gate_error, route
from homeport.client.gate.inbox import Inbox
from homeport.client.profile import Profile
from homeport.errors import GateError

CONNECT_TIMEOUT_S = 10
ANSWER_TIMEOUT_S = 15  # the server needs up to 10 s to find that a device does not answer
PING_PERIOD_S = 30
DOUBT_S = 1.5  # without any answer to what was sent, before we ask whether the server is still there
CHECK_ROUND_TRIPS, CHECK_MIN_S = 4, 0.5  # for its answer
QUEUE_MAX = 256 * messages.DATAGRAM_MAX  # bytes that wait to be sent; of more, datagrams are lost, as in any queue
_READ_MAX = 64 * 1024

Answer = messages.Connected | messages.Refused
OnDatagrams = Callable[[list[bytes]], None]


class WebSocket:
    """Made by `open`. Datagrams that arrive go to `on_datagrams`, together those that came together."""

    def __init__(self, dialled: Dialled, ids: itertools.count[int], on_datagrams: OnDatagrams) -> None:
        self.hello: messages.Hello
        self.ended = asyncio.Event()
        self.round_trip_s = 0.0
        self._reader, self._writer, self._host, self._where = dialled
        self._ids = ids
        self._on_datagrams = on_datagrams
        self._protocol = WSConnection(ConnectionType.CLIENT)
        self._inbox = Inbox()
        self._queue: list[bytes] = []
        self._queue_len = 0
        self._unanswered_since_s: float | None = None
        self._asked: dict[int, asyncio.Future[Answer | messages.Pong]] = {}
        self._error = GateError("the basestation closed the connection", "closed")
        self._tasks: list[asyncio.Task[None]] = []
        self._checking: asyncio.Task[None] | None = None

    @classmethod
    async def open(cls, profile: Profile, ids: itertools.count[int], on_datagrams: OnDatagrams) -> WebSocket:
        """Connect, check the pin, upgrade and wait for `hello`. Raises GateError."""
        made: WebSocket | None = None
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                made = cls(await dial(profile), ids, on_datagrams)
                await made._upgrade()
        except (OSError, TimeoutError, GateError) as error:
            if made is not None:
                made._writer.transport.abort()
            raise gate_error(error, route(profile), CONNECT_TIMEOUT_S) from error
        made._tasks = [asyncio.create_task(made._read()), asyncio.create_task(made._ping())]
        return made

    @property
    def alive(self) -> bool:
        """Whether it has not ended, as far as we know."""
        return not self.ended.is_set()

    async def ask(self, message: messages.Connect | messages.Ping) -> Answer:
        """Send and wait for what has the same id. Raises GateError."""
        future: asyncio.Future[Answer | messages.Pong] = asyncio.get_running_loop().create_future()
        self._asked[message.id] = future
        try:
            self.send(message)
            async with asyncio.timeout(ANSWER_TIMEOUT_S):
                return await future  # type: ignore[return-value]  # a Pong answers only a Ping
        except TimeoutError:
            raise GateError(
                f"the basestation at {self._where} did not answer within {ANSWER_TIMEOUT_S} s", "timeout"
            ) from None
        finally:
            del self._asked[message.id]

    def send(self, message: messages.ClientMessage) -> None:
        """Queue a message. Raises GateError when the connection has ended."""
        if not self.alive:
            raise self._error
        self._writer.write(self._protocol.send(TextMessage(data=messages.encode(message))))

    def send_datagram(self, data: bytes) -> bool:
        """Send a datagram with the others of this turn of the event loop; False: it is lost, for the connection has
        ended, the server takes none or none so large, or too many wait."""
        if not self.alive or not self.hello.datagrams or len(data) > messages.DATAGRAM_MAX:
            return False
        if self._queue_len + self._writer.transport.get_write_buffer_size() > QUEUE_MAX:
            return False
        if not self._queue:
            asyncio.get_running_loop().call_soon(self._flush)
        frame = self._protocol.send(BytesMessage(data=data))
        self._queue.append(frame)
        self._queue_len += len(frame)
        return True

    def check(self) -> None:
        """End it unless it answers soon."""
        if self.alive and self._checking is None:
            self._checking = asyncio.create_task(self._check())

    async def close(self) -> None:
        """Say good-bye and close."""
        tasks = [*self._tasks, *([] if self._checking is None else [self._checking])]
        for task in tasks:
            task.cancel()
        if self.alive:
            with contextlib.suppress(OSError):
                self._flush()
                self._writer.write(self._protocol.send(CloseConnection(code=1000)))
            self._end(None)
        with contextlib.suppress(OSError, asyncio.CancelledError):
            await asyncio.gather(*tasks, return_exceptions=True)
            async with asyncio.timeout(1):
                await self._writer.wait_closed()

    def _flush(self) -> None:
        frames, self._queue, self._queue_len = self._queue, [], 0
        if not frames or not self.alive:
            return
        self._writer.write(b"".join(frames))
        now_s = time.monotonic()
        if self._unanswered_since_s is None:
            self._unanswered_since_s = now_s
        elif now_s - self._unanswered_since_s > DOUBT_S:
            self.check()

    async def _upgrade(self) -> None:
        started_s = time.monotonic()
        request = Request(host=self._host, target=messages.PATH, subprotocols=[messages.SUBPROTOCOL])
        self._writer.write(self._protocol.send(request))
        accepted = False
        while True:
            for event in await self._receive():
                if isinstance(event, AcceptConnection):
                    if event.subprotocol != messages.SUBPROTOCOL:
                        raise GateError("the basestation speaks another version of the gate protocol", "protocol")
                    self.round_trip_s = time.monotonic() - started_s
                    accepted = True
                elif isinstance(event, RejectConnection):
                    raise GateError(f"the basestation refuses us (HTTP status {event.status_code})", "refused")
                elif accepted and isinstance(event, TextMessage):
                    message = self._inbox.message(event.data, event.message_finished)
                    if isinstance(message, messages.Hello):
                        self.hello = message
                        return

    async def _receive(self) -> list[Event]:
        """The next events, pings already answered. Raises GateError at the end of the connection."""
        try:
            data = await self._reader.read(_READ_MAX)
            self._protocol.receive_data(data or None)
            events = list(self._protocol.events())
        except (OSError, RemoteProtocolError) as error:
            raise gate_error(error, self._where, CONNECT_TIMEOUT_S) from error
        if not data:
            raise self._error
        self._unanswered_since_s = None
        for event in events:
            if isinstance(event, Ping):
                self._writer.write(self._protocol.send(event.response()))
        return events

    async def _read(self) -> None:
        error = self._error
        try:
            while True:
                datagrams: list[bytes] = []
                for event in await self._receive():
                    if isinstance(event, BytesMessage):
                        datagram = self._inbox.datagram(bytes(event.data), event.message_finished)
                        datagrams += [] if datagram is None else [datagram]
                    elif isinstance(event, CloseConnection):
                        raise GateError(f"the basestation closed the connection (code {event.code})", "closed")
                    elif isinstance(event, TextMessage):
                        self._dispatch(self._inbox.message(event.data, event.message_finished))
                if datagrams:
                    self._on_datagrams(datagrams)
        except GateError as reason:
            error = reason
        finally:
            self._end(error)

    def _dispatch(self, message: messages.ServerMessage | None) -> None:
        if isinstance(message, messages.Connected | messages.Refused | messages.Pong):
            future = self._asked.get(message.id)
            if future is not None and not future.done():
                future.set_result(message)
        elif isinstance(message, messages.Problem):
            raise GateError(f"the basestation did not accept a message: {message.reason}", "protocol")

    async def _ping(self) -> None:
        while True:
            await asyncio.sleep(PING_PERIOD_S)
            try:
                await self.ask(messages.Ping(next(self._ids)))
            except GateError as error:
                self._end(error)
                return

    async def _check(self) -> None:
        try:
            async with asyncio.timeout(max(CHECK_MIN_S, CHECK_ROUND_TRIPS * self.round_trip_s)):
                await self.ask(messages.Ping(next(self._ids)))
        except (TimeoutError, GateError):
            self._end(GateError(f"the connection to the basestation at {self._where} is dead", "closed"))
            self._writer.transport.abort()
        finally:
            self._checking = None

    def _end(self, error: GateError | None) -> None:
        if not self.alive:
            return
        self._error = error or self._error
        self.ended.set()
        for future in self._asked.values():
            if not future.done():
                future.set_exception(self._error)
        self._writer.close()
