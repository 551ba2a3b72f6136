"""Relaying DATA between client and device, unread (specification, core 5.7 and 9.5 step 6).

A session knows the device's endpoint from its attachment. The client's is bound by a keep-alive whose MAC the
session's key verifies and whose counter is higher than that of any keep-alive seen before, so neither a stranger
nor a replay can move it. From then on a datagram costs one look-up, and is forwarded as it came.

After some silence the client's address is forgotten. The session itself stays: the client may have a direct path, and
need the relay when that fails.
"""

from __future__ import annotations

from collections import OrderedDict
from itertools import islice

from homeport_core.crypto import AesContext
from homeport_core.errors import ProtocolError
from homeport_core.packet import Packet
from homeport_core.payloads import u32
from homeport_core.spec import FL_TAG, FRAMING_KEEP_ALIVE, TAG_FRAMING

from homeport.basestation.carrier import Carrier, Peer, source_of
from homeport.basestation.counters import GspCounters
from homeport.basestation.events import EventQueue, RelayBound, SessionClosed
from homeport.basestation.gsp.gateways import Gateways
from homeport.basestation.gsp.registry import Attachment
from homeport.basestation.gsp.session import Session
from homeport.basestation.gsp.settings import GspSettings
from homeport.basestation.gsp.wheel import Wheel
from homeport.basestation.limits import Buckets
from homeport.basestation.machine import NOTHING, Datagrams

# A keep-alive with its eight octets, no NSI.co: the only form that binds (core 5.8).
KEEP_ALIVE_LEN = 72
_KEEP_ALIVE_PLAIN_LEN = 8
_CHECK_MS = 5_000
_CHECK_UNBOUND_MS = 60_000
_EVICTION_LOOKS = 64
_CLOSE_GRACE_MS = 2_000
_WINDOW_MS = 1_000
_BINDING_KEYS_MAX = 16_384


