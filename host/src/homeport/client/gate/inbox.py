"""What comes from a gate, put together from the pieces in which it arrives, and bounded (docs/gate.md)."""

from __future__ import annotations

from homeport import gate_messages as messages
from homeport.errors import GateError, MalformedError


class Inbox:
    """Of one WebSocket. `is_last` says that a piece completes something. Raises GateError for what no gate sends."""

    def __init__(self) -> None:
        self._text = ""
        self._datagram = b""

    def datagram(self, piece: bytes, is_last: bool) -> bytes | None:
        """The datagram that this completes, if it does."""
        data = self._datagram + piece
        if len(data) > messages.DATAGRAM_MAX:
            raise GateError("the basestation sent a datagram that is too long", "protocol")
        self._datagram = b"" if is_last else data
        return data if is_last else None

    def message(self, piece: str, is_last: bool) -> messages.ServerMessage | None:
        """The message that this completes, if it does and we know its type."""
        text = self._text + piece
        if len(text) > messages.MESSAGE_MAX:
            raise GateError("the basestation sent a message that is too long", "protocol")
        self._text = "" if is_last else text
        if not is_last:
            return None
        try:
            return messages.decode_server(text)
        except MalformedError as error:
            raise GateError(f"the basestation sent a message that is wrong: {error}", "protocol") from error
