"""One client's connection to the gate: pumps bytes between TCP, TLS, WebSocket and session, and watches its time."""

from __future__ import annotations

import asyncio
import datetime
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

from homeport_core.errors import AuthError
from OpenSSL import SSL

from homeport.basestation.carrier import Carrier
from homeport.basestation.gate.session import Action, Carry, Close, GateSession, HangUp, Introduce, Send
from homeport.basestation.gate.tls import TlsEnd, identify
from homeport.basestation.gate.websocket import Binary, Ended, Opened, Oversized, Received, Text, WebSocketEnd
from homeport.gate_messages import DATAGRAM_MAX, Connect
from homeport.tcp import tune
from homeport.wire import share_of, socket_address

_READ_LEN = 65_536
OPENING_MAX = 65_536  # bytes; the largest certificate OpenSSL would take, and the upgrade, are far below
OPENING_MS = 10_000  # TLS and upgrade together: bounds what a client costs that never says who it is
CLOSING_MS = 5_000  # for the client's answer to our close frame
STALLED_MS = 20_000  # with bytes waiting that the client does not take
BACKLOG_MAX = 262_144  # bytes waiting for a client that does not read
DATAGRAMS_MAX = BACKLOG_MAX // 2  # of them, beyond which datagrams are lost: messages always find room


class Owner(Protocol):
    """What a link needs of the gate."""

    tls: SSL.Context
    pool: ThreadPoolExecutor

    def now_ms(self) -> int: ...

    def open_session(self, link: GateLink, fingerprint: bytes) -> GateSession: ...

    def introduce(self, link: GateLink, request: Connect) -> None: ...

    def hang_up(self, nsi: bytes) -> None: ...

    def carry(self, link: GateLink, data: bytes) -> bool: ...

    def report(self, link: GateLink, stage: str, reason: str) -> None: ...


@dataclass(slots=True)
class _Times:
    opened_ms: int
    closing_ms: int | None = None
    stalled_ms: int | None = None
    taken_len: int = 0


