"""Local TCP ports whose connections go through a device: one stream each, over one connection to the device.

When that connection dies, the TCP connections over it are reset, the ports stay, and the next connection to one of
them connects to the device again (specification, streams 5.8).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from homeport.client.streams.news import Listening, News, Refused
from homeport.client.streams.opener import tunnel_command
from homeport.client.streams.pump import Pump, Traffic, reset_connection
from homeport.client.streams.standing import Standing
from homeport.client.streams.transport import StreamTransport
from homeport.errors import ConfigError, FullError, HomeportError, StreamError

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

    Use `listen`, and `close` in the end: it cuts off what is open.
    """

    def __init__(self, standing: Standing, tell: Callable[[News], None]) -> None:
        self.traffic = Traffic()
        self._standing = standing
        self._tell = tell
        self._servers: list[asyncio.Server] = []
        self._pumps: dict[Pump, asyncio.Task[None] | None] = {}
        self._busy_turn = asyncio.Lock()

    @property
    def connections(self) -> int:
        """TCP connections that are open now."""
        return len(self._pumps)

    async def listen(self, target: Target) -> int:
        """Begin to forward; returns the local port. Raises ConfigError for a target or port that cannot be."""
        command = tunnel_command(target.host, target.port)
        loop = asyncio.get_running_loop()
        bound: list[int] = []

        def accept() -> asyncio.Protocol:
            return _Accepted(lambda transport: self._accept(transport, command, bound[0]))

        try:
            server = await loop.create_server(accept, target.bind, target.local_port)
        except (OSError, OverflowError) as error:
            raise ConfigError(f"cannot listen on {target.bind}:{target.local_port}: {error}") from error
        bound.append(int(server.sockets[0].getsockname()[1]))
        self._servers.append(server)
        self._tell(Listening(target.bind, bound[0], target.host, target.port))
        return bound[0]

    async def close(self) -> None:
        """Stop listening, and cut off what is open."""
        for server in self._servers:
            server.close()
        tasks = [task for task in self._pumps.values() if task is not None]
        for pump in list(self._pumps):
            pump.reset()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _accept(self, transport: asyncio.Transport, command: bytes, local_port: int) -> None:
        if len(self._pumps) >= CONNECTIONS_MAX:
            self._tell(Refused(local_port, FullError(f"{CONNECTIONS_MAX} connections are open already")))
            reset_connection(transport)
            return
        transport.pause_reading()
        pump = Pump(self.traffic, self._done)
        pump.local.connection_made(transport)
        transport.set_protocol(pump.local)
        self._pumps[pump] = asyncio.create_task(self._connect(pump, command, local_port))

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

    def _done(self, pump: Pump) -> None:
        task = self._pumps.pop(pump, None)
        if task is not None:
            task.cancel()


class _Accepted(asyncio.Protocol):
    """Hands a new connection on."""

    def __init__(self, accept: Callable[[asyncio.Transport], None]) -> None:
        self._hand_on = accept

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._hand_on(transport)
