"""The adapter between the machines and one UDP socket: feed, send, hand out events, keep one timer.

All machines of a client share the socket, so that one probe tells the public endpoint of every connection. A machine
that is heard on an extra socket (`open_extra`, see `crowd`) answers there, and so keeps the hole that was found.

Datagrams are taken in bursts: machines read what is there, then each says once what it wants to send, so that a
stream acknowledges many packets with one.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any, Protocol

from homeport import wire
from homeport.client.network.outbox import Outbox
from homeport.errors import StateError

_READ_MAX = 65_535  # no datagram is larger
_BUFFER_LEN = 4 << 20  # of a socket, if the system allows: what a fast stream has under way must fit
_BURST = 64  # datagrams taken in one go before other tasks get their turn
_VIA_MAX = 64  # a device is heard from one or two endpoints; more come from someone who knows its NSI

_endpoint = lru_cache(256)(wire.endpoint)


class Machine(Protocol):
    """A session, a probe or a discovery."""

    @property
    def nsis(self) -> tuple[bytes, ...]:
        """NSIs (4 bytes) whose packets it gets, alone or with the endpoint they come from behind (10 bytes).

        Without any it is offered what nobody else wants.
        """

    @property
    def deadline_ms(self) -> int | None: ...

    def start(self, now_ms: int) -> None: ...

    def datagram(self, now_ms: int, data: bytearray, source: bytes) -> None:
        """Take a datagram, whose octets are the machine's to change."""

    def timeout(self, now_ms: int) -> None: ...

    def datagrams(self) -> list[tuple[bytes, bytes]]: ...

    def next_event(self) -> Any: ...


def now_ms() -> int:
    """The time that machines are given."""
    return time.monotonic_ns() // 1_000_000


