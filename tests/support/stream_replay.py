"""Plays one end of a recorded stream against ours, packet by packet, and compares what ours sends with that.

Ids, tag and first numbers are translated, for each machine chooses its own; between two recorded packets lie at least
GAP_MS, so that ours may wait as it does. Our application writes, closes and opens when the recorded one did. Where
packets were cut out of the recording, made-up segments bridge the gap.
"""

import vector_files
from homeport_core.crypto import AesContext
from homeport_core.stream_limits import StreamLimits
from homeport_core.streams import Streams
from stream_ends import OurEnd
from stream_frames import ACK, FIN_ACK, RST, SYN, SYN_ACK, Wire

GAP_MS = 30
AFTER_MS = 15_000
FILLER = 0xA5
CLIENT_FIRST, DEVICE_FIRST = 1000, 30


class Recorded:
    """One recorded stream packet; `frame` is None where packets were cut out."""

    def __init__(self, index, at_ms=0, from_device=False, frame=None):
        self.index, self.at_ms, self.from_device, self.frame = index, at_ms, from_device, frame


def conversation(name, tag):
    """The packets of one stream of a capture."""
    capture = vector_files.capture(name)
    key = bytes.fromhex(capture["secrets"]["key96_data5001"])
    readers = {"d2p": Wire(AesContext(key, True)), "p2d": Wire(AesContext(key, False))}
    found, cut = [], None
    for index, record in enumerate(capture["datagrams"]):
        if "hex" not in record:
            cut = Recorded(index)
        elif record["decoded"].get("tag") == "%04x" % tag or record["decoded"].get("tag") == tag:
            frame = readers[record["dir"]].decode(bytes.fromhex(record["hex"]))
            if cut is not None and found:
                found.append(cut)
            cut = None
            found.append(Recorded(index, record["t"] * 1000, record["dir"] == "d2p", frame))
    return found


