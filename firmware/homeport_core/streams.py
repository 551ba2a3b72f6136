"""All streams of one connection: tags, slots, answers to strangers, and whose turn it is (specification, streams 2)."""

from homeport_core import ticks
from homeport_core.compat import MICROPYTHON, const
from homeport_core.errors import FullError, StateError
from homeport_core.packet import Packet
from homeport_core.payloads import u16
from homeport_core.replay import MacCache
from homeport_core.spec import PL_SACK, PL_WINDOW, SUITE_AES, TLV_LEN
from homeport_core.stream import Stream
from homeport_core.stream_limits import StreamLimits
from homeport_core.stream_memory import FixedPool, GrowingPool
from homeport_core.stream_names import Names
from homeport_core.stream_states import CLOSED, SYN_RCVD, TIME_WAIT
from homeport_core.stream_strangers import Strangers
from homeport_core.stream_wire import ACK, IGNORED, NEWS, SYN, Outgoing, Window, read_sack

if not MICROPYTHON:
    from collections.abc import Callable

__all__ = ["FixedPool", "GrowingPool", "Stream", "StreamLimits", "Streams"]

# What `Streams.counters` counts: packets that changed nothing, by why.
MALFORMED = const(0)  # WINDOW missing, too short, or of flags that mean nothing; SACK of a size it cannot have
STRANGE = const(1)  # of no stream, or of another incarnation
REPEATED = const(2)  # a SYN seen before
REFUSED = const(3)  # a SYN there was no slot or memory for
COUNTERS = const(4)

_SYNS_KEPT = const(32)
_GRAVES_MAX = const(16)


