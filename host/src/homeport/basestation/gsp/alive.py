"""Keep-alive rounds with attached devices (specification, core 4.7, 9.2 step 5 and 9.4).

A round is one sequence number: the request, and its repeats while no answer comes. Each attachment has exactly one
entry in the wheel. An answer only marks the attachment; the wheel notices when it gets there. A device is lost when
it has missed some rounds in a row: rounds are counted, not time, so that a basestation that was itself asleep for a
minute does not throw everybody out.
"""

from __future__ import annotations

from homeport_core.packet import Packet, encode
from homeport_core.payloads import build_time, parse_notify, parse_piggy
from homeport_core.spec import (
    FL_RESPONSE,
    HEADER_LEN,
    NOTIFY_OK,
    NSI_ZERO,
    PL_NOTIFY,
    PL_PIGGY,
    PL_TIME,
    PT_U_ALIVE,
    VERSION,
)

from homeport.basestation.carrier import Peer
from homeport.basestation.counters import GspCounters
from homeport.basestation.events import DeviceEvent, EventQueue
from homeport.basestation.gsp.registry import Attachment, Registry
from homeport.basestation.gsp.settings import GspSettings
from homeport.basestation.gsp.wheel import TICK_MS, Wheel
from homeport.basestation.machine import NOTHING, Datagrams

_SEQ_MAX = 0xFFFF
_POLL_SEQ = 0
_HEAD = bytes((PT_U_ALIVE, VERSION, 0, 0))
# What follows the sequence number in an answer without event data: by far the most frequent packet.
_PLAIN_ANSWER = b"\x00\x18" + bytes((PL_NOTIFY, 0, 0, 8)) + NOTIFY_OK.to_bytes(4, "big")
# A poll (24 octets) is unauthenticated, so its answer must not be larger: a request without TIME.
_BARE_REQUEST = HEADER_LEN.to_bytes(2, "big")