class Replay:
    """Our machine in the place of one end. `differences` are the indices of recorded packets that ours does not send.

    `unexpected` collects what was not foreseen, `extra` what ours sent beyond the recording, `received` the octets that
    our application got.
    """

    def __init__(self, packets, as_client, differences=()):
        self.packets, self.as_client, self.differences = packets, as_client, set(differences)
        block = packets[0].frame.block
        window = block.rx_win if block else 16
        segment = block.rx_seg if block else 1247
        limits = StreamLimits(segment=segment, receive_window=window, send_window=window)
        self.end = OurEnd(Streams(lambda n: bytes(range(1, n + 1)), limits, as_client))
        self.wire = Wire()
        self.now_ms = 0.0
        self.stream = None
        self.own = []  # our packets that no recorded one has matched yet
        self.sent = []  # all our packets, in the recording's numbers
        self.received = b""
        self.unexpected = []
        self.written = 0  # up to which of our numbers the application has written
        self.tag = self.initiator = self.responder = None
        self.first = None  # of our numbers

    def run(self):
        """Play it; returns `unexpected`."""
        for position, packet in enumerate(self.packets):
            if packet.frame is None:
                self.bridge(self.packets[position + 1 :])
                continue
            self.pass_time(max(packet.at_ms, self.now_ms + GAP_MS))
            if packet.from_device == self.as_client:
                self.end.take(self.now_ms, self.wire.encode(self.to_ours(packet.frame)))
                self.collect()
            else:
                self.act(packet.frame)
                self.compare(packet)
        self.pass_time(self.now_ms + GAP_MS)
        return self.unexpected

    @property
    def extra(self):
        """Packets that no recorded one accounts for."""
        return list(self.own)

    # Time and packets

    def pass_time(self, until_ms):
        while (due := self.end.deadline(self.now_ms)) is not None and due < until_ms:
            self.now_ms = max(self.now_ms, due)
            self.end.timeout(self.now_ms)
            self.collect()
        self.now_ms = max(self.now_ms, until_ms)

    def collect(self):
        if self.stream is None and self.end.opened:
            self.stream = self.end.opened[0]
        if self.stream is not None:
            self.received += self.stream.read()
        for datagram in self.end.datagrams(self.now_ms):
            frame = self.from_ours(self.wire.decode(datagram))
            self.own.append(frame)
            self.sent.append(frame)

    def from_ours(self, frame):
        if self.first is None and frame.flags & SYN:
            self.tag, self.initiator, self.responder = frame.tag, frame.initiator, frame.responder
            self.first = frame.seq
        return self._translated(frame, CLIENT_FIRST if self.as_client else DEVICE_FIRST, self.first)

    def _translated(self, frame, recorded_first, own_first):
        if own_first is None:
            return frame
        packet = next(packet.frame for packet in self.packets if packet.frame is not None)
        responder = max((packet.frame.responder for packet in self.packets if packet.frame is not None), default=0)
        return frame._replace(
            tag=packet.tag,
            initiator=packet.initiator,
            responder=responder if frame.responder else 0,
            seq=frame.seq - own_first + recorded_first,
        )

    def to_ours(self, frame):
        if self.first is None:
            return frame
        shift = self.first - (CLIENT_FIRST if self.as_client else DEVICE_FIRST)
        if self.as_client:
            frame = frame._replace(tag=self.tag, initiator=self.initiator)
        elif frame.responder:
            frame = frame._replace(responder=self.responder)
        ack = frame.ack + shift if frame.ack else 0
        return frame._replace(ack=ack, sack=tuple((start + shift, end + shift) for start, end in frame.sack))

    # The application

    def act(self, frame):
        """What our application does because the recorded one did."""
        now = self.end.ticks(self.now_ms)
        if frame.flags == SYN and self.stream is None:
            self.stream = self.end.streams.open(now)
            self.written = frame.seq + 1
        elif self.stream is not None:
            self.written = max(self.written, DEVICE_FIRST if not self.as_client else 0)
            if frame.data and frame.seq == self.written:
                assert self.stream.write(now, frame.data) == len(frame.data)
                self.written += 1
            elif frame.flags == FIN_ACK:
                self.stream.close(now)
        self.collect()

    # The comparison

    def compare(self, packet):
        """Ours has sent the packet by now, or the table of differences says that it does not."""
        self.pass_time(self.now_ms + GAP_MS - 1)
        for frame in self.own:
            if self.matches(packet.frame, frame):
                self.own.remove(frame)
                if packet.index in self.differences:
                    self.unexpected.append(("does not differ", packet.index, frame))
                return
        if packet.index not in self.differences:
            self.unexpected.append(("not sent", packet.index, packet.frame, tuple(self.own)))

    @staticmethod
    def matches(recorded, ours):
        """The same step of the stream: the same numbers and octets; what is acknowledged at least as much."""
        if (recorded.flags, recorded.seq, recorded.data) != (ours.flags, ours.seq, ours.data):
            return False
        return ours.ack >= recorded.ack and ours.sack == recorded.sack

    # The gap

    def bridge(self, rest):
        """Fill what was cut out with made-up segments in both directions, up to the numbers that come after it."""
        own_next, peer_next, acked = self._after_gap(rest)
        peer_at = self._peer_at(rest)
        window = self.packets[0].frame.block.rx_win
        filler = bytes((FILLER,)) * self.packets[0].frame.block.rx_seg
        template = next(packet.frame for packet in self.packets if packet.frame.responder)
        if self.stream is None:  # the end of the handshake was cut out too
            self._made_up(template, peer_at, self.written_first, window)
        own_at = max(self.written, self.written_first)
        while own_at < own_next or peer_at < peer_next:
            if own_at < own_next:
                assert self.stream.write(self.end.ticks(self.now_ms), filler) == len(filler)
                own_at += 1
                self.collect()
                self.pass_time(self.now_ms + GAP_MS)
            data = filler if peer_at < peer_next else b""
            self._made_up(template, peer_at, min(own_at, acked), window, data)
            peer_at += bool(data)
        self.written = own_next
        self.own.clear()
        self.received = b""

    def finish(self):
        """Time for what ours still has to do after the recording's end, such as a FIN that waits."""
        self.pass_time(self.now_ms + AFTER_MS)

    @property
    def written_first(self):
        """The recording's number of our first segment."""
        return CLIENT_FIRST + 1 if self.as_client else DEVICE_FIRST

    def _made_up(self, template, seq, ack, window, data=b""):
        frame = template._replace(flags=ACK, seq=seq, ack=ack, window=window, block=None, sack=(), data=data)
        self.end.take(self.now_ms, self.wire.encode(self.to_ours(frame)))
        self.collect()
        self.pass_time(self.now_ms + GAP_MS)

    def _peer_at(self, rest):
        before = [packet for packet in self.packets[: -len(rest)] if packet.frame is not None]
        frames = [packet.frame for packet in before if packet.from_device == self.as_client]
        return max(frame.seq + (frame.flags == SYN or bool(frame.data)) for frame in frames)

    def _after_gap(self, rest):
        own = [packet.frame for packet in rest if packet.from_device != self.as_client]
        peer = [packet.frame for packet in rest if packet.from_device == self.as_client]
        acked = min(frame.ack for frame in peer if frame.flags & ACK)
        return min(frame.seq for frame in own), min(frame.seq for frame in peer), acked


def data_of(packets, from_device):
    """The octets that one end of a recorded stream sent, in order and once; behind what was cut out."""
    cut = max((position for position, packet in enumerate(packets) if packet.frame is None), default=-1)
    octets = {
        packet.frame.seq: packet.frame.data
        for packet in packets[cut + 1 :]
        if packet.from_device == from_device and packet.frame.data
    }
    return b"".join(octets[seq] for seq in sorted(octets))


def described(frame):
    """For messages of tests."""
    names = {SYN: "SYN", SYN_ACK: "SYN|ACK", ACK: "ACK", FIN_ACK: "FIN|ACK", RST: "RST"}
    return "%s seq %d ack %d, %d octets" % (names[frame.flags], frame.seq, frame.ack, len(frame.data))
