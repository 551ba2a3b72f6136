"""The protocol of one stream: which packets leave, what time does, and how it ends (specification, streams 2).

`stream_states` says what may follow what; `stream_handshake` opens, `stream_sender` and `stream_receiver` carry data,
`stream_closing` closes; `stream_intake` has what the peer's packets do.
"""

from homeport_core import ticks
from homeport_core.compat import const
from homeport_core.stream_closing import Closing
from homeport_core.stream_handshake import FIRST_INITIATOR, FIRST_RESPONDER, Handshake
from homeport_core.stream_limits import StreamLimits
from homeport_core.stream_memory import Memory
from homeport_core.stream_receiver import Receiver
from homeport_core.stream_sender import Sender
from homeport_core.stream_states import (
    BREAK,
    CLOSED,
    CLOSING,
    ESTABLISHED,
    EXPIRED,
    GIVE_UP,
    IDLE,
    LAST_ACK,
    OPEN,
    SYN_RCVD,
    SYN_SENT,
    SYN_TAKEN,
    TIME_WAIT,
    following,
)
from homeport_core.stream_tally import Tally
from homeport_core.stream_wire import FIN_ACK, RST, SYN, SYN_ACK, Outgoing, Window

_IDLE_ACKS = const(12)
_FINS_ENOUGH = const(3)  # unanswered, when the peer has closed already
LINGER_MS = const(60000)  # a stream without user ends when nothing new came for so long


