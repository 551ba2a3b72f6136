"""The sending half of the reference's streams, as the specification describes it (streams 3.6 to 3.9), defects and all.

Transmission is by tokens that leak with each loss; losses are found by counting; every timeout sends all again.
"""

INITIAL_TOKENS = 4
SSTHRESH_MIN = 2
LOSS_COUNT = 2
RTO_OFFSET_MS = 500
RTO_MAX_MS = 16_000


class ReferenceBrokenError(AssertionError):
    """The peer did what makes the reference crash, hang or overrun its memory (streams 7.1, row 14)."""


class _Segment:
    __slots__ = ("counted", "data", "lost", "retransmissions", "sent", "sent_ms")

    def __init__(self, data):
        self.data = data
        self.sent = self.sent_ms = 0  # number (0: none yet) and time of its latest transmission
        self.retransmissions = 0
        self.counted = 0
        self.lost = False


class ReferenceSender:
    """`next` is what to transmit now; `acknowledged` takes what came; `expired` is the retransmission timer."""

    def __init__(self, first, edge, tx_seg, tx_win, max_retrans, timeout_ms):
        self.una = self.nxt = self.tail = first
        self.edge = edge
        self.tx_seg, self.tx_win, self.max_retrans = tx_seg, tx_win, max_retrans
        self.segments = {}
        self.tokens, self.ssthresh, self.recovering = INITIAL_TOKENS, tx_win, False
        self.duplicate_acks = 0
        self.srtt = self.var = 0
        self.rto_ms = timeout_ms
        self.timer_ms = None  # since when the oldest segment is waited for
        self.transmissions = self.retransmitted = 0

    @property
    def in_flight(self):
        """Segments that were sent and not acknowledged in any way."""
        return sum(1 for segment in self.segments.values() if segment.sent)

    def can_write(self, pool):
        """Whether a write would take one more segment."""
        unsent = self.tail - self.nxt
        room = self.tail < self.una + self.tx_win and self.tail < self.edge
        return room and unsent <= self.tokens and (pool is None or len(self.segments) < pool)

    def write(self, data, pool=None):
        """Takes octets in segments of their own, no coalescing; returns how many."""
        taken = 0
        while taken < len(data) and self.can_write(pool):
            piece = bytes(data[taken : taken + self.tx_seg])
            self.segments[self.tail] = _Segment(piece)
            self.tail += 1
            taken += len(piece)
        return taken

    def next(self, now_ms):
        """(number, octets) of what goes out now, or None; retransmissions first, the lowest first."""
        if self.tokens <= 0:
            return None
        lost = [seq for seq, segment in self.segments.items() if segment.lost]
        if lost:
            seq = min(lost)
        elif self.nxt < self.tail:
            seq = self.nxt
            self.nxt += 1
            if self.timer_ms is None:
                self.timer_ms = now_ms
        else:
            return None
        segment = self.segments[seq]
        if segment.sent:
            segment.retransmissions += 1
            self.retransmitted += 1
        self.transmissions += 1
        segment.sent, segment.counted, segment.lost = self.transmissions, 0, False
        self.tokens -= 1
        segment.sent_ms = now_ms
        return seq, segment.data

    def window(self, edge):
        """The peer's right edge, which never moves left."""
        if edge > self.edge:
            if self.una == self.edge:
                self.tokens += edge - self.edge
            self.edge = edge

    def acknowledged(self, now_ms, ack, sack, empty):
        """What an accepted packet says."""
        if ack > self.nxt:
            raise ReferenceBrokenError("acknowledges %d, %d was never sent" % (ack, self.nxt))
        if ack < self.una:
            return
        if empty and ack == self.una and not sack and self.in_flight:
            self._duplicate_ack()
        news = [seq for seq in range(self.una, ack) if seq in self.segments]
        news += [seq for start, end in sack for seq in range(start, min(end, self.nxt)) if seq in self.segments]
        if news and news[0] < ack:
            self._sample(now_ms, ack - 1)
        for seq in news:
            self._free(seq)
        if ack > self.una:
            self.una = ack
            self.duplicate_acks, self.recovering = 0, False
            self.timer_ms = now_ms if self.in_flight else None
        self.tokens = min(self.tokens, self.edge - self.una)

    def _free(self, seq):
        segment = self.segments.pop(seq, None)
        if segment is None:
            return
        for other, waiting in self.segments.items():
            if other < seq and waiting.sent and waiting.sent < segment.sent and not waiting.lost:
                waiting.counted += 1
                if waiting.counted == LOSS_COUNT:
                    self._mark(waiting)
        if self.recovering:
            self.tokens += 1
        else:
            self.tokens += 2 if self.in_flight < self.ssthresh else 1

    def _mark(self, segment):
        segment.lost = True
        if not self.recovering:
            self.recovering = True
            self.ssthresh = max(self.in_flight // 2, SSTHRESH_MIN)

    def _duplicate_ack(self):
        self.duplicate_acks += 1
        first = self.segments.get(self.una)
        if self.duplicate_acks == LOSS_COUNT and first is not None and not first.retransmissions:
            self._mark(first)

    def _sample(self, now_ms, seq):
        segment = self.segments.get(seq)
        if segment is None or segment.retransmissions:
            return
        rtt = int(now_ms - segment.sent_ms)
        if not self.srtt:
            self.srtt, self.var = rtt, rtt // 2
        else:
            self.var = (3 * self.var + abs(self.srtt - rtt)) // 4
            self.srtt = (7 * self.srtt + rtt) // 8
        self.rto_ms = min(self.srtt + 4 * self.var + RTO_OFFSET_MS, RTO_MAX_MS)

    def expired(self, now_ms):
        """At each look at the timers; False when the peer has not answered for too long."""
        if self.timer_ms is None or now_ms - self.timer_ms <= self.rto_ms:
            return True
        waiting = [segment for segment in self.segments.values() if segment.sent]
        if waiting and waiting[0].retransmissions > self.max_retrans:
            return False
        self.timer_ms = now_ms
        self.rto_ms = min(self.rto_ms * 3 // 2, RTO_MAX_MS)
        self.tokens, self.ssthresh = INITIAL_TOKENS, self.tx_win
        for segment in waiting:
            segment.lost = True
        return True
