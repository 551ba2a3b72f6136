"""TCP channels of the port for CPython: sockets under asyncio. See `port` for what each method does."""

import errno
import socket
import struct

from homeport_core.compat import const

_CONNECT_S = const(10)
_KEEP_ALIVE = (("TCP_KEEPIDLE", 60), ("TCP_KEEPALIVE", 60), ("TCP_KEEPINTVL", 60), ("TCP_KEEPCNT", 9))
_RESET = struct.pack("ii", 1, 0)  # linger for no time
_CONNECTING = (0, errno.EINPROGRESS, errno.EWOULDBLOCK)


def connect(loop: object, driver: object, address: tuple, owner: object) -> object:
    """A channel that is on its way to be a TCP connection. Raises OSError."""
    opened = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        opened.setblocking(False)
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in _KEEP_ALIVE:
            if hasattr(socket, name):
                opened.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
        code = opened.connect_ex(address)
    except OSError:
        opened.close()
        raise
    channel = TcpChannel(loop, driver, opened, owner)
    channel.begin(code in _CONNECTING)
    return channel


class Channel:
    """What sockets and serial lines share: watching a descriptor. Subclasses read, write and close it."""

    def __init__(self, loop: object, driver: object, descriptor: int, owner: object) -> None:
        self._loop = loop
        self._driver = driver
        self._descriptor = descriptor
        self._owner = owner
        self._is_open = True
        self._watched = (False, False)

    def watch(self, readable: bool, writable: bool) -> None:
        was_readable, was_writable = self._watched
        self._watched = (readable, writable)
        if readable and not was_readable:
            self._loop.add_reader(self._descriptor, self._driver.call, self._owner.tcp_readable, self)
        elif was_readable and not readable:
            self._loop.remove_reader(self._descriptor)
        if writable and not was_writable:
            self._loop.add_writer(self._descriptor, self._driver.call, self._owner.tcp_writable, self)
        elif was_writable and not writable:
            self._loop.remove_writer(self._descriptor)

    def send(self, buf: bytes | bytearray | memoryview) -> int:
        try:
            return self._write(buf)
        except (BlockingIOError, InterruptedError):
            return 0
        except OSError:
            return -1

    def receive_into(self, buf: bytearray | memoryview) -> int:
        try:
            return self._read_into(buf) or -1
        except (BlockingIOError, InterruptedError):
            return 0
        except OSError:
            return -2

    def close(self, reset: bool = False) -> None:
        if self._is_open:
            self._is_open = False
            self.watch(False, False)
            self._end(reset)


class TcpChannel(Channel):
    """One TCP connection."""

    def __init__(self, loop: object, driver: object, opened: socket.socket, owner: object) -> None:
        super().__init__(loop, driver, opened.fileno(), owner)
        self._socket = opened
        self._read_into = opened.recv_into
        self._write = opened.send
        self._limit = None

    def begin(self, connecting: bool) -> None:
        """Wait for the outcome, or tell at once that there is none to wait for."""
        self._limit = self._loop.call_later(_CONNECT_S if connecting else 0, self._settle, False)
        if connecting:
            self._loop.add_writer(self._descriptor, self._settle, True)

    def shutdown(self) -> bool:
        try:
            self._socket.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # the connection is broken, which receiving tells too
        return True

    def _settle(self, answered: bool) -> None:
        self._stop_waiting()
        done = answered and not self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        self._driver.call(self._owner.tcp_ready if done else self._owner.tcp_failed, self)

    def _stop_waiting(self) -> None:
        if self._limit:
            self._limit.cancel()
            self._limit = None
            self._loop.remove_writer(self._descriptor)

    def _end(self, reset: bool) -> None:
        self._stop_waiting()
        if reset:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self._socket.close()
