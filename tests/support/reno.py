"""A plain sender with a fixed window of four segments and Reno's rules, to measure ours against on the same link.

It has what any such sender has: fast retransmission after three duplicate acknowledgements, halving, and a timeout of
srtt + 4·var, at least 300 ms, doubled each time. Its receiver acknowledges each segment, cumulatively.
"""

from stream_link import World

WINDOW = 4
DUPLICATES = 3
RTO_MIN_MS, RTO_MAX_MS, RTO_FIRST_MS = 300.0, 16_000.0, 1000.0
SEGMENT_LEN, PACKET_LEN, ACK_LEN = 1247, 1324, 92


class RenoSender:
    """One end of a World; sends without end."""

    def __init__(self):
        self.una = self.nxt = 0
        self.cwnd, self.ssthresh = 2.0, float(WINDOW)
        self.duplicates = 0
        self.recover = -1
        self.srtt = self.var = 0.0
        self.rto_ms = RTO_FIRST_MS
        self.due_ms = None
        self.sent = {}  # number → time of its only transmission
        self.again = []

    def take(self, now_ms, datagram):
        """An acknowledgement."""
        ack = int.from_bytes(datagram[:8], "big")
        if ack <= self.una:
            self._duplicate()
            return
        if ack - 1 in self.sent:
            self._sample(now_ms - self.sent[ack - 1])
        for seq in range(self.una, ack):
            self.sent.pop(seq, None)
        self.una, self.duplicates = ack, 0
        self.nxt = max(self.nxt, ack)
        if self.recover >= ack:
            self._retransmit()
        elif self.recover >= 0:
            self.recover, self.cwnd = -1, self.ssthresh
        else:
            self.cwnd = min(WINDOW, self.cwnd + (1 if self.cwnd < self.ssthresh else 1 / self.cwnd))
        self.due_ms = now_ms + self.rto_ms

    def _duplicate(self):
        self.duplicates += 1
        if self.duplicates == DUPLICATES and self.recover < 0:
            self.ssthresh = max(self.cwnd / 2, 2.0)
            self.cwnd, self.recover = self.ssthresh, self.nxt
            self._retransmit()

    def _retransmit(self):
        self.sent.pop(self.una, None)
        self.again.append(self.una)

    def _sample(self, rtt_ms):
        if not self.srtt:
            self.srtt, self.var = rtt_ms, rtt_ms / 2
        else:
            self.var += (abs(self.srtt - rtt_ms) - self.var) / 4
            self.srtt += (rtt_ms - self.srtt) / 8
        self.rto_ms = min(max(self.srtt + 4 * self.var, RTO_MIN_MS), RTO_MAX_MS)

    def datagrams(self, now_ms):
        """Retransmissions, then what the window allows."""
        found = [_segment(seq) for seq in self.again]
        self.again = []
        while self.nxt < self.una + int(min(self.cwnd, WINDOW)):
            self.sent[self.nxt] = now_ms
            found.append(_segment(self.nxt))
            self.nxt += 1
        if found and self.due_ms is None:
            self.due_ms = now_ms + self.rto_ms
        return found

    def deadline(self, now_ms):
        """The timeout of the oldest segment."""
        return self.due_ms

    def timeout(self, now_ms):
        """All is sent again, one by one."""
        self.ssthresh, self.cwnd = max(self.cwnd / 2, 2.0), 1.0
        self.nxt, self.recover, self.duplicates = self.una, -1, 0
        self.sent.clear()
        self.rto_ms = min(2 * self.rto_ms, RTO_MAX_MS)
        self.due_ms = now_ms + self.rto_ms


class RenoReceiver:
    """The other end; `next` is how many segments came in order."""

    def __init__(self):
        self.next = 0
        self.stored = set()
        self.acks = []

    def take(self, now_ms, datagram):
        """A segment."""
        self.stored.add(int.from_bytes(datagram[:8], "big"))
        while self.next in self.stored:
            self.stored.discard(self.next)
            self.next += 1
        self.acks.append(self.next.to_bytes(8, "big") + bytes(ACK_LEN - 8))

    def datagrams(self, now_ms):
        """One acknowledgement for each segment."""
        acks, self.acks = self.acks, []
        return acks

    def deadline(self, now_ms):
        """It has no timers."""
        return

    def timeout(self, now_ms):
        """It has no timers."""


def _segment(seq):
    return seq.to_bytes(8, "big") + bytes(PACKET_LEN - 8)


def reno_goodput(there, back, duration_ms):
    """Octets per second that such a sender brings over these links."""
    receiver = RenoReceiver()
    world = World(RenoSender(), receiver, there, back)
    world.settle("left")
    world.run(duration_ms)
    return receiver.next * SEGMENT_LEN * 1000 / duration_ms
