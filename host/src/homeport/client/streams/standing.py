"""A connection to a device that comes back: made again when it has ended, soon after, or at once when it is wanted."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from homeport.client.device import Device
from homeport.client.streams.news import Connected, Lost, Moved, News, NotYet
from homeport.errors import DeviceOffline, HomeportError, StateError

FIRST_RETRY_S = 1.0
LAST_RETRY_S = 30.0
ATTEMPT_S = 30.0

Connect = Callable[[], Awaitable[Device]]


class Standing:
    """Keeps one connection that `connect` makes. `tell` is told of everything that becomes of it.

    Begin with an open `device`, or without one and `start`. Use `close` in the end, which leaves `device` open.
    """

    def __init__(self, connect: Connect, tell: Callable[[News], None], device: Device | None = None) -> None:
        self._connect = connect
        self._tell = tell
        self._device = device
        self._lent = device
        self._arrived: asyncio.Future[Device] | None = None
        self._wanted = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None

    @property
    def current(self) -> Device | None:
        """The open connection, if there is one: None is "ready for reconnect"."""
        return self._device if self._device is not None and self._device.is_open else None

    async def start(self) -> None:
        """Connect, and keep connected from then on. Raises what `connect` raises."""
        if self._device is None:
            self._welcome(await self._connect(), again=False)
        self._keeper = asyncio.create_task(self._keep())

    async def device(self) -> Device:
        """The open connection, made now if need be. Raises what connecting raises."""
        if self._keeper is None or self._keeper.done():
            raise StateError("the connection is not kept any more")
        if self.current is not None:
            return self.current
        if self._arrived is None:
            self._arrived = asyncio.get_running_loop().create_future()
        self._wanted.set()
        return await asyncio.shield(self._arrived)

    async def close(self) -> None:
        """Stop keeping it, and close what was opened here."""
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
        self._settle(StateError("the connection was closed"))
        if self._device is not None and self._device is not self._lent:
            await self._device.close()

    async def _keep(self) -> None:
        while self._device is not None:
            error = await self._device.wait_closed()
            self._tell(Lost(error or DeviceOffline("the connection was closed")))
            await self._come_back()

    async def _come_back(self) -> None:
        delay_s = FIRST_RETRY_S
        while True:
            try:
                async with asyncio.timeout(delay_s):
                    await self._wanted.wait()
            except TimeoutError:
                pass  # nobody wants it yet, but somebody will
            self._wanted.clear()
            try:
                async with asyncio.timeout(ATTEMPT_S):
                    device = await self._connect()
            except TimeoutError:
                error: HomeportError = DeviceOffline(f"no connection within {ATTEMPT_S:g} s")
            except OSError as failure:
                error = failure if isinstance(failure, HomeportError) else DeviceOffline(str(failure))
            except HomeportError as failure:
                error = failure
            else:
                self._welcome(device, again=True)
                return
            delay_s = min(2 * delay_s, LAST_RETRY_S)
            self._tell(NotYet(error, delay_s))
            self._settle(error)

    def _welcome(self, device: Device, again: bool) -> None:
        self._device = device
        device.on_path = lambda path: self._tell(Moved(path))
        self._tell(Connected(device.path, device.connect_ms, again))
        self._settle(device)

    def _settle(self, outcome: Device | HomeportError) -> None:
        """Answer those who wait for a connection."""
        arrived, self._arrived = self._arrived, None
        if arrived is None or arrived.done():
            return
        if isinstance(outcome, Device):
            arrived.set_result(outcome)
        else:
            arrived.set_exception(outcome)
            arrived.exception()  # whoever waited may have gone
