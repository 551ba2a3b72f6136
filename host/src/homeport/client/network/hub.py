"""The adapter between the machines and one UDP socket: feed, send, hand out events, keep one timer.

All machines of a client share the socket, so that one probe tells the public endpoint of every connection. A machine
that is heard on an extra socket (`open_extra`, see `crowd`) answers there, and so keeps the hole that was found.

Datagrams are taken in bursts: machines read what is there, then each says once what it wants to send, so that a
stream acknowledges many packets with one.

A machine that raises what it should not, a defect, ends alone: its user is told, the others go on.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any

from homeport import wire
from homeport.client.network.early import Early
from homeport.client.network.machine import Addressees, Machine
from homeport.client.network.outbox import Outbox
from homeport.errors import InternalError, StateError

_READ_MAX = 65_535  # no datagram is larger
_BUFFER_LEN = 4 << 20  # of a socket, if the system allows: what a fast stream has under way must fit
_BURST = 64  # datagrams taken in one go before other tasks get their turn
_VIA_MAX = 64  # a device is heard from one or two endpoints; more come from someone who knows its NSI

_log = logging.getLogger("homeport.client")
_endpoint = lru_cache(256)(wire.endpoint)


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
        self._addressees = Addressees()
        self._early = Early()
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
        self._addressees.clear()

    def carry(self, endpoint: bytes, send: Callable[[bytes], None]) -> None:
        """Give datagrams for `endpoint` (6 bytes) to `send`, which may lose them, instead of to a socket."""
        self._carriers[endpoint] = send

    def deliver(self, datagrams: Iterable[bytes], endpoint: bytes) -> None:
        """Take datagrams that a carrier has brought from `endpoint`, those that are for a machine with NSIs."""
        touched: dict[Machine, None] = {}
        now = now_ms()
        for data in datagrams:
            machine = self._addressees.find(data, endpoint)
            if machine is None:
                self.drops["unknown"] += 1
                continue
            self._run(machine, machine.datagram, now, bytearray(data), endpoint)
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
        self._addressees.follow(machine)
        now = now_ms()
        self.call(machine, machine.start, now)
        for data, source in self._early.take(now, machine.nsis):
            self.call(machine, machine.datagram, now, bytearray(data), source)

    def remove(self, machine: Machine) -> None:
        """Forget a machine; harmless when it is not there."""
        if self._machines.pop(machine, None) is not None:
            self._addressees.forget(machine)
            self.close_extra_of(machine)

    def flush(self, machine: Machine) -> None:
        """After a call to `machine`: send what it wants, hand out its events, set the timer."""
        self._step(machine)
        self.arm()

    def call(self, machine: Machine, method: Callable[..., object], *args: object) -> None:
        """Call a method of a machine, as nobody does who could take care of a defect in it, and `flush`."""
        self._run(machine, method, *args)
        self.flush(machine)

    def _run(self, machine: Machine, method: Callable[..., object], *args: object) -> None:
        try:
            method(*args)
        except Exception as error:
            self._end_broken(machine, error)

    def _end_broken(self, machine: Machine, error: Exception) -> None:
        """What failed is said without values, which may be secrets."""
        on_event = self._machines.get(machine)
        self.remove(machine)
        if on_event is None:
            return
        frame = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{type(error).__name__} in {frame.name}, line {frame.lineno} of {frame.filename}"
        _log.error("a defect ended a %s: %s", type(machine).__name__.lower(), where)
        event = machine.broken(InternalError(f"a defect in this program ended the connection: {where}"))
        if event is not None:
            self._tell(on_event, event)

    def _tell(self, on_event: Callable[[Any], None], event: Any) -> None:
        try:
            on_event(event)
        except Exception:
            _log.exception("a listener failed at %s", type(event).__name__)

    def _step(self, machine: Machine) -> None:
        if machine in self._machines:
            self._run(machine, self._send_and_tell, machine)

    def _send_and_tell(self, machine: Machine) -> None:
        self._addressees.follow(machine)
        for data, endpoint in machine.datagrams():
            carrier = self._carriers.get(endpoint)
            if carrier is not None:
                self._carry(carrier, data)
            else:
                self.send(self._via.get((machine, endpoint), self._sock), data, endpoint)
        while (event := machine.next_event()) is not None:
            on_event = self._machines.get(machine)
            if on_event is None:
                return
            self._tell(on_event, event)

    def _carry(self, carrier: Callable[[bytes], None], data: bytes) -> None:
        try:
            carrier(data)
        except Exception:  # as any network, it may lose datagrams; the session finds another path
            if not self.drops["carrier"]:
                _log.exception("a carrier of datagrams failed; it will not be said again")
            self.drops["carrier"] += 1

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
            for machine in self._targets(now, sock, n, _endpoint(address)):
                self._run(machine, machine.datagram, now, self._buffer[:n], _endpoint(address))
                touched[machine] = None
        for machine in touched:
            self._step(machine)
        self.arm()

    def _targets(self, now_ms: int, sock: socket.socket, n: int, source: bytes) -> list[Machine]:
        """The machines that get the datagram in the buffer's first `n` octets, which came from `source`."""
        machine = self._addressees.find(self._buffer, source)
        owner = self._extra.get(sock)
        if machine is not None and owner in (None, machine):
            if owner is not None and len(self._via) < _VIA_MAX:
                self._via.setdefault((machine, source), sock)
            return [machine]
        if machine is None and owner is None:
            self._early.keep(now_ms, self._buffer[:n], source)
            loose = self._addressees.without_nsis()
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
        deadlines = [self._deadline_of(machine) for machine in list(self._machines)]
        deadline = min((at_ms for at_ms in deadlines if at_ms is not None), default=None)
        if self._timer is not None:
            if deadline is None or deadline >= self._armed_for_ms:
                return  # it fires early then, and looks again: cheaper than a new one for each packet
            self._timer.cancel()
            self._timer = None
        if deadline is not None:
            self._armed_for_ms = deadline
            delay_s = max(0, deadline - now_ms()) / 1000
            self._timer = asyncio.get_running_loop().call_later(delay_s, self._timeout)

    def _deadline_of(self, machine: Machine) -> int | None:
        try:
            return machine.deadline_ms
        except Exception as error:
            self._end_broken(machine, error)
            return None

    def _timeout(self) -> None:
        self._timer = None
        now = now_ms()
        for machine in list(self._machines):
            deadline = self._deadline_of(machine)
            if deadline is not None and now >= deadline:
                self._run(machine, machine.timeout, now)
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
