"""Connections and the table that holds them (specification, core 5, 6).

A connection begins CONNECTING when it was introduced by the GSP or asked for on the local network, or VERIFYING while a
PSK handshake runs. Its first verified DATA packet makes it CONNECTED and fixes the path to the peer; a close makes
it CLOSING for a moment, in which repeated closes are still answered. Silence ends it in every state.
"""

from homeport_core import ticks
from homeport_core.compat import const
from homeport_core.errors import FullError, StateError
from homeport_core.replay import MacCache
from homeport_core.spec import ENDPOINT_ZERO, LEGACY_LIMIT, LOCAL_NSI_MAX, NSI_LEN, SUITE_AES

# States
CONNECTING = const(0)
VERIFYING = const(1)
CONNECTED = const(2)
CLOSING = const(3)

# Events
VERIFIED = const(0)  # the client completed the PSK handshake
FIRST_DATA = const(1)  # a DATA packet passed its check
CLOSED = const(2)  # the client asked to close
PATH_LOST = const(3)  # TCP ended before it was used

TRANSITIONS = (
    (VERIFYING, VERIFIED, CONNECTING),
    (CONNECTING, FIRST_DATA, CONNECTED),
    (CONNECTED, CLOSED, CLOSING),
    (CONNECTED, PATH_LOST, CONNECTING),
)

# Timers (core 5.8): until the first packet, after that 3.5 keep-alive intervals, and after a close.
CONNECT_TIMEOUT_MS = const(20000)
INTERVAL_MS = const(5000)
INTERVAL_MIN_MS = const(1000)
INTERVAL_MAX_MS = const(18000)
LINGER_MS = const(300)


def timeout_for(interval_ms: int) -> int:
    """How long to wait for a peer that keeps alive at this interval; out of bounds is clamped (core 14 row 9)."""
    if interval_ms == 0:
        interval_ms = INTERVAL_MS
    return min(max(interval_ms, INTERVAL_MIN_MS), INTERVAL_MAX_MS) * 7 // 2


class Traffic:
    """What passed over a connection, for its statistics. Received octets are plaintext (core 2.21)."""

    __slots__ = ("age_ms", "received", "received_len", "sent", "sent_len", "_at_ms")

    def __init__(self, now_ms: int) -> None:
        self.sent = self.sent_len = self.received = self.received_len = 0
        self.age_ms = 0
        self._at_ms = now_ms

    def count_sent(self, n: int) -> None:
        """One packet of `n` octets went out."""
        self.sent += 1
        self.sent_len += n

    def count_received(self, n: int) -> None:
        """One packet with `n` octets of plaintext came in."""
        self.received += 1
        self.received_len += n

    def grow_older(self, now_ms: int) -> None:
        """Bring `age_ms` up to date; often enough that ticks do not wrap in between."""
        self.age_ms += ticks.diff(now_ms, self._at_ms)
        self._at_ms = now_ms


class Connection:
    """One client's connection.

    For applications: `fingerprint` (16 octets or None) and `client_id` (octets, possibly empty) name the client, with
    `is_local`, `is_psk`, `is_authentic` and `is_end_to_end` telling how far to believe them; `nsi` (4 octets) names
    the connection. On a clear local connection anybody on the network may claim any name (core 14 row 13).
    """

    def __init__(self, nsi: bytes, cp: bytes, context: object, socket: object, peer: bytes, now_ms: int) -> None:
        self.nsi = nsi
        self.cp = cp
        self.context = context
        self.socket = socket
        self.peer = peer
        self.source = peer[:4]  # who asked for it: bounds the slots of one host
        self.is_local = False
        self.is_psk = False
        self.is_async = False
        self.is_barred = False  # its user has an end-to-end key, which it does not use: framing is all it gets
        self.key_id = b""  # of the pre-shared key under which it was opened, or to which it went over
        self.fingerprint = None
        self.client_id = b""
        self.announced = ENDPOINT_ZERO  # the client's endpoint as the basestation saw it
        self.state = CONNECTING
        self.timeout_ms = timeout_for(INTERVAL_MS)
        self.deadline_ms = ticks.add(now_ms, CONNECT_TIMEOUT_MS)
        self.traffic = Traffic(now_ms)
        self.sequence = None  # an `end_to_end.Sequence`, once it is end to end through the basestation
        self.seen = None  # MACs of late; none under the null suite, which has no MAC
        self.rendezvous = None
        self.handshake = None  # a local connection's `psk.Handshake`, a remote one's `end_to_end.Exchange`
        self.owes_open_report = False
        self.co = b""  # NSI.co, which stream packets repeat
        self.fallback = None  # TCP through a gateway, while it may be used
        self.is_reliable = False  # whether its way loses nothing

    @property
    def is_on_fallback(self) -> bool:
        """Whether TCP through a gateway is its way."""
        return self.fallback is not None and self.socket is self.fallback.link

    @property
    def outlives_silence(self) -> bool:
        """Whether its end would be told, so that silence means nothing."""
        return self.is_on_fallback and not self.fallback.keeps_alive

    @property
    def is_authentic(self) -> bool:
        """Whether the client's identity was proved: by the basestation's word, or by a pre-shared key."""
        return not self.is_local or self.is_psk

    @property
    def is_end_to_end(self) -> bool:
        """Whether client and device share its key, and nobody else, the basestation included."""
        return bool(self.key_id)

    @property
    def is_unproved(self) -> bool:
        """Whether it is a local request that nothing followed: anybody on the network can have those."""
        return self.is_local and (self.state == VERIFYING or (self.state == CONNECTING and not self.is_psk))

    def enter(self, event: int) -> None:
        """The only writer of `state` after construction."""
        for state, on, following in TRANSITIONS:
            if state == self.state and on == event:
                self.state = following
                return
        raise StateError("connection: event not expected in this state", (self.state, event))

    def begin_handshake(self, handshake: object) -> None:
        """Start as VERIFYING instead of CONNECTING."""
        self.handshake = handshake
        self.state = VERIFYING

    def install(self, context: object, replay_window: int) -> None:
        """Use these keys for DATA, and remember its MACs."""
        self.context = context
        self.seen = MacCache(replay_window) if context.suite == SUITE_AES else None

    def go_over(self, replay_window: int) -> None:
        """Leave the basestation's keys for those of the exchange, for good."""
        self.key_id = self.handshake.key_id
        self.sequence = self.handshake.sequence
        self.install(self.handshake.context, replay_window)
        self.handshake = None

    def restart_timer(self, now_ms: int) -> None:
        """The peer is alive."""
        deadline_ms = ticks.add(now_ms, self.timeout_ms)
        if deadline_ms != self.deadline_ms:
            self.traffic.grow_older(now_ms)
            self.deadline_ms = deadline_ms

    def close(self, now_ms: int) -> None:
        """Linger for repeated closes, then go."""
        self.enter(CLOSED)
        self.deadline_ms = ticks.add(now_ms, min(self.timeout_ms, LINGER_MS))


