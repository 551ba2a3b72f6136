"""The port for CPython: drained sockets under asyncio. See `port` for what each method does."""

import asyncio
import errno
import signal
import socket
import sys
import time

from homeport_core.compat import const
from homeport_core.errors import ConfigError
from homeport_core.spec import ENDPOINT_ZERO
from homeport_core.ticks import PERIOD

from homeport_device.device_config import parse_address
from homeport_device.output import EXTRA_MAX, FIRST_EXTRA, LOCAL, REMOTE
from homeport_device.randomness import random, require_random

# Datagrams taken in one wake-up, so that a flood on one socket cannot hold up timers and the other socket.
_BURST = const(64)
_DATAGRAM_MAX = const(1500)
# A client's whole window may arrive at once; the system takes less where it has a limit.
_RECEIVE_BUFFER_LEN = const(4 << 20)
_LOOK_UP_S = const(10)


class Port:
    """Sockets, clock, names and randomness of this process."""

    def __init__(self) -> None:
        require_random()
        self.random = random
        self.unsent = 0
        self._sockets = {}
        self._driver = None
        self._loop = None
        self._timer = None
        self._stopped = None
        self._running = set()
        self._datagram_max = _DATAGRAM_MAX + 1

    def now_ms(self) -> int:
        return time.monotonic_ns() // 1_000_000 % PERIOD

    def open(self, local_port: int) -> int:
        try:
            self._sockets[LOCAL] = _bound_socket(local_port)
        except OSError as error:
            reason = "is taken by another program" if error.errno == errno.EADDRINUSE else "cannot be opened"
            raise ConfigError("UDP port %d %s: choose another with --local-port" % (local_port, reason), error)
        self._sockets[REMOTE] = _bound_socket(0)
        return self._sockets[LOCAL].getsockname()[1]

    def reopen(self) -> None:
        if self._loop:
            self._loop.remove_reader(self._sockets[REMOTE])
        self._sockets[REMOTE].close()
        self._sockets[REMOTE] = _bound_socket(0)
        if self._loop:
            self._loop.add_reader(self._sockets[REMOTE], self._drain, REMOTE)

    def open_extra(self) -> int:
        if len(self._sockets) >= FIRST_EXTRA + EXTRA_MAX:
            return 0
        try:
            opened = _bound_socket(0)
        except OSError:
            return 0
        index = next(n for n in range(FIRST_EXTRA, FIRST_EXTRA + EXTRA_MAX) if n not in self._sockets)
        self._sockets[index] = opened
        self._loop.add_reader(opened, self._drain, index)
        return index

    def close_extra(self, index: int) -> None:
        opened = self._sockets.pop(index)
        if self._loop:
            self._loop.remove_reader(opened)
        opened.close()

    def send(self, socket_index: int, endpoint: bytes, buf: bytes | bytearray, n: int) -> None:
        try:
            self._sockets[socket_index].sendto(memoryview(buf)[:n], _address(endpoint))
        except OSError:
            self.unsent += 1

    def open_serial(self, path: str, owner: object) -> object:
        from homeport_device.serial_cpython import connect

        return connect(self._loop, self._driver, path, owner)

    def receive_up_to(self, size: int) -> None:
        self._datagram_max = max(size, _DATAGRAM_MAX) + 1

    def local_endpoint(self) -> bytes:
        """The address by which packets leave for the internet; asking for it sends nothing."""
        port = self._sockets[REMOTE].getsockname()[1].to_bytes(2, "big")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            try:
                probe.connect(("192.0.2.1", 9))
                return socket.inet_aton(probe.getsockname()[0]) + port
            except OSError:
                return ENDPOINT_ZERO[:4] + port

    def resolve(self, name: str) -> None:
        self.start_task(self._look_up(name), lambda addresses, _: self._driver.resolved(addresses))

    def call(self, function: object, *arguments: object) -> None:
        self._driver.call(function, *arguments)

    def look_up(self, name: str, answer: object) -> None:
        self.start_task(self._look_up(name), lambda addresses, _: self._driver.call(answer, addresses))

    def connect_tcp(self, endpoint: bytes, owner: object) -> object:
        from homeport_device.tcp_cpython import connect

        return connect(self._loop, self._driver, _address(endpoint), owner)

    def arm(self, delay_ms: int | None) -> None:
        if self._timer:
            self._timer.cancel()
        self._timer = None
        if delay_ms is not None:
            self._timer = self._loop.call_later(delay_ms / 1000, self._driver.timeout)

    def start_task(self, coroutine: object, done: object) -> object:
        task = self._loop.create_task(coroutine)
        self._running.add(task)
        task.add_done_callback(lambda ended: self._ended(ended, done))
        return task

    def run(self, driver: object, tasks: list) -> None:
        # The default loop of some systems cannot wait for sockets that we read ourselves.
        with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
            try:
                runner.run(self._run(driver, tasks))
            except KeyboardInterrupt:
                return

    def stop(self) -> None:
        self._stopped.set()

    def close(self) -> None:
        for opened in self._sockets.values():
            opened.close()
        self._sockets = {}

    async def _run(self, driver: object, tasks: list) -> None:
        self._driver = driver
        self._loop = asyncio.get_running_loop()
        self._stopped = asyncio.Event()
        if sys.platform != "win32":  # there Ctrl-C ends the loop
            for number in (signal.SIGTERM, signal.SIGINT):
                self._loop.add_signal_handler(number, self.stop)
        for index in (LOCAL, REMOTE):
            self._loop.add_reader(self._sockets[index], self._drain, index)
        driver.start()
        for function, done in tasks:
            self.start_task(function(), done)
        await self._stopped.wait()
        self.arm(None)
        for opened in self._sockets.values():
            self._loop.remove_reader(opened)
        self._loop = None

    def _drain(self, index: int) -> None:
        opened = self._sockets[index]
        for _ in range(_BURST):
            try:
                data, address = opened.recvfrom(self._datagram_max)
            except OSError:
                break
            self._driver.part(index, data, socket.inet_aton(address[0]) + address[1].to_bytes(2, "big"))
            if self._sockets.get(index) is not opened:
                break
        self._driver.drained()

    def _ended(self, task: object, done: object) -> None:
        self._running.discard(task)
        if not task.cancelled():
            error = task.exception()
            done(None if error else task.result(), error)

    async def _look_up(self, name: str) -> list | None:
        """Addresses of a name, looked up beside the loop and bounded in time."""
        address = parse_address(name)
        if address:
            return [address]
        try:
            found = await asyncio.wait_for(
                self._loop.getaddrinfo(name, 0, family=socket.AF_INET, type=socket.SOCK_DGRAM), _LOOK_UP_S
            )
        except (OSError, UnicodeError, asyncio.TimeoutError):
            return None
        return [socket.inet_aton(entry[4][0]) for entry in found]


def _bound_socket(port: int) -> socket.socket:
    opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER_LEN)
        opened.setblocking(False)
        opened.bind(("0.0.0.0", port))
    except OSError:
        opened.close()
        raise
    return opened


def _address(endpoint: bytes) -> tuple:
    return socket.inet_ntoa(endpoint[:4]), endpoint[4] << 8 | endpoint[5]
