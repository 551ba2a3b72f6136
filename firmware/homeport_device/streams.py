"""Streams on a device: handler of the tags 0x1000 to 0x1fff (specification, streams 1 to 4).

Each connection that uses streams has a stream machine of its own (`homeport_core.streams`); what clients ask for on
their streams is the business of `services`. There are `streams` slots in all and `streams_per_client` for one client.
On MicroPython a stream's memory is reserved when it is accepted, so that nothing grows while it runs.

Stream packets would flush the memory of MACs, and the stream machine knows by itself what is new to it: so the peer's
address follows only a packet that advanced something.
"""

from homeport_core import ticks
from homeport_core.compat import MICROPYTHON, const
from homeport_core.errors import ConfigError
from homeport_core.payloads import build_items
from homeport_core.spec import NSI_ZERO, PL_SACK, PL_STREAM_STATS, PL_WINDOW, PT_DATA, STATS_STREAM_CLOSE, TLV_LEN
from homeport_core.stream_wire import NEWS, OLD, SYN
from homeport_core.streams import FixedPool, GrowingPool, StreamLimits, Streams

from homeport_device.config import sealed_len
from homeport_device.connection import CLOSING
from homeport_device.drops import REPLAY, STATE, TAKEN, UNKNOWN

# Header, tag and NSI.co are in `sealed_len`; WINDOW with its payload header, and SACK with four ranges.
_WINDOW_LEN = const(20)
_SACK_LEN = const(36)


def packet_len(segment: int) -> int:
    """The most octets a stream packet can have that carries a full segment."""
    return sealed_len(segment) + _WINDOW_LEN + _SACK_LEN


class Entry:
    """One connection's streams, and its part of the slots: `taken` of them. To the streams it is their pool."""

    __slots__ = ("_tags", "connection", "has_news", "streams", "taken")

    def __init__(self, tags: object, connection: object, rng: object, limits: StreamLimits) -> None:
        self._tags = tags
        self.connection = connection
        self.taken = 0
        self.has_news = False  # packets came that nobody has been told of
        self.streams = Streams(rng, limits, False, self.admits, self)
        self.streams.when_over = self.report

    def admits(self) -> bool:
        """Whether the client may have one more stream."""
        return self._tags.admits(self.connection)

    def report(self, now_ms: int, stream: object) -> None:
        """A stream is over."""
        self._tags.report(now_ms, self.connection, stream)

    def take(self) -> object:
        """Memory for one more stream, or None."""
        memory = self._tags.pool.take()
        if memory is not None:
            self.taken += 1
        return memory

    def give(self, memory: object) -> None:
        """A stream ended."""
        self.taken -= 1
        self._tags.pool.give(memory)


