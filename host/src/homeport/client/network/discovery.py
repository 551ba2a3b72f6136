"""Finding devices on the local network (specification, core 6.1 and 10.1), sans I/O.

A request goes to every given endpoint (broadcast addresses, or one host) three times within a second; whoever
answers is reported once. Answers are not authenticated: they say where to try, nothing more.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from homeport_core.errors import HomeportError, MalformedError
from homeport_core.legacy import (
    ANY_DEVICE,
    OP_DISCOVERY,
    build_discovery,
    find_names,
    parse_discovery_body,
    parse_response,
)
from homeport_core.spec import DESCR_FINGERPRINT, DESCR_LOCAL, DESCR_LOCAL_PSK, DEVICE_ID_MAX

SENDS_MS = (0, 300, 700)
MAX_FOUND = 1_000  # a flood of invented devices must not fill our memory
_TEXT_MAX = 128
_ID_OCTETS = frozenset(b"abcdefghijklmnopqrstuvwxyz0123456789-.")


@dataclass(frozen=True)
class Found:
    """A device that answered; `endpoint` (6 bytes) is where the answer came from."""

    device_id: str
    endpoint: bytes
    version: str
    url: str
    local: bool
    psk: bool
    fingerprint: bool


def parse_found(data: bytes, source: bytes) -> tuple[Found, bytes]:
    """Read a discovery response and the 8 octets that it echoes. Raises MalformedError."""
    opcode, echo, body, error = parse_response(data)
    if opcode != OP_DISCOVERY or error:
        raise MalformedError("not a discovery response", 0)
    _, items = parse_discovery_body(body)
    device_id, version, url = find_names(items)
    if not 0 < len(device_id) <= DEVICE_ID_MAX or not _ID_OCTETS.issuperset(device_id):
        raise MalformedError("discovery response without a device id", len(device_id))
    flags = {kind for kind, text in items if text == b"1"}
    found = Found(
        device_id.decode(),
        source,
        _text(version),
        _text(url),
        DESCR_LOCAL in flags,
        DESCR_LOCAL_PSK in flags,
        DESCR_FINGERPRINT in flags,
    )
    return found, echo


class Discovery:
    """One search, for `device_id` or for all devices; the caller decides when it is over."""

    nsis: tuple[bytes, ...] = ()

    def __init__(self, device_id: str | None, endpoints: list[bytes], nonce: bytes) -> None:
        """`nonce` is 8 random octets that answers must repeat."""
        self._device_id = device_id
        self._endpoints = endpoints
        self._nonce = nonce
        self._request = build_discovery(device_id.encode() if device_id else ANY_DEVICE, nonce)
        self._found: dict[tuple[str, bytes], Found] = {}
        self._events: list[Found] = []
        self._out: list[tuple[bytes, bytes]] = []
        self._due_ms: list[int] = []
        self.drops: Counter[str] = Counter()

    @property
    def deadline_ms(self) -> int | None:
        """When to send again."""
        return self._due_ms[0] if self._due_ms else None

    @property
    def found(self) -> list[Found]:
        """Everyone so far, in order of arrival."""
        return list(self._found.values())

    def start(self, now_ms: int) -> None:
        """Send the first requests."""
        self._due_ms = [now_ms + delay_ms for delay_ms in SENDS_MS]
        self.timeout(now_ms)

    def timeout(self, now_ms: int) -> None:
        """Send again if it is time."""
        while self._due_ms and now_ms >= self._due_ms[0]:
            self._due_ms.pop(0)
            self._out += [(self._request, endpoint) for endpoint in self._endpoints]

    def datagram(self, now_ms: int, data: bytes | bytearray, source: bytes) -> None:
        """Take an answer; anything else is counted and dropped."""
        try:
            found, echo = parse_found(bytes(data), source)
        except MalformedError:
            self.drops["malformed"] += 1
            return
        key = (found.device_id, source)
        if echo != self._nonce or self._device_id not in (None, found.device_id):
            self.drops["unexpected"] += 1
        elif key not in self._found and len(self._found) < MAX_FOUND:
            self._found[key] = found
            self._events.append(found)

    def datagrams(self) -> list[tuple[bytes, bytes]]:
        """Take what is to be sent: (datagram, endpoint)."""
        out = self._out
        self._out = []
        return out

    def next_event(self) -> Found | None:
        """Take the next device that was not reported yet."""
        return self._events.pop(0) if self._events else None

    def broken(self, error: HomeportError) -> None:
        """It cannot go on; the caller decides when it is over, as always."""


def _text(octets: bytes) -> str:
    """Peer text: printable and short."""
    text = octets[:_TEXT_MAX].decode("utf-8", "replace")
    return "".join(character if character.isprintable() else "\ufffd" for character in text)
