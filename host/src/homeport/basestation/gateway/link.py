"""One TCP connection to the gateway: octets to packets, and packets to octets that wait their turn."""

from __future__ import annotations

import asyncio
import socket
from typing import Protocol, cast

from homeport_core.errors import MalformedError

from homeport.basestation.carrier import TCP, Carrier
from homeport.basestation.gateway.delimiter import Delimiter
from homeport.tcp import tune
from homeport.wire import socket_address

BACKLOG_MAX = 131_072
"""Octets waiting for a peer that does not read; what is sent beyond is lost, as in a queue of UDP."""
PAIR_BACKLOG = 65_536
"""Octets waiting in a pair from which on the other side is read no more."""
OPENING_MS = 10_000
"""Until the first packet that we answer: bounds what a connection costs that has nothing to say."""
UNUSED_MS = 150_000
"""Without an attachment or relay session; a device goes on inviting for 124 s (core 4.2)."""
IDLE_MS = 75_000
"""Without a packet: an attached device answers each 10 s, and is lost after 60 s."""
STALLED_MS = 20_000
"""With octets waiting that the peer does not take."""
_KEEP_ALIVES = (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 15), ("TCP_KEEPCNT", 4))


class Owner(Protocol):
    """What a link needs of the gateway."""

    def now_ms(self) -> int: ...

    def opened(self, link: GatewayLink) -> bool: ...

    def packet(self, link: GatewayLink, data: bytes) -> None: ...

    def failed(self, link: GatewayLink, reason: str) -> None: ...

    def closed(self, link: GatewayLink) -> None: ...

    def in_use(self, link: GatewayLink) -> bool: ...


class GatewayLink(asyncio.Protocol):
    """Calls its owner for each packet; `number` names its carrier."""

    def __init__(self, owner: Owner, number: int) -> None:
        self.carrier = Carrier(TCP, number, ("0.0.0.0", 0))
        self.answered = False
        self._owner = owner
        self._delimiter = Delimiter()
        self._pair: GatewayLink | None = None
        self._closing = False
        self._opened_ms = self._heard_ms = self._used_ms = owner.now_ms()
        self._stalled_ms: int | None = None

    # The transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        remote = socket_address(transport.get_extra_info("peername") or self.carrier.remote)
        self.carrier = self.carrier._replace(remote=remote)
        if self._owner.opened(self):
            sock = transport.get_extra_info("socket")
            tune(sock)
            _watch_peer(sock)
            self._transport.set_write_buffer_limits(PAIR_BACKLOG)
        else:
            self.abort()

    def data_received(self, data: bytes) -> None:
        self._heard_ms = self._owner.now_ms()
        if self._pair is not None:
            self._pair.write(data)
            return
        self._delimiter.add(data)
        try:
            while not self._closing and (packet := self._delimiter.next()) is not None:
                self._owner.packet(self, packet)
                if self._pair is not None:
                    self._pair.write(self._delimiter.rest())
                    return
        except MalformedError as error:
            self.fail(f"no packet: {error.reason}")

    def pause_writing(self) -> None:
        if self._pair is not None:
            self._pair.pause(True)

    def resume_writing(self) -> None:
        if self._pair is not None:
            self._pair.pause(False)

    def connection_lost(self, error: Exception | None) -> None:
        self._closing = True
        if self._pair is not None:
            self._pair.close()
        self._owner.closed(self)

    # The owner

    def send(self, data: bytes) -> bool:
        """Send a packet. False: it is lost, for too much is waiting."""
        if self._closing or self._transport.get_write_buffer_size() > BACKLOG_MAX:
            return False
        self.answered = True
        self._transport.write(data)
        return True

    def write(self, data: bytes) -> None:
        """Send octets of the other side of a pair, which is held back by `pause`."""
        if data and not self._closing:
            self._transport.write(data)

    def pause(self, paused: bool) -> None:
        """Read no more, or again."""
        if self._closing:
            return
        if paused:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    def join(self, other: GatewayLink) -> None:
        """From here on pass octets on to `other`, and close with it."""
        self._pair = other

    def close(self) -> None:
        """Send what waits, then close."""
        self._closing = True
        self._transport.close()

    def abort(self) -> None:
        """Cut the connection."""
        self._closing = True
        self._transport.abort()

    def fail(self, reason: str) -> None:
        """Close for what the peer did."""
        if not self._closing:
            self._owner.failed(self, reason)
            self.close()

    def sweep(self, now_ms: int) -> None:
        """End the connection if it is overdue."""
        waiting = self._transport.get_write_buffer_size() > 0
        self._stalled_ms = (now_ms if self._stalled_ms is None else self._stalled_ms) if waiting else None
        if self._stalled_ms is not None and now_ms - self._stalled_ms >= STALLED_MS:
            self.fail("does not read")
            self.abort()
        elif self._pair is not None:
            return
        elif self._owner.in_use(self):
            self._used_ms = now_ms
            if now_ms - self._heard_ms >= IDLE_MS:
                self.fail("silent")
        elif not self.answered and now_ms - self._opened_ms >= OPENING_MS:
            self.fail("said nothing of use")
        elif now_ms - self._used_ms >= UNUSED_MS:
            self.fail("not used")


def _watch_peer(sock: socket.socket) -> None:
    """Notice a peer that vanishes, even where the protocol expects no packets."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _KEEP_ALIVES:
        if hasattr(socket, name):
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
