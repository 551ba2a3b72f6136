"""What the parts of the reference device have in common."""

import socket
from dataclasses import dataclass, field

from homeport_core.payloads import u16
from homeport_core.spec import CAP_FP, CAP_MICRO, CAP_TAG, CAP_UDP

RECEIVE_MAX = 272  # a build without streams; what is longer is cut, and so dropped
MASK = 0x0B3C
BITS = CAP_MICRO | CAP_UDP | CAP_TAG | CAP_FP
INVITE_REPEAT_S = 2


def endpoint(address):
    return socket.inet_aton(address[0]) + address[1].to_bytes(2, "big")


def address(octets):
    return socket.inet_ntoa(octets[:4]), u16(octets, 4)


@dataclass
class Connection:
    """One connection; `peer` is None until the first verified DATA."""

    nsi: bytes
    context: object
    is_async: bool
    fingerprint: bytes | None = None
    client: bytes = b""
    endpoints: tuple = ()
    searches_until: float = 0.0
    searches_next: float = 0.0
    search_wanted: bool = False
    peer: tuple | None = None
    stream_sock: object = None  # where stream packets came last
    is_local: bool = False
    handshake: object = None
    nonce: bytes = b""
    closed: float = 0.0  # when it goes, once it was closed
    later: list = field(default_factory=list)
