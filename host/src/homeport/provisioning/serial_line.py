"""A serial port, open for the raw prompt."""

from __future__ import annotations

from typing import Any

from homeport.boards.serial_port import choose_port
from homeport.boards.tools import tool
from homeport.errors import BoardError

_BAUD = 115_200
_READ_S = 0.05
_WRITE_S = 5.0


def open_line(port: str | None) -> Any:
    """The open line at `port`, or at the only port there is, with `read`, `write` and `close`. Raises ConfigError when
    the port cannot be used or pyserial is missing; BoardError."""
    chosen = choose_port(port)
    serial = tool("serial")
    try:
        line = serial.serial_for_url(chosen, do_not_open=True, baudrate=_BAUD, timeout=_READ_S, write_timeout=_WRITE_S)
        if hasattr(line, "exclusive"):
            line.exclusive = True
        line.open()
    except (OSError, ValueError) as error:
        # It could be used a moment ago, or it is an address that nobody answers at.
        raise BoardError(f"port {chosen} cannot be opened: {getattr(error, 'strerror', None) or error}") from error
    return line
