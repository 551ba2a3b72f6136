"""The query file `unabto_queries.xml`: which queries a device answers (specification, application 2.2).

The file comes from whoever made the device, so it is read as hostile input: no DTD, no entities, nothing that the
schema does not know, and every dimension bounded.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Self
from xml.etree.ElementTree import Element, ParseError, TreeBuilder

from defusedxml import DefusedXmlException  # type: ignore[import-untyped]
from defusedxml.ElementTree import DefusedXMLParser  # type: ignore[import-untyped]
from homeport_core import rpc

from homeport.client.queries.query import Event, Field, Fields, ListField, Parameter, Query, QueryError
from homeport.errors import ConfigError

# A large published file has 40 queries in 8 KB; these leave room and stop a parser bomb.
MAX_XML_LEN = 256 * 1024
MAX_ELEMENTS = 10_000
MAX_DEPTH = 12  # root, query, request, eight nested lists, parameter
MAX_QUERIES = 1000
MAX_NAME_LEN = 64
MAX_TEXT_LEN = 1024  # a default or a description

TYPES = {
    "uint8": rpc.UINT8,
    "uint16": rpc.UINT16,
    "uint32": rpc.UINT32,
    "int8": rpc.INT8,
    "int16": rpc.INT16,
    "int32": rpc.INT32,
    "float": rpc.FLOAT,
    "double": rpc.DOUBLE,
    "raw": rpc.RAW,
}

_NAME = re.compile(r"[A-Za-z0-9_.\-]+")
_ID = re.compile(r"0[xX][0-9a-fA-F]{1,8}|[0-9]{1,10}")
_MAX_ID = 0xFFFFFFFF
_SUFFIX = ".json"


class InterfaceError(ConfigError):
    """A query file that is not acceptable; the reason names the place."""

    event = Event.XML_PARSE


class Interface:
    """The queries of a device, by name and by id."""

    def __init__(self, queries: Iterable[Query]) -> None:
        """Raise InterfaceError when two queries share a name (with or without .json) or an id."""
        self._by_name: dict[str, Query] = {}
        self._by_id: dict[int, Query] = {}
        for query in queries:
            if self._by_name.setdefault(_stem(query.name), query) is not query:
                raise InterfaceError(f"two queries are named {query.name!r}")
            if self._by_id.setdefault(query.id, query) is not query:
                raise InterfaceError(f"two queries have the id {query.id}: {query.name!r} is the second")

    @classmethod
    def parse(cls, xml: bytes) -> Self:
        """Read a query file; raise InterfaceError."""
        root = _parse_tree(xml)
        _expect(root, "unabto_queries", ())
        if len(root) > MAX_QUERIES:
            raise InterfaceError(f"{len(root)} queries: expected at most {MAX_QUERIES}")
        return cls(_parse_query(element) for element in root)

    @property
    def queries(self) -> list[Query]:
        """All queries in document order."""
        return list(self._by_id.values())

    def find(self, name: str) -> Query | None:
        """Return the query of this name, with or without its suffix `.json`, or None."""
        return self._by_name.get(_stem(name))

    def query(self, name: str) -> Query:
        """Return the query of this name, with or without its suffix `.json`; raise QueryError."""
        query = self.find(name)
        if query is None:
            known = ", ".join(_stem(item.name) for item in self.queries)
            raise QueryError(f"no query {name[:MAX_NAME_LEN]!r}; known are: {known}", Event.NO_SUCH_QUERY)
        return query

    def extended_by(self, other: Interface) -> Interface:
        """Return this interface with those queries of `other` whose name and id are free."""
        added = [item for item in other.queries if self.find(item.name) is None and item.id not in self._by_id]
        return Interface([*self.queries, *added])

    def encode_request(self, query: Query | str, params: Mapping[str, Any]) -> bytes:
        """Return the request payload of a query (application 2.4); raise QueryError."""
        return self._resolve(query).encode_request(params)

    def decode_response(self, query: Query | str, payload: bytes) -> dict[str, Any]:
        """Return a query's response as JSON values; raise QueryError, ResponseError."""
        return self._resolve(query).decode_response(payload)

    def _resolve(self, query: Query | str) -> Query:
        return self.query(query) if isinstance(query, str) else query


class _BoundedBuilder:
    """Builds the tree and stops as soon as it grows past the limits, so that a bomb costs nothing."""

    def __init__(self) -> None:
        self._builder = TreeBuilder()
        self._depth = 0
        self._elements = 0

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        self._elements += 1
        if self._depth > MAX_DEPTH:
            raise InterfaceError(f"nested deeper than {MAX_DEPTH} levels")
        if self._elements > MAX_ELEMENTS:
            raise InterfaceError(f"more than {MAX_ELEMENTS} elements")
        self._builder.start(tag, attributes)

    def end(self, tag: str) -> None:
        self._depth -= 1
        self._builder.end(tag)

    def data(self, text: str) -> None:
        if text.strip():
            raise InterfaceError(f"text outside an attribute: {text.strip()[:32]!r}")

    def close(self) -> Element:
        return self._builder.close()


