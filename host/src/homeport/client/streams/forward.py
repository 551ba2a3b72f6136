"""Local TCP ports whose connections go through a device: one stream each, over one connection to the device.

When that connection dies, the TCP connections over it are reset, the ports stay, and the next connection to one of
them connects to the device again (specification, streams 5.8).
"""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Callable
from dataclasses import dataclass

from homeport.client.streams.news import Listening, News, Refused
from homeport.client.streams.opener import tunnel_command
from homeport.client.streams.pump import Pump, Traffic, reset_connection
from homeport.client.streams.standing import Standing
from homeport.client.streams.transport import StreamTransport
from homeport.errors import ConfigError, FullError, HomeportError, StreamError
from homeport.tcp import reason_of

LOOPBACK = "127.0.0.1"
CONNECTIONS_MAX = 200  # a session has streams for some more
# A device has few streams, a browser opens many connections: they take turns.
BUSY_RETRY_S = 0.2
BUSY_PATIENCE_S = 30.0


@dataclass(frozen=True)
class Target:
    """Connections to `bind`:`local_port` (0: any free port) lead to `host`:`port`, as the device sees them."""

    host: str
    port: int
    local_port: int = 0
    bind: str = LOOPBACK


class Forwarder:
    """Forwards any number of targets over one standing connection; `tell` gets what happens.

    Use `listen`, or `bind` and later `serve`, and `close` in the end: it cuts off what is open.
    """

    def __init__(self, standing: Standing, tell: Callable[[News], None]) -> None:
        self.traffic = Traffic()
        self._standing = standing
        self._tell = tell
        self._servers: dict[asyncio.Server, Listening] = {}
        self._pumps: dict[Pump, asyncio.Task[None] | None] = {}
        self._busy_turn = asyncio.Lock()

    @property
    def connections(self) -> int:
        """TCP connections that are open now."""
        return len(self._pumps)

    async def listen(self, target: Target) -> int:
        """Begin to forward; returns the local port. Raises ConfigError for a target or port that cannot be."""
        port = await self.bind(target)
        await self.serve()
        return port

    async def bind(self, target: Target) -> int:
        """Take the local port, where nobody is let in before `serve`. Raises as `listen`."""
        command = tunnel_command(target.host, target.port)
        loop = asyncio.get_running_loop()
        bound: list[Listening] = []

        def accept() -> asyncio.Protocol:
            return _Accepted(lambda transport: self._accept(transport, command, bound[0]))

        try:
            server = await loop.create_server(accept, target.bind, target.local_port, start_serving=False)
        except (OSError, OverflowError) as error:
            raise _not_listening(target.bind, target.local_port, error) from error
        port = int(server.sockets[0].getsockname()[1])
        bound.append(Listening(target.bind, port, target.host, target.port))
        self._servers[server] = bound[0]
        return port

    async def serve(self) -> None:
        """Let connections in. Raises ConfigError for a port that was taken meanwhile."""
        for server, listening in self._servers.items():
            if not server.is_serving():
                try:
                    await server.start_serving()
                except OSError as error:  # bound twice, which the system allows until somebody listens
                    raise _not_listening(listening.bind, listening.local_port, error) from error
                self._tell(listening)

    async def close(self) -> None:
        """Stop listening, and cut off what is open."""
        for server in self._servers:
            server.close()
        tasks = [task for task in self._pumps.values() if task is not None]
        for pump in list(self._pumps):
            pump.reset()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _accept(self, transport: asyncio.Transport, command: bytes, way: Listening) -> None:
        if len(self._pumps) >= CONNECTIONS_MAX:
            self._tell(Refused(way.local_port, FullError(f"{CONNECTIONS_MAX} connections are open already")))
            reset_connection(transport)
            return
        transport.pause_reading()
        pump = Pump(self.traffic, self._done, lambda error: self._failed(way, error))
        pump.local.connection_made(transport)
        transport.set_protocol(pump.local)
        self._pumps[pump] = asyncio.create_task(self._connect(pump, command, way.local_port))

    async def _connect(self, pump: Pump, command: bytes, local_port: int) -> None:
        try:
            stream = await self._open(command)
        except HomeportError as error:
            self._tell(Refused(local_port, error))
            pump.reset()
        else:
            pump.attach(stream)
            if pump in self._pumps:
                self._pumps[pump] = None

    async def _open(self, command: bytes) -> StreamTransport:
        """A stream of the device; when it has none free, one after the other waits for one."""
        try:
            return await self._open_now(command)
        except StreamError as error:
            if error.cause != "busy":
                raise
            busy = error
        try:
            async with asyncio.timeout(BUSY_PATIENCE_S), self._busy_turn:
                while True:
                    await asyncio.sleep(BUSY_RETRY_S)
                    try:
                        return await self._open_now(command)
                    except StreamError as error:
                        if error.cause != "busy":
                            raise
        except TimeoutError:
            raise busy

    async def _open_now(self, command: bytes) -> StreamTransport:
        device = await self._standing.device()
        try:
            return await device.streams.open(command)
        except HomeportError:
            if device.is_open:
                raise
        # The connection turned out to be dead: nothing was sent yet, so the next one will do.
        return await (await self._standing.device()).streams.open(command)

    def _failed(self, way: Listening, error: StreamError | None) -> None:
        target = f"{way.host}:{way.port}"
        mute = StreamError(f"{target} ended without an octet: the device cannot connect there, or may not", "refused")
        self._tell(Refused(way.local_port, error or mute))

    def _done(self, pump: Pump) -> None:
        task = self._pumps.pop(pump, None)
        if task is not None:
            task.cancel()


def _not_listening(host: str, port: int, error: BaseException) -> ConfigError:
    """The error for a port that cannot be had, and what to do about it."""
    advice = {
        errno.EACCES: "; ports below 1024 take privileges, take a higher one",
        errno.EADDRINUSE: "; take another one, or 0 for any that is free",
    }.get(getattr(error, "errno", None) or 0, "")
    return ConfigError(f"cannot listen on {host}:{port}: {reason_of(error)}{advice}")


class _Accepted(asyncio.Protocol):
    """Hands a new connection on."""

    def __init__(self, accept: Callable[[asyncio.Transport], None]) -> None:
        self._hand_on = accept

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._hand_on(transport)
