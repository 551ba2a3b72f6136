"""The packets that a client sends (specification, core 5.4, 5.8, 6.3, 6.4 and 7.1)."""

from __future__ import annotations

import struct

from homeport_core.packet import Context, encode
from homeport_core.payloads import build_capability, build_fp, build_id, build_ipx, build_notify
from homeport_core.spec import (
    CAP_ASYNC,
    CAP_FP,
    CAP_FRCTRL,
    CAP_TAG,
    CLIENT_ID_MAX,
    FL_EXCEPTION,
    FRAMING_CLOSE,
    FRAMING_FEATURES,
    FRAMING_KEEP_ALIVE,
    FRAMING_SEARCH,
    ID_MAIL,
    IPX_CP_ASYNC,
    IPX_NO_RENDEZVOUS,
    NOTIFY_CONNECTION_ABORTED,
    PL_CAPABILITY,
    PL_CP_ID,
    PL_EP,
    PL_FP,
    PL_IPX,
    PL_KEY_ID,
    PL_NONCE,
    PL_NOTIFY,
    PL_RANDOM,
    PLF_PAYLOADS,
    PT_DATA,
    PT_U_CONNECT,
    PT_U_CONNECT_PSK,
    PT_U_VERIFY_PSK,
    SUITE_AES,
    TAG_FRAMING,
)

_PSK_CAPABILITIES = CAP_TAG | CAP_FRCTRL | CAP_ASYNC | CAP_FP


def _identity(client_id: str, fingerprint: bytes | None) -> list[tuple[int, bytes]]:
    payloads = [(PL_CP_ID, build_id(ID_MAIL, client_id.encode()[:CLIENT_ID_MAX]))]
    if fingerprint is not None:
        payloads.append((PL_FP, build_fp(fingerprint)))
    return payloads


def clear_connect(cp: bytes, sp: bytes, client_id: str, fingerprint: bytes | None) -> bytes:
    """U_CONNECT for a clear local connection under the NSI `sp`, so that repeating it is harmless (core 6.3)."""
    ipx = build_ipx(flags=IPX_NO_RENDEZVOUS | IPX_CP_ASYNC, sp=sp)
    return encode(PT_U_CONNECT, [(PL_IPX, ipx), *_identity(client_id, fingerprint)], cp=cp)


def psk_connect(
    context: Context, cp: bytes, client_id: str, fingerprint: bytes | None, key_id: bytes, nonce: bytes, iv: bytes
) -> bytes:
    """The first message of a local PSK connection (core 6.4)."""
    payloads = [
        (PL_CAPABILITY, build_capability(_PSK_CAPABILITIES, _PSK_CAPABILITIES, (SUITE_AES,))),
        *_identity(client_id, fingerprint),
        (PL_KEY_ID, key_id),
        (PL_NONCE, nonce),
    ]
    return encode(PT_U_CONNECT_PSK, payloads, cp=cp, context=context, iv=iv)


def psk_verify(context: Context, cp: bytes, sp: bytes, random: bytes, device_nonce: bytes, iv: bytes) -> bytes:
    """The third message of a local PSK connection: our random number and the device's nonce, sealed."""
    plaintext = _payload(PL_RANDOM, random) + _payload(PL_NONCE, device_nonce)
    return encode(PT_U_VERIFY_PSK, sp=sp, cp=cp, context=context, plaintext=plaintext, iv=iv, crypto_flags=PLF_PAYLOADS)


def psk_abort(cp: bytes, sp: bytes) -> bytes:
    """Tell the device to forget a PSK attempt; there is no answer."""
    notify = build_notify(NOTIFY_CONNECTION_ABORTED)
    return encode(PT_U_CONNECT_PSK, [(PL_NOTIFY, notify)], sp=sp, flags=FL_EXCEPTION, cp=cp)


def rendezvous(
    cp: bytes, sp: bytes, seq: int, to: bytes, own: bytes | None = None, interval_ms: int | None = None
) -> bytes:
    """A rendezvous packet to the endpoint `to`; `own` is our address as the other end saw it (core 5.4)."""
    payloads = [(PL_EP, to)]
    if own is not None:
        payloads.append((PL_EP, own))
    if interval_ms is not None:
        payloads.append((PL_NONCE, interval_ms.to_bytes(4)))
    return encode(PT_U_CONNECT, payloads, sp=sp, seq=seq, cp=cp)


def keep_alive(context: Context, cp: bytes, sp: bytes, counter: int, iv: bytes) -> bytes:
    """The keep-alive that holds a connection, commits a device to a path and binds the relay (core 5.8)."""
    return _framing(context, cp, sp, counter & 0xFFFF, struct.pack(">II", FRAMING_KEEP_ALIVE, counter), iv)


def end_to_end_keep_alive(context: Context, cp: bytes, sp: bytes, counter: int, iv: bytes) -> bytes:
    """A keep-alive under end-to-end keys: its length tells the GSP that it does not bind (docs/extensions.md)."""
    return _framing(context, cp, sp, counter & 0xFFFF, struct.pack(">IIQ", FRAMING_KEEP_ALIVE, counter, 0), iv)


def hello(context: Context, cp: bytes, sp: bytes, message: bytes, iv: bytes) -> bytes:
    """Ask a device for end-to-end keys."""
    return _framing(context, cp, sp, 1, message, iv)


def features(context: Context, cp: bytes, sp: bytes, iv: bytes) -> bytes:
    """Ask what the device can do beyond the reference; others ignore it (docs/extensions.md)."""
    return _framing(context, cp, sp, 1, FRAMING_FEATURES.to_bytes(4), iv)


def search(context: Context, cp: bytes, sp: bytes, message: bytes, iv: bytes) -> bytes:
    """Ask a device to look for a direct path to the endpoints in `message` (docs/extensions.md)."""
    return _framing(context, cp, sp, 1, FRAMING_SEARCH.to_bytes(4) + message, iv)


def close(context: Context, cp: bytes, sp: bytes, iv: bytes = b"") -> bytes:
    """Tell the device that the connection is over."""
    return _framing(context, cp, sp, 1, FRAMING_CLOSE.to_bytes(4), iv)


def request(context: Context, cp: bytes, sp: bytes, seq: int, plaintext: bytes, iv: bytes) -> bytes:
    """An RPC request: query id and parameters, sealed. Raises FullError when it is larger than a packet."""
    return encode(PT_DATA, sp=sp, seq=seq, cp=cp, context=context, plaintext=plaintext, iv=iv)


def _framing(context: Context, cp: bytes, sp: bytes, seq: int, plaintext: bytes, iv: bytes) -> bytes:
    return encode(PT_DATA, sp=sp, seq=seq, cp=cp, tag=TAG_FRAMING, context=context, plaintext=plaintext, iv=iv)


def _payload(payload_type: int, data: bytes) -> bytes:
    return struct.pack(">BBH", payload_type, 0, len(data) + 4) + data
