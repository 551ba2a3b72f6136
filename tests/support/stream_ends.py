"""The two kinds of stream end under one face: our machine, and the model of the reference. Also what uses them:
writers, readers and an echo, that check every octet."""

import hashlib

from homeport_core import ticks
from homeport_core.packet import Packet
from homeport_core.spec import PL_SACK, PL_WINDOW
from homeport_core.stream import ABORTED, CLOSED, OPENED
from reference_stream import PASS_MS
from reference_stream_states import END_HINT, State

_HEADER = bytes.fromhex("0000000011223344160200400000")
_CRYPTO_LEN = 6
_WRITE_MAX = 16_384


class OurEnd:
    """A `Streams` behind open datagrams: plaintext lies in CRYPTO as it is, nothing is sealed."""

    def __init__(self, streams, base_ms=0):
        self.streams = streams
        self.base_ms = base_ms
        self.results = {}
        self.opened = []
        self.changes = {}
        self.on_opened = None
        self._packet = Packet()

    def ticks(self, now_ms):
        """The machine's time."""
        return (int(now_ms) + self.base_ms) % ticks.PERIOD

    def take(self, now_ms, datagram):
        """One datagram; the octets are overwritten afterwards, as a receive buffer is."""
        packet, buf = self._packet, bytearray(datagram)
        packet.decode_from(buf)
        off = packet.crypto_off + 2
        result = self.streams.take(self.ticks(now_ms), packet, off, packet.n - off)
        self.results[result] = self.results.get(result, 0) + 1
        buf[:] = bytes(len(buf))
        self._collect()

    def _collect(self):
        """Who has changed; a new stream goes to `on_opened`."""
        while (stream := self.streams.next_changed()) is not None:
            changes = stream.take_changes()
            assert changes, "handed out without a change"
            if changes & OPENED:
                self.opened.append(stream)
                if self.on_opened is not None:
                    self.on_opened(stream)
            self.changes[stream] = self.changes.get(stream, 0) | changes

    def over(self, stream):
        """Whether its user was told that it is over."""
        return bool(self.changes.get(stream, 0) & (CLOSED | ABORTED))

    def datagrams(self, now_ms):
        """What it wants to send now."""
        streams = self.streams
        found = []
        self._collect()
        while streams.poll(self.ticks(now_ms)):
            body = _payload(PL_WINDOW, streams.window)
            if len(streams.sack):
                body += _payload(PL_SACK, streams.sack)
            data = bytes(streams.data)
            body += b"\x36\x00" + (_CRYPTO_LEN + len(data)).to_bytes(2, "big") + b"\0\0" + data
            found.append(_HEADER + (18 + len(body)).to_bytes(2, "big") + streams.tag.to_bytes(2, "big") + body)
        return found

    def deadline(self, now_ms):
        """When it wants to be called, or None."""
        deadline = self.streams.deadline_ms
        return None if deadline is None else now_ms + max(0, ticks.diff(deadline, self.ticks(now_ms)))

    def timeout(self, now_ms):
        """Time came."""
        self.streams.timeout(self.ticks(now_ms))
        self._collect()


def _payload(kind, data):
    return bytes((kind, 0)) + (4 + len(data)).to_bytes(2, "big") + bytes(data)


class ReferenceEnd:
    """A `ReferencePeer` under the same face."""

    def __init__(self, peer):
        self.peer = peer
        self.next_ms = 0.0

    def take(self, now_ms, datagram):
        """One datagram."""
        self.peer.take(now_ms, datagram)

    def datagrams(self, now_ms):
        """What it wants to send now."""
        return self.peer.taken()

    def deadline(self, now_ms):
        """Its next look at the timers, as long as there are streams."""
        return max(self.next_ms, now_ms) if self.peer.streams else None

    def timeout(self, now_ms):
        """The look at the timers."""
        self.peer.tick(now_ms)
        self.next_ms = now_ms + PASS_MS


class OurSide:
    """One of our streams as an application sees it."""

    def __init__(self, end, stream):
        self.end, self.stream = end, stream

    def write(self, now_ms, data):
        """How many octets were taken."""
        return self.stream.write(self.end.ticks(now_ms), data) if self.stream.writable else 0

    def read(self, now_ms, n=-1):
        """What is there, up to `n` octets."""
        return self.stream.read(n)

    def close(self, now_ms):
        """FIN after the data."""
        self.stream.close(self.end.ticks(now_ms))

    @property
    def at_eof(self):
        """Nothing more will come."""
        return self.stream.at_eof

    @property
    def is_over(self):
        """Closed or aborted."""
        return self.end.over(self.stream)


class ReferenceSide:
    """One of the reference's streams as an application sees it."""

    def __init__(self, end, stream):
        self.end, self.stream = end, stream
        self.at_eof = False

    def write(self, now_ms, data):
        """How many octets were taken."""
        return self.stream.write(data)

    def read(self, now_ms, n=-1):
        """A segment, or nothing; `n` is only asked for being 0."""
        if n == 0:
            return b""
        data, hint = self.stream.read(now_ms)
        self.at_eof = self.at_eof or hint == END_HINT
        return data

    def close(self, now_ms):
        """FIN after the data."""
        self.stream.close()

    @property
    def is_over(self):
        """Closed or aborted."""
        return self.stream.state in (State.CLOSED, State.ABORTED)


class Writer:
    """Writes `data`, then closes if told so."""

    def __init__(self, side, data, close=True):
        self.side, self.data, self.close = side, memoryview(data), close
        self.at = 0
        self.closed = False

    def __call__(self, now_ms):
        while self.at < len(self.data):
            taken = self.side.write(now_ms, self.data[self.at : self.at + _WRITE_MAX])
            if not taken:
                return
            self.at += taken
        if self.close and not self.closed:
            self.closed = True
            self.side.close(now_ms)


class Reader:
    """Reads all that comes, or what `grant` allows (octets; for slow readers), and compares it with `data`."""

    def __init__(self, side, data, grant=None):
        self.side, self.data, self.grant = side, data, grant
        self.at = 0
        self.hash = hashlib.sha256()
        self.expected = None

    def __call__(self, now_ms):
        while self.grant is None or self.grant > 0:
            piece = self.side.read(now_ms, -1 if self.grant is None else self.grant)
            if not piece:
                return
            assert piece == self.data[self.at : self.at + len(piece)], "other octets at %d" % self.at
            self.hash.update(piece)
            self.at += len(piece)
            if self.grant is not None:
                self.grant -= len(piece)

    @property
    def is_complete(self):
        """All came, and the end."""
        if self.at < len(self.data) or not self.side.at_eof:
            return False
        if self.expected is None:
            self.expected = hashlib.sha256(self.data).digest()
        return self.hash.digest() == self.expected


class Echo:
    """Sends back what comes, and closes when the peer does."""

    def __init__(self, side):
        self.side = side
        self.pending = b""
        self.closed = False

    def __call__(self, now_ms):
        while True:
            if not self.pending:
                self.pending = self.side.read(now_ms)
            if not self.pending:
                break
            taken = self.side.write(now_ms, self.pending)
            self.pending = self.pending[taken:]
            if not taken:
                return
        if self.side.at_eof and not self.closed:
            self.closed = True
            self.side.close(now_ms)
