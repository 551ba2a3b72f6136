"""Framing commands of ours that few devices ever get (docs/extensions.md): loaded with the first of them.

Each takes the command's plaintext and returns the answer's, or a reason of `drops` for silence.
"""

from homeport_core.compat import const
from homeport_core.errors import MalformedError

from homeport_device.connection import CONNECTED
from homeport_device.drops import MALFORMED, RATE, STATE

_COMMAND_LEN = const(4)


def search(stack: object, now_ms: int, connection: object, message: bytes, fresh: bool) -> "bytes | int":
    """The client asks to look for a direct path again."""
    if not fresh or connection.state != CONNECTED or connection.rendezvous is None:
        return STATE
    from homeport_device.search import search_again

    try:
        return message[:_COMMAND_LEN] + search_again(stack, now_ms, connection, message[_COMMAND_LEN:])
    except MalformedError:
        return MALFORMED


def exchange(stack: object, now_ms: int, connection: object, message: bytes, fresh: bool) -> "bytes | int":
    """The client wants end-to-end keys; a repetition gets the answer that it had."""
    if connection.is_local or connection.is_end_to_end:
        return STATE
    if connection.handshake is None:
        from homeport_device.end_to_end import Exchange

        connection.handshake = Exchange()
    try:
        answer = connection.handshake.take(now_ms, connection, stack.app.key_of(connection), message, stack.rng)
    except MalformedError:
        return MALFORMED
    return RATE if answer is None else answer
