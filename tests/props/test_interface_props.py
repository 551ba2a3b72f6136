"""Whatever a query file declares, and whatever values fit it, come back from the wire as they went in."""

from xml.sax.saxutils import quoteattr

from homeport.client.queries.interface import TYPES, Interface, InterfaceError
from homeport.client.queries.query import INTEGER_RANGES, ListField, Parameter, ResponseError
from homeport_core import rpc
from hypothesis import given
from hypothesis import strategies as st

NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,8}", fullmatch=True).filter(lambda name: name != "session_key")
TYPE_NAMES = {kind: name for name, kind in TYPES.items()} | {rpc.HEX: "raw"}
PARAMETERS = st.builds(Parameter, NAMES, st.sampled_from(sorted(TYPE_NAMES)))


def distinct(fields, least):
    return st.lists(fields, min_size=least, max_size=4, unique_by=lambda item: item.name).map(tuple)


FIELDS = st.recursive(PARAMETERS, lambda inner: st.builds(ListField, NAMES, distinct(inner, 1)), max_leaves=6)


def xml_of(field):
    name = quoteattr(field.name)
    if isinstance(field, ListField):
        return f"<list name={name}>{''.join(map(xml_of, field.fields))}</list>"
    representation = ' representation="hex"' if field.type == rpc.HEX else ""
    return f'<parameter name={name} type="{TYPE_NAMES[field.type]}"{representation}/>'


def interface_of(fields):
    body = "".join(map(xml_of, fields))
    return Interface.parse(
        f'<unabto_queries><query name="q" id="77"><request>{body}</request><response>{body}</response></query>'
        "</unabto_queries>".encode()
    )


def values_of(field):
    if isinstance(field, ListField):
        return st.lists(objects_of(field.fields), max_size=3)
    if field.type in INTEGER_RANGES:
        return st.integers(*INTEGER_RANGES[field.type])
    if field.type in (rpc.FLOAT, rpc.DOUBLE):
        return st.floats(allow_nan=False, allow_infinity=False, width=32)
    if field.type == rpc.HEX:
        return st.binary(max_size=12).map(bytes.hex)
    return st.text(st.characters(exclude_categories=["Cs"]), max_size=12)


def objects_of(fields):
    return st.fixed_dictionaries({field.name: values_of(field) for field in fields})


DECLARED = distinct(FIELDS, 0)


@given(st.data(), DECLARED)
def test_values_survive_the_wire(data, fields):
    query = interface_of(fields).query("q")
    values = data.draw(objects_of(fields))
    payload = query.encode_request(values)
    assert payload[:4] == b"\0\0\0\x4d"
    assert query.decode_response(payload[4:]) == values


@given(DECLARED)
def test_the_declaration_survives_the_file(fields):
    assert interface_of(fields).query("q").request == fields


@given(DECLARED, st.binary(max_size=64))
def test_any_answer_decodes_or_is_a_response_error(fields, payload):
    try:
        values = interface_of(fields).query("q").decode_response(payload)
    except ResponseError:
        return
    assert list(values) == [field.name for field in fields]


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_any_bytes_parse_or_are_refused(data):
    try:
        Interface.parse(data)
    except InterfaceError:
        return
    assert b"unabto_queries" in data or b"\0" in data
