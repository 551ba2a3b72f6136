"""Requests and answers under the keys of one session: sealed, matched, and turned into events."""

from __future__ import annotations

from collections import deque

from homeport_core.errors import FullError, HomeportError, StateError, Timeout
from homeport_core.packet import Context, Packet
from homeport_core.payloads import parse_notify, u32
from homeport_core.spec import FL_EXCEPTION, IV_LEN, NOTIFY_MICRO_ACK, PL_NOTIFY

from homeport.client.session import frames
from homeport.client.session.events import Answered, Event, Failed
from homeport.client.session.opening import Opening, Rng
from homeport.client.session.refusals import exception_error
from homeport.client.session.requests import Requests


class Exchange:
    """What a session does with requests; outcomes go to `events`, packets to send are returned."""

    def __init__(self, opening: Opening, rng: Rng, events: deque[Event]) -> None:
        self.requests = Requests(opening.cp, rng)
        self._opening = opening
        self._rng = rng
        self._events = events

    def send_waiting(self, now_ms: int) -> list[bytes]:
        """Seal the requests that may go out now."""
        context = self._opening.context
        if context is None:
            raise StateError("requests cannot be sent before there are keys")
        packets = []
        while (request := self.requests.next_to_send()) is not None:
            cp, seq = request.key
            try:
                packet = frames.request(context, cp, self._opening.sp, seq, request.payload, self._rng(IV_LEN))
            except FullError as error:
                self._events.append(Failed(request.request_id, error))
                continue
            self.requests.sent(now_ms, request, packet)
            packets.append(packet)
        return packets

    def take(self, now_ms: int, packet: Packet, context: Context) -> bool | None:
        """Take a response, an exception or an acknowledgement.

        True when it was an authentic answer, False when it was an acknowledgement, None when nothing like it is
        waited for: a replay. Raises ProtocolError.
        """
        request = self.requests.in_flight((packet.cp, packet.seq))
        if request is None:
            return None
        if packet.crypto_off < 0:
            if parse_notify(packet.get(PL_NOTIFY) or b"")[0] == NOTIFY_MICRO_ACK:
                self.requests.acknowledged(now_ms, request)
            return False
        plaintext = context.open(packet)
        self.requests.finish(request)
        if packet.flags & FL_EXCEPTION:
            code = u32(plaintext, 0) if len(plaintext) >= 4 else 0
            self._events.append(Failed(request.request_id, exception_error(code)))
        else:
            self._events.append(Answered(request.request_id, plaintext))
        return True

    def expire(self, now_ms: int) -> None:
        """Give up what has had its time."""
        for request in self.requests.expire(now_ms):
            if request.acknowledged:
                why = "the device acknowledged the request, but did not answer it in time"
            else:
                why = "the device did not answer in time" if request.packet else "there was no connection in time"
            self._events.append(Failed(request.request_id, Timeout(why)))

    def fail_all(self, error: HomeportError) -> None:
        """Nothing will be answered any more."""
        for request in self.requests.clear():
            self._events.append(Failed(request.request_id, error))