class Connections:
    """A fixed number of slots, and what must not be used twice."""

    # NSIs that a GSP introduced under the present keys. When the log is full the device attaches anew, with
    # new keys under which the old introductions prove nothing (core 14 row 2).
    INTRODUCTIONS_MAX = 256

    def __init__(self, config: object, rng: object) -> None:
        self.slots = [None] * config.connections
        self._per_source = config.connections_per_source
        self._introduced = bytearray()
        seed = rng(2)
        self._next_nsi = LEGACY_LIMIT + (seed[0] << 8 | seed[1]) % (LOCAL_NSI_MAX - LEGACY_LIMIT + 1)

    def find(self, nsi: bytes) -> Connection | None:
        """The open connection with that NSI.sp, or None."""
        for connection in self.slots:
            if connection is not None and connection.nsi == nsi:
                return connection
        return None

    def find_client(self, cp: bytes) -> Connection | None:
        """The PSK connection that a client opened under that NSI.cp, or None."""
        for connection in self.slots:
            if connection is not None and connection.is_psk and connection.cp == cp:
                return connection
        return None

    def any_open(self) -> bool:
        """Whether there is any connection."""
        return any(connection is not None for connection in self.slots)

    def new_nsi(self) -> bytes:
        """An NSI for a local connection: 100 to 1000, counting up, none in use (core 1.5)."""
        while True:
            nsi = self._next_nsi.to_bytes(NSI_LEN, "big")
            self._next_nsi = self._next_nsi + 1 if self._next_nsi < LOCAL_NSI_MAX else LEGACY_LIMIT
            if self.find(nsi) is None:
                return nsi

    def victim(self, source: bytes | None) -> Connection | None:
        """Whom to release before a connection from `source` (None: from the GSP) can be added, or None.

        A host that has its share, or a full table, gives up a connection that only lingers, or else its oldest
        unproved one (core 14 row 16).
        """
        if source is not None and self._count(source) >= self._per_source:
            return self._first_spare(source)
        if None in self.slots:
            return None
        return self._first_spare(None)

    def has_room(self, source: bytes | None) -> bool:
        """Whether a connection from `source` (None: from the GSP) may be added now."""
        return None in self.slots and (source is None or self._count(source) < self._per_source)

    def add(self, connection: Connection) -> None:
        """Take a slot. Raises FullError."""
        for i in range(len(self.slots)):
            if self.slots[i] is None:
                self.slots[i] = connection
                return
        raise FullError("connection table full", len(self.slots))

    def remove(self, connection: Connection) -> None:
        """Free its slot."""
        self.slots[self.slots.index(connection)] = None

    def was_introduced(self, nsi: bytes) -> bool:
        """Whether the GSP has used this NSI (or what stands for it, 4 octets) since the last attach."""
        log = self._introduced
        at = log.find(nsi)
        while at >= 0:
            if at % NSI_LEN == 0:
                return True
            at = log.find(nsi, at + 1)
        return False

    def note_introduction(self, nsi: bytes) -> bool:
        """Remember the NSI of an accepted introduction; False when this filled the log."""
        self._introduced.extend(nsi)
        return len(self._introduced) < self.INTRODUCTIONS_MAX * NSI_LEN

    def forget_introductions(self) -> None:
        """The keys changed."""
        self._introduced = bytearray()

    def _count(self, source: bytes) -> int:
        n = 0
        for connection in self.slots:
            if connection is not None and connection.is_local and connection.source == source:
                n += 1
        return n

    def _first_spare(self, source: bytes | None) -> Connection | None:
        oldest = None
        for connection in self.slots:
            if connection is None or not (connection.is_unproved or connection.state == CLOSING):
                continue
            if source is not None and connection.source != source:
                continue
            if oldest is None or ticks.diff(connection.deadline_ms, oldest.deadline_ms) < 0:
                oldest = connection
        return oldest
