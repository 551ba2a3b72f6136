"""One stream of the reference, either end, as the specification describes it, defects and all (streams 2 and 3)."""

from enum import IntEnum

from reference_sender import ReferenceBrokenError, ReferenceSender
from stream_frames import ACK, FIN_ACK, RST, SACK_MAX, SERIAL, SYN, SYN_ACK, WSRF, Block, Frame

SYN_ACK_SEQ = 30
IDLE_LIMIT = 12
OK, CLOSED_HINT, END_HINT = 0, 1, 3


class State(IntEnum):
    """In the order that the reference compares them."""

    IDLE = 0
    SYN_SENT = 1
    SYN_RCVD = 2
    ESTABLISHED = 3
    FIN_WAIT_1 = 4
    FIN_WAIT_2 = 5
    CLOSING = 6
    TIME_WAIT = 7
    CLOSE_WAIT = 8
    LAST_ACK = 9
    CLOSED = 10
    ABORTED = 11


_FINISHING = (State.FIN_WAIT_1, State.CLOSING, State.LAST_ACK)
DONE = (State.CLOSED, State.ABORTED)


def negotiated(wish, limits, free=None):
    """`wish`, in own view, cut down to `limits` (streams 2.4)."""
    rx_win = max(1, min(wish.rx_win, limits.rx_win))
    return Block(
        wish.options,
        min(wish.rx_seg, limits.rx_seg),
        rx_win if free is None else min(rx_win, free),
        min(wish.tx_seg, limits.tx_seg),
        max(1, min(wish.tx_win, limits.tx_win)),
        min(wish.max_retrans, limits.max_retrans),
        limits.timeout_ms,
    )


