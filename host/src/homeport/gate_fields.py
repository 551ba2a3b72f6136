"""How single values look in the gate's JSON messages, and the checks that what a peer sent is such a value."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, NamedTuple

from homeport_core import spec

from homeport import wire

_ENDPOINT_TEXT_MAX = 21  # 255.255.255.255:65535
_DEVICE_ID = re.compile(r"[a-z0-9.-]{1,%d}" % spec.DEVICE_ID_MAX)


class Codec(NamedTuple):
    """How one field looks in JSON. `read` raises ValueError or TypeError for anything but `expected`.

    `default` is the value of a field that is not there; without one the field has to be.
    """

    expected: str
    read: Callable[[Any], Any]
    write: Callable[[Any], Any]
    default: Any = None


def _same(value: Any) -> Any:
    return value


def integer(maximum: int, minimum: int = 0) -> Codec:
    """A whole number."""

    def read(value: Any) -> int:
        # bool is an int in Python, but not in JSON
        if type(value) is not int or not minimum <= value <= maximum:
            raise ValueError
        return value

    return Codec(f"an integer from {minimum} to {maximum}", read, _same)


def boolean() -> Codec:
    """A truth value."""

    def read(value: Any) -> bool:
        if type(value) is not bool:
            raise ValueError
        return value

    return Codec("true or false", read, _same)


def text(max_len: int) -> Codec:
    """Text for people, at most `max_len` bytes of UTF-8."""

    def read(value: Any) -> str:
        if type(value) is not str or len(value.encode()) > max_len or not (value == "" or value.isprintable()):
            raise ValueError
        return value

    return Codec(f"printable text of at most {max_len} bytes", read, _same)


def device_id() -> Codec:
    """A device id (specification, core 2.1)."""

    def read(value: Any) -> str:
        if type(value) is not str or not _DEVICE_ID.fullmatch(value):
            raise ValueError
        return value

    return Codec(f"a device id: 1 to {spec.DEVICE_ID_MAX} of a-z, 0-9, '-' and '.'", read, _same)


def hex_octets(n: int) -> Codec:
    """Exactly `n` bytes, in hex."""
    pattern = re.compile(r"[0-9a-f]{%d}" % (2 * n))

    def read(value: Any) -> bytes:
        if not pattern.fullmatch(value):
            raise ValueError
        return bytes.fromhex(value)

    return Codec(f"{2 * n} lower-case hex digits", read, bytes.hex)


def suite() -> Codec:
    """A suite code (specification, core 3.1)."""
    octets = hex_octets(2)
    return Codec(
        octets.expected,
        lambda value: int.from_bytes(octets.read(value), "big"),
        lambda value: octets.write(value.to_bytes(2, "big")),
    )


def endpoint() -> Codec:
    """An IPv4 endpoint, 6 bytes."""
    return Codec("an endpoint a.b.c.d:port", read_endpoint, write_endpoint)


def read_endpoint(text: Any) -> bytes:
    """Read "a.b.c.d:port" as a 6-byte endpoint; raise ValueError."""
    if type(text) is not str or len(text) > _ENDPOINT_TEXT_MAX:
        raise ValueError("expected a.b.c.d:port")
    return wire.endpoint(wire.parse_address(text))


def write_endpoint(octets: bytes) -> str:
    """Return "a.b.c.d:port"."""
    return wire.address_text(wire.address(octets))


def optional(codec: Codec, default: Any) -> Codec:
    """The same, but the field, which stands at the top of its message, may be missing: younger than version 1."""
    return codec._replace(default=default)


def or_null(codec: Codec) -> Codec:
    """The same, or null for None."""
    return Codec(
        f"{codec.expected}, or null",
        lambda value: None if value is None else codec.read(value),
        lambda value: None if value is None else codec.write(value),
    )
