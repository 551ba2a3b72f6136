"""The rest of the payload catalogue: what hosts, tests and packet tools need and a device does not
(specification, core 1.4, 2)."""

import struct
from collections import namedtuple

from homeport_core.errors import MalformedError
from homeport_core.payloads import need, u16, u32
from homeport_core.stream_wire import ACK, SACK_MAX, SYN, SYN_ACK, Outgoing, Window, read_sack, write_range

PT_NAMES = {
    1: "SP_ATTACH", 2: "SP_AUTH", 3: "SP_ALIVE", 4: "SP_DETACH", 11: "CP_REQ_SP", 12: "CP_CONN_SP",
    13: "CP_DISC_SP", 21: "GW_CONN", 22: "DATA", 23: "GW_CONN_U", 30: "PROBE", 31: "STATS", 32: "PING",
    128: "U_INVITE", 129: "U_ATTACH", 130: "U_ALIVE", 131: "U_CONNECT", 132: "U_DEBUG", 133: "U_PUSH",
    134: "U_VERIFY_PSK", 135: "U_CONNECT_PSK",
}  # fmt: skip

PL_NAMES = {
    0x30: "CERT", 0x31: "SP_ID", 0x32: "NONCE", 0x33: "NONCE_ID", 0x34: "NOTIFY", 0x35: "IPX", 0x36: "CRYPTO",
    0x37: "VERIFY", 0x38: "GW", 0x39: "EP", 0x3A: "VERSION", 0x3B: "CAPABILITY", 0x3C: "PIGGY", 0x3D: "WINDOW",
    0x3E: "TIME", 0x3F: "CP_ID", 0x40: "DESCR", 0x41: "SACK", 0x42: "STATS", 0x43: "CONNECT_STATS",
    0x44: "RENDEZVOUS_STATS", 0x45: "CONNECTION_STATS", 0x46: "ATTACH_STATS", 0x47: "PING",
    0x48: "SYSLOG_CONFIG", 0x49: "GWWS", 0x4A: "SYSTEM_INFO", 0x4B: "FP", 0x4C: "PUSH", 0x4D: "PUSH_DATA",
    0x4E: "STREAM_STATS", 0x4F: "BASESTATION_AUTH", 0x50: "CONNECTION_INFO", 0x51: "RANDOM", 0x52: "KEY_ID",
}  # fmt: skip

NOTIFY_NAMES = {
    0x0001: "OK", 0x0002: "ATTACH_CLOSE", 0x0003: "MICRO_ACK", 0x8000: "ERROR", 0x8001: "UNKNOWN_SERVER",
    0x8002: "SP_CERTIFICATE", 0x8003: "CP_CERTIFICATE", 0x8004: "CP_ACCESS", 0x8005: "PROTOCOL_VERSION",
    0x8006: "BAD_CERT_ID", 0x8007: "UNKNOWN_MICRO", 0x8008: "ENCR_MISMATCH", 0x8009: "BUSY_MICRO",
    0x800A: "MICRO_REQ_ERR", 0x800B: "MICRO_REATTACHING", 0x800C: "SELF_SIGNED", 0x800D: "CP_ACCESS_BS",
    0x800E: "CONNECTION_ABORTED", 0x800F: "BAD_KEY_ID", 0x8010: "MISSING_CAPABILITIES", 0x8011: "BAD_KEY",
}  # fmt: skip

AER_NAMES = {
    3: "NOT_READY", 4: "NO_ACCESS", 5: "TOO_SMALL", 6: "TOO_LARGE", 7: "INV_QUERY_ID", 8: "RSP_TOO_LARGE",
    9: "OUT_OF_RESOURCES", 10: "SYSTEM_ERROR", 11: "NO_QUERY_ID",
}  # fmt: skip

NAT_OPEN = 2
NAT_BLOCKED = 3

NOTIFY_ATTACH_CLOSE = 0x0002
NOTIFY_UNKNOWN_SERVER = 0x8001
NOTIFY_SP_CERTIFICATE = 0x8002
NOTIFY_CP_CERTIFICATE = 0x8003
NOTIFY_PROTOCOL_VERSION = 0x8005
NOTIFY_BAD_CERT_ID = 0x8006
NOTIFY_UNKNOWN_MICRO = 0x8007
NOTIFY_MICRO_REQ_ERR = 0x800A
NOTIFY_MICRO_REATTACHING = 0x800B
NOTIFY_SELF_SIGNED = 0x800C
NOTIFY_CP_ACCESS_BS = 0x800D

