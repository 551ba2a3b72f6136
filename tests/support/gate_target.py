"""What the gate's parsers promise for any bytes: bounded messages, a document that the schema knows, or a refusal."""

from gate_peers import upgrade_request, valid
from homeport import gate_messages
from homeport.basestation.gate.session import Carry, GateSession, SessionSettings
from homeport.basestation.gate.websocket import Binary, Ended, Text, WebSocketEnd
from homeport.errors import MalformedError
from homeport_core.spec import PT_DATA

UPGRADE = upgrade_request()


def read_messages(text):
    """Either end reads or refuses any text."""
    for decode in (gate_messages.decode_client, gate_messages.decode_server):
        try:
            message = decode(text)
        except MalformedError:
            continue
        if message is not None:
            valid(gate_messages.encode(message))


def read_socket(data, upgraded):
    """A WebSocket takes any bytes, at once and one by one, with the same result; a session takes its texts."""
    whole = _received(data, upgraded, len(data) or 1)
    if whole != _received(data, upgraded, 1):
        raise AssertionError("how bytes are split changes what they mean")
    session = GateSession(bytes(16), bytes(6), bytes(8), bytes(96), SessionSettings())
    session.start(0)
    for item in whole:
        if isinstance(item, Text):
            session.text(0, item.text)
        elif isinstance(item, Binary):
            for action in session.datagram(0, item.data):
                if isinstance(action, Carry) and action.data[8] != PT_DATA:
                    raise AssertionError("something else than a DATA datagram goes to the session server")


def _received(data, upgraded, step):
    end = WebSocketEnd()
    if upgraded:
        end.receive(UPGRADE)
    items = []
    for at in range(0, len(data), step):
        items += end.receive(data[at : at + step])
    end.outgoing()
    if any(isinstance(item, Text) and len(item.text.encode()) > gate_messages.MESSAGE_MAX for item in items):
        raise AssertionError("a message beyond the limit")
    if any(isinstance(item, Binary) and len(item.data) > gate_messages.DATAGRAM_MAX for item in items):
        raise AssertionError("a datagram beyond the limit")
    if any(isinstance(item, Ended) for item in items[:-1]):
        raise AssertionError("something came after the end")
    return [type(item) if isinstance(item, Ended) else item for item in items]


def gate(data):
    """The fuzz target: the first octet picks what the rest is."""
    if not data:
        return
    kind, rest = data[0] % 3, data[1:]
    if kind == 0:
        read_messages(rest.decode("utf-8", "replace"))
    else:
        read_socket(rest, upgraded=kind == 2)
