"""The protocol of one stream: handshake, acknowledgments, close, reset (specification, streams 2).

Data goes through `stream_sender` and `stream_receiver`; `stream_states` says what may follow what.
"""

from homeport_core import ticks
from homeport_core.compat import const
from homeport_core.stream_closing import Closing
from homeport_core.stream_limits import StreamLimits
from homeport_core.stream_memory import Memory
from homeport_core.stream_receiver import STORED, Receiver
from homeport_core.stream_sender import Sender
from homeport_core.stream_states import (
    BREAK,
    CLOSED,
    CLOSING,
    CONFIRMED,
    ESTABLISHED,
    EXPIRED,
    FIN_ACKED,
    FIN_TAKEN,
    FIN_WAIT_1,
    FIN_WAIT_2,
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
from homeport_core.stream_terms import Terms
from homeport_core.stream_wire import FIN_ACK, IGNORED, NEWS, OLD, RST, SYN, SYN_ACK, Outgoing, Window, distance

# First numbers, as all deployed peers choose them (streams 2.3): the SYN takes one, the SYN|ACK none.
FIRST_INITIATOR = const(10)
FIRST_RESPONDER = const(30)

REFUSED = "refused by the peer"  # a `reason`: RST instead of SYN|ACK

# What is owed to the peer, beside data and acknowledgments
_SYN = const(0x01)  # or SYN|ACK
_GREETING = const(0x02)  # the empty ACK that completes the handshake
_RST = const(0x04)
_ACK = const(0x08)  # whatever there is to acknowledge

_TIME_WAIT_MS = const(3000)
_IDLE_ACKS = const(12)
_FINS_ENOUGH = const(3)  # unanswered, when the peer has closed already
_LINGER_MS = const(60000)  # a stream without user ends when nothing new came for so long


class Machine:
    """One end of one stream, for `Streams`, which gives it packets and time, and `Stream`, its user's face.

    `state` is one of `stream_states`; `reason` says why it was aborted. `sender` and `receiver` are there between the
    handshake's first packet and the user's release.
    """

    def __init__(self, now_ms: int, limits: StreamLimits, tag: int, initiator_id: int, is_initiator: bool) -> None:
        self.tag = tag
        self.initiator_id = initiator_id
        self.responder_id = 0
        self.state = IDLE
        self.reason = ""
        self.is_initiator = is_initiator
        self.is_released = False
        self.is_reliable = False
        self.was_opened = is_initiator  # whether a user knows of it
        self.sender: Sender | None = None
        self.receiver: Receiver | None = None
        self.terms = Terms(limits)
        self.tally = Tally(now_ms)
        self._limits = limits
        self._memory: Memory | None = None
        self._closing = Closing()
        self._final = (FIRST_INITIATOR, 0)  # seq and ack for when there is neither sender nor receiver
        self._owes = 0
        self._sends = 0  # of the SYN or SYN|ACK
        self._called_ms = now_ms
        self._timer_ms = -1  # of the handshake, of TIME_WAIT, or of a stream without user
        self._idle_at_ms = -1
        self._idle_acks = 0
        self._greets_again = False

    # Opening

    def begin(self, now_ms: int, memory: Memory) -> None:
        """As initiator: send a SYN."""
        self._memory = memory
        self._enter(OPEN)
        self._call(now_ms)

    def answer(self, now_ms: int, window: Window, responder_id: int, memory: Memory) -> bool:
        """As responder: take a SYN and send SYN|ACK; False when its terms are of no use."""
        self._memory = memory
        self.responder_id = responder_id
        if not self.terms.agree(window):
            return False
        self._enter(SYN_TAKEN)
        self._begin_data(now_ms, FIRST_RESPONDER, window.seq + 1)
        self._call(now_ms)
        return True

    def _call(self, now_ms: int) -> None:
        self._sends = 1
        self._called_ms = now_ms
        self._timer_ms = ticks.add(now_ms, self.terms.timeout_ms)
        self._owe(_SYN)

    def _begin_data(self, now_ms: int, first: int, base: int) -> None:
        terms = self.terms
        memory = self._memory
        if memory is None:
            return
        self.sender = Sender(
            now_ms,
            memory,
            self.tally,
            first,
            terms.send_len,
            terms.send_window,
            self._limits.burst,
            self.is_initiator,
        )
        self.sender.reliable = self.is_reliable
        self.receiver = Receiver(memory, base, terms.receive_len, terms.receive_window, terms.acknowledges_arrival)

    def is_meant(self, window: Window) -> bool:
        """Whether a packet is of this incarnation (streams 2.1, 2.3 rule 6)."""
        if self.initiator_id != window.initiator:
            return False
        return self.state == SYN_SENT or window.flags in (SYN, SYN_ACK) or self.responder_id == window.responder

    # What the peer sends. Nothing in here raises for what a packet says.

    def take(self, now_ms: int, window: Window, ranges: list[int], buf: bytes | bytearray, off: int, n: int) -> int:
        """One packet of this incarnation, `buf[off:off + n]` its plaintext; returns NEWS, OLD or IGNORED."""
        self.tally.packets_received += 1
        flags = window.flags
        state = self.state
        if state >= CLOSED:
            return self._take_late(flags)
        if flags & RST:
            return self._take_reset()
        if state == SYN_SENT:
            return self._take_answer(now_ms, window)
        if flags == SYN:
            if state == SYN_RCVD:
                self._owe(_SYN)
            return OLD
        if flags == SYN_ACK:
            return self._take_answer_again(now_ms)
        sender = self.sender
        receiver = self.receiver
        if sender is None or receiver is None:
            if flags == FIN_ACK:
                self._owe(_ACK)
            return OLD
        if state == SYN_RCVD:
            if window.ack != FIRST_RESPONDER or distance(window.seq, receiver.base):
                return IGNORED
            if flags == FIN_ACK:
                self._enter(FIN_TAKEN)
                return NEWS
            self._establish(now_ms)
            self._take_data(now_ms, sender, receiver, window, ranges, buf, off, n)
            return NEWS
        return self._take_data(now_ms, sender, receiver, window, ranges, buf, off, n)

    def _take_late(self, flags: int) -> int:
        """The stream is over, and its user has not released it yet (streams 2.6)."""
        if not flags & RST:
            self._owe(_RST)
        return IGNORED

    def _take_reset(self) -> int:
        """RST. Late in a close, when all is said, it is the reference's way to end cleanly (streams 2.5)."""
        sender = self.sender
        is_said = sender is None or sender.una == sender.tail
        if self.state == TIME_WAIT or (self.state in (CLOSING, LAST_ACK) and is_said):
            self._enter(GIVE_UP)
        elif self.state == SYN_SENT:
            self.fail(REFUSED)
        else:
            self.fail("reset by the peer")
        return NEWS

    def _take_answer(self, now_ms: int, window: Window) -> int:
        """SYN|ACK, the first."""
        if window.flags != SYN_ACK or window.ack != FIRST_INITIATOR + 1:
            return IGNORED
        self.responder_id = window.responder
        self._final = (window.ack, window.seq)
        if not self.terms.agree(window):
            self.fail("the peer offers segments of no size")
            self._owe(_RST)
            return NEWS
        self._begin_data(now_ms, FIRST_INITIATOR + 1, window.seq)
        self._establish(now_ms)
        self._owe(_GREETING)
        self._greets_again = True
        return NEWS

    def _establish(self, now_ms: int) -> None:
        sender = self.sender
        if sender is not None:
            if self.is_initiator:
                sender.edge = sender.first + sender.window
            if self._sends == 1:
                sender.round_trip.sample(now_ms, ticks.diff(now_ms, self._called_ms))
        self._timer_ms = -1
        self._enter(CONFIRMED)
        self._spoke(now_ms)

    def _take_answer_again(self, now_ms: int) -> int:
        """SYN|ACK once more: our greeting was lost, and what followed it was ignored (streams 2.3 rule 4)."""
        sender = self.sender
        if not self.is_initiator or sender is None or sender.una != sender.first:
            return IGNORED
        self._owe(_GREETING)
        sender.send_all_again(now_ms)
        return OLD

    def _take_data(
        self,
        now_ms: int,
        sender: Sender,
        receiver: Receiver,
        window: Window,
        ranges: list[int],
        buf: bytes | bytearray,
        off: int,
        n: int,
    ) -> int:
        is_news = False
        result = OLD
        ack = window.ack
        closing = self._closing
        ends = closing.is_sent and ack == sender.next + 1
        if sender.take(now_ms, ack - 1 if ends else ack, window.size, ranges):
            is_news = True
            self._note_acknowledged()
        if window.flags == FIN_ACK:
            is_news = receiver.take_fin(window.seq) or is_news
        elif n:
            ready = receiver.ready
            taken = receiver.take(now_ms, window.seq, buf, off, n)
            if taken == STORED:
                is_news = True
                self.tally.received(now_ms, n)
                if receiver.ready != ready:
                    self._note_readable()
            else:
                self.tally.repeated += 1
        if receiver.is_complete and self.state in (ESTABLISHED, FIN_WAIT_1, FIN_WAIT_2):
            self._enter(FIN_TAKEN)
        if ends and not closing.is_acked:
            is_news = True
            closing.acknowledged()
            self._enter(FIN_ACKED)
        if self.state == TIME_WAIT and self._timer_ms < 0:
            self._timer_ms = ticks.add(now_ms, max(_TIME_WAIT_MS, 2 * sender.round_trip.timeout_ms))
        if is_news:
            result = NEWS
            if self.is_released and self.state < TIME_WAIT:
                self._timer_ms = ticks.add(now_ms, _LINGER_MS)
        self._wake()
        return result

    # What leaves

    def poll(self, now_ms: int, out: Outgoing) -> bool:
        """Prepare the next packet; False when there is none now."""
        owes = self._owes
        if self.is_released and self._timer_ms < 0 and ESTABLISHED <= self.state < CLOSED:
            self._timer_ms = ticks.add(now_ms, _LINGER_MS)
        if owes & _RST:
            self._owes = 0
            self._put_head(out, RST)
            return True
        if owes & _SYN:
            self._owes = 0
            self._put_head(out, SYN if self.is_initiator else SYN_ACK)
            self.terms.put(out)
            return True
        sender = self.sender
        receiver = self.receiver
        if sender is None or receiver is None or self.state < ESTABLISHED:
            if owes & _ACK and self.state == TIME_WAIT:
                self._owes = 0
                seq, ack = self._final
                out.put_ack(self.tag, self.initiator_id, self.responder_id, seq, ack, self.terms.receive_window)
                self.tally.packets_sent += 1
                return True
            return False
        if self.state >= CLOSED:
            return False
        if owes & _GREETING or (self._greets_again and sender.tail > sender.next):
            self._greets_again = bool(owes & _GREETING)
            self._owes = owes & ~_GREETING
            out.put_ack(self.tag, self.initiator_id, self.responder_id, sender.first, receiver.base, receiver.free)
            self._spoke(now_ms)
            return True
        closing = self._closing
        if closing.is_wanted and closing.is_due(now_ms, sender, self.terms.acknowledges_arrival, self.terms.timeout_ms):
            self._put_head(out, FIN_ACK)
            if receiver.is_complete:
                receiver.told(now_ms)
            self._spoke(now_ms)
            return True
        number = sender.pick(now_ms, closing.is_wanted)
        if number < 0 and not receiver.wants_ack and not owes & _ACK:
            return False
        self._owes = 0
        seq = number if number >= 0 else self._next
        out.put_ack(self.tag, self.initiator_id, self.responder_id, seq, receiver.ack, receiver.free)
        if self.terms.has_sack:
            out.sack = receiver.sack()
        if number >= 0:
            is_new = number == sender.next
            segment = sender.sent(now_ms, number)
            out.data = segment.octets()
            if is_new:
                self.tally.sent(now_ms, segment.n)
        if receiver.is_fresh:
            self._idle_acks = 0
        receiver.told(now_ms)
        self._spoke(now_ms)
        return True

    def _put_head(self, out: Outgoing, flags: int) -> None:
        seq, ack = self._final
        if self.sender is not None and self.receiver is not None:
            seq, ack = self._next, self.receiver.ack
            if flags == FIN_ACK:
                seq = self.sender.next
            elif flags == SYN_ACK:
                ack = self.receiver.base
        out.put_head(flags, self.tag, self.initiator_id, self.responder_id, seq, ack)
        self.tally.packets_sent += 1

    @property
    def _next(self) -> int:
        """The number that nothing we sent has had."""
        sender = self.sender
        if sender is None:
            return self._final[0]
        return sender.next + 1 if self._closing.is_sent else sender.next

    def _spoke(self, now_ms: int) -> None:
        self.tally.packets_sent += 1
        self._idle_at_ms = ticks.add(now_ms, 2 * self.terms.timeout_ms)

    # Time

    @property
    def deadline_ms(self) -> int:
        """When `timeout` is due; -1 for never."""
        deadline = self._timer_ms
        state = self.state
        sender = self.sender
        receiver = self.receiver
        if sender is None or receiver is None or state < ESTABLISHED or state >= CLOSED:
            return deadline
        deadline = _sooner(deadline, sender.deadline_ms)
        deadline = _sooner(deadline, receiver.deadline_ms)
        deadline = _sooner(deadline, self._closing.at_ms)
        return _sooner(deadline, self._idle_at_ms)

    def timeout(self, now_ms: int) -> None:
        """Do what is due."""
        state = self.state
        if self._timer_ms >= 0 and ticks.diff(now_ms, self._timer_ms) >= 0:
            self._expire(now_ms)
        sender = self.sender
        receiver = self.receiver
        if sender is None or receiver is None or state < ESTABLISHED or self.state >= CLOSED:
            return
        self.tally.grow_older(now_ms)
        sender.timeout(now_ms)
        receiver.timeout(now_ms)
        if sender.expired > self.terms.retries:
            self.fail("the peer does not acknowledge")
            self._owe(_RST)
            return
        self._time_closing(now_ms, sender)
        if self._idle_at_ms >= 0 and ticks.diff(now_ms, self._idle_at_ms) >= 0:
            self._idle_at_ms = -1
            if self._idle_acks < _IDLE_ACKS and self.terms.acknowledges_arrival:
                self._idle_acks += 1
                self._owe(_ACK)
        self._wake()

    def _expire(self, now_ms: int) -> None:
        """The state's own timer ran out."""
        state = self.state
        self._timer_ms = -1
        if state == TIME_WAIT:
            self._enter(EXPIRED)
        elif state not in (SYN_SENT, SYN_RCVD):
            self.fail("its user is gone, and the peer does not end it")
            self._owe(_RST)
        elif self._sends > self.terms.retries:
            if state == SYN_SENT:
                self.reason = "the peer does not answer"
            self._enter(GIVE_UP)
        else:
            self._sends += 1
            self._timer_ms = ticks.add(now_ms, self.terms.timeout_ms)
            self._owe(_SYN)

    def _time_closing(self, now_ms: int, sender: Sender) -> None:
        closing = self._closing
        sends_max = self.terms.retries + 1
        if self.state in (CLOSING, LAST_ACK):
            sends_max = min(sends_max, _FINS_ENOUGH)
        if not closing.timeout(now_ms, sender, sends_max, self.terms.timeout_ms):
            self._enter(GIVE_UP)

    # Ends

    def fail(self, reason: str) -> None:
        """Abort without a word to the peer."""
        if self.state == TIME_WAIT:
            self._enter(GIVE_UP)  # all was said and heard
        elif self.state < CLOSED:
            self.reason = reason
            self._enter(BREAK)

    def reset(self, reason: str) -> None:
        """Abort, and tell the peer when it may know of the stream."""
        state = self.state
        if SYN_RCVD < state < CLOSED:
            self._owe(_RST)
        self.fail(reason)

    def _enter(self, event: int) -> None:
        """The only writer of `state` after construction."""
        self.state = following(self.state, event)
        if self.state >= CLOSED:
            self._timer_ms = -1
        self._note_state()
        self._wake()

    def _owe(self, what: int) -> None:
        self._owes |= what
        self._wake()

    def give_up(self) -> None:
        """End without a word, as a handshake or a close that nobody answers does."""
        if self.state < CLOSED:
            self._enter(GIVE_UP)

    def forget(self) -> None:
        """Owe the peer nothing."""
        self._owes = 0

    def rely(self, is_reliable: bool) -> None:
        """Whether the way to the peer loses nothing."""
        self.is_reliable = is_reliable
        if self.sender is not None:
            self.sender.reliable = is_reliable

    def restart(self, now_ms: int) -> None:
        """The way to the peer changed."""
        if self.sender is not None:
            self.sender.restart(now_ms)
            self._wake()

    @property
    def is_over(self) -> bool:
        """Whether it needs its memory no longer: nobody reads it, and the peer is owed nothing but repetitions."""
        is_over = self.state == TIME_WAIT or (self.state >= CLOSED and not self._owes)
        return is_over and (self.is_released or not self.was_opened)

    def bury(self) -> Memory | None:
        """Give the memory back. What is left answers the peer's repetitions (TIME_WAIT)."""
        if self.sender is not None and self.receiver is not None:
            self._final = (self._next, self.receiver.ack)
        self.sender = self.receiver = None
        memory = self._memory
        self._memory = None
        return memory

    # What the user's face and the owner want to know

    def _wake(self) -> None:
        """There may be something to send."""
        raise NotImplementedError

    def _note_state(self) -> None:
        raise NotImplementedError

    def _note_readable(self) -> None:
        raise NotImplementedError

    def _note_acknowledged(self) -> None:
        raise NotImplementedError


def _sooner(a: int, b: int) -> int:
    """The earlier of two ticks, either of which may be -1 for never."""
    if a < 0 or b < 0:
        return b if a < 0 else a
    return b if ticks.diff(b, a) < 0 else a
