"""Streams by hand, under virtual time and on both interpreters: one end that takes and gives datagrams, and two."""

from homeport_core import stream, stream_states, stream_wire, ticks
from homeport_core.crypto import NullContext
from homeport_core.packet import Packet, PacketWriter
from homeport_core.spec import FL_NSI_CO, PL_SACK, PL_WINDOW, PT_DATA
from homeport_core.streams import StreamLimits, Streams

NSI = b"\x11\x22\x33\x44"
NAMES = {0x10: "ACK", 0x20: "RST", 0x50: "FIN", 0x80: "SYN", 0x90: "SYN|ACK"}
ROOM = 70000


def zeros(n: int) -> bytes:
    """A source of "random" octets that lets tags start at 0x1000 and ids at 1."""
    return bytes(n)


class Seen:
    """One stream packet, taken apart; equal to another with the same members."""

    def __init__(self, flags: str, seq: int, ack: int, size: int = -1, sack: tuple = (), data: bytes = b"") -> None:
        self.flags = flags
        self.seq = seq
        self.ack = ack
        self.size = size
        self.sack = tuple(sack)
        self.data = data
        self.ids = (0, 0)
        self.tag = 0

    def __eq__(self, other: object) -> bool:
        return repr(self) == repr(other)

    def __hash__(self) -> int:
        return hash(repr(self))

    def __repr__(self) -> str:
        return "%s %d/%d adv %d sack %s data %s" % (
            self.flags,
            self.seq,
            self.ack,
            self.size,
            list(self.sack),
            self.data,
        )


def look(packet: Packet, data: bytes) -> Seen:
    """Take apart an opened packet with the plaintext `data`."""
    window = stream_wire.Window()
    at = packet.find(PL_WINDOW)
    assert at >= 0 and window.read(packet.buf, at, packet.found_len)
    ranges = []
    at = packet.find(PL_SACK)
    if at >= 0:
        assert stream_wire.read_sack(packet.buf, at, packet.found_len, ranges)
    pairs = [(ranges[i], ranges[i + 1]) for i in range(0, len(ranges), 2)]
    seen = Seen(NAMES[window.flags], window.seq, window.ack, window.size, pairs, data)
    seen.ids = (window.initiator, window.responder)
    seen.tag = packet.tag
    return seen


class End:
    """One end: its streams, its user, and the datagrams that come and go, in the clear suite unless told otherwise."""

    def __init__(self, initiator: bool, limits: StreamLimits = None, t0: int = 0, context: object = None) -> None:
        self.streams = Streams(zeros, StreamLimits() if limits is None else limits, initiator)
        self.context = NullContext() if context is None else context
        self.now_ms = t0
        self.stream = None  # the last one opened by us or by the peer
        self.changes = 0  # of that stream, gathered
        self.co = b""
        self.iv = bytes(16)
        self._buf = bytearray(ROOM)
        self._writer = PacketWriter(bytearray(ROOM))

    def open(self) -> stream.Stream:
        """Open a stream."""
        self.stream = self.streams.open(self.now_ms)
        return self.stream

    def give(self, datagram: bytes) -> int:
        """Take one datagram; returns what `Streams.take` returned."""
        self._buf[: len(datagram)] = datagram
        packet = Packet()
        packet.decode_from(self._buf, len(datagram))
        if packet.flags & FL_NSI_CO:
            self.co = packet.co
        off, n = self.context.open_in_place(packet)
        result = self.streams.take(self.now_ms, packet, off, n)
        self.gather()
        return result

    def gather(self) -> None:
        """Take the changes of all streams."""
        changed = self.streams.next_changed()
        while changed is not None:
            changes = changed.take_changes()
            if changes & stream.OPENED or self.stream is None:
                self.stream = changed
                self.changes = 0
            if changed is self.stream:
                self.changes |= changes
            changed = self.streams.next_changed()

    def datagrams(self) -> list:
        """All that is to be sent now."""
        out = []
        streams = self.streams
        while streams.poll(self.now_ms):
            writer = self._writer
            writer.begin(PT_DATA, NSI, tag=streams.tag, co=self.co)
            writer.add(PL_WINDOW, streams.window)
            if len(streams.sack):
                writer.add(PL_SACK, streams.sack)
            writer.seal(self.context, streams.data, self.iv)
            out.append(writer.bytes())
        return out

    def advance(self, ms: int) -> list:
        """Let time pass, doing what is due when it is; returns the datagrams of that time."""
        end_ms = ticks.add(self.now_ms, ms)
        out = self.datagrams()
        while True:
            deadline_ms = self.streams.deadline_ms
            if deadline_ms is None or ticks.diff(deadline_ms, end_ms) > 0:
                break
            if ticks.diff(deadline_ms, self.now_ms) > 0:
                self.now_ms = deadline_ms
            self.streams.timeout(self.now_ms)
            out += self.datagrams()
            assert len(out) < 10000, "it sends without end"
        self.now_ms = end_ms
        self.gather()
        return out

    def look(self, datagram: bytes) -> Seen:
        """What is in a datagram of this end's peer or its own (the clear suite)."""
        packet = Packet()
        packet.decode_from(bytearray(datagram))
        return look(packet, NullContext().open(packet))

    def said(self, ms: int = 0) -> list:
        """What leaves now and in the next `ms`, taken apart."""
        return [self.look(datagram) for datagram in self.advance(ms)]

    @property
    def state(self) -> str:
        """The name of the stream's state."""
        return stream_states.NAMES[self.stream.state]


