"""What a device finds around itself, for MicroPython: clock, sockets and randomness that a test at the other ends of
stdin and stderr provides (`virtual_world`). Time passes when the test says so, and each run is like the last.

`install` puts its own modules into the places of `time`, `select`, `socket`, `os` and asyncio's tasks. TCP connections
lead to an echo. All addresses are in the form of the Unix port, or as (text, port) as on boards.
"""

import errno
import gc
import hashlib
import os
import select
import socket
import sys
import time

BATCH_LEN = 8192
_HEADER_LEN = 3
_TIME = ord("T")
_MEMORY = ord("M")
_ENDPOINT_LEN = 6
_FOREVER = 0xFFFFFFFF
_ECHO_LEN = 2048
_ECHOES = 8
# Made before anything is counted: on a board they are the system's.
_spare_echoes = [bytearray(_ECHO_LEN) for _ in range(_ECHOES)]


class Pipes:
    """Records to and from the test: kind (1 octet), length (2), octets. The test's have their length before them."""

    def __init__(self) -> None:
        self.now_ms = self._granted_ms = 0
        self.sockets = {}
        self.base_len = 0
        self.board_addresses = False
        self._incoming = sys.stdin.buffer
        self._outgoing = sys.stderr.buffer
        self._out = bytearray(BATCH_LEN)
        self._out_len = 0
        self._in = bytearray(BATCH_LEN)

    def begin(self, board_addresses: bool) -> None:
        """From here on, what is allocated is the device's."""
        self.board_addresses = board_addresses
        gc.collect()
        self.base_len = gc.mem_alloc()
        self.send(b"B", self.base_len.to_bytes(4, "big"))
        self._flush()

    def send(self, kind: bytes, *parts: bytes) -> None:
        n = sum([len(part) for part in parts])
        if self._out_len + _HEADER_LEN + n > BATCH_LEN:
            self._flush()
        self._put(kind)
        self._put(n.to_bytes(2, "big"))
        for part in parts:
            self._put(part)

    def pass_time(self, delay_ms: int) -> None:
        """Nothing to do for so long: whatever happens until then happens."""
        if delay_ms >= 0 and not self._out_len and self.now_ms + delay_ms <= self._granted_ms:
            self.now_ms += delay_ms  # nothing will: there was leave to go on that far
            return
        wait_ms = _FOREVER if delay_ms < 0 else delay_ms
        self.send(b"I", self.now_ms.to_bytes(4, "big"), wait_ms.to_bytes(4, "big"))
        self._flush()
        self._receive(4)
        n = int.from_bytes(self._in[:4], "big")
        self._receive(n)
        off = 0
        while off < n:
            kind = self._in[off]
            size = self._in[off + 1] << 8 | self._in[off + 2]
            self._take(kind, memoryview(self._in)[off + _HEADER_LEN : off + _HEADER_LEN + size])
            off += _HEADER_LEN + size

    def _take(self, kind: int, body: memoryview) -> None:
        if kind == _TIME:
            self.now_ms = int.from_bytes(body[:4], "big")
            self._granted_ms = int.from_bytes(body[4:], "big")
        elif kind == _MEMORY:
            gc.collect()
            held_len = max(0, gc.mem_alloc() - self.base_len)
            self.send(b"M", held_len.to_bytes(4, "big"), gc.mem_free().to_bytes(4, "big"))
        else:
            opened = self.sockets.get(body[0] << 8 | body[1])
            if opened is not None:
                source = bytes(body[2 : 2 + _ENDPOINT_LEN])
                opened.arrived.append((bytes(body[2 + _ENDPOINT_LEN :]), source))

    def _put(self, octets: bytes) -> None:
        self._out[self._out_len : self._out_len + len(octets)] = octets
        self._out_len += len(octets)

    def _flush(self) -> None:
        self._outgoing.write(memoryview(self._out)[: self._out_len])
        self._out_len = 0

    def _receive(self, n: int) -> None:
        view = memoryview(self._in)
        done = 0
        while done < n:
            got = self._incoming.readinto(view[done:n])
            if not got:
                sys.exit(0)  # the test is over
            done += got


