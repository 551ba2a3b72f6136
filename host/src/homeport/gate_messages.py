"""The messages of the gate, `homeport.gate.v1`: JSON objects between client and basestation (docs/gate.md).

Both ends use this module. Every message is a dataclass whose bytes fields (NSIs, keys, endpoints) are already
decoded; one table says how each field looks in JSON. Fields that a reader does not know are ignored, so that
version 1 can grow; a known field that is missing or not as described makes the whole message malformed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

from homeport_core import spec
from homeport_core.errors import MalformedError

from homeport.gate_fields import (
    Codec,
    boolean,
    device_id,
    endpoint,
    hex_octets,
    integer,
    optional,
    or_null,
    suite,
    text,
)

SUBPROTOCOL = "homeport.gate.v1"
PATH = "/gate"
VERSION = 1
MESSAGE_MAX = 4096  # bytes of JSON; the largest message of version 1 has about 1,000
DATAGRAM_MAX = 1536  # bytes of a binary message; the largest DATA datagram of streams has 1,512 (streams 3.11)
PROBE_ID_LEN = 8
PROBE_TOKEN_LEN = 8
REASON_MAX = 200  # bytes of free text in `refused` and `error`
_SOFTWARE_MAX = 64
_NAT_TYPE_MAX = 8  # specification, core 2.5


@dataclass(frozen=True, slots=True)
class Hello:
    """Server → client, first message: who the server thinks the client is, and where to probe and relay."""

    version: int
    fingerprint: bytes  # of the client's certificate, 16 bytes
    software: str
    gsp: bytes  # endpoint (6 bytes) of the session server, for probes
    probe_id: bytes  # 8 bytes
    probe_key: bytes = field(repr=False)  # 96 bytes; the client is the initiator
    probe_also: bytes | None = None  # another endpoint that answers probes: a NAT that differs there is symmetric
    datagrams: bool = False  # whether binary messages carry datagrams of connections


@dataclass(frozen=True, slots=True)
class Connect:
    """Client → server: introduce me to this device."""

    id: int  # chosen by the client, names the answer
    device: str
    client_id: str  # CP_ID, at most 64 bytes of UTF-8
    private: bytes | None  # the client's LAN endpoint
    probe: bytes | None  # token (8 bytes) of the probe that revealed the client's public endpoint
    nat_type: int
    rendezvous: bool  # False: relay only
    tcp: bool = False  # the client has no UDP: the device should come to the gateway by TCP, if it can


@dataclass(frozen=True, slots=True)
class Connected:
    """Server → client: the device has accepted."""

    id: int
    device: str
    nsi: bytes
    key: bytes = field(repr=False)  # 96 bytes of key material; the client is the initiator
    suite: int
    gsp: bytes  # relay endpoint
    device_private: bytes
    device_global: bytes
    device_nat: int
    capability_bits: int
    capability_mask: int


@dataclass(frozen=True, slots=True)
class Refused:
    """Server → client: no connection, and why (`code` and `name` of the notify codes)."""

    id: int
    device: str
    code: int
    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class Disconnect:
    """Client → server: forget this connection; a hint, never answered."""

    nsi: bytes


@dataclass(frozen=True, slots=True)
class Ping:
    """Client → server: keeps the gate connection open."""

    id: int


@dataclass(frozen=True, slots=True)
class Pong:
    """Server → client: answer to a ping."""

    id: int


@dataclass(frozen=True, slots=True)
class Problem:
    """Server → client, type `error`: your message was wrong; the server closes the connection next."""

    id: int | None
    reason: str


ClientMessage = Connect | Disconnect | Ping
ServerMessage = Hello | Connected | Refused | Pong | Problem
Message = ClientMessage | ServerMessage


_U32 = integer(0xFFFFFFFF)
_ID = _U32
_NSI = hex_octets(spec.NSI_LEN)
_KEY = hex_octets(spec.KEY_MATERIAL_LEN)
_ENDPOINT = endpoint()
_NAT = integer(_NAT_TYPE_MAX)
_DEVICE = device_id()

# Message class → its name on the wire, and per attribute: path in the JSON object, and codec.
_LAYOUT: dict[type[Any], tuple[str, dict[str, tuple[tuple[str, ...], Codec]]]] = {
    Hello: (
        "hello",
        {
            "version": (("version",), integer(VERSION, VERSION)),
            "fingerprint": (("fingerprint",), hex_octets(spec.FINGERPRINT_LEN)),
            "software": (("software",), text(_SOFTWARE_MAX)),
            "gsp": (("gsp",), _ENDPOINT),
            "probe_id": (("probe", "id"), hex_octets(PROBE_ID_LEN)),
            "probe_key": (("probe", "key"), _KEY),
            "probe_also": (("probe", "also"), or_null(_ENDPOINT)),
            "datagrams": (("datagrams",), optional(boolean(), False)),
        },
    ),
    Connect: (
        "connect",
        {
            "id": (("id",), _ID),
            "device": (("device",), _DEVICE),
            "client_id": (("client_id",), text(spec.CLIENT_ID_MAX)),
            "private": (("private",), or_null(_ENDPOINT)),
            "probe": (("probe",), or_null(hex_octets(PROBE_TOKEN_LEN))),
            "nat_type": (("nat_type",), _NAT),
            "rendezvous": (("rendezvous",), boolean()),
            "tcp": (("tcp",), optional(boolean(), False)),
        },
    ),
    Connected: (
        "connected",
        {
            "id": (("id",), _ID),
            "device": (("device",), _DEVICE),
            "nsi": (("nsi",), _NSI),
            "key": (("key",), _KEY),
            "suite": (("suite",), suite()),
            "gsp": (("gsp",), _ENDPOINT),
            "device_private": (("device_private",), _ENDPOINT),
            "device_global": (("device_global",), _ENDPOINT),
            "device_nat": (("device_nat",), _NAT),
            "capability_bits": (("capabilities", "bits"), _U32),
            "capability_mask": (("capabilities", "mask"), _U32),
        },
    ),
    Refused: (
        "refused",
        {
            "id": (("id",), _ID),
            "device": (("device",), _DEVICE),
            "code": (("code",), integer(0xFFFF)),
            "name": (("name",), text(32)),
            "reason": (("reason",), text(REASON_MAX)),
        },
    ),
    Disconnect: ("disconnect", {"nsi": (("nsi",), _NSI)}),
    Ping: ("ping", {"id": (("id",), _ID)}),
    Pong: ("pong", {"id": (("id",), _ID)}),
    Problem: ("error", {"id": (("id",), or_null(_ID)), "reason": (("reason",), text(REASON_MAX))}),
}
_CLIENT_TYPES = {_LAYOUT[cls][0]: cls for cls in (Connect, Disconnect, Ping)}
_SERVER_TYPES = {_LAYOUT[cls][0]: cls for cls in (Hello, Connected, Refused, Pong, Problem)}


def encode(message: Message) -> str:
    """Return the JSON text of a message."""
    name, fields = _LAYOUT[type(message)]
    out: dict[str, Any] = {"type": name}
    for attribute, (path, codec) in fields.items():
        place = out
        for key in path[:-1]:
            place = place.setdefault(key, {})
        place[path[-1]] = codec.write(getattr(message, attribute))
    return json.dumps(out, separators=(",", ":"))


def decode_client(text: str) -> ClientMessage:
    """Read what a client sent; raise MalformedError, whose `detail` is the message's id where there is one."""
    return cast(ClientMessage, _decode(text, _CLIENT_TYPES))


