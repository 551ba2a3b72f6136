"""What a product decides about its stack: plain attributes with defaults, checked once when it is made."""

from homeport_core.compat import MICROPYTHON, const
from homeport_core.errors import ConfigError
from homeport_core.spec import (
    PACKET_MAX,
    PORT_CONTROLLER,
    PORT_LOCAL,
)

# Header with all options, CRYPTO's header and suite code, IV and MAC.
_ENVELOPE_LEN = const(26 + 6 + 16 + 16)
_BLOCK_LEN = const(16)

# Loopback, the private networks and link-local addresses.
PRIVATE_NETWORKS = (
    (b"\x7f\x00\x00\x00", 8),
    (b"\x0a\x00\x00\x00", 8),
    (b"\xac\x10\x00\x00", 12),
    (b"\xc0\xa8\x00\x00", 16),
    (b"\xa9\xfe\x00\x00", 16),
)


class Config:
    """Settings of one device. `Config(device_id, key, name=value, …)` raises ConfigError for a bad one."""

    # Identity. Without a key (16 octets shared with the basestation) only local access is offered.
    device_id = ""
    key = b""
    application_version = ""
    url = ""
    version = (0, 1, 0)
    version_label = ""

    # Where to register: resolve the device id, or this name; or use these endpoints (6 octets each).
    controller_host = ""
    controllers = ()
    controller_port = PORT_CONTROLLER

    # What the local socket offers (specification, core 6.5) and to which networks ((address, prefix bits), …).
    discovery = True
    local_clear = True
    local_psk = True
    legacy_rpc = False
    local_port = PORT_LOCAL
    local_networks = PRIVATE_NETWORKS

    # Silence of the GSP: a poll each `alive_poll_ms`, loss at the `alive_polls`th (core 4.2).
    alive_poll_ms = 13000
    alive_polls = 5

    # Sizes of fixed tables and buffers.
    packet_max = PACKET_MAX
    connections = 10
    connections_per_source = 8
    request_max = 200
    response_max = 200
    request_queue = 1
    answers_kept = 4
    replay_window = 128
    event_max = 224
    events = 4

    # Streams, where the application offers any: slots in all and for one client, the largest segment in octets, and
    # the windows both ways in segments.
    streams = 4
    streams_per_client = 8
    stream_segment = 1247 if MICROPYTHON else 65000
    stream_window = 4 if MICROPYTHON else 256

    # Features of the reference that can be left out. `tcp_fallback` says that the port offers that transport.
    client_names = True
    many_ports = True
    many_sockets = True  # where the port has them
    tcp_fallback = False
    # Where TCP is tried; 0: at the controller's own port number.
    tcp_port = 0
    attach_statistics = True
    # Names clients, addresses and traffic in the clear, so a product has to ask for it (core 14 row 22).
    connection_statistics = False

    def __init__(self, device_id: str, key: bytes = b"", **settings: object) -> None:
        self.device_id = device_id
        self.key = key
        for name, value in settings.items():
            if name.startswith("_") or not hasattr(self, name):
                raise ConfigError("no such setting: " + name)
            setattr(self, name, value)
        from homeport_device.config_check import check

        check(self)

    def is_on_link(self, address: bytes) -> bool:
        """Whether an IPv4 address (or endpoint) belongs to one of the local networks."""
        return any(_shares_prefix(address, network, bits) for network, bits in self.local_networks)


def sealed_len(plaintext_len: int) -> int:
    """The most octets a packet can have that carries so much plaintext."""
    return _ENVELOPE_LEN + (plaintext_len // _BLOCK_LEN + 1) * _BLOCK_LEN


def _shares_prefix(address: bytes, network: bytes, bits: int) -> bool:
    for i in range(4):
        left = bits - 8 * i
        if left <= 0:
            return True
        mask = 0xFF if left >= 8 else 0xFF00 >> left & 0xFF
        if address[i] & mask != network[i] & mask:
            return False
    return True
