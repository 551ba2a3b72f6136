"""The reference's streams, both ends, as the specification describes them, defects and all (streams 1 to 3 and 7.1).

Nothing here comes from the machine under test. What would make the reference crash, hang or overrun its memory raises
ReferenceBrokenError. Time is the caller's; the reference looks at its timers now and then: `tick`, every PASS_MS or so.
"""

from reference_stream_states import DONE, ReferenceStream, State
from stream_frames import RST, SERIAL, SYN, Block, Frame

PASS_MS = 10
SYN_SEQ = 10
FIRST_TAG, LAST_TAG = 0x1000, 0x1FFF


class ReferencePeer:
    """All streams of one connection at one end: `take` datagrams, `tick` now and then, send what is in `out`.

    `limits` is a Block in own view. `opened` collects the streams that the application may accept; what it is done with
    it gives to `release`. A half-open stream that ends never reaches it, so its slot is lost. `acks_lazily` makes it
    the original client, which acknowledges every second segment only (streams 3.5).
    """

    acks_lazily = False

    def __init__(self, wire, limits=None, streams=4, pool=None):
        self.wire, self.limits, self.slots, self.pool = wire, limits or Block(), streams, pool
        self.streams = {}
        self.opened = []
        self.out = []
        self.now_ms = 0
        self._ids = 0
        self._tag = FIRST_TAG - 1

    def emit(self, frame):
        """Queue a packet."""
        self.out.append(self.wire.encode(frame))

    def _next_id(self):
        self._ids = self._ids % 0xFFFF + 1
        return self._ids

    def open(self, syn_seq=SYN_SEQ, tag=None):
        """A new stream as initiator."""
        self._tag = FIRST_TAG if self._tag >= LAST_TAG else self._tag + 1
        tag = self._tag if tag is None else tag
        stream = ReferenceStream(self, tag, self._next_id(), 0, True)
        stream.open(syn_seq)
        self.streams[tag] = stream
        return stream

    def release(self, stream):
        """The application is done with it."""
        if stream.state not in DONE:
            stream.abort()
        self.streams.pop(stream.tag, None)

    def take(self, now_ms, datagram):
        """One datagram of the peer."""
        frame = self.wire.decode(datagram)
        stream = self.streams.get(frame.tag)
        if frame.malformed:
            return  # what it sends itself, it does not understand
        if stream is None:
            self._unknown(frame)
        elif frame.flags == SYN:
            if stream.state in DONE:
                stream.receive(now_ms, frame)
        elif frame.flags & SYN or (frame.initiator, frame.responder) == (stream.initiator, stream.responder):
            stream.receive(now_ms, frame)

    def _unknown(self, frame):
        if frame.flags & RST:
            return
        if frame.flags != SYN or len(self.streams) >= self.slots:
            self.emit(
                Frame(frame.tag, RST, frame.initiator, frame.responder, frame.ack, (frame.seq + 1) % SERIAL,
                      malformed=True)
            )  # fmt: skip
            return
        stream = ReferenceStream(self, frame.tag, frame.initiator, self._next_id(), False)
        free = None if self.pool is None else self.pool - self._reserved()
        stream.syn(frame, free)
        if free is not None and free <= 0:
            stream.state = State.CLOSED
            stream._reset(self.now_ms)
            return
        self.streams[frame.tag] = stream

    def _reserved(self):
        return sum(stream.config.rx_win for stream in self.streams.values())

    def tick(self, now_ms):
        """The look at all timers."""
        for stream in list(self.streams.values()):
            if not stream.tick(now_ms):
                del self.streams[stream.tag]
        self.now_ms = now_ms

    def taken(self):
        """The datagrams to send, which are then forgotten."""
        out, self.out = self.out, []
        return out

    @property
    def lost_slots(self):
        """Streams that ended before the application learnt of them."""
        return sum(1 for stream in self.streams.values() if stream.state in DONE and not stream.accepted)
