"""The WebSocket of the gate takes any bytes, however they are split: a message, a refusal or the end, and no more."""

import pytest
from gate_peers import upgrade_request
from gate_target import read_messages, read_socket
from homeport.basestation.gate.websocket import Binary, Ended, Opened, Oversized, Text, WebSocketEnd
from homeport.gate_messages import DATAGRAM_MAX, MESSAGE_MAX
from hypothesis import given
from hypothesis import strategies as st

PING = b'{"type":"ping","id":1}'


def frame(opcode, payload, final=True):
    """A client's frame with an all-zero mask."""
    size = len(payload)
    length = bytes((0x80 | size,)) if size < 126 else b"\xfe" + size.to_bytes(2, "big")
    return bytes((opcode | (0x80 if final else 0),)) + length + bytes(4) + payload


def opened():
    end = WebSocketEnd()
    assert end.receive(upgrade_request()) == [Opened()]
    end.outgoing()
    return end


def test_the_upgrade_may_come_byte_by_byte():
    end = WebSocketEnd()
    items = [item for byte in upgrade_request() for item in end.receive(bytes((byte,)))]
    assert items == [Opened()]
    assert end.outgoing().startswith(b"HTTP/1.1 101 ")


def test_a_refusal_is_an_answer_with_its_reason():
    end = WebSocketEnd("client certificate: expired")
    assert end.receive(upgrade_request()) == [Ended("client certificate: expired")]
    answer = end.outgoing()
    assert answer.startswith(b"HTTP/1.1 403 ")
    assert answer.endswith(b"client certificate: expired\n")


@pytest.mark.parametrize("size", [0, 1, 125, 126, MESSAGE_MAX])
def test_a_message_up_to_the_limit_is_taken(size):
    assert opened().receive(frame(1, b"x" * size)) == [Text("x" * size)]


def test_a_message_beyond_the_limit_is_not():
    assert opened().receive(frame(1, b"x" * (MESSAGE_MAX + 1)))[-1] == Oversized(MESSAGE_MAX)


def test_the_limit_counts_bytes_not_characters():
    assert opened().receive(frame(1, "ü".encode() * (MESSAGE_MAX // 2 + 1)))[-1] == Oversized(MESSAGE_MAX)


def test_the_limit_counts_all_fragments():
    end = opened()
    items = end.receive(frame(1, b"x" * 3000, final=False) + frame(0, b"x" * 3000))
    assert items == [Oversized(MESSAGE_MAX)]
    assert end.receive(frame(1, PING)) == []


def test_two_messages_at_once_are_two():
    assert opened().receive(frame(1, PING) + frame(1, b"two")) == [Text(PING.decode()), Text("two")]


def test_a_control_frame_may_come_between_fragments():
    items = opened().receive(frame(1, b"a", final=False) + frame(9, b"") + frame(0, b"b"))
    assert items[-1] == Text("ab")


@pytest.mark.parametrize("size", [0, 1, 126, DATAGRAM_MAX])
def test_a_binary_message_up_to_the_limit_is_a_datagram(size):
    assert opened().receive(frame(2, b"x" * size)) == [Binary(b"x" * size)]


def test_a_binary_message_may_come_in_fragments_and_pieces():
    whole = frame(2, b"data", final=False) + frame(9, b"") + frame(0, b"gram")
    end = opened()
    items = [item for at in range(len(whole)) for item in end.receive(whole[at : at + 1])]
    assert items[-1] == Binary(b"datagram")


def test_a_binary_message_beyond_the_limit_is_not_taken():
    end = opened()
    items = end.receive(frame(2, bytes(1000), final=False) + frame(0, bytes(DATAGRAM_MAX - 999)))
    assert items == [Oversized(DATAGRAM_MAX)]
    assert end.receive(frame(2, b"x")) == []


def test_a_datagram_is_sent_as_one_binary_message():
    end = opened()
    assert end.send_datagram(b"datagram") == 10
    assert end.outgoing() == b"\x82\x08datagram"


def test_after_the_close_no_datagram_is_sent():
    end = opened()
    end.close(1001, "")
    end.outgoing()
    assert end.send_datagram(b"late") == 0
    assert end.outgoing() == b""


def test_an_orderly_close_is_answered_once():
    end = opened()
    assert end.receive(frame(8, (1000).to_bytes(2, "big"))) == [Ended("")]
    assert end.outgoing() == b"\x88\x02\x03\xe8"
    end.send("late")
    end.close(1001, "late")
    assert end.outgoing() == b""


def test_a_close_reason_is_cut_to_what_a_frame_holds():
    end = opened()
    end.close(1007, "x" * 500)
    assert len(end.outgoing()) <= 127


@given(st.binary(max_size=300), st.booleans())
def test_any_bytes_are_taken(data, upgraded):
    read_socket(data, upgraded)


FRAMES = st.builds(frame, st.integers(0, 15), st.binary(max_size=40), st.booleans())


@given(st.lists(FRAMES, max_size=6), st.integers(0, 400), st.integers(0, 255))
def test_any_frames_are_taken_even_damaged(frames, at, damage):
    data = bytearray(b"".join(frames))
    if at < len(data):
        data[at] ^= damage
    read_socket(bytes(data), upgraded=True)


@given(st.integers(0, 300), st.integers(1, 255))
def test_a_damaged_upgrade_is_taken(at, damage):
    data = bytearray(upgrade_request())
    data[at % len(data)] ^= damage
    read_socket(bytes(data), upgraded=False)


@given(st.text(max_size=100))
def test_any_text_is_taken(text):
    read_messages(text)
