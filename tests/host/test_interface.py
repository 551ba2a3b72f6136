"""The query file is read strictly, and nothing in it can hurt (application 2.2)."""

import pytest
from homeport.client.queries.builtin import BUILTIN
from homeport.client.queries.interface import (
    MAX_DEPTH,
    MAX_ELEMENTS,
    MAX_QUERIES,
    MAX_XML_LEN,
    TYPES,
    Interface,
    InterfaceError,
)
from homeport.client.queries.query import Event, ListField, Parameter, QueryError
from homeport_core import rpc
from query_file import VECTOR_FILES, document, many, numbers, parameter, query

SCHEMA = 'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:noNamespaceSchemaLocation="query_model.xsd"'


def test_a_published_looking_file_is_read():
    xml = f"""<?xml version="1.0" encoding="UTF-8"?>
    <!-- comment --><unabto_queries {SCHEMA}>
      <query name="light_write.json" description="switch" id="0x1">
        <!-- comment -->
        <request><parameter name="light_id" type="uint8" default="1"/></request>
        <response format="json"><parameter name="state" type="raw" representation="hex"/></response>
      </query>
    </unabto_queries>"""
    (only,) = Interface.parse(xml.encode()).queries
    assert (only.name, only.id, only.description) == ("light_write.json", 1, "switch")
    assert only.request == (Parameter("light_id", rpc.UINT8, "1"),)
    assert only.response == (Parameter("state", rpc.HEX),)


@pytest.mark.parametrize(("name", "kind"), TYPES.items())
def test_every_type_is_known(name, kind):
    interface = Interface.parse(document(query("q", 1, parameter("v", name))))
    assert interface.query("q").request == (Parameter("v", kind),)


def test_document_order_is_kept_where_lists_and_parameters_are_mixed():
    fields = numbers("uint8", "a") + many("b", parameter("x", "raw")) + numbers("uint8", "c")
    names = [item.name for item in Interface.parse(document(query("q", 1, "", fields))).query("q").response]
    assert names == ["a", "b", "c"]


def test_lists_nest():
    inner = many("inner", parameter("x", "uint8"))
    interface = Interface.parse(document(query("q", 1, many("outer", inner))))
    expected = (ListField("outer", (ListField("inner", (Parameter("x", rpc.UINT8),)),)),)
    assert interface.query("q").request == expected


@pytest.mark.parametrize("asked", ["light_read", "light_read.json"])
@pytest.mark.parametrize("declared", ["light_read", "light_read.json"])
def test_a_query_is_found_with_or_without_its_suffix(declared, asked):
    assert Interface.parse(document(query(declared, 2))).query(asked).id == 2


def test_an_unknown_query_is_an_error_that_lists_the_known_ones():
    with pytest.raises(QueryError, match="no query 'nope'; known are: light_read") as caught:
        Interface.parse(document(query("light_read.json", 2))).query("nope")
    assert caught.value.event == Event.NO_SUCH_QUERY


def test_an_interface_is_extended_where_names_and_ids_are_free():
    own = Interface.parse(document(query("get_users.json", 7), query("mine", 10000)))
    extended = own.extended_by(BUILTIN)
    assert extended.query("get_users").id == 7
    assert extended.query("mine").id == 10000
    assert extended.find("get_public_device_info") is None
    assert extended.query("pair_with_device").id == 11010


def nested(depth):
    fields = parameter("x", "uint8")
    for level in range(depth):
        fields = many(f"l{level}", fields)
    return document(query("q", 1, fields))


ENTITY = b'<!DOCTYPE x [<!ENTITY a "aaaa">]><unabto_queries>&a;</unabto_queries>'
BOMB = (
    b'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">'
    + b"".join(b'<!ENTITY %c "%s">' % (98 + i, b"&%c;" % (97 + i) * 10) for i in range(9))
    + b"]><unabto_queries>&j;</unabto_queries>"
)
EXTERNAL = b'<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><unabto_queries>&a;</unabto_queries>'
EXTERNAL_DTD = b'<!DOCTYPE x SYSTEM "http://127.0.0.1:1/x.dtd"><unabto_queries/>'
ONE_REQUEST = '<query name="q" id="1"><request/></query>'
THREE = '<query name="q" id="1"><request/><response/><response/></query>'

