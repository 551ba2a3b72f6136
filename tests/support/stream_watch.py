"""What every packet of a careful stream end has to keep to, checked on the wire by the independent codec: each rule
that the specification says with MUST and that can be seen from outside (streams 1 to 3 and 7.1)."""

from stream_frames import ACK, FIN_ACK, RST, SACK_MAX, SERIAL, SYN, SYN_ACK, Wire


class _Side:
    """What one end of a stream has sent."""

    def __init__(self):
        self.first = None  # number of its first data segment
        self.nxt = 0  # never sent before
        self.octets = {}  # number → the segment
        self.arrived = set()
        self.fin = None
        self.ack = 0
        self.edge = 0
        self.block = None
        self.is_initiator = False
        self.acks = 0

    def agreed(self, other):
        """(tx_seg, rx_win) that hold for it once both blocks are known."""
        wish, block = self.block, other.block.swapped()
        return min(wish.tx_seg, block.tx_seg), max(1, min(wish.rx_win, block.rx_win))


class Watch:
    """Call it with each datagram that is sent; it raises AssertionError when one of `ours` breaks a rule.

    `data`, `again`, `probes`, `wasted` and `empty` count, by end: data packets; those sent before, by whether they were
    acknowledged since; those whose segment had arrived already; and packets without data.
    """

    def __init__(self, ours=("left", "right"), wire=None):
        self.ours, self.wire = ours, wire or Wire()
        self.streams = {}
        self.data = dict.fromkeys(("left", "right"), 0)
        self.again, self.probes, self.wasted, self.empty, self.resets = (dict(self.data) for _ in range(5))

    def __call__(self, now_ms, name, datagram, copies):
        frame = self.wire.decode(datagram)
        if frame.flags & RST:
            self.resets[name] += 1
            assert name not in self.ours or not (frame.malformed or frame.data or frame.sack), frame
            return
        key = (frame.tag, frame.initiator)
        if key not in self.streams:
            self.streams[key] = {"left": _Side(), "right": _Side()}
        own = self.streams[key][name]
        other = self.streams[key]["right" if name == "left" else "left"]
        if name in self.ours:
            self._check(frame, own, other)
        self._note(name, frame, own, other, copies)

    def wasted_share(self, name):
        """Of an end's data packets, how many brought nothing."""
        return self.wasted[name] / max(1, self.data[name])

    def _check(self, frame, own, other):
        if frame.flags == ACK:
            self._check_ack(frame, own, other)
            return
        assert not frame.data and not frame.sack, frame
        if frame.flags == SYN:
            assert frame.ack == 0 and frame.responder == 0 and frame.initiator != 0, frame
            assert frame.seq not in (0, SERIAL - 1), frame
            assert own.block in (None, frame.block), "another SYN block"
        elif frame.flags == SYN_ACK:
            assert frame.seq not in (0, 1) and frame.responder != 0, frame
            assert frame.ack == other.first, frame
            wish = other.block.swapped()
            assert frame.block.rx_seg <= wish.rx_seg and frame.block.tx_seg <= wish.tx_seg, frame
            assert frame.block.rx_win <= max(1, wish.rx_win) and frame.block.tx_win <= max(1, wish.tx_win), frame
        else:
            assert frame.flags == FIN_ACK, frame
            assert frame.seq == (own.nxt if own.fin is None else own.fin), "FIN before all data was sent: %r" % (frame,)
            assert frame.seq in (own.first, own.fin) or other.ack >= frame.seq, "FIN before all data was acknowledged"

    def _check_ack(self, frame, own, other):
        is_handshake = not frame.data and frame.seq == own.first and frame.ack == other.first
        assert own.acks or is_handshake or not own.is_initiator, "the first ACK is not empty: %r" % (frame,)
        tx_seg, rx_win = own.agreed(other)
        if not is_handshake:
            assert frame.ack >= own.ack, "acknowledges less than before: %r" % (frame,)
            assert frame.ack + frame.window >= own.edge, "takes its window back: %r" % (frame,)
        assert frame.window <= rx_win, "more window than agreed: %r" % (frame,)
        end = other.nxt if other.fin is None else other.fin + 1
        assert frame.ack <= end, "acknowledges what was never sent: %r" % (frame,)
        self._check_sack(frame, end)
        if not frame.data:
            expected = own.nxt if own.fin is None else own.fin + 1
            assert is_handshake or frame.seq == expected, "an empty ACK at %d, next is %d" % (frame.seq, expected)
            return
        assert own.fin is None or frame.seq < own.fin, "data behind the FIN"
        assert own.first <= frame.seq <= own.nxt, "segment %d, next is %d" % (frame.seq, own.nxt)
        assert frame.seq < other.edge, "segment %d beyond the window's end %d" % (frame.seq, other.edge)
        assert len(frame.data) <= tx_seg, "a segment of %d octets" % len(frame.data)
        assert own.octets.get(frame.seq, frame.data) == frame.data, "segment %d changed" % frame.seq

    def _check_sack(self, frame, end):
        assert len(frame.sack) <= SACK_MAX, frame
        above = end
        for start, stop in frame.sack:
            assert frame.ack < start < stop <= above, "SACK runs: %r" % (frame,)
            above = start - 1

    def _note(self, name, frame, own, other, copies):
        if frame.flags & SYN:
            own.block = frame.block
            own.is_initiator = frame.flags == SYN
            if own.first is None:
                own.first = own.nxt = frame.seq + (frame.flags == SYN)
            if frame.flags == SYN_ACK:
                own.edge = max(own.edge, frame.ack + frame.block.rx_win)
            return
        own.ack = max(own.ack, frame.ack)
        if frame.flags == FIN_ACK:
            own.fin = frame.seq
            return
        own.acks += 1
        own.edge = max(own.edge, frame.ack + frame.window)
        if not frame.data:
            self.empty[name] += 1
            return
        self.data[name] += 1
        self.again[name] += frame.seq in own.octets and frame.seq >= other.ack
        self.probes[name] += frame.seq in own.octets and frame.seq < other.ack
        self.wasted[name] += frame.seq in own.arrived
        own.octets[frame.seq] = frame.data
        own.nxt = max(own.nxt, frame.seq + 1)
        if copies:
            own.arrived.add(frame.seq)
