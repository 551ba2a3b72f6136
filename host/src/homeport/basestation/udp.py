"""The UDP adapter: one socket, one machine, one timer (design, sections 3 and 5).

asyncio's own datagram transport reads one packet per wake-up and is several times slower; here the socket is read
until it is empty, or BATCH datagrams at most, so that timers and other sockets get their turn.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import time
from collections.abc import Callable
from contextlib import suppress

from homeport_core.errors import ConfigError
from homeport_core.spec import PACKET_MAX

from homeport.basestation.carrier import Carrier
from homeport.basestation.events import Event
from homeport.basestation.machine import Datagrams, Machine
from homeport.wire import Address, address_text

BATCH = 64
SOCKET_BUFFER_LEN = 4 << 20
_READ_LEN = PACKET_MAX * 2


def monotonic_ms() -> int:
    """The clock of all adapters, in ms."""
    return time.monotonic_ns() // 1_000_000


class UdpEndpoint:
    """Feeds a machine from a socket, sends what it says, hands its events to `on_event`, keeps its one timer."""

    def __init__(
        self, machine: Machine, on_event: Callable[[Event], None], clock: Callable[[], int] = monotonic_ms
    ) -> None:
        self._machine = machine
        self._on_event = on_event
        self._clock = clock
        self._socket: socket.socket | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._timer_ms: int | None = None
        self.carriers: dict[str, Callable[[int, bytes], None]] = {}
        """By kind of carrier: what sends a datagram to the one of that number, if there still is one."""
        self.socket_errors = 0

    def open(self, where: Address) -> Address:
        """Bind (port 0: any free one) and start; returns the bound address. Needs a running loop.

        Raises ConfigError that names the address when it is taken or not ours.
        """
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            sock.setblocking(False)
            for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
                with suppress(OSError):  # some systems refuse more than they allow; the default serves too
                    sock.setsockopt(socket.SOL_SOCKET, option, SOCKET_BUFFER_LEN)
            sock.bind(where)
        except OSError as error:
            sock.close()
            reason = "is already in use" if error.errno == errno.EADDRINUSE else f"cannot be used: {error.strerror}"
            raise ConfigError(f"UDP {address_text(where)} {reason}") from error
        self._socket = sock
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(sock, self._readable)
        self.wake()
        host, port = sock.getsockname()
        return host, port

    def close(self) -> None:
        """Stop and close the socket; events that are left are still handed on."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._socket is not None and self._loop is not None:
            self._loop.remove_reader(self._socket)
            self._socket.close()
            self._socket = None
        self._drain()

    def wake(self) -> None:
        """Let out what a call on the machine has caused: packets, events, another deadline."""
        deadline_ms = self._machine.deadline_ms
        now_ms = self._clock()
        if deadline_ms is not None and deadline_ms <= now_ms:
            self._send(self._machine.timeout(now_ms))
        self._drain()
        self._arm()

    def receive(self, data: bytes, carrier: Carrier) -> None:
        """Take a datagram that came over a carrier."""
        self._send(self._machine.datagram(self._clock(), data, carrier))
        self._drain()
        self._arm()

    def _readable(self) -> None:
        sock = self._socket
        if sock is None:
            return
        now_ms = self._clock()
        datagram = self._machine.datagram
        for _ in range(BATCH):
            try:
                data, source = sock.recvfrom(_READ_LEN)
            except (BlockingIOError, InterruptedError):
                break
            except OSError:
                # An ICMP error about something we sent; the next call reads on.
                self.socket_errors += 1
                continue
            out = datagram(now_ms, data, source)
            if out:
                self._send(out)
        self._drain()
        self._arm()

    def _send(self, datagrams: Datagrams) -> None:
        sock = self._socket
        if sock is None:
            return
        for data, address in datagrams:
            if type(address) is Carrier:
                self.carriers[address.kind](address.number, data)
                continue
            try:
                sock.sendto(data, address)
            except OSError:
                # Full buffer or unreachable: a lost datagram, which every part of the protocol expects.
                self.socket_errors += 1

    def _drain(self) -> None:
        while (event := self._machine.next_event()) is not None:
            self._on_event(event)

    def _arm(self) -> None:
        """Re-arm the timer if the machine's deadline has come nearer; a later one is noticed when it fires."""
        deadline_ms = self._machine.deadline_ms
        if deadline_ms is None or self._loop is None or self._socket is None:
            return
        if self._timer is not None:
            if self._timer_ms is not None and self._timer_ms <= deadline_ms:
                return
            self._timer.cancel()
        delay_ms = max(0, deadline_ms - self._clock())
        self._timer_ms = deadline_ms
        self._timer = self._loop.call_later(delay_ms / 1000, self._expired)

    def _expired(self) -> None:
        self._timer = None
        self.wake()
