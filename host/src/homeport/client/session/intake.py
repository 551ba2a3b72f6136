"""What arrives on a session: whose packet it is, whether it is authentic, and which part it is for.

Replays need no memory here: an answer counts only while a request with its NSI.cp and seq is in flight, an echo only
once for a counter that we sent, and NSI.cp changes when seq has gone round, so no pair is ever used twice.
Packets are identified by keys, not by where they come from; only the null suite, which has none, insists on it.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from homeport_core.errors import ProtocolError
from homeport_core.packet import Packet
from homeport_core.payloads import u32
from homeport_core.spec import (
    FL_RESPONSE,
    FRAMING_CLOSE,
    FRAMING_END_TO_END,
    FRAMING_FEATURES,
    FRAMING_KEEP_ALIVE,
    FRAMING_SEARCH,
    PT_DATA,
    PT_U_CONNECT,
    PT_U_CONNECT_PSK,
    PT_U_VERIFY_PSK,
    SUITE_NULL,
    TAG_FRAMING,
    TAG_RPC,
    TAG_STREAM_FIRST,
    TAG_STREAM_LAST,
)

from homeport.client.session.control import Control
from homeport.client.session.exchange import Exchange
from homeport.client.session.opening import Opening
from homeport.client.session.steering import Steering

if TYPE_CHECKING:
    from homeport.client.session.streams import SessionStreams

_OPENING_TYPES = (PT_U_CONNECT, PT_U_CONNECT_PSK, PT_U_VERIFY_PSK)


class Intake:
    """Of one session. Wrong packets are counted in `drops`.

    `hung_up` is set when the device has answered our last word.
    """

    def __init__(self, opening: Opening, control: Control, exchange: Exchange, steering: Steering) -> None:
        self.drops: Counter[str] = Counter()
        self.streams: SessionStreams | None = None  # once there are any
        self.hung_up = False
        self._opening = opening
        self._control = control
        self._exchange = exchange
        self._steering = steering

    def datagram(self, now_ms: int, data: bytes | bytearray, source: bytes) -> None:
        """Take a datagram from the endpoint `source` (6 bytes), in place."""
        packet = Packet()
        try:
            packet.decode_from(data if isinstance(data, bytearray) else bytearray(data))
            if packet.type == PT_DATA:
                self._data(now_ms, packet, source)
            elif packet.type in _OPENING_TYPES:
                self._opening.packet(now_ms, packet, source)
            else:
                self.drops["type"] += 1
        except ProtocolError as error:
            self.drops[type(error).__name__] += 1

    def _data(self, now_ms: int, packet: Packet, source: bytes) -> None:
        context = self._opening.context
        is_stream = packet.tag is not None and TAG_STREAM_FIRST <= packet.tag <= TAG_STREAM_LAST
        is_ours = is_stream or packet.flags & FL_RESPONSE  # streams know no questions and answers
        if context is None or packet.sp != self._opening.sp or not is_ours:
            self.drops["unexpected"] += 1
            return
        path = self._steering.path
        if context.suite == SUITE_NULL and (path is None or source != path.endpoint):
            self.drops["source"] += 1
            return
        if packet.tag == TAG_FRAMING:
            self._framing(now_ms, context.open(packet))
        elif packet.tag in (None, TAG_RPC):
            authentic = self._exchange.take(now_ms, packet, context)
            if authentic:
                self._steering.heard(now_ms)
            elif authentic is None:
                self.drops["replay"] += 1
        elif is_stream and self.streams is not None:
            if self.streams.take(now_ms, packet, context):
                self._steering.heard(now_ms)
        else:
            self.drops["tag"] += 1

    def _framing(self, now_ms: int, plaintext: bytes) -> None:
        command = u32(plaintext, 0) if len(plaintext) >= 4 else None
        if command == FRAMING_CLOSE and self._control.has_closed:
            self.hung_up = True
        elif command == FRAMING_KEEP_ALIVE and len(plaintext) >= 8:
            if not self._steering.echoed(now_ms, u32(plaintext, 4)):
                self.drops["replay"] += 1
        elif command == FRAMING_FEATURES and len(plaintext) >= 8 and self._control.is_sealed:
            self._control.take_features(plaintext)
            if self._control.remembers:
                self._exchange.requests.trust(now_ms)
        elif command == FRAMING_SEARCH and self._opening.searching is not None:
            self._opening.searching.answered(now_ms, plaintext[4:])
        elif command == FRAMING_END_TO_END and self._control.awaits_keys:
            self._control.go_over(plaintext)
        else:
            self.drops["framing"] += 1
