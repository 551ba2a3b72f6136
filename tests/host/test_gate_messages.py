"""Messages of the gate: every form is as the schema says, and whatever else comes is refused in one way."""

import dataclasses
import json

import pytest
from gate_peers import valid
from homeport import gate_messages as gate
from homeport.errors import MalformedError
from hypothesis import given
from hypothesis import strategies as st

ENDPOINT = bytes((192, 0, 2, 1, 21, 189))
KEY = bytes(range(96))
CONNECT = gate.Connect(7, "dev1.example.net", "my phone", ENDPOINT, b"12345678", 3, True)
HELLO = gate.Hello(1, b"f" * 16, "homeport/0.1.0", ENDPOINT, b"probe id", KEY, ENDPOINT, True)
CLIENT = [
    CONNECT,
    gate.Connect(0xFFFFFFFF, "d", "", None, None, 0, False),
    gate.Disconnect(b"\x00\x01\xe2\x40"),
    gate.Ping(0),
]
SERVER = [
    gate.Hello(1, b"f" * 16, "homeport/0.1.0", ENDPOINT, b"probe id", KEY),
    HELLO,
    gate.Connected(7, "d", b"\xff" * 4, KEY, 0x230A, ENDPOINT, bytes(6), ENDPOINT, 7, 0x838, 0xB3C),
    gate.Refused(7, "d", 0x8004, "CP_ACCESS", "the device refused"),
    gate.Pong(0),
    gate.Problem(None, "not JSON"),
    gate.Problem(7, "connect: device must be …"),
]
DOCUMENT = json.loads(gate.encode(CONNECT))


@pytest.mark.parametrize("message", CLIENT, ids=repr)
def test_client_messages_survive_the_wire(message):
    text = gate.encode(message)
    valid(text)
    assert gate.decode_client(text) == message


@pytest.mark.parametrize("message", SERVER, ids=repr)
def test_server_messages_survive_the_wire(message):
    text = gate.encode(message)
    valid(text)
    assert gate.decode_server(text) == message


@pytest.mark.parametrize("message", SERVER[:2], ids=["hello", "connected"])
def test_keys_are_not_in_the_representation(message):
    assert KEY.hex() not in repr(message)
    assert repr(KEY) not in repr(message)


def test_unknown_fields_are_ignored():
    assert gate.decode_client(json.dumps({**DOCUMENT, "later": [1, 2]})) == CONNECT


def test_an_unknown_server_message_is_nothing():
    assert gate.decode_server('{"type":"later"}') is None


def test_the_id_of_a_malformed_message_is_kept_for_the_answer():
    with pytest.raises(MalformedError) as caught:
        gate.decode_client(json.dumps({**DOCUMENT, "device": "Nope!"}))
    assert caught.value.detail == 7
    assert "connect: device must be a device id" in str(caught.value)


WRONG = {
    "type": ["later", None, 5, "hello", "error"],
    "id": [-1, 2**32, 1.5, "7", None, True],
    "device": ["", "A", "a" * 41, "a b", "a\n", None, 5, ["a"]],
    "client_id": ["x" * 65, "ü" * 33, "a\x00b", "a\x1bb", None, 5],
    "private": ["", "192.0.2.1", "192.0.2.1:70000", "x:1", "192.0.2.256:1", "192.0.2.1:-1", 5, "1" * 100, "::1:5"],
    "probe": ["", "00", "zz" * 8, "AA" * 8, 5],
    "nat_type": [-1, 9, "3", None],
    "rendezvous": [0, 1, "true", None],
    "tcp": [0, 1, "true", None],
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name in WRONG for value in WRONG[name]])
def test_a_field_not_as_described_is_refused(name, value):
    with pytest.raises(MalformedError):
        gate.decode_client(json.dumps({**DOCUMENT, name: value}))


@pytest.mark.parametrize("name", [name for name in DOCUMENT if name != "tcp"])
def test_a_missing_field_is_refused(name):
    with pytest.raises(MalformedError):
        gate.decode_client(json.dumps({key: value for key, value in DOCUMENT.items() if key != name}))


def test_servers_that_do_not_speak_of_datagrams_carry_none():
    document = json.loads(gate.encode(HELLO))
    assert gate.decode_server(json.dumps(document)) == HELLO
    del document["datagrams"]
    assert gate.decode_server(json.dumps(document)) == dataclasses.replace(HELLO, datagrams=False)


def test_clients_that_do_not_speak_of_tcp_do_not_want_it():
    assert not gate.decode_client(json.dumps({key: value for key, value in DOCUMENT.items() if key != "tcp"})).tcp


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "[]",
        '"ping"',
        "{",
        '{"type":"ping","id":1}x',
        '{"type":"ping","id":1,"id":2}',
        '{"type":"ping","id":NaN}',
        '{"type":"ping","id":Infinity}',
        '{"type":"ping","id":1e400}',
        '{"type":"ping","id":' + "9" * 4000 + "}",
        '{"type":' + "[" * 4000,
        '{"type":"ping","id":1,"pad":"' + "x" * gate.MESSAGE_MAX + '"}',
        '{"type":"disconnect","nsi":"0001E240"}',
        '{"type":"disconnect","nsi":"0001e2"}',
        '{"type":"disconnect","nsi":"\\ud800\\ud800"}',
        '{"type":"connect","client_id":"\\ud800"}',
    ],
)
def test_what_is_no_message_is_refused(text):
    with pytest.raises(MalformedError):
        gate.decode_client(text)


def test_every_truncation_is_refused():
    text = gate.encode(CONNECT)
    for end in range(len(text)):
        with pytest.raises(MalformedError):
            gate.decode_client(text[:end])


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused(text):
    for decode in (gate.decode_client, gate.decode_server):
        try:
            decode(text)
        except MalformedError as error:
            assert len(error.reason.encode()) <= gate.REASON_MAX  # noqa: PT017


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30)
JSON = SCALARS | st.lists(SCALARS, max_size=3) | st.dictionaries(st.text(max_size=8), SCALARS, max_size=3)


@given(st.sampled_from([*CLIENT, *SERVER]), st.data())
def test_any_value_in_any_field_is_read_or_refused(message, data):
    document = json.loads(gate.encode(message))
    name = data.draw(st.sampled_from(sorted(document)))
    document[name] = data.draw(JSON)
    for decode in (gate.decode_client, gate.decode_server):
        try:
            read = decode(json.dumps(document))
        except MalformedError as error:
            assert len(error.reason.encode()) <= gate.REASON_MAX  # noqa: PT017
        else:
            if read is not None:
                valid(gate.encode(read))
