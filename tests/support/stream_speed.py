"""Goodput of a stream of ours over simulated links."""

from stream_ends import Writer
from stream_pairs import OURS, Pair, data

RUN_MS = 10_000
PLENTY = data(4_000_000)


class Endless(Writer):
    """Writes the same octets again and again."""

    def __call__(self, now_ms):
        while taken := self.side.write(now_ms, self.data[self.at : self.at + 16_384]):
            self.at = (self.at + taken) % len(self.data)


class Counter:
    """Reads and counts."""

    def __init__(self, side):
        self.side, self.octets = side, 0

    def __call__(self, now_ms):
        while piece := self.side.read(now_ms):
            self.octets += len(piece)


def goodput(there, back, right=OURS, run_ms=RUN_MS):
    """(octets per second, wasted share of the data packets) of a stream of ours over these links."""
    pair = Pair(OURS, right, there, back)
    left, accepted = pair.connect()
    counter = Counter(accepted)
    pair.use("right", counter)
    pair.use("left", Endless(left, PLENTY))
    pair.world.run(run_ms)
    return counter.octets * 1000 / run_ms, pair.watch.wasted_share("left")
