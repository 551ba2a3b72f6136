"""A client with the reference's streams, defects and all, over a real socket; its user writes and reads by hand."""

import time

from homeport_core.packet import Packet
from homeport_core.payloads import u32
from homeport_core.spec import FRAMING_CLOSE, PT_DATA, TAG_FRAMING
from reference_stream import FIRST_TAG, LAST_TAG, PASS_MS, ReferencePeer
from reference_stream_states import END_HINT, State
from scripted_world import Client
from stream_frames import Block, FreshWire

PATIENCE_S = 20
DATAGRAM_MAX = 1368


class ReferenceStreamClient(Client):
    """`resets` are the resets that came. With `lazy` only every second segment is acknowledged at once."""

    def __init__(self, window: int = 16, lazy: bool = False) -> None:
        super().__init__()
        self._limits = Block(rx_win=window, tx_win=window)
        self._lazy = lazy
        self._next_pass_ms = 0
        self.resets = []
        self.peer = None

    def begin(self, device, nsi, keys):
        super().begin(device, nsi, keys)
        self.wire = FreshWire(keys, sp=u32(nsi, 0), cp=0x99999999)
        self.peer = ReferencePeer(self.wire, self._limits, streams=64)
        self.peer.acks_lazily = self._lazy
        self.peer.now_ms = _now_ms()

    def open(self, line=b"", **names):
        """An open stream, `line` written on it."""
        stream = self.peer.open(**names)
        self.until(lambda: stream.state is State.ESTABLISHED)
        if line:
            assert stream.write(line) == len(line)
        return stream

    def pump(self):
        """Look at the timers, send what is due, take what comes."""
        if _now_ms() >= self._next_pass_ms:
            self.peer.tick(_now_ms())
            self._next_pass_ms = _now_ms() + PASS_MS
        self._flush()
        self.socket.settimeout(PASS_MS / 1000)
        try:
            data = self.socket.recv(65536)
        except TimeoutError:
            return
        assert len(data) <= DATAGRAM_MAX, "the reference cannot receive it"
        self._take(data)
        self._flush()

    def _take(self, data):
        packet = Packet()
        packet.decode_from(bytearray(data))
        if packet.type != PT_DATA or packet.tag == TAG_FRAMING or packet.sp != self.nsi:
            return
        assert packet.cp == bytes(4)
        assert FIRST_TAG <= packet.tag <= LAST_TAG
        frame = self.wire.decode(data)
        if frame.flags & 0x20:
            self.resets.append(frame)
        self.peer.take(_now_ms(), data)

    def _flush(self):
        for datagram in self.peer.taken():
            self.socket.sendto(datagram, self.device)

    def until(self, found):
        """Pump until `found()`. Raises AssertionError when it takes too long."""
        end_s = time.monotonic() + PATIENCE_S
        while not found():
            assert time.monotonic() < end_s, "did not happen"
            self.pump()

    def transfer(self, stream, data, close=True):
        """Write `data`, and close if told so; returns all that comes until the device's end."""
        got = bytearray()
        at = 0
        end_s = time.monotonic() + PATIENCE_S
        while time.monotonic() < end_s:
            if at < len(data):
                at += stream.write(data[at : at + 5000])
            elif close:
                stream.close()
                close = False
            part, hint = stream.read(_now_ms())
            got += part
            if hint == END_HINT:
                return bytes(got)
            assert stream.state is not State.ABORTED, "reset"
            if not part:
                self.pump()
        raise AssertionError("%d octets, and no end" % len(got))

    def receive(self, stream, n):
        """So many octets."""
        got = bytearray()

        def is_there():
            part, hint = stream.read(_now_ms())
            got.extend(part)
            assert not hint, "ended after %d octets" % len(got)
            return len(got) >= n

        self.until(is_there)
        return bytes(got)

    def leave(self):
        """Close the connection, so that the device has its slots again."""
        self._send(FRAMING_CLOSE.to_bytes(4, "big"), TAG_FRAMING)
        self.close()

    def send(self, frame):
        """A packet of a test's own making."""
        self.socket.sendto(self.wire.encode(frame), self.device)


def _now_ms():
    return time.monotonic_ns() // 1_000_000
