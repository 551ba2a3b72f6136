"""Payloads a device reads or writes: `parse_x(data)` and `build_x(…)`, without the 4-octet payload header
(specification, core 2). Endpoints are 6 octets (IPv4 address, port) and NSIs 4, kept as bytes.

Parsers raise MalformedError(detail = offset) for anything but a well-formed payload.
"""

import struct
from collections import namedtuple

from homeport_core.errors import MalformedError
from homeport_core.spec import (
    ENDPOINT_ZERO,
    FINGERPRINT_LEN,
    FP_SHA256,
    GATEWAY_ID_LEN,
    NSI_ZERO,
)

Ipx = namedtuple("Ipx", ("private", "global_", "flags", "sp", "co", "cp"))
Version = namedtuple("Version", ("kind", "major", "minor", "patch", "label"))
Capability = namedtuple("Capability", ("bits", "mask", "suites"))
Gateway = namedtuple("Gateway", ("endpoint", "peer", "gateway_id"))
Push = namedtuple("Push", ("sequence", "service", "flags"))

_IPX_LEN = 17
_IPX_SP_LEN = 21
_IPX_ALL_LEN = 33


def u16(data: bytes | bytearray, off: int) -> int:
    """A big-endian 16-bit number."""
    return data[off] << 8 | data[off + 1]


def u32(data: bytes | bytearray, off: int) -> int:
    """A big-endian 32-bit number."""
    return data[off] << 24 | data[off + 1] << 16 | data[off + 2] << 8 | data[off + 3]


def need(data: bytes | bytearray, least: int, name: str) -> None:
    """Raise MalformedError when `data` is shorter than `least` octets."""
    if len(data) < least:
        raise MalformedError(name + " too short", len(data))


def parse_id(data: bytes) -> tuple[int, bytes]:
    """SP_ID, CP_ID, DESCR (core 2.1, 2.14): (kind, octets)."""
    need(data, 1, "id")
    return data[0], data[1:]


def build_id(kind: int, octets: bytes) -> bytes:
    """SP_ID, CP_ID, DESCR (core 2.1, 2.14)."""
    return bytes((kind,)) + octets


def parse_fp(data: bytes) -> bytes | None:
    """FP (core 2.2): the 16 octets, or None for a kind or size that has to be ignored."""
    if len(data) != 1 + FINGERPRINT_LEN or data[0] != FP_SHA256:
        return None
    return data[1:]


def build_fp(fingerprint: bytes) -> bytes:
    """FP (core 2.2)."""
    return bytes((FP_SHA256,)) + fingerprint


def parse_notify(data: bytes) -> tuple[int, bytes]:
    """NOTIFY (core 2.4): (code, NSI.sp of the connection or empty)."""
    if len(data) not in (4, 8):
        raise MalformedError("NOTIFY is neither 4 nor 8 octets", len(data))
    return u32(data, 0), data[4:]


def build_notify(code: int, nsi: bytes = b"") -> bytes:
    """NOTIFY (core 2.4)."""
    return struct.pack(">I", code) + nsi


def parse_ipx(data: bytes) -> Ipx:
    """IPX (core 2.5); `sp`, `co`, `cp` are empty in the shorter variants."""
    size = len(data)
    if size + 4 < _IPX_LEN:
        raise MalformedError("IPX too short", size)
    sp = data[13:17] if size + 4 >= _IPX_SP_LEN else b""
    co = data[17:25] if size + 4 >= _IPX_ALL_LEN else b""
    cp = data[25:29] if size + 4 >= _IPX_ALL_LEN else b""
    return Ipx(data[0:6], data[6:12], data[12], sp, co, cp)


def build_ipx(
    private: bytes = ENDPOINT_ZERO,
    global_: bytes = ENDPOINT_ZERO,
    flags: int = 0,
    sp: bytes = b"",
    co: bytes = b"",
    cp: bytes = b"",
) -> bytes:
    """IPX (core 2.5): 17, 21 (with `sp`) or 33 octets (with all NSIs) including the payload header."""
    return private + global_ + bytes((flags,)) + sp + co + cp


def parse_version(data: bytes) -> Version:
    """VERSION (core 2.10); `patch` is None and `label` empty in the short form."""
    need(data, 10, "VERSION")
    patch = None
    label = b""
    if len(data) >= 14:
        patch = u32(data, 10)
        label = data[14:]
    return Version(u16(data, 0), u32(data, 2), u32(data, 6), patch, label)


