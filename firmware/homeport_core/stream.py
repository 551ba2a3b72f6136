"""One stream as its user sees it: octets in, octets out, and how it ends (specification, streams 2, 3)."""

from homeport_core import stream_states as states
from homeport_core.compat import MICROPYTHON, const
from homeport_core.errors import StateError
from homeport_core.stream_intake import Intake
from homeport_core.stream_limits import StreamLimits
from homeport_core.stream_tally import STATUS_ABORTED, STATUS_CLOSED, STATUS_OPEN
from homeport_core.stream_terms import Terms

if not MICROPYTHON:
    from collections.abc import Callable

# Bits of what changed since the user looked: `Stream.take_changes`.
OPENED = const(0x01)  # open and usable; for a responder: accepted
READABLE = const(0x02)  # more octets to read
WRITABLE = const(0x04)  # room again, after a write that was cut short
ENDED = const(0x08)  # the peer closed its direction: end of file after what is readable
CLOSED = const(0x10)  # both directions are closed and confirmed; what was received can still be read
ABORTED = const(0x20)  # aborted by either end, or the peer is gone: `reason` says why


class Stream(Intake):
    """One stream. Made by `Streams.open`, or handed out by `Streams.next_changed` with OPENED.

    `tag` (0x1000 … 0x1fff), `initiator_id` and `responder_id` name it; `state` is one of `stream_states`; `reason`
    says in words why it was aborted, "" otherwise. Whoever uses it calls `release` once, when done with it.
    """

    def __init__(
        self,
        now_ms: int,
        limits: StreamLimits,
        tag: int,
        initiator_id: int,
        is_initiator: bool,
        wake: "Callable[[Stream], None]",
        changed: "Callable[[Stream], None]",
    ) -> None:
        """`wake` is called when there may be something to send, `changed` when there are changes."""
        super().__init__(now_ms, limits, tag, initiator_id, is_initiator)
        self.is_awake = False  # kept by the owner, who asks awake streams for packets
        self.is_listed = False  # kept by the owner, who hands out listed streams
        self._tell_wake = wake
        self._tell_changed = changed
        self._changes = 0
        self._wants_room = False

    @property
    def terms(self) -> Terms:
        """What both ends agreed on, or, before that, what we offer."""
        return self._handshake.terms

    # Writing

    def write(self, now_ms: int, data: bytes | bytearray | memoryview) -> int:
        """Take octets for sending; returns how many: 0 without room, before it is open, and once it is over.

        WRITABLE follows when there is room for a good part again. Raises StateError after `close`.
        """
        if self._closing.is_wanted:
            raise StateError("stream: written after close", states.NAMES[self.state])
        self.tally.writes += 1
        n = 0
        if self.sender is not None and self.state in (states.ESTABLISHED, states.CLOSE_WAIT):
            n = self.sender.write(data)
        if n < len(data):
            self._wants_room = True
            self.tally.refused += 1
        self.tally.written_len += n
        if n:
            self._wake()
        return n

    @property
    def writable(self) -> int:
        """How many octets `write` would take now. WRITABLE follows after 0, as after a write that was cut short."""
        if self._closing.is_wanted:
            return 0
        n = 0
        if self.sender is not None and self.state in (states.ESTABLISHED, states.CLOSE_WAIT):
            n = self.sender.writable
        if not n:
            self._wants_room = True
        return n

    @property
    def has_unsent(self) -> bool:
        """Whether something was written that has not left yet, not even once."""
        return self.sender is not None and self.sender.tail > self.sender.flight.next

    @property
    def progress(self) -> int:
        """A number that grows whenever the peer acknowledges something, or has read so much that its window moves."""
        return 0 if self.sender is None else self.sender.flight.una + self.sender.edge

    # Reading

    def read(self, n: int = -1) -> bytes:
        """Up to `n` octets (-1: all that is there) in order; b"" for nothing now, or never again (`at_eof`)."""
        parts = []
        while n:
            part = self.peek()
            size = len(part)
            if not size:
                break
            if 0 <= n < size:
                size = n
                part = part[:n]
            parts.append(bytes(part))
            self.consume(size)
            if n > 0:
                n -= size
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def readinto(self, buf: bytearray | memoryview) -> int:
        """Fill `buf` with the next octets; returns how many."""
        view = memoryview(buf)
        n = 0
        while n < len(view):
            part = self.peek()
            size = min(len(part), len(view) - n)
            if not size:
                break
            view[n : n + size] = part[:size]
            self.consume(size)
            n += size
        return n

    @property
    def readable(self) -> int:
        """How many octets can be read now."""
        return self.receiver.ready if self.receiver is not None and self.state != states.ABORTED else 0

    @property
    def at_eof(self) -> bool:
        """Whether the peer closed its direction and all it sent was read."""
        return self.receiver is not None and self.receiver.at_end

    def peek(self) -> memoryview:
        """The next octets that lie together, without taking them; empty when there are none. Valid until `consume`."""
        if self.receiver is None or self.state == states.ABORTED:
            return memoryview(b"")
        return self.receiver.peek()

    def consume(self, n: int) -> None:
        """Take `n` octets, at most what `peek` showed. Raises StateError when that is less."""
        receiver = self.receiver
        if not n:
            return
        if receiver is None or n > receiver.next_len:
            raise StateError("stream: more consumed than was there", n)
        self.tally.reads += 1
        receiver.consume(n)
        if receiver.wants_ack:
            self._wake()

    # Ending

    def close(self, now_ms: int) -> None:
        """Close our direction after what was written (FIN). Reading goes on. Harmless to repeat."""
        if self._closing.is_wanted or self.state >= states.CLOSED:
            return
        self._closing.is_wanted = True
        self._enter(states.CLOSE)

    def abort(self, now_ms: int) -> None:
        """Give up at once: RST, unsent data dropped, state ABORTED. Harmless to repeat."""
        self.reset("aborted by its user")

    def release(self) -> None:
        """The user is done with it: no more changes are told, and what still arrives is dropped.

        A stream that was closed before finishes its close on its own; any other is aborted.
        """
        if self.is_released:
            return
        if not self._closing.is_wanted:
            self.reset("released by its user")
        self.is_released = True
        self._changes = 0
        if self.receiver is not None:
            self.receiver.discard()
        self._wake()

    # What the user is told

    def take_changes(self) -> int:
        """The bits OPENED … ABORTED of what happened since the last call."""
        changes = self._changes
        self._changes = 0
        return changes

    @property
    def has_changes(self) -> bool:
        """Whether `take_changes` would tell any."""
        return self._changes != 0

    def statistics(self) -> list[tuple[int, int, int]]:
        """(type, size in octets, value) of STREAM_STATS, in the reference's order (streams 4)."""
        status = STATUS_OPEN
        if self.state >= states.CLOSED:
            status = STATUS_CLOSED if self.state == states.CLOSED else STATUS_ABORTED
        return self.tally.items(self.tag, self.initiator_id, self.responder_id, status)

    def _wake(self) -> None:
        if not self.is_awake:
            self._tell_wake(self)

    def _note_state(self) -> None:
        state = self.state
        if state == states.ESTABLISHED:
            self.was_opened = True
            self._change(OPENED | WRITABLE if self._wants_room else OPENED)
            self._wants_room = False
        elif state in (states.CLOSE_WAIT, states.CLOSING):
            self._change(ENDED)
        elif state == states.TIME_WAIT:
            self._change(CLOSED | ENDED)
        elif state == states.CLOSED:
            self._change(CLOSED)
        elif state == states.ABORTED:
            self._change(ABORTED)

    def _note_readable(self) -> None:
        if self.is_released:
            if self.receiver is not None:
                self.receiver.discard()
            return
        if not (self.is_listed and self._changes & READABLE):
            self._change(READABLE)

    def _note_acknowledged(self) -> None:
        sender = self.sender
        if self._wants_room and sender is not None and sender.has_room:
            self._wants_room = False
            self._change(WRITABLE)

    def _change(self, bits: int) -> None:
        if self.is_released or not self.was_opened:
            return
        self._changes |= bits
        if not self.is_listed:
            self._tell_changed(self)