class StreamTags:
    """All streams of a device. `services` is told what happens on them."""

    def __init__(self, stack: object, services: object) -> None:
        config = stack.config
        self._stack = stack
        self._output = stack.output
        self._services = services
        self._slots = config.streams
        self._per_client = min(config.streams, config.streams_per_client)
        window = config.stream_window
        self._limits = StreamLimits(config.stream_segment, window, window, self._per_client, fixed=MICROPYTHON)
        self._entries = []
        self.pool = FixedPool(self._limits, self._slots) if MICROPYTHON else GrowingPool(self._limits)
        packet_max = packet_len(config.stream_segment)
        if MICROPYTHON and packet_max > config.packet_max:
            raise ConfigError("stream_segment does not fit packet_max", packet_max)
        stack.offer_streams(self, packet_max)

    # What the stack asks

    def data(self, now_ms: int, connection: object, packet: object, off: int, n: int) -> int:
        """One verified packet with the plaintext `packet.buf[off : off + n]`; TAKEN only for news."""
        if connection.state == CLOSING:
            return STATE
        entry = self._find(connection)
        if entry is None:
            entry = Entry(self, connection, self._stack.rng, self._limits)
            self._entries.append(entry)
        if packet.buf[packet.body + TLV_LEN] == SYN:
            if entry.has_news:
                self._work(now_ms, entry)  # a stream that ended just now leaves its slot to this one
            if not self.admits(connection):
                self._services.make_room(now_ms, connection)
        entry.has_news = True
        result = entry.streams.take(now_ms, packet, off, n)
        if result == NEWS:
            connection.restart_timer(now_ms)
            return TAKEN
        return REPLAY if result == OLD else UNKNOWN

    def answer_held(self, now_ms: int) -> None:
        """Work on all that came since the last time."""
        for entry in self._entries:
            if entry.has_news:
                self._work(now_ms, entry)

    def moved(self, now_ms: int, connection: object) -> None:
        """The peer has another address."""
        entry = self._find(connection)
        if entry is not None:
            entry.streams.path_changed(now_ms)

    def closing(self, now_ms: int, connection: object) -> None:
        """The peer closes the connection: each stream is reset (streams 2.9)."""
        entry = self._find(connection)
        if entry is not None:
            entry.streams.reset_all(now_ms)
            self._work(now_ms, entry)

    def closed(self, now_ms: int, connection: object) -> None:
        """The connection is gone: its streams end without a packet."""
        entry = self._find(connection)
        if entry is not None:
            entry.streams.fail_all()
            self._tell(now_ms, entry)
            while entry.streams.poll(now_ms):
                pass  # what is over is forgotten; nobody is there to send to
            self._entries.remove(entry)

    @property
    def deadline_ms(self) -> int | None:
        """When to call `timeout`."""
        deadline = self._services.deadline_ms
        for entry in self._entries:
            due = entry.streams.deadline_ms
            if deadline is None or (due is not None and ticks.diff(due, deadline) < 0):
                deadline = due
        return deadline

    def timeout(self, now_ms: int) -> None:
        """Do what is due."""
        self._services.timeout(now_ms)
        for entry in self._entries:
            due = entry.streams.deadline_ms
            if due is not None and ticks.diff(now_ms, due) >= 0:
                entry.streams.timeout(now_ms)
                self._work(now_ms, entry)

    # What services ask

    def flush(self, now_ms: int, connection: object) -> None:
        """Something happened on a stream of this connection: tell its users, and send what there is to send."""
        entry = self._find(connection)
        if entry is not None:
            self._work(now_ms, entry)

    def admits(self, connection: object) -> bool:
        """Whether there is a slot for one more stream of this connection's client."""
        total = of_client = 0
        for entry in self._entries:
            total += entry.taken
            other = entry.connection
            if other is connection or (other.fingerprint and other.fingerprint == connection.fingerprint):
                of_client += entry.taken
        return total < self._slots and of_client < self._per_client

    def report(self, now_ms: int, connection: object, stream: object) -> None:
        """A stream is over: tell the GSP, where the product wants that (streams 4)."""
        if self._stack.reports_on(connection):
            reports = self._stack.reports
            reports.begin(STATS_STREAM_CLOSE, connection.nsi, None)
            items = [(kind, value.to_bytes(size, "big")) for kind, size, value in stream.statistics()]
            self._output.writer.add(PL_STREAM_STATS, build_items(items))
            reports.finish(now_ms, connection, self._stack.attach)

    # Steps

    def _find(self, connection: object) -> Entry | None:
        for entry in self._entries:
            if entry.connection is connection:
                return entry
        return None

    def _work(self, now_ms: int, entry: Entry) -> None:
        """Let services do what they can, then send; and again, for sending makes room."""
        streams = entry.streams
        entry.has_news = False
        if streams.reliable != entry.connection.is_reliable:
            streams.reliable = entry.connection.is_reliable
        self._tell(now_ms, entry)
        if streams.poll(now_ms):
            self._send(entry.connection, streams)
            while streams.poll(now_ms):
                self._send(entry.connection, streams)
            self._tell(now_ms, entry)

    def _tell(self, now_ms: int, entry: Entry) -> None:
        stream = entry.streams.next_changed()
        while stream is not None:
            changes = stream.take_changes()
            self._services.changed(now_ms, entry.connection, stream, changes)
            stream = entry.streams.next_changed()

    def _send(self, connection: object, streams: Streams) -> None:
        output = self._output
        writer = output.writer
        writer.begin(PT_DATA, connection.nsi, 0, 0, NSI_ZERO, streams.tag, connection.co)
        writer.add(PL_WINDOW, streams.window)
        if len(streams.sack):
            writer.add(PL_SACK, streams.sack)
        n = output.seal(connection.context, streams.data)
        connection.traffic.count_sent(n)
        output.send_copy(connection.socket, connection.peer, writer.buf, n)
