"""Fuzz target of the end-to-end exchange: whatever the basestation says in it, neither side takes it for the key."""

from __future__ import annotations

from collections.abc import Callable

from device_bench import CLIENT, FINGERPRINT, NSI, Bench
from homeport.client.session.rekey import Rekey
from homeport_core.errors import ProtocolError
from homeport_core.spec import FRAMING_END_TO_END, TAG_FRAMING
from homeport_device.output import REMOTE

KEY_ID = b"\x48\x50\xe2\x01" + bytes(range(12))
KEY = bytes(range(0x60, 0x70))
COMMAND = FRAMING_END_TO_END.to_bytes(4)
_PLAINTEXT_MAX = 1_200


def end_to_end(data: bytes) -> None:
    """The octets as the message of the exchange, to a device and to a client."""
    bench = Bench()
    bench.app.end_to_end = (KEY_ID, KEY)
    bench.connected()
    for message in (data[:_PLAINTEXT_MAX], COMMAND + data[:_PLAINTEXT_MAX], COMMAND + KEY_ID + data[:64]):
        bench.deliver(REMOTE, bench.data(message, tag=TAG_FRAMING), CLIENT)
    bench.deliver(REMOTE, bench.query(1), CLIENT)
    connection = bench.stack.connections.find(NSI)
    assert bench.app.runs == 0
    assert connection is None or not connection.is_end_to_end

    exchange = Rekey(NSI, FINGERPRINT, KEY_ID, KEY, bytes)
    for message in (data, COMMAND + data, COMMAND + b"\0\0\0\x01" + data):
        try:
            exchange.take(message)
        except ProtocolError:
            continue
    assert not exchange.is_done


TARGETS: dict[str, Callable[[bytes], None]] = {"end_to_end": end_to_end}
