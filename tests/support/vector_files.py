"""Test vectors and captures, found from wherever a test runs, on both interpreters."""

import json

_HERE = __file__.rsplit("/", 1)[0] if "/" in __file__ else "."
_VECTORS = _HERE + "/../vectors/"

CAPTURES = (
    "attach_plain_8byte_nonce", "attach_wrong_key", "connect_refused_by_acl", "connect_rendezvous_rpc_direct",
    "connect_rpc_relayed", "genvexnabto_client", "invite_schedule", "keepalive", "legacy_rpc",
    "local_connect_rpc_pairing", "local_discovery", "local_edge_cases", "local_psk", "nsi_clash",
    "oversize_datagram", "piggyback_events", "push", "reattach_after_gsp_silence", "rendezvous_client_symmetric",
    "retransmissions", "secure_attach", "stream_echo", "stream_handshake", "tcp_fallback", "tunnel_echo_100k",
)  # fmt: skip


def load(name: str) -> dict:
    """A file of tests/vectors, such as "vectors-acl.json" or "captures/local_psk.json"."""
    with open(_VECTORS + name) as file:
        return json.load(file)


def unhex(text: str) -> bytes:
    """Octets from hex digits."""
    return bytes.fromhex(text)


def capture(name: str) -> dict:
    """One capture of a real device, by its name without the ending."""
    return load("captures/" + name + ".json")


def damaged(good: bytes) -> "list[tuple[str, bytes]]":
    """`good` cut at every octet, with every octet flipped, and with tails: what a parser has to survive."""
    bad = [("cut at %d" % i, good[:i]) for i in range(len(good))]
    for i in range(len(good)):
        for mask in (0x01, 0x80, 0xFF):
            bad.append(("octet %d ^ %02x" % (i, mask), good[:i] + bytes((good[i] ^ mask,)) + good[i + 1 :]))
    for tail in (b"\x00", b"\xff", b"\x36\x00\x00\x00", bytes(64)):
        bad.append(("tail of %d" % len(tail), good + tail))
    return bad
