"""The states of a stream and what leads from one to the next (specification, streams 2.7)."""

from homeport_core.compat import const
from homeport_core.errors import StateError

# States
IDLE = const(0)
SYN_SENT = const(1)
SYN_RCVD = const(2)
ESTABLISHED = const(3)
FIN_WAIT_1 = const(4)
FIN_WAIT_2 = const(5)
CLOSING = const(6)
TIME_WAIT = const(7)
CLOSE_WAIT = const(8)
LAST_ACK = const(9)
CLOSED = const(10)
ABORTED = const(11)

NAMES = (
    "IDLE",
    "SYN_SENT",
    "SYN_RCVD",
    "ESTABLISHED",
    "FIN_WAIT_1",
    "FIN_WAIT_2",
    "CLOSING",
    "TIME_WAIT",
    "CLOSE_WAIT",
    "LAST_ACK",
    "CLOSED",
    "ABORTED",
)

# Events
OPEN = const(0)  # our user opens
SYN_TAKEN = const(1)  # the peer opens, and there is room
CONFIRMED = const(2)  # the packet that completes the handshake for this side
CLOSE = const(3)  # our user closes
FIN_TAKEN = const(4)  # the peer's FIN, and all data before it is here
FIN_ACKED = const(5)  # the peer acknowledged our FIN
GIVE_UP = const(6)  # a repetition was never answered, or it does not matter any more: end without a word
EXPIRED = const(7)  # TIME_WAIT is over
BREAK = const(8)  # RST either way, or the connection is gone

TRANSITIONS = (
    (IDLE, OPEN, SYN_SENT),
    (IDLE, SYN_TAKEN, SYN_RCVD),
    (SYN_SENT, CONFIRMED, ESTABLISHED),
    (SYN_SENT, CLOSE, CLOSED),
    (SYN_SENT, GIVE_UP, ABORTED),
    (SYN_RCVD, CONFIRMED, ESTABLISHED),
    (SYN_RCVD, FIN_TAKEN, CLOSED),
    (SYN_RCVD, CLOSE, CLOSED),
    (SYN_RCVD, GIVE_UP, CLOSED),
    (ESTABLISHED, CLOSE, FIN_WAIT_1),
    (ESTABLISHED, FIN_TAKEN, CLOSE_WAIT),
    (FIN_WAIT_1, FIN_ACKED, FIN_WAIT_2),
    (FIN_WAIT_1, FIN_TAKEN, CLOSING),
    (FIN_WAIT_1, GIVE_UP, CLOSED),
    (FIN_WAIT_2, FIN_TAKEN, TIME_WAIT),
    (CLOSING, FIN_ACKED, TIME_WAIT),
    (CLOSING, GIVE_UP, CLOSED),
    (CLOSE_WAIT, CLOSE, LAST_ACK),
    (LAST_ACK, FIN_ACKED, CLOSED),
    (LAST_ACK, GIVE_UP, CLOSED),
    (TIME_WAIT, EXPIRED, CLOSED),
    (TIME_WAIT, GIVE_UP, CLOSED),
    (SYN_SENT, BREAK, ABORTED),
    (SYN_RCVD, BREAK, ABORTED),
    (ESTABLISHED, BREAK, ABORTED),
    (FIN_WAIT_1, BREAK, ABORTED),
    (FIN_WAIT_2, BREAK, ABORTED),
    (CLOSING, BREAK, ABORTED),
    (CLOSE_WAIT, BREAK, ABORTED),
    (LAST_ACK, BREAK, ABORTED),
)


def following(state: int, event: int) -> int:
    """The state after `event`. Raises StateError when the table has no such line."""
    for before, on, after in TRANSITIONS:
        if before == state and on == event:
            return after
    raise StateError("stream: event not expected in this state", (NAMES[state], event))
