"""The legacy protocol of the local socket: discovery, and clear RPC where a product wants it (specification, core
6.1, 6.2)."""

from homeport_core import legacy
from homeport_core.compat import const
from homeport_core.errors import MalformedError
from homeport_core.rate import RateLimit
from homeport_core.spec import (
    DESCR_APPLICATION,
    DESCR_FINGERPRINT,
    DESCR_LOCAL,
    DESCR_LOCAL_PSK,
    DESCR_URL,
)

from homeport_device.drops import MALFORMED, OFF, RATE, TAKEN, UNKNOWN
from homeport_device.output import LOCAL

# A response is up to eight times its request, so it must not be had in bulk (core 14 row 14).
_ANSWERS_PER_S = const(20)
_QUERY_ID_LEN = const(4)


class Local:
    """Answers legacy requests; the stack has checked that they come from an adjacent network."""

    __slots__ = ("_limit", "_stack")

    def __init__(self, stack: object) -> None:
        self._stack = stack
        self._limit = RateLimit(_ANSWERS_PER_S)

    def take(self, now_ms: int, data: bytes, source: bytes) -> int:
        """One datagram whose first word is below 100."""
        try:
            opcode, echo, body = legacy.parse_request(data)
            if opcode == legacy.OP_DISCOVERY:
                return self._discover(now_ms, echo, body, source)
            return self._call(echo, body, source)
        except MalformedError:
            return MALFORMED

    def _discover(self, now_ms: int, echo: bytes, body: bytes, source: bytes) -> int:
        config = self._stack.config
        if not config.discovery:
            return OFF
        device_id = config.device_id.encode()
        if legacy.parse_discovery(body) not in (device_id, legacy.ANY_DEVICE):
            return UNKNOWN
        if not self._limit.allows(now_ms):
            return RATE
        items = [
            (DESCR_APPLICATION, device_id),
            (DESCR_APPLICATION, (config.application_version or "-").encode()),
            (DESCR_URL, (config.url or "-").encode()),
        ]
        if config.local_clear:
            items.append((DESCR_LOCAL, b"1"))
        if config.local_psk:
            items.append((DESCR_LOCAL_PSK, b"1"))
        items.append((DESCR_FINGERPRINT, b"1"))
        endpoint = bytes(4) + config.local_port.to_bytes(2, "big")
        answer = legacy.build_discovery_body(endpoint, items)
        return self._send(legacy.build_response(legacy.OP_DISCOVERY, echo, answer), source)

    def _call(self, echo: bytes, body: bytes, source: bytes) -> int:
        if not self._stack.config.legacy_rpc:
            return OFF
        if len(body) < _QUERY_ID_LEN or len(body) > self._stack.config.request_max:
            return MALFORMED
        answer, done = self._stack.rpc.legacy(body)
        return self._send(legacy.build_response(legacy.OP_RPC, echo, answer if done else b"", not done), source)

    def _send(self, answer: bytes, source: bytes) -> int:
        self._stack.output.send_copy(LOCAL, source, answer, len(answer))
        return TAKEN
