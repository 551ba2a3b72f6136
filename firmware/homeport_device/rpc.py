"""Requests: acknowledged, run once, answered (specification, core 7.4, 7.5; application 3.4).

A request is run when it arrives; the application answers at once or accepts it and completes it later. A packet
that was seen before is never run again: what was answered is answered with the same bytes, what is pending is
acknowledged again. Under the null suite there is nothing to recognise a packet by (and clients in the field
reuse sequence numbers for polls that must be run), so there every arrival is a new request.
"""

from homeport_core.compat import const
from homeport_core.errors import StateError
from homeport_core.payloads import build_notify, u32
from homeport_core.rpc import Reader, Writer
from homeport_core.spec import (
    AER_ACCEPTED,
    AER_NO_ACCESS,
    AER_NO_QUERY_ID,
    AER_READY,
    AER_RSP_TOO_LARGE,
    AER_SYSTEM_ERROR,
    AER_TOO_LARGE,
    FL_EXCEPTION,
    FL_RESPONSE,
    MAC_LEN,
    NOTIFY_MICRO_ACK,
    PL_NOTIFY,
    PT_DATA,
)

from homeport_device.config import sealed_len
from homeport_device.connection import CLOSING
from homeport_device.drops import RATE, REPLAY, STATE, TAKEN

_QUERY_ID_LEN = const(4)


class Request:
    """One request as the application sees it.

    `connection` is None for a legacy request (`is_legacy`), which has no client to check. An application that
    answers AER_ACCEPTED keeps the request and calls `complete` later; parameters must be copied before.
    """

    __slots__ = (
        "connection",
        "is_open",
        "mac",
        "query_id",
        "seq",
        "_cp",
        "_co",
        "_flags",
        "_retrans",
        "_rpc",
        "_tag",
        "_version",
    )

    def __init__(self, rpc: object) -> None:
        self._rpc = rpc
        self.is_open = False
        self.set_legacy(0)

    @property
    def is_legacy(self) -> bool:
        return self.connection is None

    @property
    def client_id(self) -> bytes:
        return b"" if self.connection is None else self.connection.client_id

    def set_legacy(self, query_id: int) -> None:
        """Describe a request without a connection."""
        self.connection = None
        self.query_id = query_id
        self.seq = 0
        self.mac = b""

    def set(self, connection: object, packet: object, query_id: int) -> None:
        """Describe a request, with what a later answer's header repeats."""
        self.connection = connection
        self.query_id = query_id
        self.seq = packet.seq
        self.mac = packet.mac() if connection.seen is not None else b""
        self._cp = packet.cp
        self._co = packet.co
        self._tag = packet.tag
        self._flags = packet.flags
        self._version = packet.version
        self._retrans = packet.retrans

    def begin_answer(self, writer: object, flags: int) -> None:
        """Begin the answer packet: the request's header with `flags` added."""
        writer.begin(
            PT_DATA,
            self.connection.nsi,
            self.seq,
            self._flags | flags,
            self._cp,
            self._tag,
            self._co,
            self._version,
            self._retrans,
        )

    def complete(self, now_ms: int, code: int, payload: bytes = b"") -> bool:
        """Answer an accepted request: `payload` for AER_READY, an exception for any other code.

        False when nobody is there to hear it: the connection went away meanwhile. Raises StateError when it was
        not accepted or is complete already.
        """
        return self._rpc.complete(now_ms, self, code, payload)


class Answers:
    """The last few answers, to be sent again when their request is. Fixed memory."""

    __slots__ = ("_at", "_bufs", "_connections", "_macs", "_sizes")

    def __init__(self, count: int, answer_max: int) -> None:
        self._bufs = [bytearray(answer_max) for _ in range(count)]
        self._connections = [None] * count
        self._macs = [b""] * count
        self._sizes = [0] * count
        self._at = 0

    def keep(self, connection: object, mac: bytes, buf: bytearray, n: int) -> None:
        """Remember the answer `buf[:n]` in the place of the oldest."""
        at = self._at
        if n <= len(self._bufs[at]):
            self._bufs[at][:n] = memoryview(buf)[:n]
            self._connections[at] = connection
            self._macs[at] = mac
            self._sizes[at] = n
            self._at = (at + 1) % len(self._bufs)

    def find(self, connection: object, mac: bytes) -> int:
        """The index of an answer, or -1."""
        for i in range(len(self._bufs)):
            if self._connections[i] is connection and self._macs[i] == mac:
                return i
        return -1

    def get(self, index: int) -> tuple:
        """(buffer, size)."""
        return self._bufs[index], self._sizes[index]

    def forget(self, connection: object) -> None:
        """The connection is gone."""
        for i in range(len(self._connections)):
            if self._connections[i] is connection:
                self._connections[i] = None


