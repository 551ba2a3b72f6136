"""The link to a basestation's gate: one TLS WebSocket for all devices of a client (docs/gate.md).

The link is made when it is first needed. When it breaks it is made again, at growing intervals, until closed; a
request in the meantime tries at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import itertools
import os
import ssl

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
from homeport.client.gate.tls import check_pin, client_context
from homeport.client.profile import Profile
from homeport.errors import GateError, MalformedError, StateError

CONNECT_TIMEOUT_S = 10
ANSWER_TIMEOUT_S = 15  # the server needs up to 10 s to find that a device does not answer
PING_PERIOD_S = 30
BACKOFF_S = (1, 2, 4, 8, 16, 32, 60)
_READ_MAX = 64 * 1024

Answer = messages.Connected | messages.Refused


class GateLink:
    """Use from one event loop. `connect` may be called many times at once."""

    def __init__(self, profile: Profile) -> None:
        self._profile = profile
        self._host, self._port = profile.basestation_address
        self._ids = itertools.count(1)
        self._wire: _Wire | None = None
        self._opening: asyncio.Task[_Wire] | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._closed = False

    async def hello(self) -> messages.Hello:
        """What the server says about itself, from the link as it is now. Raises GateError."""
        return (await self._ready()).hello

    async def connect(
        self, device: str, private: bytes | None, probe: bytes | None, nat_type: int, rendezvous: bool
    ) -> Answer:
        """Ask for an introduction to `device`. Raises GateError."""
        used = self._wire
        wire = await self._ready()
        request = messages.Connect(next(self._ids), device, self._profile.name, private, probe, nat_type, rendezvous)
        try:
            return await wire.ask(request)
        except GateError as error:
            if wire is not used or error.cause != "closed":
                raise
        # The link had broken without our knowing. The token of a probe died with it.
        wire = await self._ready()
        return await wire.ask(dataclasses.replace(request, probe=None))

    def disconnect(self, nsi: bytes) -> None:
        """Tell the server that a connection is over: a hint, without an answer."""
        if self._wire is not None and self._wire.alive:
            self._wire.send(messages.Disconnect(nsi))

    async def close(self) -> None:
        """End the link and stop making new ones."""
        self._closed = True
        for task in (self._keeper, self._opening):
            if task is not None:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError, GateError):
                    await task
        if self._wire is not None:
            await self._wire.close()

    async def _ready(self) -> _Wire:
        if self._closed:
            raise StateError("the client is closed")
        if self._wire is not None and self._wire.alive:
            return self._wire
        if self._opening is None:
            self._opening = asyncio.create_task(self._open())
        try:
            return await asyncio.shield(self._opening)
        finally:
            if self._opening is not None and self._opening.done():
                self._opening = None

    async def _open(self) -> _Wire:
        wire = await _Wire.open(self._profile, self._host, self._port, self._ids)
        self._wire = wire
        if self._keeper is None:
            self._keeper = asyncio.create_task(self._keep())
        return wire

    async def _keep(self) -> None:
        """Make the link again whenever it has broken."""
        attempt = 0
        while True:
            if self._wire is not None and self._wire.alive:
                await self._wire.ended.wait()
                attempt = 0
            await asyncio.sleep(BACKOFF_S[min(attempt, len(BACKOFF_S) - 1)])
            attempt += 1
            with contextlib.suppress(GateError):  # the next request will raise it to somebody
                await self._ready()


class _Wire:
    """One TLS connection, from its handshake to its end."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str, ids: itertools.count[int]
    ) -> None:
        self.hello: messages.Hello
        self.ended = asyncio.Event()
        self._reader = reader
        self._writer = writer
        self._host = host
        self._ids = ids
        self._socket = WSConnection(ConnectionType.CLIENT)
        self._text = ""
        self._asked: dict[int, asyncio.Future[Answer | messages.Pong]] = {}
        self._error = GateError("the basestation closed the connection", "closed")
        self._tasks: list[asyncio.Task[None]] = []

    @classmethod
    async def open(cls, profile: Profile, host: str, port: int, ids: itertools.count[int]) -> _Wire:
        """Connect, check the pin, upgrade and wait for `hello`. Raises GateError."""
        wire: _Wire | None = None
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                reader, writer = await asyncio.open_connection(
                    host, port, ssl=client_context(profile), server_hostname=host
                )
                wire = cls(reader, writer, f"{host}:{port}", ids)
                if profile.pin is not None:
                    check_pin(writer.get_extra_info("ssl_object"), profile.pin)
                await wire._upgrade()
        except (OSError, TimeoutError, GateError) as error:
            if wire is not None:
                wire._writer.transport.abort()
            raise _gate_error(error, f"{host}:{port}") from error
        wire._tasks = [asyncio.create_task(wire._read()), asyncio.create_task(wire._ping())]
        return wire

    @property
    def alive(self) -> bool:
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
                f"the basestation at {self._host} did not answer within {ANSWER_TIMEOUT_S} s", "timeout"
            ) from None
        finally:
            del self._asked[message.id]

    def send(self, message: messages.ClientMessage) -> None:
        """Queue a message."""
        if not self.alive:
            raise self._error
        self._writer.write(self._socket.send(TextMessage(data=messages.encode(message))))

    async def close(self) -> None:
        """Say good-bye and close."""
        for task in self._tasks:
            task.cancel()
        if self.alive:
            with contextlib.suppress(OSError):
                self._writer.write(self._socket.send(CloseConnection(code=1000)))
            self._end(None)
        with contextlib.suppress(OSError, asyncio.CancelledError):
            await asyncio.gather(*self._tasks, return_exceptions=True)
            async with asyncio.timeout(1):
                await self._writer.wait_closed()

    async def _upgrade(self) -> None:
        request = Request(host=self._host, target=messages.PATH, subprotocols=[messages.SUBPROTOCOL])
        self._writer.write(self._socket.send(request))
        accepted = False
        while True:
            for event in await self._receive():
                if isinstance(event, AcceptConnection):
                    if event.subprotocol != messages.SUBPROTOCOL:
                        raise GateError("the basestation speaks another version of the gate protocol", "protocol")
                    accepted = True
                elif isinstance(event, RejectConnection):
                    raise GateError(f"the basestation refuses us (HTTP status {event.status_code})", "refused")
                else:
                    message = self._message(event) if accepted else None
                    if isinstance(message, messages.Hello):
                        self.hello = message
                        return

    async def _receive(self) -> list[Event]:
        """The next events, pings already answered. Raises GateError at the end of the connection."""
        try:
            data = await self._reader.read(_READ_MAX)
            self._socket.receive_data(data or None)
            events = list(self._socket.events())
        except (OSError, RemoteProtocolError) as error:
            raise _gate_error(error, self._host) from error
        if not data:
            raise self._error
        for event in events:
            if isinstance(event, Ping):
                self._writer.write(self._socket.send(event.response()))
        return events

    async def _read(self) -> None:
        error = self._error
        try:
            while True:
                for event in await self._receive():
                    if isinstance(event, CloseConnection):
                        raise GateError(f"the basestation closed the connection (code {event.code})", "closed")
                    self._dispatch(self._message(event))
        except GateError as reason:
            error = reason
        finally:
            self._end(error)

    def _message(self, event: Event) -> messages.ServerMessage | None:
        """The message that an event completes, if any. Raises GateError."""
        if isinstance(event, BytesMessage):
            raise GateError("the basestation sent a binary message", "protocol")
        if not isinstance(event, TextMessage):
            return None
        self._text += event.data
        if len(self._text) > messages.MESSAGE_MAX:
            raise GateError("the basestation sent a message that is too long", "protocol")
        if not event.message_finished:
            return None
        text, self._text = self._text, ""
        try:
            return messages.decode_server(text)
        except MalformedError as error:
            raise GateError(f"the basestation sent a message that is wrong: {error}", "protocol") from error

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

    def _end(self, error: GateError | None) -> None:
        if not self.alive:
            return
        self._error = error or self._error
        self.ended.set()
        for future in self._asked.values():
            if not future.done():
                future.set_exception(self._error)
        self._writer.close()