class Alive:
    """The keep-alive of all attachments. `unix_offset_ms` is what to add to now_ms for Unix time; None sends no
    TIME."""

    def __init__(self, settings: GspSettings, registry: Registry, events: EventQueue, counters: GspCounters) -> None:
        self._settings = settings
        self._registry = registry
        self._events = events
        self._counters = counters
        self._wheel: Wheel[Attachment] = Wheel()
        self._packet = Packet()
        self._tail = _BARE_REQUEST
        self._tail_s = -1
        self.unix_offset_ms: int | None = None

    @property
    def deadline_ms(self) -> int | None:
        """When the next round or repeat is due."""
        return self._wheel.deadline_ms

    def start(self, now_ms: int, attachment: Attachment) -> Datagrams:
        """First round of a new attachment, at once."""
        return (self._round(now_ms, attachment, self._tail_at(now_ms), schedule=True),)

    def resume(self, now_ms: int, index: int, attachment: Attachment, last_seq: int) -> None:
        """Schedule the first round of the `index`-th restored attachment, as if it had answered the last."""
        attachment.round_ms = now_ms - self._settings.alive_period_ms
        attachment.seq = last_seq
        self._wheel.add(now_ms + index // self._settings.restore_per_tick * TICK_MS, attachment)

    def suspect(self, now_ms: int, attachment: Attachment) -> Datagrams:
        """Start a round now, because the device did not answer something else."""
        if self._registry.by_nsi.get(attachment.nsi) is not attachment:
            return NOTHING
        return (self._round(now_ms, attachment, self._tail_at(now_ms)),)

    def answer(self, now_ms: int, data: bytes, address: Peer) -> Datagrams:
        """Take a U_ALIVE whose length is checked."""
        attachment = self._registry.by_nsi.get(data[4:8])
        if attachment is None:
            self._counters.drop_unknown_nsi += 1
            return NOTHING
        if attachment.address != address:
            self._counters.drop_source += 1
            return NOTHING
        if data[11] != FL_RESPONSE:
            self._counters.drop_unexpected += 1
            return NOTHING
        if data[14:] != _PLAIN_ANSWER and not self._event(attachment, data):
            return NOTHING
        attachment.missed = 0
        seq = data[12] << 8 | data[13]
        if seq == _POLL_SEQ:
            return self._poll(now_ms, attachment)
        self._counters.alive_answers += 1
        if seq == attachment.seq:
            attachment.answered = True
        return NOTHING

    def timeout(self, now_ms: int) -> tuple[Datagrams, list[Attachment]]:
        """Do what is due: (packets to send, attachments that have been silent too long)."""
        out: list[tuple[bytes, Peer]] = []
        lost: list[Attachment] = []
        settings = self._settings
        tail = self._tail_at(now_ms)
        for attachment in self._wheel.due(now_ms):
            if self._registry.by_nsi.get(attachment.nsi) is not attachment:
                continue
            if now_ms - attachment.round_ms < settings.alive_period_ms:
                if not attachment.answered:
                    out.append(self._request(attachment, tail))
                self._wheel.add(self._next_ms(now_ms, attachment), attachment)
            elif not attachment.answered and attachment.missed + 1 >= settings.alive_lost_rounds:
                lost.append(attachment)
            else:
                out.append(self._round(now_ms, attachment, tail, schedule=True))
        return out, lost

    def _next_ms(self, now_ms: int, attachment: Attachment) -> int:
        """When the attachment's round needs attention again: at a repeat, or when the next round begins."""
        if not attachment.answered:
            for retry_ms in self._settings.alive_retries_ms:
                if attachment.round_ms + retry_ms > now_ms:
                    return attachment.round_ms + retry_ms
        return attachment.round_ms + self._settings.alive_period_ms

    def _round(self, now_ms: int, attachment: Attachment, tail: bytes, schedule: bool = False) -> tuple[bytes, Peer]:
        if not attachment.answered:
            attachment.missed += 1
        attachment.seq = attachment.seq % _SEQ_MAX + 1
        attachment.round_ms = now_ms
        attachment.answered = False
        if schedule:
            self._wheel.add(self._next_ms(now_ms, attachment), attachment)
        return self._request(attachment, tail)

    def _request(self, attachment: Attachment, tail: bytes) -> tuple[bytes, Peer]:
        self._counters.alive_sent += 1
        octets = NSI_ZERO + attachment.nsi + _HEAD + attachment.seq.to_bytes(2, "big") + tail
        return octets, attachment.address

    def _poll(self, now_ms: int, attachment: Attachment) -> Datagrams:
        """The device has heard nothing for a while: only a request calms it, so send one at once. A round that it
        has not answered is repeated, for a new number would cost it the event data of the last."""
        self._counters.alive_polls += 1
        if now_ms - attachment.round_ms < self._settings.poll_interval_ms:
            self._counters.drop_limited += 1
            return NOTHING
        if attachment.answered:
            return (self._round(now_ms, attachment, _BARE_REQUEST),)
        attachment.round_ms = now_ms
        return (self._request(attachment, _BARE_REQUEST),)

    def _event(self, attachment: Attachment, data: bytes) -> bool:
        """Check an answer that is not the plain one, and report its event data once per round."""
        packet = self._packet
        packet.decode_from(data)
        notify = packet.get(PL_NOTIFY)
        if notify is None or parse_notify(notify)[0] != NOTIFY_OK:
            self._counters.drop_unexpected += 1
            return False
        piggy = packet.get(PL_PIGGY)
        if piggy is not None and not attachment.answered and packet.seq == attachment.seq:
            event = parse_piggy(piggy)
            self._counters.events += 1
            self._events.put(DeviceEvent(attachment.device_id, event))
        return True

    def _tail_at(self, now_ms: int) -> bytes:
        """What follows the sequence number in a request: Length and TIME, the same for a whole second."""
        if self.unix_offset_ms is None:
            return _BARE_REQUEST
        unix_s = (now_ms + self.unix_offset_ms) // 1000
        if unix_s != self._tail_s:
            self._tail_s = unix_s
            self._tail = encode(PT_U_ALIVE, ((PL_TIME, build_time(unix_s)),))[HEADER_LEN - 2 :]
        return self._tail
