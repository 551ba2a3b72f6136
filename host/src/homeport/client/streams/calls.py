"""What an open device can do with streams. The machinery is imported when the first one is opened: calls need none."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING

from homeport.client.network.hub import Hub
from homeport.client.session.events import StreamChanged
from homeport.client.session.paths import PathKind
from homeport.client.session.session import Session
from homeport.errors import HomeportError, StateError

if TYPE_CHECKING:
    from homeport.client.device import Device
    from homeport.client.streams.opener import DeviceStreams


class StreamCalls:
    """The part of `Device` that deals with streams."""

    id: str
    _session: Session
    _hub: Hub
    _streams: DeviceStreams | None = None
    connect_again: Callable[[], Awaitable[Device]] | None = None
    """Makes another connection like this one; set by `Client.connect`."""
    on_path: Callable[[PathKind], None] | None = None
    """Is told of every change of `path`."""

    @property
    def streams(self) -> DeviceStreams:
        """The open streams, for those who want an asyncio transport."""
        from homeport.client.streams.opener import DeviceStreams

        if self._streams is None:
            self._streams = DeviceStreams(self.id, self._session, self._hub)
        return self._streams

    async def open_stream(
        self, command: str, answers: bool | None = None
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Open a stream to the service that `command` names, such as "echo".

        `answers` says whether the service answers its command by a line `+…` or `-…`, which is read here; by default
        echo and uart do. Raises StreamError, FullError, Timeout, ConfigError, StateError, or what ended the connection.
        """
        from homeport.client.streams.opener import ANSWERING, take_answer

        service = command.partition(" ")[0]
        reader, writer = await self.streams.open_reader_writer(command.encode())
        if service in ANSWERING if answers is None else answers:
            try:
                await take_answer(reader, service)
            except BaseException:
                writer.transport.abort()
                raise
        return reader, writer

    async def open_tunnel(self, host: str, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Open a TCP connection to `host` and `port` as the device sees them; raises as `open_stream`.

        A device does not say whether it could connect: a connection that failed ends without an octet.
        """
        from homeport.client.streams.opener import tunnel_command

        return await self.streams.open_reader_writer(tunnel_command(host, port))

    @contextlib.asynccontextmanager
    async def forward(self, host: str, port: int, local_port: int = 0) -> AsyncIterator[int]:
        """Forward TCP connections to a local port (0: any free one), which is the context's value, through the device.

        When the connection to the device ends, the next TCP connection makes another. For several targets, another
        address than 127.0.0.1, and to hear what happens: `homeport.client.streams.forward`.
        """
        from homeport.client.device import Device
        from homeport.client.streams.forward import Forwarder, Target
        from homeport.client.streams.standing import Standing

        if self.connect_again is None or not isinstance(self, Device):
            raise StateError("this device was not made by a client")
        standing = Standing(self.connect_again, lambda news: None, self)
        forwarder = Forwarder(standing, lambda news: None)
        try:
            await standing.start()
            yield await forwarder.listen(Target(host, port, local_port))
        finally:
            await forwarder.close()
            await standing.close()

    def _stream_changed(self, event: StreamChanged) -> None:
        self.streams.changed(event)

    def _end_streams(self, error: HomeportError | None) -> None:
        if self._streams is not None:
            self._streams.end(error)
