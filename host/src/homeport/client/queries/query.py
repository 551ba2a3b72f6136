"""One query: its parameters, and how they become bytes and JSON (specification, application 2.3 and 2.4)."""

from __future__ import annotations

import json
import math
import re
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

from homeport_core import rpc

from homeport.errors import ConfigError, HomeportError, MalformedError

MAX_REQUEST_LEN = 1200  # no device takes more in one packet; its own limit is usually 200 (core 7.3)

INTEGER_RANGES = {
    rpc.UINT8: (0, 0xFF),
    rpc.INT8: (-0x80, 0x7F),
    rpc.UINT16: (0, 0xFFFF),
    rpc.INT16: (-0x8000, 0x7FFF),
    rpc.UINT32: (0, 0xFFFFFFFF),
    rpc.INT32: (-0x80000000, 0x7FFFFFFF),
}

_INTEGER = re.compile(r"[+-]?(?:0[xX][0-9a-fA-F]{1,16}|[0-9]{1,20})")
_HEX = re.compile(r"(?:[0-9a-fA-F]{2})*")
_SESSION_KEY = "session_key"  # appended by old clients, and without meaning (application 2.4)


class Event(IntEnum):
    """The numbers by which clients of this protocol report errors (application 7.7)."""

    XML_PARSE = 2000023
    INVALID_QUERY_ID = 2000026
    NO_SUCH_QUERY = 2000027
    NO_SUCH_PARAMETER = 2000028
    PARAMETER_PARSE = 2000029
    MISSING_PARAMETER = 2000030
    RESPONSE_DECODE = 2000034
    JSON_PARSE = 2000063
    EMPTY_PARAMETER = 2000064
    INTERFACE_NOT_SET = 2000067


class QueryError(ConfigError):
    """A query cannot be made as asked; `event` is its number in application 7.7."""

    def __init__(self, reason: str, event: Event, detail: object = None) -> None:
        super().__init__(reason, detail)
        self.event = event


class ResponseError(HomeportError):
    """The device's answer does not fit the query's description."""

    event = Event.RESPONSE_DECODE


@dataclass(frozen=True)
class Parameter:
    """A value of `type` (a type of homeport_core.rpc); HEX is raw shown as hex digits."""

    name: str
    type: int
    default: str | None = None


@dataclass(frozen=True)
class ListField:
    """Elements that each hold `fields`, in order."""

    name: str
    fields: tuple[Parameter | ListField, ...]


Field = Parameter | ListField
Fields = tuple[Field, ...]


@dataclass(frozen=True)
class Query:
    """A request and its response. `name` as declared, usually with the suffix `.json`."""

    name: str
    id: int
    request: Fields = ()
    response: Fields = ()
    description: str = field(default="", compare=False)

    def encode_request(self, params: Mapping[str, Any]) -> bytes:
        """Return the request payload, query id included; raise QueryError.

        Values are JSON values or text as typed (decimal, 0x…, hex digits for hex fields). A whole request with
        lists may be given as one text parameter `json`: {"request": {…}}.
        """
        values = _wire_values(self.request, _whole_request(self, params), self.name)
        buffer = bytearray(MAX_REQUEST_LEN)
        writer = rpc.Writer(buffer, 0, len(buffer))
        try:
            rpc.encode_fields((("query_id", rpc.UINT32), *_wire_fields(self.request)), [self.id, *values], writer)
        except HomeportError as error:
            raise QueryError(
                f"{self.name}: the parameters take more than {MAX_REQUEST_LEN} bytes", Event.PARAMETER_PARSE
            ) from error
        return bytes(buffer[: writer.off])

    def decode_response(self, payload: bytes) -> dict[str, Any]:
        """Return the response as JSON values, trailing bytes ignored; raise ResponseError when it is too short."""
        reader = rpc.Reader(payload, 0, len(payload))
        try:
            values = rpc.decode_fields(_wire_fields(self.response), reader)
        except MalformedError as error:
            raise ResponseError(
                f"{self.name}: the answer of {len(payload)} bytes does not fit its description", error.detail
            ) from error
        return _json_values(self.response, values)


def _wire_fields(fields: Fields) -> tuple[Any, ...]:
    return tuple(
        (item.name, _wire_fields(item.fields) if isinstance(item, ListField) else item.type) for item in fields
    )


