"""Our streams opposite a peer that holds the right keys and means no good: octets are a programme of packets, times and
actions of the application. Whatever it is, nothing is raised, and memory and packets stay bounded."""

import random

from homeport_core.errors import FullError, StateError
from homeport_core.stream_limits import StreamLimits
from homeport_core.streams import Streams
from stream_ends import OurEnd
from stream_frames import ACK, FIN_ACK, RST, SYN, SYN_ACK, Block, Frame, Wire

SLOTS = 3
WINDOW = 6
SEGMENT = 64
ANSWERS_MAX = 60  # packets in answer to one event
FLAGS = (ACK, ACK, ACK, ACK, FIN_ACK, RST, SYN, SYN_ACK, 0x30, 0x00, 0xFF)
NEAR = (0, 0, 0, 1, 1, 2, 3, WINDOW, WINDOW + 1, -1, -2, -WINDOW, 1000, 1 << 31, -(1 << 31), (1 << 32) - 1)
_MASK = 0xFFFFFFFF


class Programme:
    """Numbers from octets, zero when they are used up."""

    def __init__(self, octets):
        self.octets, self.at = octets, 0

    def number(self, count=1):
        """A big-endian number of so many octets."""
        value = int.from_bytes(self.octets[self.at : self.at + count].ljust(count, b"\0"), "big")
        self.at += count
        return value

    def pick(self, choices):
        """One of them."""
        return choices[self.number() % len(choices)]

    @property
    def is_over(self):
        """No more octets."""
        return self.at >= len(self.octets)


class Victim:
    """An end of ours, and what its peer has seen of it."""

    def __init__(self, initiator):
        limits = StreamLimits(segment=SEGMENT, receive_window=WINDOW, send_window=WINDOW, streams=SLOTS)
        self.end = OurEnd(Streams(random.Random(1).randbytes, limits, initiator), base_ms=(1 << 29) - 20_000)
        self.initiator = initiator
        self.wire = Wire()
        self.now_ms = 0
        self.seen = {}  # tag → its latest packet
        self.streams = []

    def drain(self):
        """Take what it sends; it must come to an end."""
        count = 0
        while found := self.end.datagrams(self.now_ms):
            count += len(found)
            assert count <= ANSWERS_MAX * SLOTS, "it goes on talking"
            for datagram in found:
                frame = self.wire.decode(datagram)
                assert not frame.malformed and len(frame.data) <= SEGMENT
                self.seen[frame.tag] = frame
        self.streams += [stream for stream in self.end.opened if stream not in self.streams]
        assert len([stream for stream in self.streams if not self.end.over(stream)]) <= 4 * SLOTS
        for stream in self.streams:
            assert stream.readable <= WINDOW * SEGMENT, "memory without bound"
            assert stream.writable <= WINDOW * SEGMENT, "memory without bound"

    def packet(self, frame):
        """One packet of the peer, verified."""
        self.end.take(self.now_ms, self.wire.encode(frame))
        self.drain()

    def pass_time(self, duration_ms):
        """Let time pass."""
        limit_ms = self.now_ms + duration_ms
        for _ in range(10_000):
            due = self.end.deadline(self.now_ms)
            if due is None or due > limit_ms:
                break
            self.now_ms = max(self.now_ms, due)
            self.end.timeout(self.now_ms)
            self.drain()
        else:
            raise AssertionError("its deadline does not move")
        self.now_ms = limit_ms

    def act(self, programme):
        """Something its application does."""
        if self.initiator and programme.number() % 4 == 0:
            try:
                self.streams.append(self.end.streams.open(self.end.ticks(self.now_ms)))
            except FullError:
                self.pass_time(1)
        elif self.streams:
            self._act_on(programme, programme.pick(self.streams))
        self.drain()

    def _act_on(self, programme, stream):
        now = self.end.ticks(self.now_ms)
        action = programme.number() % 8
        if action <= 2:
            try:
                stream.write(now, bytes(programme.number()))
            except StateError:
                stream.read()  # it was closed before
        elif action <= 4:
            stream.read(programme.number())
        elif action == 5:
            stream.close(now)
        elif action == 6:
            stream.abort(now)
        else:
            stream.release()
            self.streams.remove(stream)

    def near(self, programme):
        """A packet that fits the stream it is for, or almost does."""
        tags = sorted(self.seen) or [0x1000]
        tag = programme.pick(tags)
        seen = self.seen.get(tag, Frame(tag, SYN, 1, 0, 10, 0))
        flags = programme.pick(FLAGS)
        seq = (seen.ack + programme.pick(NEAR)) & _MASK
        ack = (seen.seq + len(seen.data[:1]) + (seen.flags == SYN) + programme.pick(NEAR)) & _MASK
        responder = seen.responder or programme.number() % 3
        runs = []
        for _ in range(programme.number() % 8 - 3):
            start = (ack + programme.pick(NEAR)) & _MASK
            runs.append((start, (start + programme.pick(NEAR)) & _MASK))
        data = bytes(programme.number() % (SEGMENT + 8)) if programme.number() % 2 else b""
        block = Block(*(programme.pick((0, 1, 2, 3, SEGMENT, 1247, 0xFFFF)) for _ in range(7)))
        window = programme.pick((0, 1, WINDOW, 0xFFFF))
        return Frame(tag, flags, seen.initiator, responder, seq, ack, window, block, tuple(runs), data)

    @staticmethod
    def any(programme):
        """A packet of any numbers."""
        flags = programme.pick(FLAGS)
        block = Block(*(programme.number(2) for _ in range(7)))
        return Frame(
            0x1000 + programme.number() % 4, flags, programme.number(2) % 4, programme.number(2) % 4,
            programme.number(4), programme.number(4), programme.number(2), block,
            ((programme.number(4), programme.number(4)),), bytes(programme.number() % 80),
        )  # fmt: skip

    def syn(self, programme):
        """A stream opened in earnest, and its handshake completed."""
        tag = 0x1000 + programme.number() % 8
        block = Block(programme.number() % 4, SEGMENT, WINDOW, SEGMENT, WINDOW)
        self.packet(Frame(tag, SYN, 1 + programme.number() % 2, 0, 10, 0, block=block))
        seen = self.seen.get(tag)
        if seen is not None and seen.flags == SYN_ACK:
            self.packet(Frame(tag, ACK, seen.initiator, seen.responder, seen.ack, seen.seq, WINDOW))

    def answer(self, programme):
        """The SYN|ACK to a SYN of ours."""
        for tag, seen in list(self.seen.items()):
            if seen.flags == SYN:
                block = Block(programme.number() % 4, SEGMENT, WINDOW, SEGMENT, WINDOW)
                self.packet(Frame(tag, SYN_ACK, seen.initiator, 9, 30, seen.seq + 1, block=block))


def play(octets, initiator):
    """The programme against one end; returns it when all is over."""
    victim, programme = Victim(initiator), Programme(octets)
    while not programme.is_over:
        step = programme.number() % 16
        if step <= 6:
            victim.packet(victim.near(programme))
        elif step <= 8:
            victim.packet(Victim.any(programme))
        elif step <= 10:
            victim.pass_time(programme.number() * programme.pick((1, 1, 10, 100)))
        elif step <= 13:
            victim.act(programme)
        elif initiator:
            victim.answer(programme)
        else:
            victim.syn(programme)
    return victim
