"""What the peer's packets do to a stream (specification, streams 2).

Nothing in here raises for what a packet says: what cannot be is ignored.
"""

from homeport_core import ticks
from homeport_core.compat import const
from homeport_core.stream_handshake import FIRST_INITIATOR, FIRST_RESPONDER
from homeport_core.stream_machine import LINGER_MS, Machine
from homeport_core.stream_receiver import STORED, Receiver
from homeport_core.stream_sender import Sender
from homeport_core.stream_states import (
    CLOSED,
    CLOSING,
    CONFIRMED,
    ESTABLISHED,
    FIN_ACKED,
    FIN_TAKEN,
    FIN_WAIT_1,
    FIN_WAIT_2,
    GIVE_UP,
    LAST_ACK,
    SYN_RCVD,
    SYN_SENT,
    TIME_WAIT,
)
from homeport_core.stream_wire import FIN_ACK, IGNORED, NEWS, OLD, RST, SYN, SYN_ACK, Window, distance

_TIME_WAIT_MS = const(3000)


class Intake(Machine):
    """A machine that takes packets."""

    def is_meant(self, window: Window) -> bool:
        """Whether a packet is of this incarnation (streams 2.1, 2.3 rule 6)."""
        if self.initiator_id != window.initiator:
            return False
        return self.state == SYN_SENT or window.flags in (SYN, SYN_ACK) or self.responder_id == window.responder

    def take(self, now_ms: int, window: Window) -> int:
        """One packet of this incarnation; returns NEWS, OLD or IGNORED."""
        self.tally.packets_received += 1
        if self.state >= CLOSED:
            return self._take_late(window.flags)
        if window.flags & RST:
            return self._take_reset()
        if self.state == SYN_SENT:
            return self._take_answer(now_ms, window)
        if window.flags == SYN:
            self._handshake.owes_call = self.state == SYN_RCVD
            self._wake()
            return OLD
        sender = self.sender
        receiver = self.receiver
        if sender is None or receiver is None:
            self._owes_ack = window.flags == FIN_ACK
            self._wake()
            return OLD
        if window.flags == SYN_ACK and self.state != SYN_RCVD:
            return self._take_answer_again(now_ms, sender, receiver)
        if self.state == SYN_RCVD:
            if window.ack != FIRST_RESPONDER or distance(window.seq, receiver.base):
                return IGNORED
            if window.flags == FIN_ACK:
                self._enter(FIN_TAKEN)
                return NEWS
            self._establish(now_ms, sender)
            self._take_data(now_ms, sender, receiver, window)
            return NEWS
        return self._take_data(now_ms, sender, receiver, window)

    def _take_late(self, flags: int) -> int:
        """The stream is over, and its user has not released it yet (streams 2.6).

        A SYN|ACK answers an open that was given up: a reset would cost the reference its slot for good (streams 2.3
        rule 7), silence costs it some seconds.
        """
        if not flags & RST and flags != SYN_ACK:
            self._owes_reset = True
            self._wake()
        return IGNORED

    def _take_reset(self) -> int:
        """RST. Late in a close, when all is said, it is the reference's way to end cleanly (streams 2.5)."""
        is_said = self.sender is None or self.sender.is_idle
        if self.state == TIME_WAIT or (self.state in (CLOSING, LAST_ACK) and is_said):
            self._enter(GIVE_UP)
        else:
            self.fail("refused by the peer" if self.state == SYN_SENT else "reset by the peer")
        return NEWS

    def _take_answer(self, now_ms: int, window: Window) -> int:
        """SYN|ACK, the first."""
        if window.flags != SYN_ACK or window.ack != FIRST_INITIATOR + 1 or self._memory is None:
            return IGNORED
        self.responder_id = window.responder
        self._final = (window.ack, window.seq)
        if not self._handshake.terms.agree(window):
            self.fail("the peer offers segments of no size")
            self._owes_reset = True
            return NEWS
        self._begin_data(now_ms, self._memory, FIRST_INITIATOR + 1, window.seq)
        if self.sender is not None:
            self.sender.edge += self.sender.window
            self._establish(now_ms, self.sender)
        return NEWS

    def _establish(self, now_ms: int, sender: Sender) -> None:
        rtt_ms = self._handshake.complete(now_ms)
        if rtt_ms >= 0:
            sender.flight.round_trip.sample(now_ms, rtt_ms)
        self._enter(CONFIRMED)
        self._spoke(now_ms)

    def _take_answer_again(self, now_ms: int, sender: Sender, receiver: Receiver) -> int:
        """SYN|ACK once more: our greeting was lost, and what followed it was ignored (streams 2.3 rule 4)."""
        if not self._handshake.is_initiator or sender.can_probe or receiver.has_any:
            return IGNORED
        self._handshake.owes_greeting = True
        sender.send_all_again(now_ms)
        self._wake()
        return OLD

    def _take_data(self, now_ms: int, sender: Sender, receiver: Receiver, window: Window) -> int:
        self._closing.hear(window, sender)
        is_news = sender.take(now_ms, window)
        if is_news:
            self._note_acknowledged()
        if window.flags == FIN_ACK:
            is_news = receiver.take_fin(window.seq) or is_news
        elif window.n:
            is_news = self._take_segment(now_ms, receiver, window) or is_news
        if receiver.is_complete or self._closing.is_heard:
            is_news = self._take_end(now_ms, sender, receiver) or is_news
        self._wake()
        if not is_news:
            return OLD
        if self.is_released and self.state < TIME_WAIT:
            self._timer_ms = ticks.add(now_ms, LINGER_MS)
        return NEWS

    def _take_segment(self, now_ms: int, receiver: Receiver, window: Window) -> bool:
        """Data; whether it is news."""
        ready = receiver.ready
        if receiver.take(now_ms, window) != STORED:
            self.tally.repeated += 1
            return False
        self.tally.received(now_ms, window.n)
        if receiver.ready != ready:
            self._note_readable()
        return True

    def _take_end(self, now_ms: int, sender: Sender, receiver: Receiver) -> bool:
        """All that the peer had to say is here, or it has our FIN; whether the latter is news."""
        was_said = self.state == TIME_WAIT
        if receiver.is_complete and self.state in (ESTABLISHED, FIN_WAIT_1, FIN_WAIT_2):
            self._enter(FIN_TAKEN)
        is_news = self._closing.is_heard and not self._closing.is_acked
        if is_news:
            self._closing.acknowledged()
            self._enter(FIN_ACKED)
        if self.state == TIME_WAIT and not was_said:
            self._timer_ms = ticks.add(now_ms, max(_TIME_WAIT_MS, 2 * sender.flight.round_trip.timeout_ms))
        return is_news