def build_version(kind: int, major: int, minor: int, patch: int | None = None, label: bytes = b"") -> bytes:
    """VERSION (core 2.10)."""
    data = struct.pack(">HII", kind, major, minor)
    if patch is not None:
        data += struct.pack(">I", patch) + label
    return data


def parse_capability(data: bytes) -> Capability:
    """CAPABILITY (core 2.11); `suites` is a tuple of suite codes, empty when the payload has no list."""
    need(data, 9, "CAPABILITY")
    suites: tuple[int, ...] = ()
    if len(data) >= 11:
        count = u16(data, 9)
        if 11 + 2 * count > len(data):
            raise MalformedError("CAPABILITY lists more suites than it holds", 9)
        suites = tuple([u16(data, 11 + 2 * i) for i in range(count)])
    return Capability(u32(data, 1), u32(data, 5), suites)


def build_capability(bits: int, mask: int, suites: tuple[int, ...] = ()) -> bytes:
    """CAPABILITY (core 2.11)."""
    data = struct.pack(">BII", 0, bits, mask)
    if suites:
        data += struct.pack(">H", len(suites))
        for suite in suites:
            data += struct.pack(">H", suite)
    return data


def parse_gw(data: bytes) -> Gateway:
    """GW (core 2.9). The gateway id must be 20 octets."""
    if len(data) != 10 + GATEWAY_ID_LEN:
        raise MalformedError("GW is not 30 octets", len(data))
    return Gateway(data[0:6], data[6:10], data[10:])


def build_gw(endpoint: bytes, peer: bytes, gateway_id: bytes) -> bytes:
    """GW (core 2.9)."""
    return endpoint + peer + gateway_id


def parse_time(data: bytes) -> tuple[int, int]:
    """TIME (core 2.13): (Unix time in seconds, kind, which means nothing)."""
    need(data, 5, "TIME")
    return u32(data, 1), data[0]


def build_time(unix_s: int, kind: int = 1) -> bytes:
    """TIME (core 2.13)."""
    return struct.pack(">BI", kind, unix_s & 0xFFFFFFFF)


def parse_piggy(data: bytes) -> bytes:
    """PIGGY (core 2.12): the event octets."""
    need(data, 4, "PIGGY")
    return data[4:]


def build_piggy(event: bytes) -> bytes:
    """PIGGY (core 2.12)."""
    return NSI_ZERO + event


def parse_push(data: bytes) -> Push:
    """PUSH (core 2.25)."""
    if len(data) != 7:
        raise MalformedError("PUSH is not 7 octets", len(data))
    return Push(u32(data, 0), u16(data, 4), data[6])


def build_push(sequence: int, service: int, flags: int) -> bytes:
    """PUSH (core 2.25)."""
    return struct.pack(">IHB", sequence, service, flags)


def parse_items(data: bytes) -> list[tuple[int, bytes]]:
    """The item lists of CONNECTION_INFO, STREAM_STATS and SYSTEM_INFO (core 2.21): [(kind, value)]."""
    items = []
    off = 0
    while off < len(data):
        if off + 2 > len(data) or data[off + 1] < 2 or off + data[off + 1] > len(data):
            raise MalformedError("item length does not fit", off)
        items.append((data[off], data[off + 2 : off + data[off + 1]]))
        off += data[off + 1]
    return items


def build_items(items: "list[tuple[int, bytes]] | tuple[tuple[int, bytes], ...]") -> bytes:
    """An item list (core 2.21)."""
    data = b""
    for kind, value in items:
        data += bytes((kind, len(value) + 2)) + value
    return data


def parse_rendezvous_stats(data: bytes) -> tuple[int, int, int, int, int]:
    """RENDEZVOUS_STATS (core 2.20): (version, client NAT type, device NAT type, ports tried, sockets opened)."""
    need(data, 7, "RENDEZVOUS_STATS")
    return data[0], data[1], data[2], u16(data, 3), u16(data, 5)


def build_rendezvous_stats(version: int, client_nat: int, device_nat: int, ports: int, sockets: int) -> bytes:
    """RENDEZVOUS_STATS (core 2.20)."""
    return struct.pack(">BBBHH", version, client_nat, device_nat, ports, sockets)


def parse_attach_stats(data: bytes) -> tuple[int, int, int]:
    """ATTACH_STATS (core 2.22): (version, status, flags)."""
    need(data, 3, "ATTACH_STATS")
    return data[0], data[1], data[2]


def build_attach_stats(version: int, status: int, flags: int) -> bytes:
    """ATTACH_STATS (core 2.22)."""
    return bytes((version, status, flags))