class Hub:
    """Runs machines on the running event loop. Use `open` and `close`, or `async with`."""

    def __init__(self) -> None:
        self.drops: Counter[str] = Counter()
        self._buffer = bytearray(_READ_MAX)
        self._outbox = Outbox(self.drops)
        self._sock: socket.socket | None = None
        self._machines: dict[Machine, Callable[[Any], None]] = {}
        self._nsis: dict[Machine, tuple[bytes, ...]] = {}
        self._by_nsi: dict[bytes, Machine] = {}
        self._extra: dict[socket.socket, Machine] = {}
        self._via: dict[tuple[Machine, bytes], socket.socket] = {}  # other ways than our socket, by endpoint
        self._carriers: dict[bytes, Callable[[bytes], None]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._armed_for_ms = 0

    @property
    def port(self) -> int:
        """The port of the socket."""
        if self._sock is None:
            raise StateError("the client is not open")
        return int(self._sock.getsockname()[1])

    def open(self, host: str = "0.0.0.0", port: int = 0) -> None:
        """Bind the socket. Raises OSError."""
        self._sock = _bound_socket(host, port)
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        asyncio.get_running_loop().add_reader(self._sock, self._readable, self._sock)

    def close(self) -> None:
        """Drop all machines and the socket."""
        for sock in list(self._extra):
            self._close_extra(sock)
        if self._sock is not None:
            self._close_socket(self._sock)
            self._sock = None
        if self._timer is not None:
            self._timer.cancel()
        self._machines.clear()
        self._nsis.clear()
        self._by_nsi.clear()

    def carry(self, endpoint: bytes, send: Callable[[bytes], None]) -> None:
        """Give datagrams for `endpoint` (6 bytes) to `send`, which may lose them, instead of to a socket."""
        self._carriers[endpoint] = send

    def deliver(self, datagrams: Iterable[bytes], endpoint: bytes) -> None:
        """Take datagrams that a carrier has brought from `endpoint`, those that are for a machine with NSIs."""
        touched: dict[Machine, None] = {}
        now = now_ms()
        for data in datagrams:
            machine = self._machine_of(data, endpoint)
            if machine is None:
                self.drops["unknown"] += 1
                continue
            machine.datagram(now, bytearray(data), endpoint)
            touched[machine] = None
        for machine in touched:
            self._step(machine)
        self.arm()

    def open_extra(self, machine: Machine) -> socket.socket:
        """Another socket, for one machine; it is closed with the machine at the latest. Raises OSError."""
        if self._sock is None:
            raise StateError("the client is not open")
        sock = _bound_socket(self._sock.getsockname()[0], 0)
        self._extra[sock] = machine
        asyncio.get_running_loop().add_reader(sock, self._readable, sock)
        return sock

    def close_unused(self, machine: Machine) -> None:
        """Close the extra sockets of a machine on which nobody was heard."""
        for sock in [sock for sock, owner in self._extra.items() if owner is machine]:
            if sock not in self._via.values():
                self._close_extra(sock)

    def close_extra_of(self, machine: Machine) -> None:
        """Close all extra sockets of a machine: from now on it is where everything else is."""
        for sock in [sock for sock, owner in self._extra.items() if owner is machine]:
            self._close_extra(sock)

    def add(self, machine: Machine, on_event: Callable[[Any], None]) -> None:
        """Start a machine; its events go to `on_event` until it is removed."""
        self._machines[machine] = on_event
        self._nsis[machine] = ()
        machine.start(now_ms())
        self.flush(machine)

    def remove(self, machine: Machine) -> None:
        """Forget a machine; harmless when it is not there."""
        if self._machines.pop(machine, None) is not None:
            for nsi in self._nsis.pop(machine):
                self._by_nsi.pop(nsi, None)
            self.close_extra_of(machine)

    def flush(self, machine: Machine) -> None:
        """After a call to `machine`: send what it wants, hand out its events, set the timer."""
        self._step(machine)
        self.arm()

    def _step(self, machine: Machine) -> None:
        nsis = machine.nsis
        if nsis != self._nsis.get(machine, nsis):
            for nsi in self._nsis[machine]:
                self._by_nsi.pop(nsi, None)
            self._by_nsi.update(dict.fromkeys(nsis, machine))
            self._nsis[machine] = nsis
        for data, endpoint in machine.datagrams():
            carrier = self._carriers.get(endpoint)
            if carrier is not None:
                carrier(data)
            else:
                self.send(self._via.get((machine, endpoint), self._sock), data, endpoint)
        while (event := machine.next_event()) is not None:
            on_event = self._machines.get(machine)
            if on_event is None:
                return
            on_event(event)

    def send(self, sock: socket.socket | None, data: bytes, endpoint: bytes) -> None:
        """Send a datagram; a bad network is counted, not raised."""
        if sock is not None:
            self._outbox.send(sock, data, endpoint)

    def _readable(self, sock: socket.socket) -> None:
        touched: dict[Machine, None] = {}
        now = now_ms()
        for _ in range(_BURST):
            try:
                n, address = sock.recvfrom_into(self._buffer)
            except BlockingIOError:
                break
            except OSError as error:  # an ICMP error for something we sent
                self.drops[errno.errorcode.get(error.errno or 0, "error")] += 1
                continue
            for machine in self._targets(sock, self._buffer[:8], _endpoint(address)):
                machine.datagram(now, self._buffer[:n], _endpoint(address))
                touched[machine] = None
        for machine in touched:
            self._step(machine)
        self.arm()

    def _machine_of(self, data: bytes | bytearray, source: bytes) -> Machine | None:
        known = self._by_nsi
        sp = bytes(data[4:8])
        return known.get(bytes(data[:4])) or known.get(sp) or known.get(sp + source)

    def _targets(self, sock: socket.socket, head: bytearray, source: bytes) -> list[Machine]:
        """The machines that get a datagram from `source` that begins with `head`."""
        machine = self._machine_of(head, source)
        owner = self._extra.get(sock)
        if machine is not None and owner in (None, machine):
            if owner is not None and len(self._via) < _VIA_MAX:
                self._via.setdefault((machine, source), sock)
            return [machine]
        if machine is None and owner is None:
            loose = [machine for machine, nsis in self._nsis.items() if not nsis]
            if loose:
                return loose
        self.drops["unknown"] += 1
        return []

    def _close_socket(self, sock: socket.socket) -> None:
        self._outbox.forget(sock)
        asyncio.get_running_loop().remove_reader(sock)
        sock.close()

    def _close_extra(self, sock: socket.socket) -> None:
        del self._extra[sock]
        self._via = {way: via for way, via in self._via.items() if via is not sock}
        self._close_socket(sock)

    def arm(self) -> None:
        """A machine's deadline may have come nearer: look at all."""
        deadline = min((m.deadline_ms for m in self._machines if m.deadline_ms is not None), default=None)
        if self._timer is not None:
            if deadline is None or deadline >= self._armed_for_ms:
                return  # it fires early then, and looks again: cheaper than a new one for each packet
            self._timer.cancel()
            self._timer = None
        if deadline is not None:
            self._armed_for_ms = deadline
            delay_s = max(0, deadline - now_ms()) / 1000
            self._timer = asyncio.get_running_loop().call_later(delay_s, self._timeout)

    def _timeout(self) -> None:
        self._timer = None
        now = now_ms()
        for machine in list(self._machines):
            deadline = machine.deadline_ms
            if deadline is not None and now >= deadline:
                machine.timeout(now)
                self._step(machine)
        self.arm()


def _bound_socket(host: str, port: int) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER_LEN)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER_LEN)
        sock.bind((host, port))
    except OSError:
        sock.close()
        raise
    return sock