pipes = Pipes()


class Poll:
    """`select.poll` over these sockets."""

    def __init__(self) -> None:
        self._wanted = {}
        self._objects = {}

    def register(self, opened: object, mask: int) -> None:
        self._objects[id(opened)] = opened
        self._wanted[id(opened)] = mask

    modify = register

    def unregister(self, opened: object) -> None:
        self._objects.pop(id(opened))
        self._wanted.pop(id(opened))

    def ipoll(self, delay_ms: int = -1) -> list:
        found = self._ready()
        if not found and delay_ms:
            pipes.pass_time(delay_ms)
            found = self._ready()
        return found

    def _ready(self) -> list:
        found = []
        for key, opened in self._objects.items():
            events = opened.events() & self._wanted[key]
            if events:
                found.append((opened, events))
        return found


class Socket:
    """UDP to the test, or TCP to an echo."""

    def __init__(self, family: int = socket.AF_INET, kind: int = socket.SOCK_DGRAM, protocol: int = 0) -> None:
        self.arrived = []
        self._port = 0
        self._echo = _spare_echoes.pop() if kind == socket.SOCK_STREAM else None
        self._echo_len = 0
        self._asked = False

    def setblocking(self, wanted: bool) -> None:
        pass

    def setsockopt(self, level: int, option: int, value: object) -> None:
        pass

    def events(self) -> int:
        if self._echo is None:
            return select.POLLIN if self.arrived else 0
        return (select.POLLIN if self._echo_len else 0) | (select.POLLOUT if self._echo_len < _ECHO_LEN else 0)

    def bind(self, address: object) -> None:
        self._port = endpoint(address)[4] << 8 | endpoint(address)[5]
        if self._port in pipes.sockets:
            raise OSError(errno.EADDRINUSE)
        pipes.sockets[self._port] = self

    def sendto(self, data: bytes, address: object) -> int:
        pipes.send(b"S", self._port.to_bytes(2, "big"), endpoint(address), data)
        return len(data)

    def recvfrom(self, n: int, flags: int = 0) -> tuple:
        if not self.arrived:
            raise OSError(errno.EAGAIN)
        data, source = self.arrived[0] if flags else self.arrived.pop(0)
        return data[:n], address_of(source)

    def connect(self, address: object) -> None:
        if not self._asked:
            self._asked = True
            raise OSError(errno.EINPROGRESS)

    def write(self, data: bytes) -> int:
        n = min(len(data), _ECHO_LEN - self._echo_len)
        self._echo[self._echo_len : self._echo_len + n] = memoryview(data)[:n]
        self._echo_len += n
        return n or None

    def readinto(self, buf: bytearray) -> int:
        n = min(len(buf), self._echo_len)
        buf[:n] = memoryview(self._echo)[:n]
        rest = self._echo_len - n
        self._echo[:rest] = memoryview(self._echo)[n : n + rest]
        self._echo_len = rest
        return n or None

    def close(self) -> None:
        if pipes.sockets.get(self._port) is self:
            del pipes.sockets[self._port]
        if self._echo is not None:
            _spare_echoes.append(self._echo)
            self._echo = None


class TaskQueue:
    """In the order of their times. asyncio's own, in C, knows no other time than the machine's."""

    def __init__(self) -> None:
        self._tasks = []

    def peek(self) -> object:
        return self._tasks[0] if self._tasks else None

    def push(self, task: object, key: int | None = None) -> None:
        task.data = None
        task.ph_key = pipes.now_ms if key is None else key
        at = len(self._tasks)
        while at and self._tasks[at - 1].ph_key > task.ph_key:
            at -= 1
        self._tasks.insert(at, task)

    def pop(self) -> object:
        return self._tasks.pop(0)

    def remove(self, task: object) -> None:
        self._tasks.remove(task)