class Rpc:
    """Handler of tag 0 and of legacy requests."""

    def __init__(self, stack: object) -> None:
        config = stack.config
        self._stack = stack
        self._request = Request(self)
        self._response = bytearray(config.response_max)
        self._writer = Writer(self._response)
        self._pending = []
        self._turned_away = None  # (connection, MAC) of a request that was not run and got no answer: it may come again
        self._answers = Answers(config.answers_kept, sealed_len(config.response_max))

    def data(self, now_ms: int, connection: object, packet: object, off: int, n: int, fresh: bool) -> int:
        """One verified packet with the plaintext `packet.buf[off : off + n]`."""
        if connection.state == CLOSING:
            return STATE
        if fresh and connection.sequence is not None:
            fresh = connection.sequence.is_new(packet.cp, packet.seq)
        pending = self._find_pending(connection, packet.seq)
        if fresh:
            connection.restart_timer(now_ms)
        if pending is not None:
            if connection.is_async:
                self._acknowledge(connection, packet)
            return TAKEN
        if not fresh and self._turned_away != (connection, packet.mac()):
            self._repeat(connection, packet.mac())
            return REPLAY
        return self._run(now_ms, connection, packet, off, n)

    def closed(self, connection: object) -> None:
        """The connection is gone, and its pending requests with it."""
        self._answers.forget(connection)
        self._turned_away = None
        for request in [pending for pending in self._pending if pending.connection is connection]:
            self._drop(request)
            request.connection = None

    def went_over(self, connection: object) -> None:
        """The connection has other keys: what was answered under the old ones is not answered again."""
        self._answers.forget(connection)
        self._turned_away = None

    def legacy(self, body: bytes) -> tuple:
        """A request of the legacy protocol: (response octets, whether the application succeeded)."""
        request = self._request
        request.set_legacy(u32(body, 0))
        code = self._call(request, Reader(body, _QUERY_ID_LEN))
        if code == AER_ACCEPTED:
            self._drop(request)  # there is no way to answer later
        return bytes(self._response[: self._writer.size()]), code == AER_READY

    def complete(self, now_ms: int, request: Request, code: int, payload: bytes) -> bool:
        """See `Request.complete`."""
        if not request.is_open:
            if request.connection is None:
                return False
            raise StateError("request is not pending", request.query_id)
        connection = request.connection
        if code == AER_READY and len(payload) > len(self._response):
            code = AER_RSP_TOO_LARGE
        alive = connection.state != CLOSING
        if alive:
            if code != AER_READY:
                payload = code.to_bytes(4, "big")
            request.begin_answer(self._stack.output.writer, _flags_for(code))
            self._send(connection, request.mac, payload)
        self._drop(request)
        return alive

    def _run(self, now_ms: int, connection: object, packet: object, off: int, n: int) -> int:
        if connection.is_barred:
            self._refuse(connection, packet, AER_NO_ACCESS)
            return STATE
        config = self._stack.config
        if len(self._pending) >= config.request_queue:
            if connection.is_async:
                self._refuse(connection, packet, AER_SYSTEM_ERROR)
            elif connection.seen is not None:
                self._turned_away = (connection, packet.mac())
            return RATE
        self._turned_away = None
        if connection.is_async:
            self._acknowledge(connection, packet)
        if n > config.request_max:
            self._refuse(connection, packet, AER_TOO_LARGE)
            return TAKEN
        if n < _QUERY_ID_LEN:
            self._refuse(connection, packet, AER_NO_QUERY_ID)
            return TAKEN
        request = self._request
        request.set(connection, packet, u32(packet.buf, off))
        code = self._call(request, Reader(packet.buf, off + _QUERY_ID_LEN, n - _QUERY_ID_LEN))
        if code == AER_READY:
            request.begin_answer(self._stack.output.writer, FL_RESPONSE)
            self._send(connection, request.mac, memoryview(self._response)[: self._writer.size()])
        elif code == AER_ACCEPTED:
            self._pending.append(request)
        elif connection.is_async:
            self._refuse(connection, packet, code)
        return TAKEN

    def _call(self, request: Request, reader: Reader) -> int:
        """Let the application run the request. An accepted one is its to keep, so the next gets a new object."""
        self._writer.rewind()
        code = self._stack.app.request(request, reader, self._writer)
        if code == AER_ACCEPTED:
            request.is_open = True
            self._request = Request(self)
        return code

    def _drop(self, request: Request) -> None:
        """Tell the application, exactly once, that an accepted request is done with."""
        request.is_open = False
        if request in self._pending:
            self._pending.remove(request)
        self._stack.app.dropped(request)

    def _find_pending(self, connection: object, seq: int) -> Request | None:
        for request in self._pending:
            if request.connection is connection and request.seq == seq:
                return request
        return None

    def _acknowledge(self, connection: object, packet: object) -> None:
        writer = self._stack.output.writer
        writer.reply_to(packet, FL_RESPONSE)
        writer.add(PL_NOTIFY, build_notify(NOTIFY_MICRO_ACK))
        self._stack.send_clear(connection)

    def _refuse(self, connection: object, packet: object, code: int) -> None:
        self._stack.output.writer.reply_to(packet, _flags_for(code))
        mac = packet.mac() if connection.seen is not None else b""
        self._send(connection, mac, code.to_bytes(4, "big"))

    def _send(self, connection: object, mac: bytes, plaintext: bytes | bytearray | memoryview) -> None:
        n = self._stack.send_data(connection, plaintext)
        if len(mac) == MAC_LEN:
            self._answers.keep(connection, mac, self._stack.output.writer.buf, n)

    def _repeat(self, connection: object, mac: bytes) -> None:
        index = self._answers.find(connection, mac)
        if index >= 0:
            buf, n = self._answers.get(index)
            self._stack.send_again(connection, buf, n)


def _flags_for(code: int) -> int:
    return FL_RESPONSE if code == AER_READY else FL_RESPONSE | FL_EXCEPTION