def decode_server(text: str) -> ServerMessage | None:
    """Read what a server sent; None for a type unknown to us. Raise MalformedError."""
    try:
        return cast(ServerMessage, _decode(text, _SERVER_TYPES))
    except _UnknownType:
        return None


class _UnknownType(MalformedError):
    pass


_T = TypeVar("_T")


def _decode(text: str, types: Mapping[str, type[_T]]) -> _T:
    document = _parse(text)
    id_ = document.get("id")
    detail = id_ if type(id_) is int and 0 <= id_ <= 0xFFFFFFFF else None
    name = document.get("type")
    cls = types.get(name) if type(name) is str else None
    if cls is None:
        raise _UnknownType(f"unknown type; expected one of {', '.join(types)}", detail)
    values = {}
    for attribute, (path, codec) in _LAYOUT[cls][1].items():
        if codec.default is not None and path[0] not in document:
            values[attribute] = codec.default
            continue
        try:
            value: Any = document
            for key in path:
                value = value[key]
            values[attribute] = codec.read(value)
        except (KeyError, TypeError, ValueError):
            raise MalformedError(f"{name}: {'.'.join(path)} must be {codec.expected}", detail) from None
    return cls(**values)


def _parse(text: str) -> dict[str, Any]:
    if len(text) > MESSAGE_MAX:
        raise MalformedError(f"message longer than {MESSAGE_MAX} bytes")
    try:
        document = json.loads(text, object_pairs_hook=_unique, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise MalformedError("not JSON, or a name occurs twice in an object") from None
    if not isinstance(document, dict):
        raise MalformedError("expected a JSON object")
    return document


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuse repeated names: two readers could take different ones of them."""
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("repeated name")
    return result


def _no_constant(_name: str) -> None:
    raise ValueError("NaN and infinity are not JSON")