def _whole_request(query: Query, params: Mapping[str, Any]) -> Mapping[str, Any]:
    if "json" not in params or any(item.name == "json" for item in query.request):
        return params
    others = [name for name in params if name not in ("json", _SESSION_KEY)]
    if others:
        raise QueryError(f"{query.name}: 'json' is the whole request, without {others[0]!r}", Event.JSON_PARSE)
    try:
        document = json.loads(params["json"])
    except (ValueError, TypeError, RecursionError) as error:
        raise QueryError(f"{query.name}: 'json' is not JSON", Event.JSON_PARSE) from error
    request = document.get("request") if isinstance(document, dict) else None
    if not isinstance(request, dict):
        raise QueryError(f"{query.name}: 'json' must be an object with an object 'request'", Event.JSON_PARSE)
    return request


def _wire_values(fields: Fields, params: Mapping[str, Any], where: str) -> list[Any]:
    names = {item.name for item in fields}
    for name in params:
        if name not in names and name != _SESSION_KEY:
            known = ", ".join(item.name for item in fields) or "none"
            raise QueryError(f"{where}: no parameter {str(name)[:64]!r}; it has: {known}", Event.NO_SUCH_PARAMETER)
    return [_wire_value(item, params, where) for item in fields]


def _wire_value(item: Field, params: Mapping[str, Any], where: str) -> Any:
    where = f"{where}: {item.name}"
    value = params.get(item.name)
    if isinstance(item, ListField):
        if not isinstance(value, Sequence) or isinstance(value, str | bytes):
            raise QueryError(
                f"{where}: a list of objects, to be given as json='{{\"request\": …}}'", Event.MISSING_PARAMETER
            )
        return [_wire_values(item.fields, _element(element, where), where) for element in value]
    if value is None:
        value = item.default
    if value is None:
        raise QueryError(f"{where}: missing, and it has no default", Event.MISSING_PARAMETER)
    if item.type in (rpc.RAW, rpc.HEX):
        return _raw_value(item, value, where)
    if value == "":
        raise QueryError(f"{where}: empty, expected a number", Event.EMPTY_PARAMETER)
    if item.type in INTEGER_RANGES:
        return _integer_value(item, value, where)
    return _real_value(item, value, where)


def _element(element: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(element, Mapping):
        raise QueryError(f"{where}: each element must be an object", Event.PARAMETER_PARSE)
    return element


def _integer_value(item: Parameter, value: Any, where: str) -> int:
    low, high = INTEGER_RANGES[item.type]
    if isinstance(value, str) and _INTEGER.fullmatch(value):
        value = int(value, 16 if "x" in value.lower() else 10)
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise QueryError(f"{where}: {str(value)[:32]!r} is not an integer of {low} to {high}", Event.PARAMETER_PARSE)
    return value


def _real_value(item: Parameter, value: Any, where: str) -> float:
    try:
        number = float(value) if not isinstance(value, bool) else math.nan
        struct.pack(">f" if item.type == rpc.FLOAT else ">d", number)
    except (ValueError, TypeError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise QueryError(f"{where}: {str(value)[:32]!r} is not a finite number that fits", Event.PARAMETER_PARSE)
    return number


def _raw_value(item: Parameter, value: Any, where: str) -> bytes:
    if isinstance(value, bytes):
        data = value
    elif not isinstance(value, str):
        raise QueryError(f"{where}: expected text, not {str(value)[:32]!r}", Event.PARAMETER_PARSE)
    elif item.type == rpc.RAW:
        data = value.encode("utf-8", "surrogateescape")
    elif _HEX.fullmatch(value):
        data = bytes.fromhex(value)
    else:
        raise QueryError(f"{where}: expected an even number of hex digits", Event.PARAMETER_PARSE)
    if len(data) > MAX_REQUEST_LEN:
        raise QueryError(f"{where}: {len(data)} bytes, more than {MAX_REQUEST_LEN}", Event.PARAMETER_PARSE)
    return data


def _json_values(fields: Fields, values: Sequence[Any]) -> dict[str, Any]:
    return {item.name: _json_value(item, value) for item, value in zip(fields, values, strict=True)}


def _json_value(item: Field, value: Any) -> Any:
    if isinstance(item, ListField):
        return [_json_values(item.fields, element) for element in value]
    if item.type == rpc.HEX:
        return bytes(value).hex()
    if item.type == rpc.RAW:
        return bytes(value).decode("utf-8", "replace")
    if isinstance(value, float) and not math.isfinite(value):
        return None  # JSON has no NaN
    return value
