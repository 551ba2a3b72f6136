"""How our direction of a stream ends: all data acknowledged, then read, then FIN (specification, streams 2.5).

The reference never acknowledges a FIN that comes while it has data to read. So a FIN waits behind a gate until the peer
says, by a window that is wide open again, that it has read all; it is made to say so by a probe.
"""

from homeport_core import ticks
from homeport_core.compat import const
from homeport_core.stream_sender import Sender
from homeport_core.stream_terms import Terms
from homeport_core.stream_wire import Window

_GATE_MS = const(10000)
_PROBE_MS = const(200)
_PROBE_MAX_MS = const(1000)


class Closing:
    """`is_wanted`: our user closed; `is_sent`: the FIN left, `sends` times; `is_heard`: the packet at hand acknowledges
    it; `at_ms`: when `timeout` is due, or -1."""

    __slots__ = (
        "_edge",
        "_gate_end_ms",
        "_is_due",
        "_probes",
        "at_ms",
        "is_acked",
        "is_heard",
        "is_sent",
        "is_wanted",
        "sends",
    )

    def __init__(self) -> None:
        self.is_wanted = self.is_sent = self.is_heard = self.is_acked = False
        self.sends = 0
        self.at_ms = -1
        self._is_due = False
        self._probes = 0
        self._gate_end_ms = -1
        self._edge = -1  # of the peer's window: while it moves, the peer reads

    def is_due(self, now_ms: int, sender: Sender, terms: Terms) -> bool:
        """Whether a FIN is to leave now; it counts as sent then."""
        if not self.is_wanted or self.is_acked:
            return False
        if self.is_sent:
            is_due = self._is_due
            self._is_due = False
            return is_due
        if not sender.is_idle or (terms.acknowledges_arrival and self._is_shut(now_ms, sender)):
            return False
        self.is_sent = True
        self.sends = 1
        self.at_ms = ticks.add(now_ms, terms.timeout_ms)
        return True

    def _is_shut(self, now_ms: int, sender: Sender) -> bool:
        if not sender.can_probe or sender.is_window_open:
            return False
        if sender.edge != self._edge:
            if self._gate_end_ms < 0:
                self._probe(now_ms, sender)
            self._edge = sender.edge
            self._gate_end_ms = ticks.add(now_ms, _GATE_MS)
        return ticks.diff(now_ms, self._gate_end_ms) < 0

    def _probe(self, now_ms: int, sender: Sender) -> None:
        sender.probe()
        self.at_ms = ticks.add(now_ms, min(_PROBE_MS << self._probes, _PROBE_MAX_MS))
        self._probes = min(self._probes + 1, 3)

    def hear(self, window: Window, sender: Sender) -> None:
        """See whether a packet acknowledges our FIN. That is none of the segments, so its number is taken off."""
        self.is_heard = self.is_sent and window.ack == sender.flight.next + 1
        if self.is_heard:
            window.ack -= 1

    def acknowledged(self) -> None:
        """The peer has our FIN."""
        self.is_acked = True
        self.at_ms = -1

    def timeout(self, now_ms: int, sender: Sender, sends_max: int, interval_ms: int) -> bool:
        """Probe the gate or repeat the FIN when due; False when it was sent often enough."""
        if self.at_ms < 0 or ticks.diff(now_ms, self.at_ms) < 0:
            return True
        if not self.is_sent:
            self._probe(now_ms, sender)
            return True
        if self.sends >= sends_max:
            return False
        self.sends += 1
        self._is_due = True
        self.at_ms = ticks.add(now_ms, interval_ms)
        return True
