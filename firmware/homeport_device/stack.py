"""The device's protocol stack: takes datagrams and time, hands packets to the port and requests to the application.

    datagram(now_ms, socket, data, endpoint)    what arrived, from whom, on which socket
    timeout(now_ms) / deadline_ms               when to call again, or None
    resolved(now_ms, addresses)                 the answer to `port.resolve`

A datagram is worked through in one order: socket and source, structure, connection, MAC, replay, padding, and only then
does it act and move the peer's address. Until then nothing changes but a drop counter. Times are wrapping ticks
(`homeport_core.ticks`). Buffers are made once.

    port.send(socket, endpoint, buf, n)   port.resolve(name)   port.reopen()   port.local_endpoint() -> 6 octets
    port.open_extra() -> socket or 0      port.close_extra(socket)
    app.connection_allowed(connection)    app.psk_for(key_id, client_id, fingerprint) -> (psk, fingerprint) or None
    app.key_of(connection) -> (key id, key) of its user's end-to-end key, or None
    app.request(request, reader, writer) -> AER code           app.dropped(request)
    app.opened(connection)   app.closed(connection)            app.remote_enabled()
"""

from homeport_core import ticks
from homeport_core.compat import const
from homeport_core.errors import AuthError, ConfigError, MalformedError
from homeport_core.legacy import is_legacy
from homeport_core.packet import Packet
from homeport_core.spec import (
    ENDPOINT_LEN,
    FL_RESPONSE,
    PL_EP,
    PL_IPX,
    PT_DATA,
    PT_U_ALIVE,
    PT_U_ATTACH,
    PT_U_CONNECT,
    PT_U_CONNECT_PSK,
    PT_U_INVITE,
    PT_U_VERIFY_PSK,
    TAG_FRAMING,
    TAG_RPC,
    TAG_STREAM_FIRST,
    TAG_STREAM_LAST,
)

from homeport_device.attach import Attach
from homeport_device.connect import Connect
from homeport_device.connection import CLOSING, CONNECTED, CONNECTING, FIRST_DATA, VERIFYING, Connections
from homeport_device.drops import AUTH, MALFORMED, OFF, REASONS, SOURCE, STATE, TAKEN, UNKNOWN
from homeport_device.event import Events
from homeport_device.framing import Framing
from homeport_device.local import Local
from homeport_device.output import LOCAL, REMOTE, Output
from homeport_device.rpc import Rpc

_FIRST_WORD_LEN = const(4)


