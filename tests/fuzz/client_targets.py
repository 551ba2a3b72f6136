"""Fuzz targets of the client's machines: any datagram, in any state, is taken or counted, and never raises.

The octets of NSI.cp and NSI.sp are replaced by the session's, so that fuzzing gets past the first look.
"""

from __future__ import annotations

from collections.abc import Callable

from homeport import gate_messages
from homeport.client.network.discovery import Discovery
from homeport.client.network.probe import Probe
from homeport.client.session.clear import ClearOpening
from homeport.client.session.introduced import IntroducedOpening, Introduction
from homeport.client.session.opening import Opening
from homeport.client.session.paths import PathKind
from homeport.client.session.psk import PskOpening
from homeport.client.session.session import Session
from homeport_core.errors import MalformedError

ENDPOINT = bytes((192, 168, 1, 30, 0x15, 0xC2))
KEY = bytes(range(96))
PSK = bytes(range(16))


def rng(n: int) -> bytes:
    """The same octets each time, so that a crash can be repeated."""
    return bytes([0x5A]) * n


def openings() -> list[Opening]:
    """One of each kind."""
    introduction = Introduction(b"\x7a\x01\x02\x03", KEY, ENDPOINT, ENDPOINT, ENDPOINT, 7)
    return [
        ClearOpening(ENDPOINT, "me", PSK, rng),
        PskOpening(ENDPOINT, "demo", "me", PSK, PSK, PSK, rng),
        IntroducedOpening(introduction, frozenset((PathKind.DIRECT, PathKind.RELAY)), rng),
    ]


def session(data: bytes) -> None:
    """Every kind of session, as it starts and with a request under way, survives the datagram and what follows."""
    for opening in openings():
        target = Session(opening, rng)
        target.start(0)
        target.request(0, b"\x00\x00\x00\x01", 1_000)
        for datagram in (data, opening.cp + data[4:], opening.cp + opening.sp + data[8:]):
            target.datagram(1, datagram, ENDPOINT)
        for now_ms in range(0, 30_000, 250):
            deadline = target.deadline_ms
            if deadline is not None and deadline <= now_ms:
                target.timeout(now_ms)
                target.datagram(now_ms, data, ENDPOINT)
            target.datagrams()
        while target.next_event() is not None:
            pass


def discovery(data: bytes) -> None:
    """A search takes an answer or counts it."""
    target = Discovery(None, [ENDPOINT], data[4:12])
    target.start(0)
    target.datagram(1, data, ENDPOINT)
    if len(target.found) + sum(target.drops.values()) != 1:
        raise AssertionError("neither taken nor counted")


def probe(data: bytes) -> None:
    """Nothing without the key ends a probe."""
    target = Probe(PSK[:8], KEY, ENDPOINT, rng)
    target.start(0)
    target.datagram(1, data, ENDPOINT)
    if target.next_event() is not None or sum(target.drops.values()) != 1:
        raise AssertionError("a forged answer was taken")


def gate_message(data: bytes) -> None:
    """What a gate may say: a message, nothing, or MalformedError."""
    try:
        message = gate_messages.decode_server(data.decode("utf-8", "replace"))
    except MalformedError:
        return
    if message is not None:
        gate_messages.encode(message)


TARGETS: dict[str, Callable[[bytes], None]] = {
    "client_session": session,
    "client_discovery": discovery,
    "client_probe": probe,
    "gate_message": gate_message,
}
