"""The 12-octet legacy header of the local port: discovery and clear RPC (specification, core 6.1, 6.2)."""

from homeport_core.compat import const
from homeport_core.errors import MalformedError
from homeport_core.spec import DESCR_APPLICATION, DESCR_URL, ENDPOINT_ZERO, LEGACY_LIMIT

OP_RPC = const(0)
OP_DISCOVERY = const(1)
HEADER_LEN = const(12)
_RESPONSE = const(0x80)
_ERROR = const(0x40)
_QUERY_ID_LEN = const(4)
_ITEMS_OFF = const(18)
ANY_DEVICE = b"*"


def is_legacy(data: bytes | bytearray) -> bool:
    """Whether a datagram at the local port is in the legacy protocol (core 1.1)."""
    return len(data) >= 4 and not (data[0] or data[1] or data[2]) and data[3] < LEGACY_LIMIT


def parse_request(data: bytes | bytearray, n: int = -1) -> tuple[int, bytes, bytes]:
    """(opcode, the 8 octets to echo, body) of a request. Raises MalformedError."""
    if n < 0:
        n = len(data)
    if n < HEADER_LEN:
        raise MalformedError("legacy packet shorter than its header", n)
    if data[0] or data[1] or data[2] or data[3] not in (OP_RPC, OP_DISCOVERY):
        raise MalformedError("not a legacy request", 0)
    return data[3], bytes(data[4:HEADER_LEN]), bytes(data[HEADER_LEN:n])


def build_request(opcode: int, echo: bytes, body: bytes) -> bytes:
    """A request; `echo` is sequence and reserved word, 8 octets that come back."""
    return bytes((0, 0, 0, opcode)) + echo + body


def parse_discovery(body: bytes) -> bytes:
    """The device id (or `*`) a discovery request asks for. Raises MalformedError without the closing NUL."""
    end = body.find(b"\x00")
    if end < 0:
        raise MalformedError("discovery without a closing NUL", len(body))
    return body[:end]


def build_discovery(device_id: bytes, echo: bytes = bytes(8)) -> bytes:
    """A discovery request for one device, or for `*`."""
    return build_request(OP_DISCOVERY, echo, device_id + b"\x00")


def build_response(opcode: int, echo: bytes, body: bytes, error: bool = False) -> bytes:
    """A response; the error bit is the only error report there is."""
    return bytes((0, _RESPONSE | (_ERROR if error else 0), 0, opcode)) + echo + body


def parse_response(data: bytes | bytearray) -> tuple[int, bytes, bytes, bool]:
    """(opcode, echoed octets, body, error) of a response. Raises MalformedError."""
    if len(data) < HEADER_LEN:
        raise MalformedError("legacy packet shorter than its header", len(data))
    if data[0] or data[2] or not data[1] & _RESPONSE or data[1] & 0x3F or data[3] > OP_DISCOVERY:
        raise MalformedError("not a legacy response", 0)
    return data[3], bytes(data[4:HEADER_LEN]), bytes(data[HEADER_LEN:]), bool(data[1] & _ERROR)


def build_discovery_body(endpoint: bytes, items: "list[tuple[int, bytes]]") -> bytes:
    """What a device answers: its endpoint (address left zero) and {kind, text NUL} items, device id first."""
    body = endpoint
    for kind, text in items:
        body += bytes((kind,)) + text + b"\x00"
    return body


def parse_discovery_body(body: bytes) -> tuple[bytes, list[tuple[int, bytes]]]:
    """(endpoint, items) of a discovery response.

    The reference puts a stray octet and a NUL behind every text, which read as items without text: these are
    left out. Raises MalformedError.
    """
    if len(body) < len(ENDPOINT_ZERO):
        raise MalformedError("discovery response too short", len(body))
    items = []
    off = len(ENDPOINT_ZERO)
    while off < len(body):
        end = body.find(b"\x00", off + 1)
        if end < 0:
            raise MalformedError("discovery text without a closing NUL", off)
        if end > off + 1:
            items.append((body[off], body[off + 1 : end]))
        off = end + 1
    return body[: len(ENDPOINT_ZERO)], items


def find_names(items: "list[tuple[int, bytes]]") -> tuple[bytes, bytes, bytes]:
    """(device id, application version, URL) of discovery items; empty where absent or `-`.

    Kind 1 stands for the id the first time and for the version the second.
    """
    ones = [text for kind, text in items if kind == DESCR_APPLICATION]
    urls = [text for kind, text in items if kind == DESCR_URL]
    version = ones[1] if len(ones) > 1 else b"-"
    url = urls[0] if urls else b"-"
    return (ones[0] if ones else b"", b"" if version == b"-" else version, b"" if url == b"-" else url)