class Streams(Outgoing):
    """The streams of one connection, as a machine without I/O.

    After every call that takes `now_ms`, and after a stream was read, written or released, the owner calls
    `next_changed` until None, then `poll` until it returns False, sealing and sending each packet, and arms its timer
    for `deadline_ms`. In that order a user who reads at once opens the window that the acknowledgment carries. Times
    are wrapping ticks.

    `tag`, `window`, `sack` and `data` are those of the polled packet, valid until the next call. `reliable` says that
    nothing is lost on the way to the peer (TCP end to end): then data is never sent twice (streams 3.10).
    """

    def __init__(
        self,
        rng: "Callable[[int], bytes]",
        limits: StreamLimits,
        initiator: bool,
        admit: "Callable[[], bool] | None" = None,
        pool: FixedPool | GrowingPool | None = None,
    ) -> None:
        """`rng(n)` gives random octets. `admit()` says whether a stream the peer opens may have a slot (None: always).

        `pool` gives streams their memory; a board shares one `FixedPool` among its connections. `when_over(now_ms,
        stream)`, where the owner sets it, is called for each stream that is over and forgotten.
        """
        super().__init__()
        self.when_over: Callable[[int, Stream], None] | None = None
        self.counters = [0] * COUNTERS
        self._limits = limits
        self._is_initiator = initiator
        self._admit = admit
        self._pool = GrowingPool(limits) if pool is None else pool
        self._streams: dict[int, Stream] = {}
        self._awake: list[Stream] = []
        self._changed: list[Stream] = []
        self._reliable = False
        self._names = Names(rng(4))
        self._held = 0  # streams that hold memory
        self._graves: list[Stream] = []  # those that only answer repetitions (TIME_WAIT), oldest first
        self._syns = MacCache(_SYNS_KEPT)  # MACs of the SYNs that were accepted
        self.strangers = Strangers()
        self._seen = Window()

    @property
    def reliable(self) -> bool:
        """Whether nothing is lost on the way to the peer."""
        return self._reliable

    @reliable.setter
    def reliable(self, is_reliable: bool) -> None:
        self._reliable = is_reliable
        for stream in self._streams.values():
            stream.rely(is_reliable)

    def open(self, now_ms: int) -> Stream:
        """Open a stream (initiator only). Raises FullError when all slots are taken, StateError as responder."""
        if not self._is_initiator:
            raise StateError("only the initiator of a connection opens streams")
        memory = self._pool.take() if self._held < self._limits.streams else None
        if memory is None:
            raise FullError("all streams of the connection are in use", self._limits.streams)
        self._held += 1
        stream = self._make(now_ms, self._names.new_tag(now_ms, self._streams), self._names.new_id())
        stream.rely(self._reliable)
        stream.begin(now_ms, memory)
        return stream

    def offer(self, limits: StreamLimits) -> None:
        """Open streams with these limits from now on: a client learns which segments its path carries."""
        self._limits = limits
        self._pool = GrowingPool(limits)

    def take(self, now_ms: int, packet: Packet, off: int, n: int) -> int:
        """A verified DATA packet with a stream tag and its plaintext `packet.buf[off:off + n]`, not kept.

        Returns NEWS, OLD or IGNORED of `stream_wire`. Never raises for what is in the packet.
        """
        window = self._seen
        if not self._read(packet, window):
            self.counters[MALFORMED] += 1
            return IGNORED
        window.off = off
        window.n = n
        stream = self._streams.get(window.tag)
        if stream is not None and window.flags == ACK and stream.state < CLOSED and stream.is_meant(window):
            return stream.take(now_ms, window)
        return self._take_other(now_ms, packet)

    def _read(self, packet: Packet, window: Window) -> bool:
        """Read tag, WINDOW, and SACK where there can be one; False without a tag or a sound WINDOW."""
        at = packet.find(PL_WINDOW)
        if packet.tag is None or at < 0 or not window.read(packet.buf, at, packet.found_len):
            return False
        window.tag = packet.tag
        window.buf = packet.buf
        window.ranges.clear()
        # In most packets CRYPTO, which is the last, follows WINDOW at once.
        if window.flags == ACK and packet.crypto_off != at + packet.found_len + TLV_LEN:
            at = packet.find(PL_SACK)
            if at >= 0 and not read_sack(packet.buf, at, packet.found_len, window.ranges):
                self.counters[MALFORMED] += 1
        return True

    def _take_other(self, now_ms: int, packet: Packet) -> int:
        """What opens, answers, ends or resets a stream, or is of none that is open."""
        window = self._seen
        tag = window.tag
        stream = self._streams.get(tag)
        if window.flags == SYN and (stream is None or stream.initiator_id != window.initiator):
            return self._take_syn(now_ms, packet, tag, window, stream)
        if stream is None or not stream.is_meant(window):
            self.counters[STRANGE] += 1
            if stream is None:
                self.strangers.turn_away(now_ms, tag, window, window.responder)
            return IGNORED
        if stream.state >= CLOSED and not self.strangers.may_answer(now_ms):
            return IGNORED
        return stream.take(now_ms, window)

    def poll(self, now_ms: int) -> bool:
        """Prepare the next packet to send in `tag`, `window`, `sack` and `data`; False when there is none now."""
        if self.strangers.waiting and self.strangers.poll(self):
            return True
        awake = self._awake
        while awake:
            stream = awake.pop(0)
            if stream.poll(now_ms, self):
                awake.append(stream)
                return True
            stream.is_awake = False
            self._settle(now_ms, stream)
        return False

    @property
    def deadline_ms(self) -> int | None:
        """When to call `timeout`, as ticks; None for never."""
        soonest = -1
        for stream in self._streams.values():
            deadline = stream.deadline_ms
            if deadline >= 0 and (soonest < 0 or ticks.diff(deadline, soonest) < 0):
                soonest = deadline
        return None if soonest < 0 else soonest

    def timeout(self, now_ms: int) -> None:
        """Do what is due."""
        for stream in list(self._streams.values()):
            deadline = stream.deadline_ms
            if deadline >= 0 and ticks.diff(now_ms, deadline) >= 0:
                stream.timeout(now_ms)

    def next_changed(self) -> Stream | None:
        """A stream with changes that its user has not taken, or None. Each is handed out once per change."""
        while self._changed:
            stream = self._changed.pop(0)
            stream.is_listed = False
            if stream.has_changes:
                return stream
        return None

    def path_changed(self, now_ms: int) -> None:
        """Packets take another way from now on: round trips and congestion are learned anew, and what is on the way is
        sent again."""
        for stream in self._streams.values():
            stream.restart(now_ms)

    def reset_all(self, now_ms: int) -> None:
        """Abort all streams; each that is open has an RST to send."""
        for stream in self._streams.values():
            stream.reset("the connection was closed")

    def fail_all(self) -> None:
        """The connection is gone: abort all streams, nothing is sent."""
        self.strangers.forget()
        for stream in self._streams.values():
            stream.fail("the connection was lost")
            stream.forget()

    # Streams that begin

    def _make(self, now_ms: int, tag: int, initiator_id: int) -> Stream:
        stream = Stream(now_ms, self._limits, tag, initiator_id, self._is_initiator, self._wake_up, self._list_changed)
        self._streams[tag] = stream
        return stream

    def _take_syn(self, now_ms: int, packet: Packet, tag: int, window: Window, old: Stream | None) -> int:
        """The peer opens a stream, on a free tag or on one whose stream is not live (streams 8).

        Replays are known by their MAC, which the null suite has none of: tag and id may come again, for there are
        clients that have but one id.
        """
        is_sealed = u16(packet.buf, packet.crypto_off) == SUITE_AES
        if is_sealed and self._syns.seen(packet.mac()):
            self.counters[REPEATED] += 1
            return IGNORED
        if old is not None:
            if SYN_RCVD < old.state < CLOSED and old.state != TIME_WAIT:
                self.strangers.turn_away(now_ms, tag, window, 0)
                return IGNORED
            old.give_up()
            self._settle(now_ms, old)
            self._streams.pop(tag, None)
        if self._is_initiator or self._held >= self._limits.streams or (self._admit and not self._admit()):
            return self._refuse(now_ms, tag, window)
        memory = self._pool.take()
        if memory is None:
            return self._refuse(now_ms, tag, window)
        self._held += 1
        stream = self._make(now_ms, tag, window.initiator)
        if not stream.answer(now_ms, window, self._names.new_id(), memory):
            self._bury(stream)
            del self._streams[tag]
            return self._refuse(now_ms, tag, window)
        stream.rely(self._reliable)
        if is_sealed:
            self._syns.add(packet.mac())
        return NEWS

    def _refuse(self, now_ms: int, tag: int, window: Window) -> int:
        self.counters[REFUSED] += 1
        self.strangers.turn_away(now_ms, tag, window, 0)
        return IGNORED

    # Streams that end

    def _settle(self, now_ms: int, stream: Stream) -> None:
        """Take back what a stream that is over, or nearly, needs no longer."""
        if not stream.is_over:
            return
        self._bury(stream)
        if stream.state == TIME_WAIT:
            if stream not in self._graves:
                self._graves.append(stream)
            if len(self._graves) <= _GRAVES_MAX:
                return
            stream = self._graves[0]
            stream.give_up()
        if stream in self._graves:
            self._graves.remove(stream)
        if self._streams.get(stream.tag) is stream:
            del self._streams[stream.tag]
            if self.when_over:
                self.when_over(now_ms, stream)
            if self._is_initiator:
                self._names.rest(now_ms, stream.tag)

    def _bury(self, stream: Stream) -> None:
        """Take a stream's memory back."""
        memory = stream.bury()
        if memory is not None:
            self._pool.give(memory)
            self._held -= 1

    # Streams that want something

    def _wake_up(self, stream: Stream) -> None:
        stream.is_awake = True
        self._awake.append(stream)

    def _list_changed(self, stream: Stream) -> None:
        stream.is_listed = True
        self._changed.append(stream)