class Task:
    """As asyncio's. `state`: True at work, a queue of those who wait for it, None or False when done."""

    def __init__(self, coroutine: object, context: dict) -> None:
        self.coro = coroutine
        self.data = None
        self.state = True
        self.ph_key = 0
        self._context = context

    def __iter__(self) -> object:
        if not self.state:
            self.state = False
        elif self.state is True:
            self.state = TaskQueue()
        return self

    def __next__(self) -> None:
        if not self.state:
            if self.data is None:
                raise StopIteration
            raise self.data
        waiting = self._context["cur_task"]
        self.state.push(waiting)
        waiting.data = self

    def done(self) -> bool:
        return not self.state

    def cancel(self) -> bool:
        if not self.state:
            return False
        task = self
        while isinstance(task.data, Task):
            task = task.data
        queue = self._context["_task_queue"]
        if hasattr(task.data, "remove"):
            task.data.remove(task)
            queue.push(task)
        elif task.ph_key > pipes.now_ms:
            queue.remove(task)
            queue.push(task)
        task.data = self._context["CancelledError"]
        return True


class AsyncioParts:
    Task = Task
    TaskQueue = TaskQueue


class SocketModule:
    AF_INET = socket.AF_INET
    SOCK_DGRAM = socket.SOCK_DGRAM
    SOCK_STREAM = socket.SOCK_STREAM
    SOL_SOCKET = 1
    SO_REUSEADDR = 2
    SO_BROADCAST = 6
    MSG_PEEK = 2
    socket = Socket

    @staticmethod
    def getaddrinfo(name: str, port: int, *more: int) -> list:
        octets = bytes([int(part) for part in name.split(".")])
        return [(socket.AF_INET, 0, 0, "", address_of(octets + port.to_bytes(2, "big")))]


class SelectModule:
    POLLIN = select.POLLIN
    POLLOUT = select.POLLOUT
    POLLERR = select.POLLERR
    POLLHUP = select.POLLHUP
    poll = Poll


class TimeModule:
    ticks_add = time.ticks_add
    ticks_diff = time.ticks_diff

    @staticmethod
    def ticks_ms() -> int:
        return pipes.now_ms

    @staticmethod
    def time() -> int:
        return pipes.now_ms // 1000

    @staticmethod
    def sleep_ms(delay_ms: int) -> None:
        pipes.pass_time(delay_ms)


class OsModule:
    """Octets of `urandom` are the same in each run."""

    def __init__(self) -> None:
        self._count = 0

    def urandom(self, n: int) -> bytes:
        octets = b""
        while len(octets) < n:
            self._count += 1
            octets += hashlib.sha256(self._count.to_bytes(4, "big")).digest()
        return octets[:n]

    def __getattr__(self, name: str) -> object:
        return getattr(os, name)


def endpoint(address: object) -> bytes:
    """The 6 octets of an address in either form."""
    if isinstance(address, tuple):
        return bytes([int(part) for part in address[0].split(".")]) + address[1].to_bytes(2, "big")
    return bytes(address[4:8]) + bytes(address[2:4])


def address_of(octets: bytes) -> object:
    """An endpoint as the platform writes addresses."""
    if pipes.board_addresses:
        return (".".join([str(octet) for octet in octets[:4]]), octets[4] << 8 | octets[5])
    return b"\x02\x00" + octets[4:6] + octets[:4] + bytes(8)


class ThreadModule:
    """Nothing happens beside: the simulated watchdog never looks."""

    @staticmethod
    def start_new_thread(function: object, arguments: tuple) -> None:
        pass


class GarbageModule:
    """Where a collection would take what only the machine's own stack knows (WebAssembly): none, until the last."""

    mem_alloc = gc.mem_alloc
    mem_free = gc.mem_free

    @staticmethod
    def collect() -> None:
        pass

    @staticmethod
    def threshold(octets: int = -1) -> None:
        pass


def install(board_addresses: bool, collects: bool) -> None:
    """Take the places of the system's modules."""
    if not collects:
        gc.disable()
        sys.modules["gc"] = GarbageModule
    sys.modules["time"] = TimeModule
    sys.modules["select"] = SelectModule
    sys.modules["socket"] = SocketModule
    sys.modules["_thread"] = ThreadModule
    sys.modules["_asyncio"] = AsyncioParts
    sys.modules["os"] = OsModule()
    pipes.begin(board_addresses)
