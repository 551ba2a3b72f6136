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
WATCH_S = 1.0

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
            error = await self._until_lost(self._device)
            if error is not None:
                self._tell(Lost(error))
                await self._come_back()

    async def _until_lost(self, device: Device) -> HomeportError | None:
        """Wait for the connection's end, and return why; None when another has taken the place of a silent one."""
        ending = asyncio.create_task(device.wait_closed())
        try:
            while not ending.done():
                await asyncio.wait([ending], timeout=WATCH_S)
                if ending.done() or device.is_answering:
                    continue
                await asyncio.wait([ending], timeout=WATCH_S)  # a path that died is often replaced by the next
                if not ending.done() and not device.is_answering and await self._replace(device):
                    return None
        finally:
            ending.cancel()
        return ending.result() or DeviceOffline("the connection was closed")

    async def _replace(self, silent: Device) -> bool:
        """Connect beside a silent connection, which a restarted device or basestation may have forgotten."""
        try:
            async with asyncio.timeout(ATTEMPT_S):
                device = await self._connect()
        except (HomeportError, OSError):
            return False  # then the silent one may yet come back, and ends by itself if not
        await asyncio.sleep(WATCH_S)
        if silent.is_answering:
            await device.close()
            return False
        self._tell(Lost(DeviceOffline("the device has forgotten the connection")))
        self._welcome(device, again=True)
        await silent.close()
        return True

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
        if isinstance(outcome, HomeportError):
            arrived.set_exception(outcome)
            arrived.exception()  # whoever waited may have gone
        else:
            arrived.set_result(outcome)