REFUSED = {
    "nothing": (b"", "not well-formed"),
    "not XML": (b"light_read.json", "not well-formed"),
    "NUL bytes": (b"\0" * 100, "not well-formed"),
    "cut off": (document(query("q", 1))[:-3], "not well-formed"),
    "two roots": (b"<unabto_queries/><unabto_queries/>", "not well-formed"),
    "unknown encoding": (b'<?xml version="1.0" encoding="no-such"?><unabto_queries/>', "well-formed|encoding"),
    "multi-byte encoding": (b'<?xml version="1.0" encoding="euc_kr"?><unabto_queries/>', "well-formed|encoding"),
    "entity": (ENTITY, "DTD or entities"),
    "entity bomb": (BOMB, "DTD or entities"),
    "external entity": (EXTERNAL, "DTD or entities"),
    "external DTD": (EXTERNAL_DTD, "DTD or entities"),
    "undefined entity": (b"<unabto_queries>&x;</unabto_queries>", "not well-formed"),
    "too long": (document(" " * MAX_XML_LEN), "at most"),
    "too many elements": (b"<unabto_queries>" + b"<query/>" * (MAX_ELEMENTS + 1), "more than"),
    "too many queries": (b"<unabto_queries>" + b"<query/>" * (MAX_QUERIES + 1) + b"</unabto_queries>", "at most"),
    "too deep": (nested(MAX_DEPTH), "nested deeper"),
    "absurdly deep": (b"<a>" * 80_000, "nested deeper"),
    "another root": (b"<queries/>", "expected <unabto_queries>"),
    "a namespace": (b'<unabto_queries xmlns="urn:x"/>', "expected <unabto_queries>"),
    "text": (b"<unabto_queries>hello</unabto_queries>", "text outside"),
    "unknown element": (b"<unabto_queries><command/></unabto_queries>", "expected <query>"),
    "unknown attribute": (b'<unabto_queries x="1"/>', "unknown attribute 'x'"),
    "no response": (document(ONE_REQUEST), "exactly one"),
    "two responses": (document(THREE), "exactly one"),
    "unknown attribute of a parameter": (document(query("q", 1, parameter("v", "raw", size="4"))), "unknown attribute"),
    "children of a parameter": (
        document(query("q", 1, '<parameter name="v" type="raw"><list name="x"/></parameter>')),
        "no children",
    ),
    "unknown field": (document(query("q", 1, '<field name="x"/>')), "expected <parameter>"),
    "unknown type": (document(query("q", 1, parameter("v", "uint64"))), "type 'uint64' is none of uint8"),
    "no type": (document(query("q", 1, '<parameter name="v"/>')), "type '' is none"),
    "unknown representation": (document(query("q", 1, parameter("v", "raw", representation="b64"))), "neither ascii"),
    "empty list": (document(query("q", 1, many("l"))), "has no fields"),
    "no name": (document(query("", 1)), "name ''"),
    "odd name": (document(query("a b", 1)), "name 'a b'"),
    "over-long name": (document(query("x" * 65, 1)), "name 'xxx"),
    "negative id": (document(query("q", -1)), "id '-1'"),
    "over-large id": (document(query("q", 2**32)), "id '4294967296'"),
    "no number": (document(query("q", "one")), "id 'one'"),
    "an enormous id": (document(query("q", "9" * 5000)), "id '999"),
    "one name twice": (document(query("q", 1), query("q", 2)), "two queries are named 'q'"),
    "one name with and without suffix": (document(query("q", 1), query("q.json", 2)), "two queries are named"),
    "one id twice": (document(query("a", 1), query("b", 0x1)), "two queries have the id 1"),
    "one field twice": (document(query("q", 1, numbers("uint8", "a", "a"))), "two fields are named 'a'"),
    "an over-long default": (document(query("q", 1, parameter("v", "raw", default="x" * 1025))), "default longer"),
}


@pytest.mark.parametrize(("xml", "reason"), REFUSED.values(), ids=REFUSED)
def test_refused(xml, reason):
    with pytest.raises(InterfaceError, match=reason) as caught:
        Interface.parse(xml)
    assert caught.value.event == Event.XML_PARSE
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize("xml", VECTOR_FILES)
def test_a_file_cut_anywhere_is_refused(xml):
    for n in range(0, len(xml), 7):
        with pytest.raises(InterfaceError):
            Interface.parse(xml[:n])


def test_a_file_with_any_byte_changed_parses_or_is_refused():
    xml = VECTOR_FILES[2]
    for i in range(len(xml)):
        for value in (0, 0x3C, 0x26, 0xFF):
            changed = xml[:i] + bytes([value]) + xml[i + 1 :]
            try:
                Interface.parse(changed)
            except InterfaceError:
                continue