def _gate_error(error: BaseException, where: str) -> GateError:
    """What a failure of the connection means to its user."""
    if isinstance(error, GateError):
        return error
    if isinstance(error, ssl.SSLCertVerificationError):
        return GateError(
            f"the certificate of the basestation at {where} is not trusted: {error.verify_message}",
            "tls",
            "create the profile with the pin that 'homeport basestation init' printed",
        )
    if isinstance(error, ssl.SSLError):
        return GateError(f"TLS with the basestation at {where} failed: {error.reason or error}", "tls")
    if isinstance(error, TimeoutError):
        return GateError(
            f"no answer from the basestation at {where} within {CONNECT_TIMEOUT_S} s",
            "timeout",
            "check its address, and that its gate port is open",
        )
    if isinstance(error, ConnectionResetError | BrokenPipeError | RemoteProtocolError):
        return GateError(f"the basestation at {where} broke off the connection", "closed")
    number = getattr(error, "errno", None) or 0
    # asyncio's own text for the system's errors is a Python tuple; look-ups have negative numbers and good texts
    reason = os.strerror(number) if number > 0 else getattr(error, "strerror", None)
    return GateError(
        f"cannot reach the basestation at {where}: {reason or error}",
        "refused",
        "check that it runs ('homeport basestation run') and its address in the profile",
    )
