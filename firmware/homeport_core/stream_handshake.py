"""How a stream opens: SYN, SYN|ACK, and the empty ACK that greets back (specification, streams 2.3).

The SYN takes a number, the SYN|ACK none. The reference drops data in the packet that completes the handshake, and
ignores what comes before that packet: so the greeting is bare, leaves once more before the first data, and again when
the SYN|ACK is repeated.
"""

from homeport_core import ticks
from homeport_core.compat import const
from homeport_core.stream_limits import StreamLimits
from homeport_core.stream_terms import Terms

# First numbers, as all deployed peers choose them.
FIRST_INITIATOR = const(10)
FIRST_RESPONDER = const(30)


class Handshake:
    """What is offered and agreed (`terms`), and what is still to be said: `owes_call`, the SYN or SYN|ACK, and
    `owes_greeting`. `at_ms` is when `timeout` is due, or -1."""

    __slots__ = (
        "_began_at_ms",
        "_greets_again",
        "_sends",
        "at_ms",
        "is_initiator",
        "owes_call",
        "owes_greeting",
        "terms",
    )

    def __init__(self, limits: StreamLimits, is_initiator: bool) -> None:
        self.terms = Terms(limits)
        self.is_initiator = is_initiator
        self.owes_call = self.owes_greeting = False
        self.at_ms = -1
        self._began_at_ms = -1
        self._sends = 0
        self._greets_again = False

    def begin(self, now_ms: int) -> None:
        """Call for the first time."""
        self._began_at_ms = now_ms
        self._sends = 1
        self.owes_call = True
        self.at_ms = ticks.add(now_ms, self.terms.timeout_ms)

    def timeout(self, now_ms: int) -> bool:
        """Call again when due; False when that was done often enough."""
        if self.at_ms < 0 or ticks.diff(now_ms, self.at_ms) < 0:
            return True
        if self._sends > self.terms.retries:
            self.at_ms = -1
            return False
        self._sends += 1
        self.owes_call = True
        self.at_ms = ticks.add(now_ms, self.terms.timeout_ms)
        return True

    def complete(self, now_ms: int) -> int:
        """The peer answered; returns the round trip in ms, or -1 when it is not known which call it answered."""
        self.at_ms = -1
        self.owes_call = False
        self.owes_greeting = self._greets_again = self.is_initiator
        return ticks.diff(now_ms, self._began_at_ms) if self._sends == 1 else -1

    def greets(self, has_data: bool) -> bool:
        """Whether the greeting is to leave now, `has_data` saying that the first data waits; it counts as sent then."""
        if not self.owes_greeting and not (self._greets_again and has_data):
            return False
        self._greets_again = self.owes_greeting
        self.owes_greeting = False
        return True
