"""Channels of the ports on MicroPython: non-blocking sockets under asyncio. See `port` for what each method does.

MicroPython cannot end one direction of a socket, so `shutdown` says False.
"""

import asyncio
import errno
import socket

from homeport_core.compat import const

_CONNECT_MS = const(10000)
_ASK_AGAIN_MS = const(20)
_OPTION_LEN = const(3)
_READ = const(0)
_WRITE = const(1)
# The second call of `connect` tells the outcome of the first: no error, or what systems have for "is connected".
_CONNECTED = (0, 106, 56, 127)


def connect(port: object, driver: object, address: bytes | tuple, owner: object) -> object:
    """A channel that is on its way to be a TCP connection. Raises OSError."""
    opened = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        opened.setblocking(False)
        options = port.tcp_options
        for i in range(0, len(options), _OPTION_LEN):
            opened.setsockopt(options[i], options[i + 1], options[i + 2])
    except OSError:
        opened.close()
        raise
    channel = Channel(driver, opened, owner)
    channel.begin(port.tcp_reset, address, _connect(opened, address) in (0, errno.EINPROGRESS))
    return channel


def _connect(opened: object, address: bytes | tuple) -> int:
    """Begin to connect, or ask how it went; returns the error, 0 for none."""
    try:
        opened.connect(address)
    except OSError as error:
        return error.errno
    return 0


class _Ready:
    """Awaited until something can be read, or written."""

    def __init__(self, opened: object, direction: int) -> None:
        queue = asyncio.core._io_queue
        self._queue = queue.queue_read if direction == _READ else queue.queue_write
        self._opened = opened

    def __iter__(self) -> object:
        yield self._queue(self._opened)

    __await__ = __iter__


class Channel:
    """A socket or serial line, with one task for each direction that is waited for."""

    def __init__(self, driver: object, opened: object, owner: object) -> None:
        self._driver = driver
        self._opened = opened
        self._owner = owner
        self._is_open = True
        self._wanted = [False, False]
        self._tasks = [None, None]
        self._limit = None
        self._reset = ()

    def begin(self, reset: tuple, address: bytes | tuple, connecting: bool) -> None:
        """Wait for the outcome, or tell at once that there is none to wait for. `reset` is the port's `tcp_reset`."""
        self._reset = reset
        self._limit = asyncio.create_task(self._expire(_CONNECT_MS if connecting else 0))
        if connecting:
            self._tasks[_WRITE] = asyncio.create_task(self._settle(address))

    def watch(self, readable: bool, writable: bool) -> None:
        self._wanted[_READ] = readable
        self._wanted[_WRITE] = writable
        for direction in (_READ, _WRITE):
            if self._wanted[direction] and self._tasks[direction] is None:
                self._tasks[direction] = asyncio.create_task(self._serve(direction))

    def send(self, buf: bytes | bytearray | memoryview) -> int:
        try:
            return self._opened.write(buf) or 0
        except OSError:
            return -1

    def receive_into(self, buf: bytearray | memoryview) -> int:
        try:
            n = self._opened.readinto(buf)
        except OSError:
            return -2
        return 0 if n is None else n or -1

    def shutdown(self) -> bool:
        return False

    def close(self, reset: bool = False) -> None:
        if self._is_open:
            self._is_open = False
            self._wanted[_READ] = self._wanted[_WRITE] = False
            for task in (self._tasks[_READ], self._tasks[_WRITE], self._limit):
                if task is not None and task is not asyncio.current_task():
                    task.cancel()
            if reset and self._reset:
                self._opened.setsockopt(*self._reset)
            self._opened.close()

    async def _settle(self, address: bytes | tuple) -> None:
        await _Ready(self._opened, _WRITE)
        outcome = _connect(self._opened, address)
        while outcome == errno.EALREADY:  # lwIP calls a socket writable before it is connected
            await asyncio.sleep_ms(_ASK_AGAIN_MS)
            outcome = _connect(self._opened, address)
        self._tasks[_WRITE] = None
        limit = self._limit
        self._limit = None
        limit.cancel()
        owner = self._owner
        self._driver.call(owner.tcp_ready if outcome in _CONNECTED else owner.tcp_failed, self)

    async def _expire(self, delay_ms: int) -> None:
        await asyncio.sleep_ms(delay_ms)
        self._limit = None
        settling = self._tasks[_WRITE]
        self._tasks[_WRITE] = None
        if settling is not None:
            settling.cancel()
        self._driver.call(self._owner.tcp_failed, self)

    async def _serve(self, direction: int) -> None:
        """Call the owner for as long as it wants to be called."""
        while self._wanted[direction]:
            try:
                await _Ready(self._opened, direction)
            except Exception:  # out of memory, for the moment
                await asyncio.sleep_ms(0)
                continue
            if self._wanted[direction]:
                owner = self._owner
                self._driver.call(owner.tcp_readable if direction == _READ else owner.tcp_writable, self)
        self._tasks[direction] = None
