"""Two ends of one connection in a simulated network, each ours or the reference's, with streams between them.

The left end is the initiator. Each packet of ours is checked against the rules of the wire.
"""

import random

from homeport_core.stream import OPENED
from homeport_core.stream_limits import StreamLimits
from homeport_core.streams import Streams
from reference_stream import ReferencePeer
from reference_stream_states import State
from stream_ends import Echo, OurEnd, OurSide, Reader, ReferenceEnd, ReferenceSide, Writer
from stream_frames import Block, Wire
from stream_link import Link, World
from stream_watch import Watch

OURS, REFERENCE = "ours", "reference"
ROLES = ((OURS, OURS), (OURS, REFERENCE), (REFERENCE, OURS))


def our_end(initiator, seed=1, base_ms=0, admit=None, **limits):
    """An end with our machine, whose random numbers are of the seed."""
    dice = random.Random(seed)
    return OurEnd(Streams(dice.randbytes, StreamLimits(**limits), initiator, admit), base_ms)


def reference_end(window=100, segment=1247, streams=4, **block):
    """An end with the model of the reference; the tunnel application's window."""
    limits = Block(rx_seg=segment, rx_win=window, tx_seg=segment, tx_win=window, **block)
    return ReferenceEnd(ReferencePeer(Wire(), limits, streams))


class Pair:
    """`open` opens a stream at the left end; each that the right end accepts goes to `on_accepted`, and into
    `accepted`, as a side. Both may be given as ends or by name."""

    def __init__(self, left=OURS, right=OURS, there=None, back=None, base_ms=0):
        self.left = self._end(left, True, base_ms)
        self.right = self._end(right, False, base_ms)
        ours = [name for name, end in (("left", self.left), ("right", self.right)) if isinstance(end, OurEnd)]
        self.watch = Watch(ours)
        self.world = World(self.left, self.right, there, back, self.watch)
        self.accepted = []
        self.on_accepted = None
        if isinstance(self.right, OurEnd):
            self.right.on_opened = lambda stream: self._accept(OurSide(self.right, stream))
        else:
            self.world.applications["right"].append(self._poll_accepted)

    @staticmethod
    def _end(end, initiator, base_ms):
        if end == OURS:
            return our_end(initiator, 1 + initiator, base_ms)
        return reference_end() if end == REFERENCE else end

    def _poll_accepted(self, now_ms):
        opened, self.right.peer.opened = self.right.peer.opened, []
        for stream in opened:
            self._accept(ReferenceSide(self.right, stream))

    def _accept(self, side):
        self.accepted.append(side)
        if self.on_accepted is not None:
            self.on_accepted(side)

    def open(self):
        """The left side of a new stream."""
        if isinstance(self.left, OurEnd):
            side = OurSide(self.left, self.left.streams.open(self.left.ticks(self.world.now_ms)))
        else:
            side = ReferenceSide(self.left, self.left.peer.open())
        self.world.settle("left")
        return side

    def connect(self):
        """Open one and let time pass until both ends have it; returns both sides."""
        before = len(self.accepted)
        left = self.open()
        self.world.until(lambda: len(self.accepted) > before and is_open(left), 60_000)
        return left, self.accepted[-1]

    def use(self, name, *applications):
        """Add to what runs after each event at an end."""
        self.world.applications[name] += applications
        self.world.settle(name)

    def exchange(self, left, right, forth, back, close=True):
        """Have both sides write and read; returns the readers, that of the right side first."""
        readers = Reader(right, forth), Reader(left, back)
        self.use("right", readers[0], Writer(right, back, close))
        self.use("left", Writer(left, forth, close), readers[1])
        return readers

    def finish(self, readers, limit_ms=600_000):
        """Let time pass until all was read at both ends, and both say that it is over."""
        sides = [reader.side for reader in readers]
        self.world.until(lambda: all(reader.is_complete for reader in readers), limit_ms)
        self.world.until(lambda: all(side.is_over for side in sides), limit_ms)


def is_open(side):
    """Whether an initiator's side is established."""
    if isinstance(side, OurSide):
        return bool(side.end.changes.get(side.stream, 0) & OPENED)
    return side.stream.state >= State.ESTABLISHED


def links(seed=1, **both):
    """Both directions of the same kind."""
    return Link(2 * seed, **both), Link(2 * seed + 1, **both)


def echo(pair):
    """Have the right end echo all its streams."""

    def start(side):
        pair.world.applications["right"].append(Echo(side))

    pair.on_accepted = start


def data(size, seed=1):
    """Octets without a pattern."""
    return random.Random(seed).randbytes(size)
