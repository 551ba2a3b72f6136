"""The streams of a session: sealed, verified, and told to the user as events (specification, streams 1, 3.11).

What the stream machine wants to send is not taken after each packet but when `deadline_ms` comes, which is at once:
so one acknowledgement answers all packets of a burst.
"""

from __future__ import annotations

from homeport_core import ticks
from homeport_core.packet import Context, Packet, PacketWriter
from homeport_core.spec import IV_LEN, PL_SACK, PL_WINDOW, PT_DATA
from homeport_core.stream_states import CLOSED
from homeport_core.stream_wire import NEWS
from homeport_core.streams import Stream, StreamLimits, Streams

from homeport.client.session.events import StreamChanged
from homeport.client.session.opening import Opening, Rng
from homeport.client.session.paths import Path, PathKind

STREAMS_MAX = 256
DOUBT_MS = 1_000
SEND_MAX = 64  # packets in one go: other sessions want their turn
_PACKET_MAX = 0xFFFF
_LOOPBACK = 127

_REMOTE = StreamLimits(segment=1247, receive_window=512, send_window=512, streams=STREAMS_MAX)
# Exactly 1500 octets of IPv4 with the largest SACK.
_LAN = StreamLimits(segment=1359, receive_window=512, send_window=512, streams=STREAMS_MAX)
# The loopback interface carries whole UDP datagrams: far fewer packets for the same data.
_THIS_HOST = StreamLimits(segment=60_015, receive_window=64, send_window=64, streams=STREAMS_MAX, burst=16)


# `Stream.reason` of those that were reset because the connection took another path.
TOO_LARGE = "the connection took another path, which does not carry segments of the size agreed within one machine"


def limits_on(path: Path, is_own_address: bool = False) -> StreamLimits:
    """What a stream proposes that is opened on this path; its segments stay that large for life.

    `is_own_address`: the path leads to an address of this machine, which only its adapter can know.
    """
    if path.is_relayed:
        return _REMOTE
    if is_own_address or path.endpoint[0] == _LOOPBACK:
        return _THIS_HOST
    return _LAN if path.kind is PathKind.LOCAL else _REMOTE


class SessionStreams:
    """All streams of one session. Times are the session's; the machine inside counts in ticks."""

    def __init__(self, opening: Opening, rng: Rng) -> None:
        self._opening = opening
        self._rng = rng
        self._machine = Streams(rng, _REMOTE, initiator=True)
        self._large: list[tuple[Stream, Path]] = []  # with segments that only this path of theirs carries
        self._writer = PacketWriter(bytearray(_PACKET_MAX))
        self._now_ms = 0
        self._due_ms: int | None = None
        self._unanswered_since_ms: int | None = None

    @property
    def deadline_ms(self) -> int | None:
        """When to call `send`."""
        at = self._machine.deadline_ms
        timer_ms = None if at is None else self._now_ms + ticks.diff(at, self._ticks())
        times = [time for time in (self._due_ms, timer_ms) if time is not None]
        return min(times, default=None)

    def open(self, now_ms: int, path: Path, is_own_address: bool) -> Stream:
        """Open a stream with the segments that `path` carries (`limits_on`). Raises FullError."""
        self.wake(now_ms)
        limits = limits_on(path, is_own_address)
        self._machine.offer(limits)
        stream = self._machine.open(self._ticks())
        if limits is _THIS_HOST:
            self._large = [one for one in self._large if one[0].state < CLOSED]
            self._large.append((stream, path))
        return stream

    def wake(self, now_ms: int) -> bool:
        """Something was written, read, closed or given back; whether `deadline_ms` has come nearer by it."""
        was_awake = self._due_ms is not None
        self._now_ms = self._due_ms = now_ms
        return not was_awake

    def take(self, now_ms: int, packet: Packet, context: Context) -> bool:
        """Take a stream packet; whether it brought anything new, which no replay does. Raises ProtocolError."""
        off, n = context.open_in_place(packet)
        self.wake(now_ms)
        self._unanswered_since_ms = None
        return self._machine.take(self._ticks(), packet, off, n) == NEWS

    def send(self, now_ms: int, context: Context) -> list[bytes]:
        """Do what is due; the packets to send now."""
        self._now_ms = now_ms
        self._due_ms = None
        at = self._ticks()
        machine = self._machine
        machine.timeout(at)
        packets: list[bytes] = []
        while machine.poll(at):
            packets.append(self._seal(context))
            if len(packets) == SEND_MAX:
                self._due_ms = now_ms + 1
                break
        if packets and self._unanswered_since_ms is None:
            self._unanswered_since_ms = now_ms
        return packets

    def take_doubt(self, now_ms: int) -> bool:
        """Whether what was sent finds no answer, so that the path should be looked at; once a second."""
        since_ms = self._unanswered_since_ms
        if since_ms is None or now_ms - since_ms < DOUBT_MS:
            return False
        self._unanswered_since_ms = now_ms
        return True

    def path_changed(self, now_ms: int, path: Path) -> None:
        """Packets take another way. Streams with segments that it may not carry are reset."""
        self.wake(now_ms)
        for stream, own in self._large:
            if own != path:
                stream.reset(TOO_LARGE)
        self._large = [one for one in self._large if one[1] == path]
        self._machine.path_changed(self._ticks())

    def fail_all(self) -> None:
        """The session is over."""
        self._machine.fail_all()

    def next_event(self) -> StreamChanged | None:
        """What happened to a stream, or None."""
        stream = self._machine.next_changed()
        return None if stream is None else StreamChanged(stream, stream.take_changes())

    def _seal(self, context: Context) -> bytes:
        machine, writer = self._machine, self._writer
        writer.begin(PT_DATA, self._opening.sp, cp=self._opening.cp, tag=machine.tag)
        writer.add(PL_WINDOW, machine.window)
        if machine.sack:
            writer.add(PL_SACK, machine.sack)
        n = writer.seal(context, machine.data, self._rng(IV_LEN))
        return bytes(memoryview(writer.buf)[:n])

    def _ticks(self) -> int:
        return self._now_ms % ticks.PERIOD