PL_VERIFY = 0x37
PL_CONNECT_STATS = 0x43
PL_CONNECTION_STATS = 0x45
PL_PING = 0x47
PL_SYSLOG_CONFIG = 0x48
PL_GWWS = 0x49
PL_SYSTEM_INFO = 0x4A
PL_BASESTATION_AUTH = 0x4F

ATTACH_STATUS_NAMES = (
    "ok", "failed", "verification failed", "decryption failed", "attach timed out", "GSP attach failed",
    "controller invite failed", "DNS look-up failed", "nonce verification failed", "integrity check failed",
)  # fmt: skip

GatewayNonce = namedtuple("GatewayNonce", ("kind", "flags", "cp", "sp", "co", "gateway_id"))
WebGateway = namedtuple("WebGateway", ("host", "peer", "gateway_id"))
Syslog = namedtuple("Syslog", ("flags", "facility", "port", "address", "duration_s", "pattern", "host"))
Ping = namedtuple("Ping", ("identifier", "sequence", "flags", "stamp", "data"))


def parse_window(data: bytes) -> Window:
    """WINDOW (core 2.15): `size` is -1 unless the flags are exactly ACK."""
    window = Window()
    if not window.read(data, 0, len(data)):
        raise MalformedError("WINDOW is cut off, or its flags mean nothing", len(data))
    return window


def build_window(window: Window) -> bytes:
    """WINDOW (core 2.15)."""
    out = Outgoing()
    numbers = (window.initiator, window.responder, window.seq, window.ack)
    if window.flags == ACK:
        out.put_ack(0, *numbers, window.size)
        return bytes(out.window)
    out.put_head(window.flags, 0, *numbers)
    if window.flags in (SYN, SYN_ACK):
        out.put_syn_block(
            window.options,
            window.receive_len,
            window.receive_window,
            window.transmit_len,
            window.transmit_window,
            window.retries,
            window.timeout_ms,
        )
    return bytes(out.window)


def parse_sack(data: bytes) -> list[tuple[int, int]]:
    """SACK (core 2.15): 1 to 4 ranges (start, end)."""
    numbers: list[int] = []
    if len(data) > SACK_MAX or not read_sack(data, 0, len(data), numbers):
        raise MalformedError("SACK is not 1 to 4 ranges", len(data))
    return list(zip(numbers[0::2], numbers[1::2]))


def build_sack(ranges: list[tuple[int, int]]) -> bytes:
    """SACK (core 2.15)."""
    data = bytearray(8 * len(ranges))
    at = 0
    for start, end in ranges:
        at = write_range(data, at, start, end)
    return bytes(data)


def parse_gateway_nonce(data: bytes) -> GatewayNonce:
    """The NONCE of GW_CONN_U (core 2.3)."""
    if len(data) != 38:
        raise MalformedError("gateway NONCE is not 38 octets", len(data))
    return GatewayNonce(data[0], data[1], data[2:6], data[6:10], data[10:18], data[18:])


def build_gateway_nonce(nonce: GatewayNonce) -> bytes:
    """The NONCE of GW_CONN_U (core 2.3)."""
    return bytes((nonce.kind, nonce.flags)) + nonce.cp + nonce.sp + nonce.co + nonce.gateway_id


def parse_gwws(data: bytes) -> WebGateway:
    """GWWS (core 2.9)."""
    host, off = _parse_text(data, 0, "GWWS host")
    need(data, off + 4, "GWWS")
    return WebGateway(host, data[off : off + 4], data[off + 4 :])


def build_gwws(gateway: WebGateway) -> bytes:
    """GWWS (core 2.9)."""
    return _build_text(gateway.host) + gateway.peer + gateway.gateway_id


def parse_ping(data: bytes) -> Ping:
    """PING (core 2.16); `stamp` is 8 opaque octets."""
    need(data, 13, "PING")
    return Ping(u16(data, 0), u16(data, 2), data[4], data[5:13], data[13:])


def build_ping(ping: Ping) -> bytes:
    """PING (core 2.16)."""
    return struct.pack(">HHB", ping.identifier, ping.sequence, ping.flags) + ping.stamp + ping.data