def packet(
    flags: str,
    seq: int,
    ack: int,
    size: int = 50,
    ids: tuple = (7, 1),
    sack: tuple = (),
    data: bytes = b"",
    tag: int = 0x1000,
    syn: tuple = (3, 1247, 50, 1247, 50, 12, 1000),
) -> bytes:
    """A datagram in the clear suite, as a peer would send it."""
    out = stream_wire.Outgoing()
    code = [number for number, name in NAMES.items() if name == flags][0]
    if flags == "ACK":
        out.put_ack(tag, ids[0], ids[1], seq, ack, size)
    else:
        out.put_head(code, tag, ids[0], ids[1], seq, ack)
        if code & 0x80:
            out.put_syn_block(*syn)
    writer = PacketWriter(bytearray(ROOM))
    writer.begin(PT_DATA, NSI, tag=tag)
    writer.add(PL_WINDOW, out.window)
    if sack:
        buf = bytearray(8 * len(sack))
        at = 0
        for start, end in sack:
            at = stream_wire.write_range(buf, at, start, end)
        writer.add(PL_SACK, buf)
    writer.seal(NullContext(), data)
    return writer.bytes()


class Pair:
    """A client and a device on a link that takes `delay_ms` one way and loses what `loses(datagram)` says."""

    def __init__(
        self, client: StreamLimits = None, device: StreamLimits = None, delay_ms: int = 10, t0: int = 0
    ) -> None:
        self.client = End(True, client, t0)
        self.device = End(False, device, t0)
        self.delay_ms = delay_ms
        self.elapsed_ms = 0
        self._t0 = t0
        self._under_way = []  # (arrival, order, receiver, datagram)
        self._order = 0
        self.loses = None
        self.log = []  # all that was sent, taken apart, with "client" or "device"

    def send(self) -> None:
        """Put on the link what both ends have to send now."""
        for end, peer in ((self.client, self.device), (self.device, self.client)):
            end.now_ms = ticks.add(self._t0, self.elapsed_ms)
            end.gather()
            for datagram in end.datagrams():
                seen = end.look(datagram)
                name = "client" if end is self.client else "device"
                self.log.append((self.elapsed_ms, name, seen))
                if self.loses is not None and self.loses(name, seen):
                    continue
                self._order += 1
                self._under_way.append((self.elapsed_ms + self.delay_ms, self._order, peer, datagram))

    def run(self, ms: int, until: object = None) -> bool:
        """Let time pass, a millisecond at a time, or until `until()`; returns whether that came true."""
        end_ms = self.elapsed_ms + ms
        self.send()
        while self.elapsed_ms < end_ms:
            if until is not None and until():
                return True
            self.elapsed_ms = min(max(self._next_ms(), self.elapsed_ms + 1), end_ms)
            now_ms = ticks.add(self._t0, self.elapsed_ms)
            self.client.now_ms = self.device.now_ms = now_ms
            due = [entry for entry in self._under_way if entry[0] <= self.elapsed_ms]
            self._under_way = [entry for entry in self._under_way if entry[0] > self.elapsed_ms]
            for _, _, receiver, datagram in due:
                receiver.give(datagram)
            self.client.streams.timeout(now_ms)
            self.device.streams.timeout(now_ms)
            self.send()
        return until is not None and until()

    def _next_ms(self) -> int:
        soonest = self.elapsed_ms + 1000000
        for end in (self.client, self.device):
            deadline_ms = end.streams.deadline_ms
            if deadline_ms is not None:
                soonest = min(soonest, self.elapsed_ms + ticks.diff(deadline_ms, end.now_ms))
        for entry in self._under_way:
            soonest = min(soonest, entry[0])
        return soonest

    def establish(self) -> None:
        """Open one stream; both ends have it as `stream` afterwards."""
        self.client.open()
        assert self.run(1000, lambda: self.device.stream is not None and self.device.state == "ESTABLISHED")
        self.run(2 * self.delay_ms)
