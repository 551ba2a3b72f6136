"""What ports on MicroPython share: asyncio around non-blocking UDP sockets. See `port` for the methods.

Waiting for a datagram uses a private part of asyncio, for which there is no public one; it is used nowhere else.
MicroPython looks names up with everything else standing still, so platforms find a way of their own, `ask`.
"""

import asyncio
import errno
import socket
import time

from homeport_core.compat import const
from homeport_core.errors import ConfigError
from homeport_core.ticks import PERIOD

from homeport_device.device_config import parse_address
from homeport_device.output import LOCAL, REMOTE
from homeport_device.randomness import random, require_random

# Datagrams taken in one wake-up, so that a flood on one socket cannot hold up timers and the other socket.
_BURST = const(16)
_WATCH_MS = const(1000)
# Dynamic ports; there is no way to ask a socket which one it got, so we choose.
_PORT_FIRST = const(49152)
_PORT_COUNT = const(16384)
_TRIES = const(32)


class _Readable:
    """Awaited until a datagram can be read."""

    def __init__(self, opened: object) -> None:
        self._socket = opened

    def __iter__(self) -> object:
        yield asyncio.core._io_queue.queue_read(self._socket)

    __await__ = __iter__


class MicroPythonPort:
    """Sockets, clock, names and randomness.

    A platform adds `pack(endpoint) -> address`, `unpack(address) -> endpoint`, `receive(socket)`, which returns
    (datagram, endpoint) or raises OSError when there is none, `tcp_options`: of TCP sockets, three octets each
    (level, option, value), `tcp_reset`: (level, option, value) by which closing one resets the connection, or (), and
    `async ask(name)`: the IPv4 addresses of a name, 4 octets each.
    """

    tcp_reset = ()

    def __init__(self) -> None:
        require_random()
        self.random = random
        self.unsent = 0
        self.lost = 0
        self._sockets = {}
        self._tasks = {}
        self._remote_port = 0
        self._driver = None
        self._timer = None
        self._due_ms = None
        self._main = None

    def now_ms(self) -> int:
        return time.ticks_ms() & (PERIOD - 1)

    def open(self, local_port: int) -> int:
        if local_port:
            try:
                self._sockets[LOCAL] = self._bound_socket(local_port)
            except OSError as error:
                reason = "is taken by another program" if error.errno == errno.EADDRINUSE else "cannot be opened"
                raise ConfigError("UDP port %d %s: choose another with --local-port" % (local_port, reason), error)
        else:
            self._sockets[LOCAL], local_port = self._free_socket()
        self._sockets[REMOTE], self._remote_port = self._free_socket()
        return local_port

    def reopen(self) -> None:
        self._sockets[REMOTE].close()
        self._sockets[REMOTE], self._remote_port = self._free_socket()
        if self._driver:
            waiting = self._tasks[REMOTE]
            self._tasks[REMOTE] = asyncio.create_task(self._receive(REMOTE))
            if waiting is not asyncio.current_task():
                waiting.cancel()

    def open_extra(self) -> int:
        return 0

    def receive_up_to(self, size: int) -> None:
        """Boards receive what their packets need."""

    def send(self, socket_index: int, endpoint: bytes, buf: bytes | bytearray, n: int) -> None:
        try:
            self._sockets[socket_index].sendto(memoryview(buf)[:n], self.pack(endpoint))
        except OSError:
            self.unsent += 1

    def local_endpoint(self) -> bytes:
        return bytes(4) + self._remote_port.to_bytes(2, "big")

    def resolve(self, name: str) -> None:
        self.start_task(self._look_up(name), lambda addresses, _: self._driver.resolved(addresses))

    def call(self, function: object, *arguments: object) -> None:
        self._driver.call(function, *arguments)

    def look_up(self, name: str, answer: object) -> None:
        self.start_task(self._look_up(name), lambda addresses, _: self._driver.call(answer, addresses))

    def connect_tcp(self, endpoint: bytes, owner: object) -> object:
        from homeport_device.tcp_micropython import connect

        return connect(self, self._driver, self.pack(endpoint), owner)

    def arm(self, delay_ms: int | None) -> None:
        waiting = self._timer
        self._due_ms = None if delay_ms is None else time.ticks_add(time.ticks_ms(), delay_ms)
        self._timer = None if delay_ms is None else asyncio.create_task(self._wait(delay_ms))
        if waiting is not None and waiting is not asyncio.current_task():
            waiting.cancel()

    def start_task(self, coroutine: object, done: object) -> object:
        return asyncio.create_task(self._supervise(coroutine, done))

    def run(self, driver: object, tasks: list) -> None:
        try:
            asyncio.run(self._run(driver, tasks))
        except (KeyboardInterrupt, asyncio.CancelledError):
            return
        finally:
            asyncio.new_event_loop()

    def stop(self) -> None:
        self._main.cancel()

    def close(self) -> None:
        for opened in self._sockets.values():
            opened.close()
        self._sockets = {}

    async def _run(self, driver: object, tasks: list) -> None:
        self._driver = driver
        for index in (LOCAL, REMOTE):
            self._tasks[index] = asyncio.create_task(self._receive(index))
        self._main = asyncio.current_task()
        driver.start()
        for function, done in tasks:
            self.start_task(function(), done)
        while True:
            await asyncio.sleep_ms(_WATCH_MS)
            self._catch_up()

    async def _receive(self, index: int) -> None:
        """Feed datagrams of one socket for as long as it is that socket."""
        opened = self._sockets[index]
        while self._sockets.get(index) is opened:
            try:
                await _Readable(opened)
                self._drain(index, opened)
            except Exception:  # out of memory: what was on its way is lost, the socket stays served
                self.lost += 1
                await asyncio.sleep_ms(0)

    def _drain(self, index: int, opened: object) -> None:
        for _ in range(_BURST):
            try:
                data, endpoint = self.receive(opened)
            except OSError:
                break
            self._driver.part(index, data, endpoint)
            if self._sockets.get(index) is not opened:
                break
        self._driver.drained()

    def _catch_up(self) -> None:
        """Make up for a timer that could not be made when memory was short."""
        if self._due_ms is not None and time.ticks_diff(time.ticks_ms(), self._due_ms) > _WATCH_MS:
            self._due_ms = None
            self._driver.timeout()

    async def _wait(self, delay_ms: int) -> None:
        await asyncio.sleep_ms(delay_ms)
        self._due_ms = None
        self._driver.timeout()

    async def _supervise(self, coroutine: object, done: object) -> None:
        result = failure = None
        try:
            result = await coroutine
        except Exception as error:
            failure = error
        done(result, failure)

    async def _look_up(self, name: str) -> list:
        address = parse_address(name)
        return [address] if address else await self.ask(name)

    def _bound_socket(self, port: int) -> object:
        opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            opened.setblocking(False)
            opened.bind(self.pack(bytes(4) + port.to_bytes(2, "big")))
        except OSError:
            opened.close()
            raise
        return opened

    def _free_socket(self) -> tuple:
        """A socket on a dynamic port that nobody has, and the port."""
        for _ in range(_TRIES):
            octets = random(2)
            port = _PORT_FIRST + (octets[0] << 8 | octets[1]) % _PORT_COUNT
            try:
                return self._bound_socket(port), port
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise
        raise ConfigError("no free UDP port found")
