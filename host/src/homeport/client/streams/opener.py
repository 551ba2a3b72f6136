"""The streams of one device: opening them, asking for a service, and telling each what happens to it.

The first line on a stream names the service (specification, streams 5.2). It travels in a segment of its own, since
the reference device takes all of that segment for the command.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from homeport_core import ticks
from homeport_core.stream import ABORTED, CLOSED, OPENED
from homeport_core.stream_states import CLOSED as STATE_CLOSED
from homeport_core.streams import Stream

from homeport import wire
from homeport.client.network.broadcast import is_own_address
from homeport.client.network.hub import Hub, now_ms
from homeport.client.session.events import StreamChanged
from homeport.client.session.session import Session
from homeport.client.session.states import State
from homeport.client.session.streams import TOO_LARGE
from homeport.client.streams.transport import StreamTransport
from homeport.errors import ConfigError, HomeportError, StateError, StreamError, Timeout
from homeport.wire import printable

COMMAND_MAX = 511  # octets, its newline included (specification, streams 5.2)
HOST_MAX = 127
READ_LIMIT = 256 * 1024
ANSWER_MAX = 512
ANSWER_S = 10.0
# Services that answer their command by a line `+…` or `-…`. A tunnel never does: its first octets are the target's.
ANSWERING = ("echo", "uart")

_POLL_S = 0.05
_REFUSED = "refused by the peer"  # `Stream.reason` when an RST came instead of SYN|ACK

NEXT_SERVICE = "see which services the device offers, and whether this user may use them ('homeport acl DEVICE list')"
_NEXT_SLOTS = "close other tunnels to it, or give the device more streams"
_NEXT_SILENT = "is its firmware one with streams?"


class DeviceStreams:
    """Made by `Device`, which hands it the session's StreamChanged events."""

    def __init__(self, device_id: str, session: Session, hub: Hub) -> None:
        self._device_id = device_id
        self._session = session
        self._hub = hub
        self._opening: dict[Stream, asyncio.Future[None]] = {}
        self._transports: dict[Stream, StreamTransport] = {}

    @property
    def count(self) -> int:
        """How many are open."""
        return len(self._transports)

    async def open(self, command: bytes) -> StreamTransport:
        """Open a stream and send the line `command`; the transport wants a protocol (`set_protocol`).

        Raises StreamError (busy, silent), FullError, StateError, or the error that ended the connection.
        """
        line = command + b"\n"
        if b"\n" in command or len(line) > COMMAND_MAX:
            raise ConfigError(f"a stream's command is one line of at most {COMMAND_MAX - 1} octets")
        path = self._session.path
        stream = self._session.open_stream(now_ms(), path is not None and is_own_address(path.endpoint))
        opened = self._opening[stream] = asyncio.get_running_loop().create_future()
        self._hub.arm()
        try:
            await opened
            await self._until(stream, lambda: self._session.state is not State.LOST)
            stream.write(self._ticks(), line)
            self._session.timeout(now_ms())
            self._hub.flush(self._session)
            # The line leaves before the user writes anything: it has a segment of its own.
            await self._until(stream, lambda: not stream.has_unsent)
        except BaseException:
            stream.abort(self._ticks())
            stream.release()
            self._wake()
            raise
        finally:
            del self._opening[stream]
        transport = StreamTransport(stream, self._info, self._wake, lambda: self._forget(stream))
        self._transports[stream] = transport
        return transport

    async def open_reader_writer(self, command: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Like `open`, with asyncio's streams on top."""
        transport = await self.open(command)
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(READ_LIMIT, loop)
        protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
        protocol.connection_made(transport)
        transport.set_protocol(protocol)
        return reader, asyncio.StreamWriter(transport, protocol, reader, loop)

    def changed(self, event: StreamChanged) -> None:
        """Tell the stream's user."""
        stream, changes = event.stream, event.changes
        opened = self._opening.get(stream)
        if opened is not None:
            self._judge(stream, changes, opened)
        elif changes & ABORTED and self._session.state is State.CLOSED:
            return  # `end` is about to say why
        elif stream in self._transports:
            self._transports[stream].changed(changes)

    def end(self, error: HomeportError | None) -> None:
        """The connection is gone."""
        why = error or StateError("the connection was closed")
        for opened in self._opening.values():
            if not opened.done():
                opened.set_exception(why)
        for transport in list(self._transports.values()):
            transport.lose(error)

    async def _until(self, stream: Stream, condition: Callable[[], bool]) -> None:
        """Wait until it is so. Raises StreamError when the stream ends before: nobody else would tell."""
        while stream.state < STATE_CLOSED:
            if condition():
                return
            await asyncio.sleep(_POLL_S)
        raise StreamError(f"the stream was cut off: {stream.reason or 'the device closed it'}", "reset")

    def _judge(self, stream: Stream, changes: int, opened: asyncio.Future[None]) -> None:
        if opened.done() or self._session.state is State.CLOSED:
            return
        if changes & OPENED:
            opened.set_result(None)
        elif changes & (ABORTED | CLOSED):
            opened.set_exception(self._why_not_open(stream))

    def _why_not_open(self, stream: Stream) -> StreamError:
        if stream.reason == _REFUSED:
            return StreamError("the device has no free stream", "busy", _NEXT_SLOTS)
        if stream.reason == TOO_LARGE:
            return StreamError(f"the stream was cut off: {TOO_LARGE}", "reset", "open it again")
        return StreamError("the device does not answer streams", "silent", _NEXT_SILENT)

    def _info(self, name: str) -> Any:
        path = self._session.path
        if name == "device":
            return self._device_id
        if path is None or name not in ("peername", "path"):
            return None
        return path.kind if name == "path" else wire.address(path.endpoint)

    def _wake(self) -> None:
        if self._session.wake_streams(now_ms()):
            self._hub.arm()

    def _forget(self, stream: Stream) -> None:
        del self._transports[stream]

    def _ticks(self) -> int:
        return now_ms() % ticks.PERIOD


async def take_answer(reader: asyncio.StreamReader, service: str) -> None:
    """Read the line with which a service answers. Raises StreamError when it says no, Timeout."""
    try:
        async with asyncio.timeout(ANSWER_S):
            line = await reader.readuntil(b"\n")
    except asyncio.IncompleteReadError as error:
        raise StreamError(f"the device does not offer {printable(service)!r}", "unknown", NEXT_SERVICE) from error
    except asyncio.LimitOverrunError as error:
        raise StreamError(f"{printable(service)!r} did not answer by a line", "unknown") from error
    except TimeoutError as error:
        raise Timeout(f"{printable(service)!r} did not answer within {ANSWER_S:g} s") from error
    if not line.startswith(b"+"):
        text = printable(line[1:].strip(), ANSWER_MAX)
        raise StreamError(f"{printable(service)!r} was refused: {text or 'no reason given'}", "refused", NEXT_SERVICE)


def tunnel_command(host: str, port: int) -> bytes:
    """The line that asks for a TCP connection (specification, streams 5.2). Raises ConfigError."""
    if host.lower() == "localhost":
        host = "127.0.0.1"  # the reference device allows the name, and then cannot resolve it
    if not 0 < len(host) <= HOST_MAX or not host.isascii() or not host.isprintable() or " " in host or "=" in host:
        raise ConfigError(f"not a host: {printable(host)!r}; expected a name or IPv4 address of at most {HOST_MAX}")
    if not 0 < port <= 0xFFFF:
        raise ConfigError(f"not a port: {port}; expected 1 to 65535")
    return f"tunnel host={host} port={port}".encode()