def parse_syslog_config(data: bytes) -> Syslog:
    """SYSLOG_CONFIG (core 2.17); `host` is None when absent."""
    need(data, 12, "SYSLOG_CONFIG")
    pattern, off = _parse_text(data, 12, "SYSLOG_CONFIG pattern")
    host = _parse_text(data, off, "SYSLOG_CONFIG host")[0] if off < len(data) else None
    return Syslog(data[0], data[1], u16(data, 2), data[4:8], u32(data, 8), pattern, host)


def build_syslog_config(config: Syslog) -> bytes:
    """SYSLOG_CONFIG (core 2.17)."""
    data = struct.pack(">BBH", config.flags, config.facility, config.port) + config.address
    data += struct.pack(">I", config.duration_s) + _build_text(config.pattern)
    return data if config.host is None else data + _build_text(config.host)


def parse_stats(data: bytes) -> int:
    """STATS (core 2.18): the event."""
    need(data, 1, "STATS")
    return data[0]


def build_stats(event: int) -> bytes:
    """STATS (core 2.18)."""
    return bytes((event,))


def parse_connect_stats(data: bytes) -> tuple[int, int]:
    """CONNECT_STATS (core 2.19): (version, connection type)."""
    need(data, 2, "CONNECT_STATS")
    return data[0], data[1]


def build_connect_stats(version: int, connection_type: int) -> bytes:
    """CONNECT_STATS (core 2.19)."""
    return bytes((version, connection_type))


def parse_connection_stats(data: bytes) -> tuple[int, ...]:
    """CONNECTION_STATS (core 2.19): version, age ms, packets received, sent, octets received, sent."""
    if len(data) != 21:
        raise MalformedError("CONNECTION_STATS is not 21 octets", len(data))
    return struct.unpack(">BIIIII", data)


def build_connection_stats(values: tuple[int, ...]) -> bytes:
    """CONNECTION_STATS (core 2.19)."""
    return struct.pack(">BIIIII", *values)


def parse_push_data(data: bytes) -> tuple[int, int, bytes]:
    """PUSH_DATA (core 2.26): (purpose, encoding, data)."""
    need(data, 2, "PUSH_DATA")
    return data[0], data[1], data[2:]


def build_push_data(purpose: int, encoding: int, data: bytes) -> bytes:
    """PUSH_DATA (core 2.26)."""
    return bytes((purpose, encoding)) + data


def parse_basestation_auth(data: bytes) -> list[tuple[bytes, bytes]]:
    """BASESTATION_AUTH (core 2.27): pairs of key and value."""
    texts = []
    off = 0
    while off < len(data):
        text, off = _parse_text(data, off, "BASESTATION_AUTH")
        texts.append(text)
    if len(texts) % 2:
        raise MalformedError("BASESTATION_AUTH key without a value", len(data))
    return list(zip(texts[0::2], texts[1::2]))


def build_basestation_auth(pairs: list[tuple[bytes, bytes]]) -> bytes:
    """BASESTATION_AUTH (core 2.27)."""
    return b"".join(_build_text(key) + _build_text(value) for key, value in pairs)


def parse_verify(data: bytes) -> int:
    """VERIFY (core 2.8, 4.5.2): the sum behind the filler octets (0xAB or 0xCD)."""
    if len(data) != 12:
        raise MalformedError("VERIFY is not 12 octets", len(data))
    digits = data.lstrip(data[:1]) if data[0] in (0xAB, 0xCD) else data
    total = 0
    for octet in digits:
        total = (total << 8 | octet) & 0xFFFFFFFF
    return total


def build_verify(total: int, filler: int) -> bytes:
    """VERIFY (core 4.5.2): the sum right-aligned behind one zero octet and the filler."""
    digits = struct.pack(">I", total & 0xFFFFFFFF).lstrip(b"\x00")
    return bytes((filler,)) * (11 - len(digits)) + b"\x00" + digits


def _parse_text(data: bytes, off: int, name: str) -> tuple[bytes, int]:
    need(data, off + 2, name)
    end = off + 2 + u16(data, off)
    need(data, end, name)
    return data[off + 2 : end], end


def _build_text(text: bytes) -> bytes:
    return struct.pack(">H", len(text)) + text