class GateLink:
    """Run `run` in a task; `sweep` ends what has lasted too long. `carrier` is what the session server calls us."""

    def __init__(
        self, owner: Owner, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, carrier: Carrier
    ) -> None:
        self.carrier = carrier
        self.share = share_of(carrier.remote[0])
        self.reached, _ = socket_address(writer.get_extra_info("sockname"))
        self.session: GateSession | None = None
        self._owner = owner
        self._reader = reader
        self._writer = writer
        self._tls = TlsEnd(owner.tls)
        self._socket = WebSocketEnd()
        self._times = _Times(owner.now_ms())
        self._stage = "tls"
        self._step: Future[bool] | None = None  # while it runs, a thread works on `_tls`, which is not made for two
        self._datagrams_len = 0  # bytes of datagrams that the next flush will send
        self._written_len = 0
        tune(writer.get_extra_info("socket"))

    async def run(self) -> None:
        """Serve the client until either end has had enough. Never raises for what the client does."""
        try:
            taken = await self._handshake()
            fingerprint = self._identify()
            self._stage = "socket"
            await self._serve(fingerprint, taken)
        except AuthError as error:
            self._owner.report(self, self._stage, error.reason)
        except OSError:
            self._owner.report(self, self._stage, "connection lost")
        finally:
            if self.session is not None:
                self.session.closed()
            if self._step is None or self._step.done():
                self._flush_quietly()
            self._writer.close()

    @property
    def source(self) -> str:
        """The client's IP address."""
        return self.carrier.remote[0]

    @property
    def waiting_len(self) -> int:
        """Bytes that the client has not taken yet, as far as this process holds them."""
        return self._writer.transport.get_write_buffer_size()

    def perform(self, actions: list[Action]) -> None:
        """Do what the session wants; may be called at any time."""
        self._act(actions)
        self._flush_or_abort()

    def send_datagram(self, data: bytes) -> bool:
        """Send a datagram, together with the others of this turn of the event loop; False: lost, like in a full queue
        of a router, because the client has not taken what was sent before, or takes none so large."""
        if len(data) > DATAGRAM_MAX or self._datagrams_len + self.waiting_len > DATAGRAMS_MAX:
            return False
        if not self._datagrams_len:
            asyncio.get_running_loop().call_soon(self._flush_or_abort)
        frame_len = self._socket.send_datagram(data)
        self._datagrams_len += frame_len
        return frame_len > 0

    def _act(self, actions: list[Action]) -> None:
        for action in actions:
            if isinstance(action, Send):
                self._socket.send(action.text)
            elif isinstance(action, Introduce):
                self._owner.introduce(self, action.request)
            elif isinstance(action, HangUp):
                self._owner.hang_up(action.nsi)
            elif isinstance(action, Carry):
                if not self._owner.carry(self, action.data) and self.session is not None:
                    self._act(self.session.stray(self._owner.now_ms()))
            elif isinstance(action, Close):
                self._socket.close(action.code, action.reason)
                self._times.closing_ms = self._owner.now_ms()

    def sweep(self, now_ms: int) -> None:
        """End the session or the connection if it is overdue."""
        times = self._times
        waiting_len = self.waiting_len
        taken_len = self._written_len - waiting_len
        if not waiting_len:
            times.stalled_ms = None
        elif times.stalled_ms is None or taken_len != times.taken_len:
            times.stalled_ms = now_ms
        times.taken_len = taken_len
        if self.session is None:
            if now_ms - times.opened_ms >= OPENING_MS:
                self._owner.report(self, self._stage, f"not open after {OPENING_MS // 1000} s")
                self.abort()
        elif times.closing_ms is not None:
            if now_ms - times.closing_ms >= CLOSING_MS:
                self.abort()
        else:
            self.perform(self.session.timeout(now_ms))
        if times.stalled_ms is not None and now_ms - times.stalled_ms >= STALLED_MS:
            self._owner.report(self, self._stage, "does not read")
            self.abort()

    def abort(self) -> None:
        """Cut the connection."""
        self._writer.transport.abort()

    async def _handshake(self) -> int:
        """Returns the number of bytes it took."""
        taken = 0
        done = False
        while not done:
            data = await self._reader.read(_READ_LEN)
            if not data:
                raise AuthError("cut during the TLS handshake")
            taken += len(data)
            if taken > OPENING_MAX:
                raise AuthError(f"TLS handshake larger than {OPENING_MAX} bytes")
            self._step = self._owner.pool.submit(self._tls.handshake, data)
            done = await asyncio.wrap_future(self._step)
            self._flush()
            await self._writer.drain()
        return taken

    def _identify(self) -> bytes:
        """Empty if the certificate is not acceptable: the upgrade is then refused with the reason."""
        try:
            return identify(self._tls.certificate(), datetime.datetime.now(datetime.UTC))
        except AuthError as error:
            self._socket = WebSocketEnd(refusal=error.reason)
            return b""

    async def _serve(self, fingerprint: bytes, taken: int) -> None:
        data = b""
        while True:
            plaintext, closed = self._tls.receive(data)
            for item in self._socket.receive(plaintext):
                if isinstance(item, Opened):
                    self.session = self._owner.open_session(self, fingerprint)
                    self._act(self.session.start(self._owner.now_ms()))
                elif isinstance(item, Ended):
                    if item.reason:
                        self._owner.report(self, self._stage, item.reason)
                    return
                elif self.session is not None:
                    self._act(_deliver(self.session, self._owner.now_ms(), item))
                    if isinstance(item, Oversized):
                        return
            self._flush()
            await self._writer.drain()
            if closed:
                return
            data = await self._reader.read(_READ_LEN)
            taken += len(data)
            if not data or (self.session is None and taken > OPENING_MAX):
                return

    def _flush(self) -> None:
        """Encrypt and send what waits; cut a client that lets too much wait."""
        self._datagrams_len = 0
        plaintext = self._socket.outgoing()
        if plaintext:
            self._tls.send(plaintext)
        data = self._tls.outgoing()
        if data and not self._writer.transport.is_closing():
            self._writer.write(data)
            self._written_len += len(data)
        if self.waiting_len > BACKLOG_MAX:
            raise AuthError("does not read")

    def _flush_or_abort(self) -> None:
        try:
            self._flush()
        except AuthError:
            self.abort()

    def _flush_quietly(self) -> None:
        """The last bytes: an alert, a refusal, a close frame, as far as they still can be sent."""
        for step in (self._flush, self._tls.close, self._flush):
            try:
                step()
            except AuthError:
                data = self._tls.outgoing()  # a TLS alert says more to the client than a reset
                if data and not self._writer.transport.is_closing():
                    self._writer.write(data)
                return


def _deliver(session: GateSession, now_ms: int, item: Received) -> list[Action]:
    match item:
        case Text(text):
            return session.text(now_ms, text)
        case Binary(data):
            return session.datagram(now_ms, data)
        case Oversized(limit):
            return session.oversized(limit)
        case _:
            return session.heard(now_ms)
