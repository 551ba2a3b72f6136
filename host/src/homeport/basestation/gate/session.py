"""What one client asks of the gate, and what it is told: the machine behind docs/gate.md.

A session begins when TLS has proved who the client is and the WebSocket is open. It takes messages and time, and
returns actions: texts to send, introductions to ask the session server for, datagrams to hand it, and the end of the
session.
An introduction outlives its session, for the client talks to the device directly from then on; the session only
remembers which connections it made, because nobody else may close them.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import TypeAlias

from homeport_core.catalogue import NOTIFY_NAMES
from homeport_core.errors import MalformedError
from homeport_core.spec import HEADER_LEN, NOTIFY_ERROR, PT_DATA, SUITE_AES

from homeport import __version__
from homeport.basestation.events import Connected, ConnectRefused
from homeport.basestation.gsp.settings import RateLimit
from homeport.basestation.limits import Buckets
from homeport.gate_messages import (
    REASON_MAX,
    VERSION,
    Connect,
    Disconnect,
    Hello,
    Message,
    Ping,
    Pong,
    Problem,
    Refused,
    decode_client,
    encode,
)
from homeport.gate_messages import Connected as ConnectedMessage
from homeport.wire import printable

# WebSocket close codes (RFC 6455, section 7.4.1)
CLOSE_GOING_AWAY = 1001
CLOSE_INVALID = 1007
CLOSE_POLICY = 1008
CLOSE_TOO_BIG = 1009


@dataclass(slots=True, frozen=True)
class SessionSettings:
    """Limits of one session; each bounds what one client with a certificate of its own making can cost."""

    idle_ms: int = 120_000
    messages: RateLimit = RateLimit(200, 50.0)
    connects: RateLimit = RateLimit(64, 5.0)
    """An introduction costs a datagram to the device and a slot in its table."""
    pending_max: int = 64
    datagrams: RateLimit = RateLimit(2_000, 20_000.0)
    """As much as one session may send through the relay; more are lost, as on any network."""
    strays: RateLimit = RateLimit(1_000, 100.0)
    """Datagrams for no connection of this client: after a restart of ours, keep-alives of many; more are guesses."""
    connections_max: int = 256
    """Connections remembered; of more, the oldest can no longer be closed through the gate, and times out."""


@dataclass(slots=True, frozen=True)
class Send:
    """Send this text message."""

    text: str


@dataclass(slots=True, frozen=True)
class Introduce:
    """Ask the session server for a connection; `request.id` names it in this session."""

    request: Connect


@dataclass(slots=True, frozen=True)
class HangUp:
    """Tell the session server to forget a connection."""

    nsi: bytes


@dataclass(slots=True, frozen=True)
class Carry:
    """Hand the session server this datagram; if it is for no connection of this client, tell `stray`."""

    data: bytes


@dataclass(slots=True, frozen=True)
class Close:
    """Close the WebSocket with this code (RFC 6455) and reason; the session is over."""

    code: int
    reason: str


Action: TypeAlias = Send | Introduce | HangUp | Carry | Close


class GateSession:
    """One client's session. `fingerprint` is proven; `relay` is the session server's public endpoint (6 bytes),
    `probe_also` another one that answers probes."""

    def __init__(
        self,
        fingerprint: bytes,
        relay: bytes,
        probe_id: bytes,
        probe_key: bytes,
        settings: SessionSettings,
        probe_also: bytes | None = None,
    ) -> None:
        self.fingerprint = fingerprint
        self._relay = relay
        software = f"homeport/{__version__}"
        self._hello = Hello(VERSION, fingerprint, software, relay, probe_id, probe_key, probe_also, datagrams=True)
        self._settings = settings
        self._messages = Buckets(settings.messages.burst, settings.messages.per_s, 1)
        self._connects = Buckets(settings.connects.burst, settings.connects.per_s, 1)
        self._datagrams = Buckets(settings.datagrams.burst, settings.datagrams.per_s, 1)
        self._strays = Buckets(settings.strays.burst, settings.strays.per_s, 1)
        self._pending: dict[int, Connect] = {}
        self._connections: OrderedDict[bytes, None] = OrderedDict()
        self._heard_ms = 0
        self._open = False

    @property
    def deadline_ms(self) -> int | None:
        """When `timeout` has something to do, unless the client is heard from; None when the session is over."""
        return self._heard_ms + self._settings.idle_ms if self._open else None

    def start(self, now_ms: int) -> list[Action]:
        """Begin: greet the client."""
        self._open = True
        self._heard_ms = now_ms
        return [_send(self._hello)]

    def heard(self, now_ms: int) -> list[Action]:
        """Account for one message or ping frame, before it is looked at."""
        if not self._open:
            return []
        self._heard_ms = now_ms
        if not self._messages.take(None, now_ms):
            return self._fail("too many messages", CLOSE_POLICY)
        return []

    def text(self, now_ms: int, text: str) -> list[Action]:
        """Take one text message, which may be anything."""
        actions = self.heard(now_ms)
        if not self._open:
            return actions
        try:
            message = decode_client(text)
        except MalformedError as error:
            return self._fail(error.reason, CLOSE_INVALID, error.detail if isinstance(error.detail, int) else None)
        if isinstance(message, Ping):
            return [_send(Pong(message.id))]
        if isinstance(message, Disconnect):
            return self._disconnect(message.nsi)
        return self._connect(now_ms, message)

    def datagram(self, now_ms: int, data: bytes) -> list[Action]:
        """Take one binary message, which may be anything."""
        if not self._open:
            return []
        self._heard_ms = now_ms
        if len(data) < HEADER_LEN or data[8] != PT_DATA or data[14] << 8 | data[15] != len(data):
            return self._fail("binary message: expected one whole DATA datagram", CLOSE_INVALID)
        return [Carry(data)] if self._datagrams.take(None, now_ms) else []

    def stray(self, now_ms: int) -> list[Action]:
        """A datagram was for no connection of this client."""
        if self._strays.take(None, now_ms):
            return []
        return self._fail("too many datagrams for connections that this client does not have", CLOSE_POLICY)

    def oversized(self, limit: int) -> list[Action]:
        """A message exceeded `limit` bytes; the rest of it was not read."""
        return self._fail(f"message longer than {limit} bytes", CLOSE_TOO_BIG)

    def timeout(self, now_ms: int) -> list[Action]:
        """Close when the client has been silent for too long."""
        deadline_ms = self.deadline_ms
        if deadline_ms is None or now_ms < deadline_ms:
            return []
        return self._end(CLOSE_GOING_AWAY, f"nothing heard for {self._settings.idle_ms // 1000} s")

    def connected(self, id_: int, event: Connected) -> list[Action]:
        """The device accepted the introduction `id_`."""
        request = self._pending.pop(id_, None)
        if request is None or not self._open:
            return [HangUp(event.nsi)]  # nobody is left to use it
        self._connections[event.nsi] = None
        if len(self._connections) > self._settings.connections_max:
            self._connections.popitem(last=False)
        answer = ConnectedMessage(
            id=id_,
            device=request.device,
            nsi=event.nsi,
            key=event.key_material,
            suite=SUITE_AES,
            gsp=self._relay,
            device_private=event.device_private,
            device_global=event.device_global,
            device_nat=event.nat_type,
            capability_bits=event.capability_bits,
            capability_mask=event.capability_mask,
        )
        return [_send(answer)]

    def refused(self, id_: int, event: ConnectRefused) -> list[Action]:
        """The introduction `id_` did not succeed."""
        request = self._pending.pop(id_, None)
        if request is None or not self._open:
            return []
        return [_refuse(request, event.code, event.reason)]

    def stop(self, reason: str) -> list[Action]:
        """The server stops, or wants this client gone."""
        return self._end(CLOSE_GOING_AWAY, reason) if self._open else []

    def closed(self) -> None:
        """The transport is gone."""
        self._open = False

    def _connect(self, now_ms: int, request: Connect) -> list[Action]:
        if request.id in self._pending:
            return self._fail("connect: id must not be that of a connect in progress", CLOSE_INVALID, request.id)
        if len(self._pending) >= self._settings.pending_max:
            return [_refuse(request, NOTIFY_ERROR, "too many connects in progress")]
        if not self._connects.take(None, now_ms):
            return [_refuse(request, NOTIFY_ERROR, "too many connects; try again later")]
        self._pending[request.id] = request
        return [Introduce(request)]

    def _disconnect(self, nsi: bytes) -> list[Action]:
        """Only who made a connection may close it; for another NSI nothing happens, and nothing is told."""
        if nsi not in self._connections:
            return []
        del self._connections[nsi]
        return [HangUp(nsi)]

    def _fail(self, reason: str, code: int, id_: int | None = None) -> list[Action]:
        """The client broke the protocol."""
        if not self._open:
            return []
        return [_send(Problem(id_, reason[:REASON_MAX])), *self._end(code, reason)]

    def _end(self, code: int, reason: str) -> list[Action]:
        self._open = False
        return [Close(code, reason)]


def _send(message: Message) -> Send:
    return Send(encode(message))


def _refuse(request: Connect, code: int, reason: str) -> Send:
    name = NOTIFY_NAMES.get(code, "ERROR")
    return _send(Refused(request.id, request.device, code, name, printable(reason, REASON_MAX // 4)))
