"""Queries become the bytes of the specification, and answers its JSON (application 2.3, 2.4)."""

import json
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import pytest
from homeport.client.queries.builtin import BUILTIN
from homeport.client.queries.interface import Interface
from homeport.client.queries.query import MAX_REQUEST_LEN, Event, ListField, Parameter, Query, QueryError, ResponseError
from homeport_core import rpc
from query_file import VECTOR_FILES, VECTOR_NAMES

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "vectors-acl.json").read_text())
INTERFACES = [BUILTIN, *map(Interface.parse, VECTOR_FILES)]
INTEGERS = {
    "u8": rpc.UINT8,
    "u16": rpc.UINT16,
    "u32": rpc.UINT32,
    "i8": rpc.INT8,
    "i16": rpc.INT16,
    "i32": rpc.INT32,
}


def described(vector):
    name = VECTOR_NAMES.get(vector["query"], vector["query"])
    found = [interface.find(name) for interface in INTERFACES]
    return next(query for query in found if query is not None and query.id == vector["query_id"])


def labelled(direction, typed):
    return [
        pytest.param(item, id=f"{item['label']}")
        for item in VECTORS["query_encodings"]
        if item["direction"] == direction and (item["query_id"] is None) == typed
    ]


@pytest.mark.parametrize("vector", labelled("request", False))
def test_request_vectors(vector):
    assert described(vector).encode_request(vector["decoded"]["request"]).hex() == vector["payload_hex"]


@pytest.mark.parametrize("vector", [item for item in labelled("request", False) if "url" in item.values[0]])
def test_request_vectors_as_typed_in_a_url(vector):
    typed = dict(parse_qsl(urlsplit(vector["url"]).query, keep_blank_values=True))
    assert described(vector).encode_request(typed).hex() == vector["payload_hex"]


@pytest.mark.parametrize("vector", labelled("response", False))
def test_response_vectors(vector):
    assert described(vector).decode_response(bytes.fromhex(vector["payload_hex"])) == vector["decoded"]["response"]


@pytest.mark.parametrize("vector", labelled("response", True))
def test_integer_vectors_both_ways(vector):
    kind = INTEGERS[vector["label"].split()[1].split("=")[0]]
    query = Query("type", 9, (Parameter("value", kind),), (Parameter("value", kind),))
    payload = bytes.fromhex(vector["payload_hex"])
    assert query.decode_response(payload) == vector["decoded"]
    assert query.encode_request(vector["decoded"]) == b"\0\0\0\x09" + payload


@pytest.mark.parametrize("vector", labelled("response", False))
def test_a_response_cut_anywhere_is_a_decode_error(vector):
    payload = bytes.fromhex(vector["payload_hex"])
    for n in range(len(payload)):
        with pytest.raises(ResponseError) as caught:
            described(vector).decode_response(payload[:n])
        assert caught.value.event == Event.RESPONSE_DECODE


@pytest.mark.parametrize("vector", labelled("response", False))
def test_trailing_bytes_of_a_response_are_ignored(vector):
    payload = bytes.fromhex(vector["payload_hex"]) + b"\0\0\0\7"
    assert described(vector).decode_response(payload) == vector["decoded"]["response"]


def one(kind, **attributes):
    return Query("q.json", 1, (Parameter("v", kind, **attributes),))


@pytest.mark.parametrize(
    ("kind", "value", "encoded"),
    [
        (rpc.UINT8, "0xff", "ff"),
        (rpc.UINT16, "0X0102", "0102"),
        (rpc.INT8, "-0x80", "80"),
        (rpc.INT16, "+5", "0005"),
        (rpc.UINT32, 4294967295, "ffffffff"),
        (rpc.UINT32, "007", "00000007"),
        (rpc.FLOAT, "1.5", "3fc00000"),
        (rpc.DOUBLE, -2, "c000000000000000"),
        (rpc.RAW, "é", "0002c3a9"),
        (rpc.RAW, b"\x00\xff", "000200ff"),
        (rpc.HEX, "00Ff", "000200ff"),
        (rpc.HEX, "", "0000"),
    ],
)
def test_values_as_typed(kind, value, encoded):
    assert one(kind).encode_request({"v": value}).hex() == "00000001" + encoded