class ReferenceStream:
    """One stream. `accepted` once the application knows of it; `aborted` when it ended by RST."""

    def __init__(self, peer, tag, initiator, responder, is_initiator):
        self.peer, self.tag, self.initiator, self.responder = peer, tag, initiator, responder
        self.is_initiator = is_initiator
        self.state = State.IDLE
        self.config = peer.limits
        self.sender = None
        self.first = 0  # the peer's number behind its SYN
        self.read_next = self.top = 0
        self.store = {}
        self.fin = 0  # of the peer; zero is "none", which is a defect
        self.own_fin = None
        self.wants_close = self.wants_ack = self.news = False
        self.sends = self.idle_acks = self.arrivals = 0
        self.timer_ms = None
        self.last_sent_ms = 0
        self.accepted = False

    # Packets out

    def _send(self, now_ms, flags, seq, data=b""):
        block = self.config if flags & SYN and not flags & RST else None
        ack, window, sack = self._ack_fields() if self.state > State.SYN_SENT else (0, 0, ())
        if flags == ACK:
            if self.news:
                self.news, self.idle_acks = False, 0
            self.wants_ack = False
            frame = Frame(self.tag, flags, self.initiator, self.responder, seq, ack, window, None, sack, data)
        else:
            frame = Frame(self.tag, flags, self.initiator, self.responder, seq, ack, None, block)
        self.last_sent_ms = now_ms
        self.peer.emit(frame)

    def _ack_fields(self):
        if not self.config.options & WSRF and self.state > State.SYN_RCVD:
            return self.read_next, self.config.rx_win, ()
        return self.top, self.config.rx_win - (self.top - self.read_next), self._sack()

    def _sack(self):
        runs = []
        for seq in sorted(seq for seq in self.store if seq > self.top):
            if runs and runs[-1][1] == seq:
                runs[-1][1] = seq + 1
            else:
                runs.append([seq, seq + 1])
        return tuple(tuple(run) for run in reversed(runs))[:SACK_MAX]

    def _transmit(self, now_ms):
        """Data as tokens allow, or the ACK that is due."""
        while self.sender is not None and self.state not in DONE and (item := self.sender.next(now_ms)) is not None:
            self._send(now_ms, ACK, *item)
        if self.wants_ack:
            self._send(now_ms, ACK, self._next_seq())

    def _next_seq(self):
        if self.own_fin is not None:
            return self.own_fin + 1
        return self.sender.nxt if self.sender is not None else SYN_ACK_SEQ

    def _reset(self, now_ms):
        self._send(now_ms, RST, self._next_seq())

    # Opening

    def open(self, syn_seq):
        """As initiator; the SYN goes with the next tick."""
        self.syn_seq = syn_seq
        self.state = State.SYN_SENT

    def syn(self, frame, free):
        """As responder; the SYN|ACK goes with the next tick."""
        self.first = self.read_next = self.top = (frame.seq + 1) % SERIAL
        self.config = negotiated(frame.block.swapped(), self.peer.limits, free)
        self._start(SYN_ACK_SEQ, frame.ack + self.config.tx_win)
        self.state = State.SYN_RCVD

    def _start(self, first, edge):
        config = self.config
        self.sender = ReferenceSender(
            first, edge, config.tx_seg, config.tx_win, config.max_retrans, self.peer.limits.timeout_ms
        )

    # Packets in

    def receive(self, now_ms, frame):
        """A packet of this stream, whose ids match unless it has the SYN bit."""
        if self.state in DONE:
            if frame.flags & RST:
                self.state = State.ABORTED
            else:
                self._reset(now_ms)
        elif frame.flags & RST:
            self.state = State.ABORTED
            self.store.clear()
        elif self.state == State.SYN_SENT:
            self._syn_sent(now_ms, frame)
        elif self.state == State.SYN_RCVD:
            self._syn_received(frame)
        elif frame.flags in (ACK, SYN_ACK, FIN_ACK):
            self._live(now_ms, frame)

    def _syn_sent(self, now_ms, frame):
        if frame.flags != SYN_ACK or frame.ack != self.syn_seq + 1:
            return
        self.responder = frame.responder
        self.config = negotiated(frame.block.swapped(), self.peer.limits)
        self.first = self.read_next = self.top = frame.seq
        self._start(frame.ack, frame.ack + self.config.tx_win)
        self.state, self.accepted = State.ESTABLISHED, True
        self._send(now_ms, ACK, self.sender.nxt)

    def _syn_received(self, frame):
        if frame.seq != self.first or frame.ack != SYN_ACK_SEQ:
            return
        if frame.flags == FIN_ACK:
            self.state = State.CLOSED  # nobody ever releases it
        elif frame.flags in (ACK, SYN_ACK):
            self.state, self.accepted = State.ESTABLISHED, True
            if frame.flags == ACK:
                self.sender.edge = frame.ack + frame.window
            self.peer.opened.append(self)

    def _live(self, now_ms, frame):
        if frame.flags == FIN_ACK and frame.data:
            raise ReferenceBrokenError("data in a FIN")
        in_window = self._take(now_ms, frame)
        acked = self.own_fin is not None and frame.ack == self.own_fin + 1
        is_fin = frame.flags == FIN_ACK
        if is_fin and in_window and self.state in (State.ESTABLISHED, State.FIN_WAIT_1, State.FIN_WAIT_2):
            self._note_fin(frame.seq)
        self.state = self._after(is_fin, acked)
        if not is_fin:
            self._transmit(now_ms)

    def _after(self, is_fin, acked):
        if self.state == State.ESTABLISHED and is_fin:
            return State.CLOSE_WAIT
        if self.state == State.FIN_WAIT_1 and is_fin:
            return State.TIME_WAIT if acked else State.CLOSING
        if self.state == State.FIN_WAIT_1 and acked:
            return State.FIN_WAIT_2
        if (self.state == State.FIN_WAIT_2 and is_fin) or (self.state == State.CLOSING and acked):
            return State.TIME_WAIT
        return State.CLOSED if self.state == State.LAST_ACK and acked else self.state

    def _note_fin(self, seq):
        self.fin = seq
        if self.read_next == self.top == seq:
            self.read_next = self.top = seq + 1
            self.wants_ack = True

    def _take(self, now_ms, frame):
        """Acknowledgements and data (streams 3.2); whether the packet was in the window."""
        if frame.flags == ACK:
            self.sender.window(frame.ack + frame.window)
        own_end = self.sender.nxt if self.own_fin is None else self.own_fin + 1
        if frame.ack > own_end:
            raise ReferenceBrokenError("acknowledges %d, next is %d" % (frame.ack, own_end))
        if len(frame.data) > self.config.rx_seg:
            raise ReferenceBrokenError("a segment of %d octets" % len(frame.data))
        limit = self.config.rx_win + (not frame.data)
        if (frame.seq - self.read_next) % SERIAL < limit:
            self.sender.acknowledged(now_ms, min(frame.ack, self.sender.nxt), frame.sack, not frame.data)
            if frame.data:
                self._keep(frame)
            return True
        if (self.read_next - frame.seq) % SERIAL <= limit and frame.data:
            self.wants_ack = True
        return False

    def _keep(self, frame):
        self.wants_ack = True
        if frame.seq < self.top or frame.seq in self.store:
            if frame.seq in self.store and self.store[frame.seq] != frame.data:
                raise ReferenceBrokenError("segment %d changed" % frame.seq)
            return
        self.news = True
        self.arrivals += 1
        if self.peer.acks_lazily and self.arrivals % 2 and frame.seq == self.top:
            self.wants_ack = False
        self.store[frame.seq] = frame.data
        while self.top in self.store:
            self.top += 1

    # The application

    def read(self, now_ms):
        """The next segment's octets and a hint, as the application of the vectors reads."""
        if self.state in DONE:
            return b"", CLOSED_HINT
        if self.read_next in self.store and self.read_next < self.top:
            was_full = self.top - self.read_next == self.config.rx_win
            data = self.store.pop(self.read_next)
            self.read_next += 1
            if was_full or not self.config.options & WSRF:
                self.wants_ack = True
                self._transmit(now_ms)
            return data, OK
        if self.fin in (self.read_next, self.read_next - 1):
            self.read_next = self.fin + 1
            return b"", END_HINT
        return b"", OK

    def write(self, data):
        """How many octets were taken; they go out at once, as of the latest tick's time."""
        if self.state not in (State.ESTABLISHED, State.CLOSE_WAIT) or self.wants_close:
            return 0
        taken = self.sender.write(data, self.peer.pool)
        self._transmit(self.peer.now_ms)
        return taken

    def close(self):
        """End of the own data; a stream that was never established is closed at once."""
        self.wants_close = True
        if self.state < State.ESTABLISHED:
            self.state = State.CLOSED
        elif self.state == State.ESTABLISHED:
            self.state = State.FIN_WAIT_1
        elif self.state == State.CLOSE_WAIT:
            self.state = State.LAST_ACK

    def abort(self):
        """RST."""
        if self.state not in DONE:
            self._reset(self.peer.now_ms)
            self.state = State.ABORTED

    # Time

    def tick(self, now_ms):
        """The reference's look at the timers of this stream; False when its slot is free."""
        config = self.peer.limits
        if self.state == State.SYN_SENT:
            return self._repeat(now_ms, SYN, self.syn_seq)
        if self.state == State.SYN_RCVD:
            return self._repeat(now_ms, SYN_ACK, SYN_ACK_SEQ)
        if self.state in DONE:
            return True
        if not self.sender.expired(now_ms):
            self._reset(now_ms)
            self.state = State.ABORTED
            return True
        if self.state in _FINISHING and not self.sender.segments:
            self._finish(now_ms)
        if not config.options & WSRF or not self.config.options & WSRF:
            self.wants_ack = self.wants_ack or bool(self.store)
        elif now_ms - self.last_sent_ms > 2 * config.timeout_ms and self.idle_acks < IDLE_LIMIT:
            self.idle_acks += 1
            self.wants_ack = True
        if self.state == State.TIME_WAIT:
            self.state = State.CLOSED
        self._transmit(now_ms)
        return True

    def _repeat(self, now_ms, flags, seq):
        if self.timer_ms is not None and now_ms - self.timer_ms <= self.peer.limits.timeout_ms:
            return True
        if self.sends > self.config.max_retrans:
            self.state = State.CLOSED
            return False
        self.sends += 1
        self.timer_ms = now_ms
        self._send(now_ms, flags, seq)
        return True

    def _finish(self, now_ms):
        if self.own_fin is None:
            self.own_fin = self.sender.nxt
            self.sends, self.timer_ms = 0, None
        self._repeat(now_ms, FIN_ACK, self.own_fin)