class Stack:
    """One device. `counters[reason]` counts datagrams by what became of them (`drops`)."""

    def __init__(self, config: object, rng: object, port: object, app: object) -> None:
        self.config = config
        self.rng = rng
        self.port = port
        self.app = app
        self.counters = [0] * REASONS
        self.output = Output(port, rng, config.packet_max)
        self.connections = Connections(config, rng)
        self.events = Events(config.events, config.event_max)
        self.attach = Attach(self)
        self.rpc = Rpc(self)
        self._connect = Connect(self)
        self._local = Local(self)
        self._psk = None  # `psk.Psk`, from the first request for it
        self._reports = None
        self.clock = None  # hears the time: `clock.hear(now_ms, packet)` with each sign of life of the GSP
        self._tags = [(TAG_RPC, TAG_RPC, self.rpc), (TAG_FRAMING, TAG_FRAMING, Framing(self))]
        self._streams = None
        self.holds_streams = False  # answers on streams wait for `drained`
        self._rx = bytearray(config.packet_max)
        self._packet = Packet()
        self._remote_wanted = True
        self._now_ms = 0

    # The application's side

    @property
    def state(self) -> int:
        """The registration's state: IDLE … ATTACHED of `attach`."""
        return self.attach.state

    def start(self, now_ms: int) -> None:
        """Begin: registration follows at the next timeout, unless remote access is off."""
        self._now_ms = now_ms
        self._follow_switch(now_ms)

    def set_remote(self, enabled: bool) -> None:
        """The product's own master switch, beside the system permission that `app.remote_enabled()` tells.

        With either off nothing leaves or enters through the remote socket. A change takes effect when the
        datagram in work has been answered: at the next input or timeout, which is due at once.
        """
        self._remote_wanted = enabled

    def network_changed(self, now_ms: int, up: bool) -> None:
        """The network went away, or came (back), perhaps with another address.

        Without a network nothing is sent or taken. With one the device registers anew at once; connections that
        outlived the gap go on.
        """
        self._now_ms = now_ms
        self.output.down = not up
        if not self.output.silent:
            self.attach.restart(now_ms)

    def publish_event(self, data: bytes) -> None:
        """Hand an event to the basestation with the next alive response. Raises FullError."""
        self.events.publish(data)

    def register_tags(self, first: int, last: int, handler: object) -> None:
        """Give DATA packets with these tags to `handler`, which has the methods of `Framing`.

        `handler.data(now_ms, connection, packet, off, n, fresh)` gets a verified packet and where its plaintext
        is, and returns a reason of `drops`; `fresh` is false for a replay, which must change nothing.
        `handler.closed(connection)` ends what it keeps. Raises ConfigError when a tag is taken.
        """
        for taken_first, taken_last, _ in self._tags:
            if first <= taken_last and taken_first <= last:
                raise ConfigError("tag has a handler already", first)
        self._tags.append((first, last, handler))

    def offer_streams(self, handler: object, packet_max: int) -> None:
        """Give stream packets, up to `packet_max` octets long, to `handler`: see `streams.StreamTags`."""
        self._streams = handler
        self.port.receive_up_to(packet_max)
        if packet_max > len(self._rx):
            self._rx = bytearray(packet_max)
            self.output.writer.buf = bytearray(packet_max)

    @property
    def packet_max(self) -> int:
        """The largest packet that is taken, octets."""
        return len(self._rx)

    @property
    def reports(self) -> object:
        """What is told to the basestation: `statistics.Reports`."""
        if self._reports is None:
            from homeport_device.statistics import Reports

            self._reports = Reports(self.config, self.port, self.output)
        return self._reports

    def reports_on(self, connection: object) -> bool:
        """Whether a connection and its streams are reported."""
        return self.config.connection_statistics and not connection.is_local

    # Input

    def datagram(self, now_ms: int, socket: int, data: bytes, endpoint: bytes) -> None:
        """Work through one datagram from `endpoint` (6 octets). Never raises for what is in it."""
        self._now_ms = now_ms
        if self._remote_wanted_now() == self.output.silent:
            self._follow_switch(now_ms)
        reason = self._receive(socket, data, endpoint)
        self.counters[reason] += 1

    def drained(self, now_ms: int) -> None:
        """No more datagrams are at hand: answer on streams what came while `holds_streams` was set."""
        self._now_ms = now_ms
        if self._streams is not None:
            self._streams.answer_held(now_ms)

    def timeout(self, now_ms: int) -> None:
        """Do all that is due."""
        self._now_ms = now_ms
        self._follow_switch(now_ms)
        if not self.output.down:
            self.attach.timeout(now_ms)
        if self._streams is not None:
            self._streams.timeout(now_ms)
        for connection in self.connections.slots:
            if connection is not None:
                self._tick(now_ms, connection)

    def resolved(self, now_ms: int, addresses: list | None) -> None:
        """What `port.resolve` found: IPv4 addresses (4 octets each), or None."""
        self._now_ms = now_ms
        self._follow_switch(now_ms)
        self.attach.resolved(now_ms, addresses)

    @property
    def deadline_ms(self) -> int | None:
        """When `timeout` has to be called, as ticks; None for never."""
        if self._remote_wanted_now() == self.output.silent:
            return self._now_ms
        deadline = None if self.output.down else self.attach.deadline_ms
        if self._streams is not None:
            deadline = _sooner(deadline, self._streams.deadline_ms)
        for connection in self.connections.slots:
            if connection is not None:
                deadline = _sooner(deadline, connection.deadline_ms)
                if connection.rendezvous is not None:
                    deadline = _sooner(deadline, connection.rendezvous.deadline_ms)
                if connection.owes_open_report:
                    deadline = self._now_ms
        return deadline

    # Output for handlers

    def send_data(self, connection: object, plaintext: bytes | bytearray | memoryview) -> int:
        """Seal `plaintext` into the DATA packet begun in `output.writer` and send it to the peer; returns its size."""
        n = self.output.seal(connection.context, plaintext)
        self.send_again(connection, self.output.writer.buf, n)
        return n

    def send_clear(self, connection: object) -> None:
        """Send the DATA packet begun in `output.writer` as it is."""
        self.send_again(connection, self.output.writer.buf, self.output.writer.finish())

    def send_again(self, connection: object, buf: bytes | bytearray, n: int) -> None:
        """Send a complete packet to the peer."""
        connection.traffic.count_sent(n)
        self.output.send_copy(connection.socket, connection.peer, buf, n)

    def close(self, now_ms: int, connection: object) -> None:
        """The peer closes the connection: its streams are reset, and it lingers."""
        if self._streams is not None:
            self._streams.closing(now_ms, connection)
        connection.close(now_ms)

    def bar(self, connection: object) -> None:
        """See whether a remote connection lacks its user's end-to-end key; if so, it gets nothing but framing."""
        found = None if connection.is_local else self.app.key_of(connection)
        connection.is_barred = found is not None and found[0] != connection.key_id

    def keys_changed(self) -> None:
        """The application has other keys for its users than before."""
        for connection in self.connections.slots:
            if connection is not None:
                self.bar(connection)

    def release(self, now_ms: int, connection: object) -> None:
        """Free a connection: pending requests are dropped, handlers and application told."""
        if connection not in self.connections.slots:
            return
        self.connections.remove(connection)
        if connection.rendezvous is not None:
            connection.rendezvous.close()
        if connection.fallback is not None:
            connection.fallback.close()
        for _, _, handler in self._tags:
            handler.closed(connection)
        if self._streams is not None:
            self._streams.closed(now_ms, connection)
        if connection.state in (CONNECTED, CLOSING):
            self.app.closed(connection)
            if self.reports_on(connection):
                self.reports.connection_closed(now_ms, connection, self.attach)

    # Steps

    def _receive(self, socket: int, data: bytes, endpoint: bytes) -> int:
        now_ms = self._now_ms
        n = len(data)
        if n > len(self._rx) or len(endpoint) != ENDPOINT_LEN:
            return MALFORMED
        if self.output.down or self.output.silent and socket != LOCAL:
            return OFF
        if socket == LOCAL:
            if not self.config.is_on_link(endpoint):
                return SOURCE
            if n >= _FIRST_WORD_LEN and is_legacy(data):
                return self._local.take(now_ms, data, endpoint)
        self._rx[:n] = data
        if not self._decodes(n):
            return MALFORMED
        if self._packet.type == PT_DATA:
            return self._take_data(socket, endpoint)
        if socket == LOCAL:
            return self._take_local(now_ms, endpoint)
        return self._take_remote(now_ms, socket, endpoint)

    def _decodes(self, n: int) -> bool:
        try:
            self._packet.decode_from(self._rx, n)
        except MalformedError:
            return False
        return True

    def _take_remote(self, now_ms: int, socket: object, source: bytes) -> int:
        packet = self._packet
        if packet.type == PT_U_ALIVE:
            return self.attach.take_alive(now_ms, packet, source) if socket == self.attach.socket else SOURCE
        if packet.type == PT_U_ATTACH:
            return self.attach.take_attach(now_ms, packet, source) if socket == self.attach.socket else SOURCE
        if packet.type == PT_U_INVITE:
            return self.attach.take_invite_answer(now_ms, packet, socket, source)
        if packet.type == PT_U_CONNECT:
            if source == self.attach.gsp and socket == self.attach.socket:
                return self._connect.introduce(now_ms, packet, source)
            return self._take_rendezvous(now_ms, socket, source)
        return UNKNOWN

    def _take_local(self, now_ms: int, source: bytes) -> int:
        packet = self._packet
        if packet.type == PT_U_CONNECT:
            if packet.first == PL_IPX:
                return self._connect.take_local(now_ms, packet, source)
            return self._take_rendezvous(now_ms, LOCAL, source)
        if packet.type not in (PT_U_CONNECT_PSK, PT_U_VERIFY_PSK):
            return UNKNOWN
        if not self.config.local_psk:
            return OFF
        if self._psk is None:
            from homeport_device.psk import Psk

            self._psk = Psk(self)
        if packet.type == PT_U_CONNECT_PSK:
            return self._psk.take_connect(now_ms, packet, source)
        return self._psk.take_verify(packet, source)

    def _take_rendezvous(self, now_ms: int, socket: int, source: bytes) -> int:
        packet = self._packet
        connection = self.connections.find(packet.sp)
        if packet.first != PL_EP or packet.flags & FL_RESPONSE:
            return STATE
        if connection is None or connection.rendezvous is None:
            return UNKNOWN
        return connection.rendezvous.take(now_ms, connection, packet, socket, source)

    def _take_data(self, socket: int, source: bytes) -> int:
        """DATA that a connection expects from there."""
        packet = self._packet
        connection = self.connections.find(packet.sp)
        if connection is None:
            return UNKNOWN
        if packet.flags & FL_RESPONSE or connection.state == VERIFYING:
            return STATE
        # Local connections stay at the local socket; without keys, an address is all that tells a client.
        if connection.is_local and (socket != LOCAL or not connection.is_psk and source != connection.peer):
            return SOURCE
        if self._streams is not None and packet.tag is not None and TAG_STREAM_FIRST <= packet.tag <= TAG_STREAM_LAST:
            return self._take_stream(connection, socket, source)
        return self._take_message(connection, socket, source)

    def _take_message(self, connection: object, socket: int, source: bytes) -> int:
        """Verified, then given to the handler of its tag. The path follows fresh packets only."""
        now_ms = self._now_ms
        packet = self._packet
        opened = self._open(connection, packet)
        if opened is None:
            return AUTH
        tag = TAG_RPC if packet.tag is None else packet.tag
        if tag != TAG_FRAMING and connection.fallback is not None and socket is connection.fallback.link:
            connection.fallback.used = True
        if connection.is_barred and tag not in (TAG_RPC, TAG_FRAMING):
            return STATE
        off, n = opened
        fresh = connection.seen is None or not connection.seen.seen(packet.mac())
        if fresh:
            if connection.seen is not None:
                connection.seen.add(packet.mac())
            self._follow_peer(now_ms, connection, socket, source)
            connection.traffic.count_received(n)
        for first, last, handler in self._tags:
            if first <= tag <= last:
                return handler.data(now_ms, connection, packet, off, n, fresh)
        return UNKNOWN

    def _take_stream(self, connection: object, socket: int, source: bytes) -> int:
        """Verified, then given to the handler of streams, which tells news from repeats: only news move the peer."""
        now_ms = self._now_ms
        packet = self._packet
        opened = self._open(connection, packet)
        if opened is None:
            return AUTH
        if connection.fallback is not None and socket is connection.fallback.link:
            connection.fallback.used = True
        if connection.is_barred:
            return STATE
        reason = self._streams.data(now_ms, connection, packet, opened[0], opened[1])
        if reason == TAKEN:
            self._follow_peer(now_ms, connection, socket, source)
        connection.traffic.count_received(opened[1])
        if connection.owes_open_report:
            self._report_opened(now_ms, connection)
        if not self.holds_streams:
            self._streams.flush(now_ms, connection)
        return reason

    def _open(self, connection: object, packet: object) -> tuple | None:
        """Verify and decrypt; where the plaintext is, or None for a packet that is not the peer's."""
        try:
            self._verify(connection, packet)
            return connection.context.decrypt_in_place(packet)
        except AuthError:
            return None

    def _follow_peer(self, now_ms: int, connection: object, socket: int, source: bytes) -> None:
        if source != connection.peer or socket != connection.socket:
            if self._streams is not None:
                self._streams.moved(now_ms, connection)
            connection.socket = socket
            connection.peer = source
        if connection.is_on_fallback:
            connection.fallback.choose()
        elif connection.fallback is not None:
            connection.fallback.close()
        if connection.state == CONNECTING:
            connection.enter(FIRST_DATA)
            connection.owes_open_report = self.reports_on(connection)
            self.app.opened(connection)
            if connection.rendezvous is not None:
                connection.rendezvous.hurry(now_ms)
        if connection.rendezvous is not None and source != self.attach.gsp:
            connection.rendezvous.settle(REMOTE if connection.is_on_fallback else socket)

    def _verify(self, connection: object, packet: object) -> None:
        """Check suite and MAC. The first packet under the keys of an exchange makes them the connection's."""
        try:
            connection.context.verify(packet)
        except AuthError:
            exchange = None if connection.is_local else connection.handshake
            if exchange is None or exchange.context is None:
                raise
            exchange.context.verify(packet)
            connection.go_over(self.config.replay_window)
            self.rpc.went_over(connection)
            self.bar(connection)

    def _tick(self, now_ms: int, connection: object) -> None:
        if ticks.diff(now_ms, connection.deadline_ms) >= 0:
            if not connection.outlives_silence:
                self.release(now_ms, connection)
                return
            connection.restart_timer(now_ms)
        if connection.rendezvous is not None:
            connection.rendezvous.timeout(now_ms)
        self._report_opened(now_ms, connection)

    def _report_opened(self, now_ms: int, connection: object) -> None:
        if connection.owes_open_report:
            connection.owes_open_report = False
            self.reports.connection_opened(now_ms, connection, self.attach)

    def _remote_wanted_now(self) -> bool:
        return bool(self.config.key) and self._remote_wanted and self.app.remote_enabled()

    def _follow_switch(self, now_ms: int) -> None:
        """The master switch: silence first, then forget all that is remote; or begin to register."""
        wanted = self._remote_wanted_now()
        if wanted != self.output.silent:
            return
        self.output.silent = not wanted
        if wanted:
            self.attach.start(now_ms)
            return
        self.attach.stop()
        for connection in list(self.connections.slots):
            if connection is not None and not connection.is_local:
                self.release(now_ms, connection)


def _sooner(a: int | None, b: int | None) -> int | None:
    """The earlier of two ticks, either of which may be None."""
    if a is None or b is None:
        return b if a is None else a
    return a if ticks.diff(a, b) < 0 else b