@pytest.mark.parametrize(
    ("kind", "value", "event"),
    [
        (rpc.UINT8, "256", Event.PARAMETER_PARSE),
        (rpc.UINT8, -1, Event.PARAMETER_PARSE),
        (rpc.INT8, "128", Event.PARAMETER_PARSE),
        (rpc.INT8, "-129", Event.PARAMETER_PARSE),
        (rpc.UINT16, 65536, Event.PARAMETER_PARSE),
        (rpc.INT16, -32769, Event.PARAMETER_PARSE),
        (rpc.UINT32, "4294967296", Event.PARAMETER_PARSE),
        (rpc.INT32, 2147483648, Event.PARAMETER_PARSE),
        (rpc.UINT32, "1e3", Event.PARAMETER_PARSE),
        (rpc.UINT32, " 1", Event.PARAMETER_PARSE),
        (rpc.UINT32, "1_0", Event.PARAMETER_PARSE),
        (rpc.UINT32, "٣", Event.PARAMETER_PARSE),
        (rpc.UINT32, "9" * 5000, Event.PARAMETER_PARSE),
        (rpc.UINT8, True, Event.PARAMETER_PARSE),
        (rpc.UINT8, 1.0, Event.PARAMETER_PARSE),
        (rpc.UINT8, [1], Event.PARAMETER_PARSE),
        (rpc.UINT8, "", Event.EMPTY_PARAMETER),
        (rpc.FLOAT, "", Event.EMPTY_PARAMETER),
        (rpc.FLOAT, "nan", Event.PARAMETER_PARSE),
        (rpc.FLOAT, "1e39", Event.PARAMETER_PARSE),
        (rpc.DOUBLE, "1e999", Event.PARAMETER_PARSE),
        (rpc.DOUBLE, "one", Event.PARAMETER_PARSE),
        (rpc.DOUBLE, True, Event.PARAMETER_PARSE),
        (rpc.RAW, 5, Event.PARAMETER_PARSE),
        (rpc.RAW, "x" * (MAX_REQUEST_LEN + 1), Event.PARAMETER_PARSE),
        (rpc.RAW, "x" * (MAX_REQUEST_LEN - 5), Event.PARAMETER_PARSE),
        (rpc.HEX, "abc", Event.PARAMETER_PARSE),
        (rpc.HEX, "0g", Event.PARAMETER_PARSE),
        (rpc.HEX, "00:11", Event.PARAMETER_PARSE),
        (rpc.UINT8, None, Event.MISSING_PARAMETER),
    ],
)
def test_values_out_of_range_or_shape_name_the_parameter(kind, value, event):
    with pytest.raises(QueryError, match="q.json") as caught:
        one(kind).encode_request({"v": value})
    assert caught.value.event == event
    assert len(str(caught.value)) < 200


def test_a_missing_parameter_takes_its_default():
    assert one(rpc.UINT8, default="0x10").encode_request({}).hex() == "0000000110"


def test_a_missing_parameter_without_default_is_an_error():
    with pytest.raises(QueryError, match="v: missing") as caught:
        one(rpc.UINT8).encode_request({})
    assert caught.value.event == Event.MISSING_PARAMETER


def test_an_unknown_parameter_is_an_error_that_lists_the_known_ones():
    with pytest.raises(QueryError, match="no parameter 'w'; it has: v") as caught:
        one(rpc.UINT8).encode_request({"v": 1, "w": 2})
    assert caught.value.event == Event.NO_SUCH_PARAMETER


def test_the_session_key_of_old_clients_is_ignored():
    assert one(rpc.UINT8).encode_request({"v": 1, "session_key": "x"}).hex() == "0000000101"


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "1", '{"v": 1}', '{"request": []}', '{"request": 1}', "[" * 100_000, None, 7],
)
def test_a_bad_json_parameter_is_an_error(text):
    with pytest.raises(QueryError) as caught:
        one(rpc.UINT8).encode_request({"json": text})
    assert caught.value.event == Event.JSON_PARSE


def test_json_stands_for_the_whole_request():
    with pytest.raises(QueryError, match="'json' is the whole request"):
        one(rpc.UINT8).encode_request({"json": '{"request": {"v": 1}}', "v": "1"})


def test_a_parameter_that_is_named_json_is_a_parameter():
    query = Query("q", 1, (Parameter("json", rpc.RAW),))
    assert query.encode_request({"json": "{}"}).hex() == "0000000100027b7d"


@pytest.mark.parametrize("value", [None, "text", b"bytes", 1, {"x": 1}, [1], ["x"], [{}], [{"x": 1, "y": 2}]])
def test_a_list_must_be_a_list_of_complete_objects(value):
    query = Query("q", 1, (ListField("l", (Parameter("x", rpc.UINT8),)),))
    with pytest.raises(QueryError, match="q: l"):
        query.encode_request({"l": value})


def test_text_that_is_not_utf8_is_decoded_with_replacement():
    query = Query("q", 1, (), (Parameter("v", rpc.RAW),))
    assert query.decode_response(b"\0\3a\xff\0") == {"v": "a\ufffd\0"}


def test_a_float_without_a_json_value_is_null():
    query = Query("q", 1, (), (Parameter("v", rpc.FLOAT),))
    assert query.decode_response(b"\x7f\xc0\0\0") == {"v": None}
