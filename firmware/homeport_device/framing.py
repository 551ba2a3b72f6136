"""Framing control: keep-alive, close, and what we can do (specification, core 5.8; docs/extensions.md)."""

from homeport_core.compat import const
from homeport_core.payloads import u32
from homeport_core.spec import (
    FEATURE_KEYED,
    FEATURE_REMEMBERS,
    FEATURE_SEARCHES,
    FL_RESPONSE,
    FRAMING_CLOSE,
    FRAMING_CLOSE_OLD,
    FRAMING_END_TO_END,
    FRAMING_FEATURES,
    FRAMING_KEEP_ALIVE,
    FRAMING_SEARCH,
)

from homeport_device.connection import CLOSING, CONNECTED
from homeport_device.drops import MALFORMED, STATE, TAKEN, UNKNOWN

_COMMAND_LEN = const(4)
_KEEP_ALIVE_LEN = const(8)
_CLOSE_ANSWER = b"\x00\x00\x00\x03"


class Framing:
    """Handler of tag 3. Answers are harmless to repeat, so a replayed packet gets its answer, but does nothing."""

    __slots__ = ("_stack",)

    def __init__(self, stack: object) -> None:
        self._stack = stack

    def data(self, now_ms: int, connection: object, packet: object, off: int, n: int, fresh: bool) -> int:
        """One verified packet with the plaintext `packet.buf[off : off + n]`."""
        if n < _COMMAND_LEN:
            return MALFORMED
        command = u32(packet.buf, off)
        if command == FRAMING_KEEP_ALIVE:
            if n < _KEEP_ALIVE_LEN:
                return MALFORMED
            if connection.state == CLOSING:
                return STATE
            if fresh:
                connection.restart_timer(now_ms)
            answer = bytes(packet.buf[off : off + _KEEP_ALIVE_LEN])
        elif command in (FRAMING_CLOSE, FRAMING_CLOSE_OLD):
            if connection.is_on_fallback:
                return STATE  # there the end of TCP says so
            if fresh and connection.state == CONNECTED:
                self._stack.close(now_ms, connection)
            answer = _CLOSE_ANSWER
        elif command == FRAMING_FEATURES and connection.state != CLOSING:
            answer = bytes(packet.buf[off : off + _COMMAND_LEN]) + _features(connection).to_bytes(4, "big")
        elif command in (FRAMING_SEARCH, FRAMING_END_TO_END) and connection.state != CLOSING:
            from homeport_device import extensions

            take = extensions.search if command == FRAMING_SEARCH else extensions.exchange
            answer = take(self._stack, now_ms, connection, bytes(packet.buf[off : off + n]), fresh)
            if isinstance(answer, int):
                return answer
        else:
            return UNKNOWN
        self._stack.output.writer.reply_to(packet, FL_RESPONSE)
        self._stack.send_data(connection, answer)
        return TAKEN

    def closed(self, connection: object) -> None:
        """Nothing is kept for a connection."""


def _features(connection: object) -> int:
    """What we can do on this connection."""
    if connection.seen is None:
        return 0  # nothing to recognise a packet by
    bits = FEATURE_REMEMBERS
    if connection.is_barred:
        bits |= FEATURE_KEYED
    if connection.rendezvous is not None:
        bits |= FEATURE_SEARCHES
    return bits