class Relay:
    """All sessions, by the connection's NSI."""

    def __init__(self, settings: GspSettings, gateways: Gateways, events: EventQueue, counters: GspCounters) -> None:
        self._settings = settings
        self._gateways = gateways
        self._packets_per_s = settings.session_packets_per_s
        self._events = events
        self._counters = counters
        self._sessions: OrderedDict[bytes, Session] = OrderedDict()
        self._of_device: dict[bytes, list[Session]] = {}
        self._wheel: Wheel[Session] = Wheel()
        self._on_carrier: dict[Carrier, set[bytes]] = {}
        self._attempts = Buckets(settings.binding.burst, settings.binding.per_s, _BINDING_KEYS_MAX)

    def __len__(self) -> int:
        return len(self._sessions)

    def __contains__(self, nsi: object) -> bool:
        return nsi in self._sessions

    @property
    def full(self) -> bool:
        """Whether no further session fits, even in place of one that nobody relays through."""
        return len(self._sessions) >= self._settings.sessions_max and self._unbound() is None

    @property
    def deadline_ms(self) -> int | None:
        """When a session has to be looked at."""
        return self._wheel.deadline_ms

    def open(self, now_ms: int, nsi: bytes, key: bytes, attachment: Attachment, fingerprint: bytes) -> None:
        """Begin a session with an accepted connection. Of too many of one device the quietest goes; of too many in
        all, the oldest that nobody relays through."""
        of_device = self._of_device.get(attachment.device_id, ())
        oldest = self._unbound() if len(self._sessions) >= self._settings.sessions_max else None
        if len(of_device) >= self._settings.sessions_per_device:
            self._close(min(of_device, key=lambda session: session.heard_ms), "too many sessions of this device")
        elif oldest is not None:
            self._close(oldest, "too many sessions")
        session = Session(now_ms, nsi, key, attachment, fingerprint)
        self._gateways.opened(session)
        self._sessions[nsi] = session
        self._of_device.setdefault(attachment.device_id, []).append(session)
        self._wheel.add(now_ms + _CHECK_MS, session)

    def is_of(self, nsi: bytes, fingerprint: bytes) -> bool:
        """Whether there is a session of that NSI, and that client made it."""
        session = self._sessions.get(nsi)
        return session is not None and session.fingerprint == fingerprint

    def forward(self, now_ms: int, data: bytes, address: Peer) -> Datagrams:
        """Pass on a DATA packet whose length is checked, if it comes from either end of its session."""
        session = self._sessions.get(data[4:8])
        if session is None:
            self._counters.drop_unknown_nsi += 1
            return NOTHING
        if address == session.client:
            if len(data) == KEEP_ALIVE_LEN and _is_framing(data):
                self._note_counter(session, data)
            self._counters.relayed_up += 1
            to = session.device
        elif address == session.device:
            if session.client is None:
                self._counters.drop_unexpected += 1
                return NOTHING
            self._counters.relayed_down += 1
            to = session.client
        elif address == session.home:  # not `device`: the way was open or TCP, and UDP it is from now on
            self._gateways.closed(session.nsi)
            session.device = session.home
            return self.forward(now_ms, data, address)
        elif self._binds(now_ms, session, data, address):
            to = session.device
        else:
            return NOTHING
        if now_ms - session.window_ms >= _WINDOW_MS:
            session.window_ms = now_ms
            session.window_count = 0
        session.window_count += 1
        if session.window_count > self._packets_per_s:
            self._counters.drop_limited += 1
            return NOTHING
        session.heard_ms = now_ms
        return self._gateways.choose(session, data) if to is None else ((data, to),)

    def move(self, attachment: Attachment) -> None:
        """The device has attached again, perhaps from elsewhere: its connections survive that (core 4.2)."""
        for session in self._of_device.get(attachment.device_id, ()):
            if session.device == session.home:
                session.device = attachment.address
            session.home = attachment.address

    def uses(self, carrier: Carrier) -> bool:
        """Whether a session has an end on that connection."""
        return carrier in self._on_carrier

    def carrier_lost(self, carrier: Carrier) -> None:
        """A connection has ended: the clients on it have no address until they prove one again."""
        for nsi in tuple(self._on_carrier.get(carrier, ())):
            self._bind(self._sessions[nsi], None)

    def close_hinted(self, now_ms: int, nsi: bytes, address: Peer) -> None:
        """The device's unauthenticated statistics say that the connection closed: forget it soon if nothing
        more comes."""
        session = self._sessions.get(nsi)
        if session is not None and session.home == address:
            soon_ms = now_ms - self._settings.session_keep_ms + _CLOSE_GRACE_MS
            session.heard_ms = min(session.heard_ms, soon_ms)

    def close(self, nsi: bytes, reason: str) -> None:
        """End a session, if there is one of that NSI."""
        session = self._sessions.get(nsi)
        if session is not None:
            self._close(session, reason)

    def close_device(self, device_id: bytes, reason: str) -> None:
        """End all sessions of a device."""
        for session in tuple(self._of_device.get(device_id, ())):
            self._close(session, reason)

    def timeout(self, now_ms: int) -> None:
        """Forget the addresses of clients that are silent, and sessions that have been for long."""
        for session in self._wheel.due(now_ms):
            if self._sessions.get(session.nsi) is not session:
                continue
            silent_ms = now_ms - session.heard_ms
            if silent_ms > self._settings.session_keep_ms:
                self._close(session, "silent")
                continue
            if silent_ms > self._settings.session_idle_ms:
                self._bind(session, None)
            self._wheel.add(now_ms + (_CHECK_UNBOUND_MS if session.client is None else _CHECK_MS), session)

    def _binds(self, now_ms: int, session: Session, data: bytes, address: Peer) -> bool:
        """Whether this keep-alive from a new address proves the session's key, and so moves the client there."""
        if len(data) != KEEP_ALIVE_LEN or not _is_framing(data):
            self._counters.drop_source += 1
            return False
        if not self._attempts.take((session.nsi, source_of(address)), now_ms):
            self._counters.drop_limited += 1
            return False
        if not self._note_counter(session, data):
            return False
        self._bind(session, address)
        self._counters.relay_bound += 1
        self._events.report(now_ms, (session.nsi, "bound"), RelayBound(session.device_id, session.nsi, address))
        return True

    def _bind(self, session: Session, client: Peer | None) -> None:
        """Set the client's end, and keep the sessions of each carrier in view."""
        old = session.client
        if isinstance(old, Carrier):
            sessions = self._on_carrier[old]
            sessions.discard(session.nsi)
            if not sessions:
                del self._on_carrier[old]
        session.client = client
        if isinstance(client, Carrier):
            self._on_carrier.setdefault(client, set()).add(session.nsi)

    def _note_counter(self, session: Session, data: bytes) -> bool:
        """Whether this is a verified keep-alive newer than all before; if so, remember its counter."""
        packet = Packet()
        try:
            packet.decode_from(bytearray(data))
            # The client is the initiator of the session's context; here we are in the device's place.
            plaintext = AesContext(session.key, False).open(packet)
        except ProtocolError:
            self._counters.drop_auth += 1
            return False
        if len(plaintext) < _KEEP_ALIVE_PLAIN_LEN or u32(plaintext, 0) != FRAMING_KEEP_ALIVE:
            self._counters.drop_unexpected += 1
            return False
        counter = u32(plaintext, 4)
        if counter <= session.counter:
            self._counters.drop_replayed += 1
            return False
        session.counter = counter
        return True

    def _unbound(self) -> Session | None:
        """One of the oldest sessions, if nobody relays through it."""
        return next((s for s in islice(self._sessions.values(), _EVICTION_LOOKS) if s.client is None), None)

    def _close(self, session: Session, reason: str) -> None:
        self._bind(session, None)
        self._gateways.closed(session.nsi)
        del self._sessions[session.nsi]
        of_device = self._of_device[session.device_id]
        of_device.remove(session)
        if not of_device:
            del self._of_device[session.device_id]
        self._counters.sessions_closed += 1
        self._events.put(SessionClosed(session.device_id, session.nsi, reason))


def _is_framing(data: bytes) -> bool:
    return data[11] == FL_TAG and data[16] << 8 | data[17] == TAG_FRAMING
