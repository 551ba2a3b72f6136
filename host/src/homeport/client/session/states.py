"""The states of a session; `session` says what they mean."""

from __future__ import annotations

from enum import Enum, auto


class State(Enum):
    """Where a session is in its life."""

    OPENING = auto()
    OPEN = auto()
    LOST = auto()
    CLOSING = auto()
    CLOSED = auto()


TRANSITIONS = {
    State.OPENING: {State.OPEN, State.CLOSED},
    State.OPEN: {State.LOST, State.CLOSING, State.CLOSED},
    State.LOST: {State.OPEN, State.CLOSING, State.CLOSED},
    State.CLOSING: {State.CLOSED},
    State.CLOSED: set[State](),
}