def _parse_tree(xml: bytes) -> Element:
    if len(xml) > MAX_XML_LEN:
        raise InterfaceError(f"query file of {len(xml)} bytes: expected at most {MAX_XML_LEN}")
    parser = DefusedXMLParser(target=_BoundedBuilder(), forbid_dtd=True, forbid_entities=True, forbid_external=True)
    try:
        parser.feed(xml)
        root: Element = parser.close()
    except ParseError as error:
        raise InterfaceError(f"not well-formed XML: {error}") from error
    except DefusedXmlException as error:
        raise InterfaceError("a DTD or entities are not allowed in a query file") from error
    except (LookupError, ValueError) as error:
        raise InterfaceError("not XML in a supported encoding: expected UTF-8") from error
    return root


def _expect(element: Element, tag: str, attributes: tuple[str, ...]) -> None:
    if element.tag != tag:
        raise InterfaceError(f"unexpected element {_shown(element.tag)}: expected <{tag}>")
    for name in element.keys():  # noqa: SIM118 - an Element is no mapping
        # The root usually names its schema, by an attribute of the schema instance namespace.
        if name not in attributes and not name.startswith("{http://www.w3.org/2001/XMLSchema-instance}"):
            raise InterfaceError(f"<{tag}>: unknown attribute {_shown(name)}")


def _parse_query(element: Element) -> Query:
    _expect(element, "query", ("name", "id", "description", "template"))
    name = _name_of(element)
    id_text = element.get("id", "")
    number = int(id_text, 0 if "x" in id_text.lower() else 10) if _ID.fullmatch(id_text) else _MAX_ID + 1
    if number > _MAX_ID:
        raise InterfaceError(f"query {name!r}: id {id_text[:32]!r} is not an integer of 0 to {_MAX_ID}")
    if sorted(child.tag for child in element) != ["request", "response"]:
        raise InterfaceError(f"query {name!r}: expected exactly one <request> and one <response>")
    parts: dict[str, Fields] = {}
    for child in element:
        _expect(child, child.tag, ("format",) if child.tag == "response" else ())
        parts[child.tag] = _parse_fields(child, f"{name} {child.tag}")
    return Query(name, number, parts["request"], parts["response"], element.get("description", "")[:MAX_TEXT_LEN])


def _parse_fields(parent: Element, where: str) -> Fields:
    fields = tuple(_parse_field(child, where) for child in parent)
    names = [item.name for item in fields]
    for name in names:
        if names.count(name) > 1:
            raise InterfaceError(f"{where}: two fields are named {name!r}")
    return fields


def _parse_field(element: Element, where: str) -> Field:
    if element.tag == "list":
        _expect(element, "list", ("name",))
        name = _name_of(element)
        fields = _parse_fields(element, f"{where}: {name}")
        if not fields:
            # Elements of no bytes would let a two-byte answer stand for 65535 of them.
            raise InterfaceError(f"{where}: list {name!r} has no fields")
        return ListField(name, fields)
    _expect(element, "parameter", ("name", "type", "default", "representation"))
    if len(element):
        raise InterfaceError(f"{where}: a <parameter> has no children")
    return _parse_parameter(element, where)


def _parse_parameter(element: Element, where: str) -> Parameter:
    name = _name_of(element)
    where = f"{where}: {name}"
    kind = TYPES.get(element.get("type", ""))
    if kind is None:
        raise InterfaceError(f"{where}: type {_shown(element.get('type', ''))} is none of {', '.join(TYPES)}")
    representation = element.get("representation", "ascii")
    if representation not in ("ascii", "hex"):
        raise InterfaceError(f"{where}: representation {_shown(representation)} is neither ascii nor hex")
    if kind == rpc.RAW and representation == "hex":
        kind = rpc.HEX
    default = element.get("default")
    if default is not None and len(default) > MAX_TEXT_LEN:
        raise InterfaceError(f"{where}: default longer than {MAX_TEXT_LEN} characters")
    return Parameter(name, kind, default)


def _name_of(element: Element) -> str:
    name = element.get("name", "")
    if len(name) > MAX_NAME_LEN or not _NAME.fullmatch(name):
        raise InterfaceError(
            f"<{element.tag}>: name {_shown(name)} is not 1 to {MAX_NAME_LEN} letters, digits, '_', '-' or '.'"
        )
    return name


def _stem(name: str) -> str:
    return name[: -len(_SUFFIX)] if name.endswith(_SUFFIX) else name


def _shown(text: str) -> str:
    return repr(text[:MAX_NAME_LEN])