class Machine:
    """One end of one stream, for `Streams`, which gives it packets and time, and `Stream`, its user's face.

    `state` is one of `stream_states`; `reason` says why it was aborted. `sender` and `receiver` are there from the
    first word of the peer until the memory is taken back.
    """

    def __init__(self, now_ms: int, limits: StreamLimits, tag: int, initiator_id: int, is_initiator: bool) -> None:
        self.tag = tag
        self.initiator_id = initiator_id
        self.responder_id = 0
        self.state = IDLE
        self.reason = ""
        self.is_released = False
        self.is_reliable = False
        self.was_opened = is_initiator  # whether a user knows of it
        self.sender: Sender | None = None
        self.receiver: Receiver | None = None
        self.tally = Tally(now_ms)
        self._burst = limits.burst
        self._memory: Memory | None = None
        self._handshake = Handshake(limits, is_initiator)
        self._closing = Closing()
        self._final = (FIRST_INITIATOR, 0)  # seq and ack for when there is neither sender nor receiver
        self._owes_reset = self._owes_ack = False
        self._timer_ms = -1  # of TIME_WAIT, or of a stream without user
        self._idle_at_ms = -1
        self._idle_acks = 0

    # Opening

    def begin(self, now_ms: int, memory: Memory) -> None:
        """As initiator: send a SYN."""
        self._memory = memory
        self._enter(OPEN)
        self._handshake.begin(now_ms)
        self._wake()

    def answer(self, now_ms: int, window: Window, responder_id: int, memory: Memory) -> bool:
        """As responder: take a SYN and send SYN|ACK; False when its terms are of no use."""
        self._memory = memory
        self.responder_id = responder_id
        if not self._handshake.terms.agree(window):
            return False
        self._enter(SYN_TAKEN)
        self._begin_data(now_ms, memory, FIRST_RESPONDER, window.seq + 1)
        self._handshake.begin(now_ms)
        self._wake()
        return True

    def _begin_data(self, now_ms: int, memory: Memory, first: int, base: int) -> None:
        terms = self._handshake.terms
        sender = Sender(
            now_ms,
            memory,
            self.tally,
            first,
            terms.send_len,
            terms.send_window,
            self._burst,
            self._handshake.is_initiator,
        )
        sender.flight.reliable = self.is_reliable
        self.sender = sender
        self.receiver = Receiver(
            memory, base, terms.receive_len, terms.receive_window, terms.acknowledges_arrival, terms.has_sack
        )

    # What leaves

    def poll(self, now_ms: int, out: Outgoing) -> bool:
        """Prepare the next packet; False when there is none now."""
        handshake = self._handshake
        if self._owes_reset:
            self._owes_reset = False
            self._put_head(out, RST)
            return True
        if handshake.owes_call:
            handshake.owes_call = False
            self._put_head(out, SYN if handshake.is_initiator else SYN_ACK)
            handshake.terms.put(out)
            return True
        if self.state < ESTABLISHED or self.state >= CLOSED:
            return False
        sender = self.sender
        receiver = self.receiver
        if sender is None or receiver is None:
            return self._poll_grave(out)
        if self.is_released and self._timer_ms < 0:
            self._timer_ms = ticks.add(now_ms, LINGER_MS)
        if handshake.is_initiator and handshake.greets(sender.tail > sender.flight.next):
            first = sender.flight.first
            out.put_ack(self.tag, self.initiator_id, self.responder_id, first, receiver.base, receiver.free)
            self._spoke(now_ms)
            return True
        closing = self._closing
        if closing.is_wanted and closing.is_due(now_ms, sender, handshake.terms):
            self._put_head(out, FIN_ACK)
            if receiver.is_complete:
                receiver.told(now_ms)
            self._spoke(now_ms)
            return True
        number = sender.pick(now_ms, closing.is_wanted)
        if number < 0 and not receiver.wants_ack and not self._owes_ack:
            return False
        self._put_data(now_ms, out, sender, receiver, number)
        return True

    def _poll_grave(self, out: Outgoing) -> bool:
        """TIME_WAIT without memory: the last acknowledgment, again."""
        if not self._owes_ack:
            return False
        self._owes_ack = False
        seq, ack = self._final
        window = self._handshake.terms.receive_window
        out.put_ack(self.tag, self.initiator_id, self.responder_id, seq, ack, window)
        self.tally.packets_sent += 1
        return True

    def _put_data(self, now_ms: int, out: Outgoing, sender: Sender, receiver: Receiver, number: int) -> None:
        """The segment with that number, or none (-1), and whatever there is to acknowledge."""
        seq = number if number >= 0 else self._next
        out.put_ack(self.tag, self.initiator_id, self.responder_id, seq, receiver.ack, receiver.free)
        out.sack = receiver.sack()
        is_repeated = 0 <= number < sender.flight.next
        if number >= 0:
            segment = sender.sent(now_ms, number)
            out.data = segment.octets()
            if not is_repeated:
                self.tally.sent(now_ms, segment.n)
        self._spoke(now_ms)
        if is_repeated:
            return  # the reference does not look at what a segment acknowledges that it has read (streams 3.1)
        if receiver.is_fresh:
            self._idle_acks = 0
        self._owes_ack = False
        receiver.told(now_ms)

    def _put_head(self, out: Outgoing, flags: int) -> None:
        seq, ack = self._final
        if self.sender is not None and self.receiver is not None:
            seq, ack = self._next, self.receiver.ack
            if flags == FIN_ACK:
                seq = self.sender.flight.next
        out.put_head(flags, self.tag, self.initiator_id, self.responder_id, seq, ack)
        self.tally.packets_sent += 1

    @property
    def _next(self) -> int:
        """The number that nothing we sent has had."""
        if self.sender is None:
            return self._final[0]
        return self.sender.flight.next + 1 if self._closing.is_sent else self.sender.flight.next

    def _spoke(self, now_ms: int) -> None:
        self.tally.packets_sent += 1
        self._idle_at_ms = ticks.add(now_ms, 2 * self._handshake.terms.timeout_ms)

    # Time

    @property
    def deadline_ms(self) -> int:
        """When `timeout` is due; -1 for never."""
        state = self.state
        if state < ESTABLISHED:
            return self._handshake.at_ms
        sender = self.sender
        receiver = self.receiver
        if sender is None or receiver is None or state in (TIME_WAIT, CLOSED) or state > CLOSED:
            return self._timer_ms
        deadline = ticks.sooner(sender.deadline_ms, receiver.deadline_ms)
        deadline = ticks.sooner(deadline, self._closing.at_ms)
        if self._timer_ms >= 0:
            deadline = ticks.sooner(deadline, self._timer_ms)
        return ticks.sooner(deadline, self._idle_at_ms)

    def timeout(self, now_ms: int) -> None:
        """Do what is due."""
        self._wake()
        if self.state < ESTABLISHED:
            if not self._handshake.timeout(now_ms):
                self.give_up()
            return
        if self._timer_ms >= 0 and ticks.diff(now_ms, self._timer_ms) >= 0:
            self._expire()
        sender = self.sender
        receiver = self.receiver
        if sender is None or receiver is None or self.state >= CLOSED:
            return
        self.tally.grow_older(now_ms)
        sender.timeout(now_ms)
        receiver.timeout(now_ms)
        terms = self._handshake.terms
        if sender.expired > terms.retries:
            self.reset("the peer does not acknowledge")
            return
        sends_max = _FINS_ENOUGH if self.state in (CLOSING, LAST_ACK) else terms.retries + 1
        if not self._closing.timeout(now_ms, sender, sends_max, terms.timeout_ms):
            self._enter(GIVE_UP)
        if self._idle_at_ms >= 0 and ticks.diff(now_ms, self._idle_at_ms) >= 0:
            self._idle_at_ms = -1
            if self._idle_acks < _IDLE_ACKS and terms.acknowledges_arrival:
                self._idle_acks += 1
                self._owes_ack = True

    def _expire(self) -> None:
        """TIME_WAIT is over, or nothing came for a stream without user."""
        self._timer_ms = -1
        if self.state == TIME_WAIT:
            self._enter(EXPIRED)
        else:
            self.reset("its user is gone, and the peer does not end it")

    # Ends

    def fail(self, reason: str) -> None:
        """Abort without a word to the peer."""
        if self.state < CLOSED:
            self.reason = reason
            self._enter(GIVE_UP if self.state == TIME_WAIT else BREAK)

    def reset(self, reason: str) -> None:
        """Abort, and tell the peer if it knows of the stream."""
        self._owes_reset = self._owes_reset or SYN_RCVD < self.state < TIME_WAIT or TIME_WAIT < self.state < CLOSED
        self.fail(reason)

    def give_up(self) -> None:
        """End without a word, as a handshake or a close that nobody answers does."""
        if self.state == SYN_SENT:
            self.reason = "the peer does not answer"
        if self.state < CLOSED:
            self._enter(GIVE_UP)

    def _enter(self, event: int) -> None:
        """The only writer of `state` after construction."""
        self.state = following(self.state, event)
        if self.state >= CLOSED:
            self._timer_ms = -1
            self._handshake.owes_call = False
        self._note_state()
        self._wake()

    # What the owner does

    def forget(self) -> None:
        """Owe the peer nothing."""
        self._owes_reset = self._owes_ack = False

    def rely(self, is_reliable: bool) -> None:
        """Whether the way to the peer loses nothing."""
        self.is_reliable = is_reliable
        if self.sender is not None:
            self.sender.flight.reliable = is_reliable

    def restart(self, now_ms: int) -> None:
        """The way to the peer changed."""
        if self.sender is not None:
            self.sender.restart(now_ms)
            self._wake()

    @property
    def is_over(self) -> bool:
        """Whether it needs its memory no longer: nobody reads it, and the peer is owed nothing but repetitions."""
        is_over = self.state == TIME_WAIT or (self.state >= CLOSED and not self._owes_reset)
        return is_over and (self.is_released or not self.was_opened)

    def bury(self) -> Memory | None:
        """Give the memory back. What is left answers the peer's repetitions (TIME_WAIT)."""
        if self.sender is not None and self.receiver is not None:
            self._final = (self._next, self.receiver.ack)
        self.sender = self.receiver = None
        memory = self._memory
        self._memory = None
        return memory

    # What the user's face makes of it

    def _wake(self) -> None:
        """There may be something to send."""
        raise NotImplementedError

    def _note_state(self) -> None:
        raise NotImplementedError

    def _note_readable(self) -> None:
        raise NotImplementedError

    def _note_acknowledged(self) -> None:
        raise NotImplementedError
