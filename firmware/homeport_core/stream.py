"""One stream: its states, and its user's face (specification, streams 2, 3)."""

from homeport_core.compat import const

# Bits of what changed since the user looked: `Stream.take_changes`.
OPENED = const(0x01)  # open and usable; for a responder: accepted
READABLE = const(0x02)  # more octets to read
WRITABLE = const(0x04)  # room again, after a write that was cut short
ENDED = const(0x08)  # the peer closed its direction: end of file after what is readable
CLOSED = const(0x10)  # both directions are closed and confirmed; what was received can still be read
ABORTED = const(0x20)  # aborted by either end, or the peer is gone: `reason` says why


class Stream:
    """One stream. Made by `Streams.open`, or handed out by `Streams.next_changed` with OPENED.

    `tag` (0x1000 … 0x1fff), `initiator_id` and `responder_id` name it; `state` is one of `stream_states`; `reason`
    says in words why it was aborted, "" otherwise. Whoever uses it calls `release` once, when done with it.
    """

    def write(self, now_ms: int, data: bytes | bytearray | memoryview) -> int:
        """Take octets for sending; returns how many, 0 when there is no room now (WRITABLE follows) or it is over.

        May be called before the stream is open. Raises StateError after `close`.
        """
        raise NotImplementedError

    @property
    def writable(self) -> int:
        """How many octets `write` would take now."""
        raise NotImplementedError

    def read(self, n: int = -1) -> bytes:
        """Up to `n` octets (all that is there: -1) in order; b"" when there is nothing now, or never again (`at_eof`)."""
        raise NotImplementedError

    def readinto(self, buf: bytearray | memoryview) -> int:
        """Fill `buf` with the next octets; returns how many."""
        raise NotImplementedError

    @property
    def readable(self) -> int:
        """How many octets can be read now."""
        raise NotImplementedError

    @property
    def at_eof(self) -> bool:
        """Whether the peer closed its direction and all it sent was read."""
        raise NotImplementedError

    def peek(self) -> memoryview:
        """The next octets that lie together, without taking them; empty when there are none. Valid until `consume`."""
        raise NotImplementedError

    def consume(self, n: int) -> None:
        """Take `n` octets, at most what `peek` showed."""
        raise NotImplementedError

    def close(self, now_ms: int) -> None:
        """Close our direction after what was written (FIN). Reading goes on. Harmless to repeat."""
        raise NotImplementedError

    def abort(self, now_ms: int) -> None:
        """Give up at once: RST, unsent data dropped, state ABORTED. Harmless to repeat."""
        raise NotImplementedError

    def release(self) -> None:
        """The user is done with it: no more changes are told, and what still arrives is dropped.

        A stream that was closed before finishes its close on its own; any other is aborted.
        """
        raise NotImplementedError

    def take_changes(self) -> int:
        """The bits OPENED … ABORTED of what happened since the last call."""
        raise NotImplementedError

    def statistics(self) -> list[tuple[int, int, int]]:
        """(type, size in octets, value) of STREAM_STATS, in the reference's order (streams 4)."""
        raise NotImplementedError
