"""The WebSocket inside the TLS connection: bytes in, messages out, every size bounded (docs/gate.md)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from wsproto import ConnectionType, WSConnection
from wsproto.connection import ConnectionState
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Event,
    Ping,
    Pong,
    RejectConnection,
    RejectData,
    Request,
    TextMessage,
)
from wsproto.utilities import LocalProtocolError, RemoteProtocolError

from homeport.gate_messages import DATAGRAM_MAX, MESSAGE_MAX, PATH, SUBPROTOCOL

_REASON_MAX = 120  # bytes; a close frame has room for 123


@dataclass(slots=True, frozen=True)
class Opened:
    """The upgrade was asked for as it should be, and granted."""


@dataclass(slots=True, frozen=True)
class Text:
    """A whole text message."""

    text: str


@dataclass(slots=True, frozen=True)
class Binary:
    """A whole binary message: a datagram."""

    data: bytes


@dataclass(slots=True, frozen=True)
class Oversized:
    """A message grows beyond `limit` bytes; nothing more is read."""

    limit: int


@dataclass(slots=True, frozen=True)
class Alive:
    """A ping or pong frame came."""


@dataclass(slots=True, frozen=True)
class Ended:
    """Nothing more will come; `reason` is empty where the client closed in order."""

    reason: str


Received: TypeAlias = Opened | Text | Binary | Oversized | Alive | Ended


class WebSocketEnd:
    """The server's end of one WebSocket. `refusal`: answer the upgrade with 403 and this reason."""

    def __init__(self, refusal: str = "") -> None:
        self._ws = WSConnection(ConnectionType.SERVER)
        self._refusal = refusal
        self._message: list[str] = []
        self._message_len = 0
        self._datagram = b""
        self._out: list[bytes] = []
        self._ended = False

    def outgoing(self) -> bytes:
        """Take the bytes that have to go to the client."""
        out, self._out = b"".join(self._out), []
        return out

    def receive(self, data: bytes) -> list[Received]:
        """Take bytes from the client, which may be anything."""
        received: list[Received] = []
        if self._ended or not data:  # no bytes would mean the end of the connection to the WebSocket
            return received
        try:
            self._ws.receive_data(data)
            for event in self._ws.events():
                item = self._event(event)
                if item is not None:
                    received.append(item)
                if self._ended:
                    break
        except RemoteProtocolError as error:
            received.append(self._broken(error.event_hint))
        except UnicodeError:
            received.append(self._reject(400, "header fields must be ASCII"))
        return received

    def send(self, text: str) -> None:
        """Send a text message, if the WebSocket is still open."""
        if self._ws.state is ConnectionState.OPEN:
            self._out.append(self._ws.send(TextMessage(data=text)))

    def send_datagram(self, data: bytes) -> int:
        """Send a binary message, if the WebSocket is still open; returns the bytes it takes."""
        if self._ws.state is not ConnectionState.OPEN:
            return 0
        self._out.append(self._ws.send(BytesMessage(data=data)))
        return len(self._out[-1])

    def close(self, code: int, reason: str) -> None:
        """Begin to close; the client's answer ends it."""
        if self._ws.state is ConnectionState.OPEN:
            self._out.append(self._ws.send(CloseConnection(code=code, reason=reason[:_REASON_MAX])))

    def _event(self, event: Event) -> Received | None:
        if isinstance(event, Request):
            return self._upgrade(event)
        if isinstance(event, BytesMessage):
            return self._binary(event)
        if isinstance(event, TextMessage):
            return self._text(event)
        if isinstance(event, Ping):
            if self._ws.state is ConnectionState.OPEN:
                self._out.append(self._ws.send(event.response()))
            return Alive()
        if isinstance(event, Pong):
            return Alive()
        if isinstance(event, CloseConnection):
            return self._closed(event)
        return None

    def _upgrade(self, request: Request) -> Received:
        names = {name.lower() for name, _ in request.extra_headers}
        if self._refusal:
            return self._reject(403, self._refusal)
        if b"origin" in names:
            return self._reject(403, "the gate is not for web pages")
        if request.target != PATH:
            return self._reject(404, f"expected {PATH}")
        if SUBPROTOCOL not in request.subprotocols:
            return self._reject(400, f"expected Sec-WebSocket-Protocol: {SUBPROTOCOL}")
        self._out.append(self._ws.send(AcceptConnection(subprotocol=SUBPROTOCOL)))
        return Opened()

    def _text(self, event: TextMessage) -> Received | None:
        self._message_len += len(event.data.encode())
        if self._message_len > MESSAGE_MAX:
            self._ended = True
            return Oversized(MESSAGE_MAX)
        if event.data:  # of empty fragments there may be any number
            self._message.append(event.data)
        if not event.message_finished:
            return None
        text, self._message, self._message_len = "".join(self._message), [], 0
        return Text(text)

    def _binary(self, event: BytesMessage) -> Received | None:
        data = self._datagram + event.data if self._datagram else bytes(event.data)
        if len(data) > DATAGRAM_MAX:
            self._ended = True
            return Oversized(DATAGRAM_MAX)
        if not event.message_finished:
            self._datagram = data
            return None
        self._datagram = b""
        return Binary(data)

    def _reject(self, status: int, reason: str) -> Ended:
        body = reason.encode() + b"\n"
        headers = [
            (b"content-type", b"text/plain; charset=utf-8"),
            (b"content-length", str(len(body)).encode()),
            (b"connection", b"close"),
        ]
        try:
            self._out.append(self._ws.send(RejectConnection(status_code=status, headers=headers, has_body=True)))
            self._out.append(self._ws.send(RejectData(data=body, body_finished=True)))
        except LocalProtocolError:
            # h11 has seen something to which HTTP allows no answer
            return self._end(f"not an upgrade request ({reason})")
        return self._end(reason)

    def _closed(self, event: CloseConnection) -> Ended:
        """The client closes; or, while we are still open, wsproto has found that it broke the framing."""
        if self._ws.state is ConnectionState.OPEN:
            self._out.append(self._ws.send(event))
            return self._end("broken WebSocket frame")
        if self._ws.state is ConnectionState.REMOTE_CLOSING:
            self._out.append(self._ws.send(event.response()))
        return self._end("")

    def _broken(self, hint: Event | None) -> Ended:
        """The client broke HTTP; `hint` is wsproto's proposal for an answer."""
        status = hint.status_code if isinstance(hint, RejectConnection) else 400
        return self._reject(status, "expected a WebSocket upgrade, version 13")

    def _end(self, reason: str) -> Ended:
        self._ended = True
        return Ended(reason)
