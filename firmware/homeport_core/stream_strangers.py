"""Answers to packets of no stream: an RST, and not too many (specification, streams 2.6)."""

from homeport_core.compat import const
from homeport_core.rate import RateLimit
from homeport_core.stream_wire import RST, SYN_ACK, Outgoing, Window

_RESETS_PER_S = const(10)


class Strangers:
    """Those who get an RST. `waiting` are the answers that are to leave; `unanswered` counts those who get none because
    there are too many."""

    __slots__ = ("_limit", "unanswered", "waiting")

    def __init__(self) -> None:
        self.unanswered = 0
        self.waiting: list[tuple[int, int, int, int, int]] = []
        self._limit = RateLimit(_RESETS_PER_S)

    def may_answer(self, now_ms: int) -> bool:
        """Whether one more RST may be sent; it counts as sent then."""
        if self._limit.allows(now_ms):
            return True
        self.unanswered += 1
        return False

    def turn_away(self, now_ms: int, tag: int, window: Window, responder_id: int) -> None:
        """Answer with an RST; but not an RST, and not a SYN|ACK, whose sender would lose a slot by it (streams 2.3)."""
        if not window.flags & RST and window.flags != SYN_ACK and self.may_answer(now_ms):
            self.waiting.append((tag, window.initiator, responder_id, window.ack, window.seq + 1))

    def poll(self, out: Outgoing) -> bool:
        """Prepare the next RST; False when there is none."""
        if not self.waiting:
            return False
        tag, initiator_id, responder_id, seq, ack = self.waiting.pop(0)
        out.put_head(RST, tag, initiator_id, responder_id, seq, ack)
        return True

    def forget(self) -> None:
        """Answer nobody."""
        self.waiting.clear()
