"""What a stream counts for its statistics (specification, streams 4)."""

from homeport_core import ticks
from homeport_core.compat import const

STATUS_OPEN = const(1)
STATUS_CLOSED = const(2)
STATUS_ABORTED = const(3)

_MEBI = const(1 << 20)
_U16_MAX = const(0xFFFF)
_SUM_MAX = const(1 << 28)


class Range:
    """Least, greatest and mean of a series."""

    __slots__ = ("_count", "_total", "greatest", "least")

    def __init__(self) -> None:
        self.least = self.greatest = self._total = self._count = 0

    def add(self, value: int) -> None:
        """One observation."""
        if not self._count or value < self.least:
            self.least = value
        self.greatest = max(self.greatest, value)
        self._total += value
        self._count += 1
        if self._total >= _SUM_MAX:
            self._total //= 2
            self._count //= 2

    @property
    def mean(self) -> int:
        """The mean, rounded down; 0 without observations."""
        return self._total // self._count if self._count else 0

    def items(self, first_type: int) -> list[tuple[int, int, int]]:
        """Three TLVs of STREAM_STATS from this type on."""
        values = (self.least, self.greatest, self.mean)
        return [(first_type + i, 2, min(value, _U16_MAX)) for i, value in enumerate(values)]


class Tally:
    """Counters of one stream."""

    __slots__ = (
        "_began_ms",
        "_sent_len",
        "age_ms",
        "flight",
        "marked",
        "packets_received",
        "packets_sent",
        "received_len",
        "received_mebi_ms",
        "reads",
        "refused",
        "repeated",
        "resent",
        "round_trip",
        "sent_mebi_ms",
        "threshold",
        "timeouts",
        "window",
        "writes",
        "written_len",
    )

    def __init__(self, now_ms: int) -> None:
        self._began_ms = now_ms
        self.age_ms = self._sent_len = 0
        self.packets_sent = self.packets_received = 0
        self.written_len = self.received_len = 0
        self.received_mebi_ms = self.sent_mebi_ms = 0
        self.writes = self.reads = self.repeated = 0
        self.resent = self.marked = self.timeouts = self.refused = 0
        self.round_trip = Range()
        self.window = Range()
        self.threshold = Range()
        self.flight = Range()

    def grow_older(self, now_ms: int) -> None:
        """Bring `age_ms` up to date; often enough that ticks do not wrap in between."""
        self.age_ms += ticks.diff(now_ms, self._began_ms)
        self._began_ms = now_ms

    def sampled(self, rtt_ms: int, window: int, threshold: int, flight: int) -> None:
        """A round trip was measured: note how the sender stands."""
        self.round_trip.add(rtt_ms)
        self.window.add(window)
        self.threshold.add(threshold)
        self.flight.add(flight)

    def received(self, now_ms: int, n: int) -> None:
        """`n` new octets arrived."""
        self.received_len += n
        if not self.received_mebi_ms and self.received_len >= _MEBI:
            self.grow_older(now_ms)
            self.received_mebi_ms = max(self.age_ms, 1)

    def sent(self, now_ms: int, n: int) -> None:
        """`n` octets left for the first time."""
        self._sent_len += n
        if not self.sent_mebi_ms and self._sent_len >= _MEBI:
            self.grow_older(now_ms)
            self.sent_mebi_ms = max(self.age_ms, 1)

    def items(self, tag: int, initiator_id: int, responder_id: int, status: int) -> list[tuple[int, int, int]]:
        """(type, size in octets, value) of STREAM_STATS, in the reference's order."""
        items = [(26, 2, tag), (24, 2, initiator_id), (25, 2, responder_id), (22, 4, self.age_ms), (23, 1, status)]
        if self.received_mebi_ms:
            items.append((27, 4, self.received_mebi_ms))
        if self.sent_mebi_ms:
            items.append((28, 4, self.sent_mebi_ms))
        counts = (
            self.packets_sent,
            self.written_len,
            self.resent,
            self.packets_received,
            self.received_len,
            self.repeated,
            self.marked,
            self.writes,
            self.reads,
        )
        items.extend([(i + 1, 4, count) for i, count in enumerate(counts)])
        items.extend(self.round_trip.items(10))
        items.extend(self.window.items(13))
        items.extend(self.threshold.items(16))
        items.extend(self.flight.items(19))
        items.extend([(29, 4, self.timeouts), (30, 4, self.refused)])
        return items
