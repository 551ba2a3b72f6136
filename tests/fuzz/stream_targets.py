"""Fuzz targets of streams: the two payloads, and whole programmes of packets against a machine."""

from __future__ import annotations

from collections.abc import Callable

from homeport_core.stream_wire import ACK, RANGES_MAX, RST, Window, read_sack
from stream_frames import frame_of
from stream_target import play


def window(data: bytes) -> None:
    """WINDOW is read as the independent codec reads it, or refused as it does."""
    parsed = Window()
    accepted = parsed.read(b"\xee" + data + b"\xee", 1, len(data))
    try:
        frame = frame_of(0x1000, memoryview(bytes(4) + data), (), b"", False)
    except ValueError:
        frame = None
    if not accepted:
        flags = data[0] if data else 0
        if frame is not None and (flags & RST or flags in (0x10, 0x50, 0x80, 0x90)):
            raise AssertionError("a good WINDOW was refused")
        return
    if frame is None:
        raise AssertionError("a bad WINDOW was accepted")
    ours = (parsed.flags, parsed.initiator, parsed.responder, parsed.seq, parsed.ack)
    if ours != (frame.flags, frame.initiator, frame.responder, frame.seq, frame.ack):
        raise AssertionError("WINDOW read differently")
    if frame.flags == ACK and parsed.size != frame.window:
        raise AssertionError("advertised window read differently")


def sack(data: bytes) -> None:
    """At most four pairs, each as it stands there."""
    ranges: list[int] = []
    if read_sack(b"\xee" + data + b"\xee", 1, len(data), ranges):
        expected = [int.from_bytes(data[at : at + 4], "big") for at in range(0, min(len(data), 8 * RANGES_MAX), 4)]
        if ranges != expected or len(ranges) % 2:
            raise AssertionError("SACK read differently")
    elif ranges or (data and len(data) % 8 == 0):
        raise AssertionError("a good SACK was refused")


def streams(data: bytes) -> None:
    """The same programme against a device's machine and a client's; then silence, in which all comes to an end."""
    for initiator in (False, True):
        victim = play(data, initiator)
        for stream in victim.streams:
            stream.abort(victim.end.ticks(victim.now_ms))
        victim.drain()
        victim.pass_time(200_000)
        if victim.end.streams.deadline_ms is not None:
            raise AssertionError("something is left that has a timer")


TARGETS: dict[str, Callable[[bytes], None]] = {"stream_window": window, "stream_sack": sack, "streams": streams}
