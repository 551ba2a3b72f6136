"""TCP for one connection: where a device's TCP connection and its client meet (specification, core 5.9 and 9.6).

An introduction may tell the device a gateway id. The device connects to the gateway and shows it. From then on what
its client sends through the relay goes that way, unless the device has spoken over UDP: that decides for UDP, as the
device gives TCP up at the first packet over UDP. So nothing ever waits, and TCP is the way where UDP is slow or dead. A
client may come to the gateway by TCP as well; then the two connections are joined, and the relay has no part in it.
"""

from __future__ import annotations

from homeport_core.catalogue import GatewayNonce, build_gateway_nonce, parse_gateway_nonce
from homeport_core.crypto import ct_equal
from homeport_core.errors import MalformedError
from homeport_core.packet import Packet, encode
from homeport_core.payloads import build_gw
from homeport_core.spec import (
    FL_NSI_CO,
    FL_RESPONSE,
    GATEWAY_ID_LEN,
    GATEWAY_NONCE_LEN,
    GW_CLIENT,
    GW_KEEP_ALIVE,
    GW_RELIABLE,
    NSI_CO_LEN,
    PL_NONCE,
    PT_GW_CONN_U,
)

from homeport.basestation.carrier import Carrier, Peer
from homeport.basestation.counters import GspCounters
from homeport.basestation.events import CarrierDone, CarrierRefused, CarriersJoined, EventQueue
from homeport.basestation.gsp.nsi import fresh_nsi
from homeport.basestation.gsp.session import Session
from homeport.basestation.gsp.settings import GspSettings
from homeport.basestation.gsp.wheel import Wheel
from homeport.basestation.machine import NOTHING, Datagrams, Rng

_TCP = 0  # kind of gateway connection (core 2.3)


class Meeting:
    """One offer. `device` and `client` are who has shown the id."""

    __slots__ = ("client", "client_flags", "co", "cp", "device", "id", "nsi", "session")

    def __init__(self, nsi: bytes, cp: bytes, co: bytes, id_: bytes) -> None:
        self.nsi = nsi
        self.cp = cp
        self.co = co
        self.id = id_
        self.session: Session | None = None
        self.device: Carrier | None = None
        self.client: Carrier | None = None
        self.client_flags = 0

    def payload(self, endpoint: bytes) -> bytes:
        """GW: the device finds the gateway at `endpoint` (6 octets)."""
        return build_gw(endpoint, self.cp, self.id)

    def answer(self, flags: int) -> bytes:
        """What tells a side that the other is there."""
        nonce = build_gateway_nonce(GatewayNonce(_TCP, flags, self.cp, self.nsi, self.co, self.id))
        return encode(
            PT_GW_CONN_U, ((PL_NONCE, nonce),), sp=self.nsi, flags=FL_RESPONSE | FL_NSI_CO, cp=self.cp, co=self.co
        )


class Gateways:
    """All offers that nobody has taken up, and the connections that were."""

    def __init__(self, settings: GspSettings, rng: Rng, events: EventQueue, counters: GspCounters) -> None:
        self._settings = settings
        self._rng = rng
        self._events = events
        self._counters = counters
        self._offers: dict[bytes, Meeting] = {}  # by NSI
        self._legs: dict[Carrier, Meeting] = {}
        self._wheel: Wheel[Meeting] = Wheel()

    @property
    def deadline_ms(self) -> int | None:
        """When an offer has to be looked at."""
        return self._wheel.deadline_ms

    def uses(self, carrier: Carrier) -> bool:
        """Whether that connection has shown an id of ours."""
        return carrier in self._legs

    def offer(self, now_ms: int, nsi: bytes) -> Meeting:
        """Begin to expect a device, for the connection of that NSI."""
        meeting = Meeting(nsi, fresh_nsi(self._rng), self._rng(NSI_CO_LEN), self._rng(GATEWAY_ID_LEN))
        self._offers[nsi] = meeting
        self._wheel.add(now_ms + self._settings.gateway_ms, meeting)
        return meeting

    def opened(self, session: Session) -> None:
        """The device has accepted: if it was made an offer, its way is open for now."""
        meeting = self._offers.get(session.nsi)
        if meeting is not None:
            meeting.session = session
            session.device = None

    def closed(self, nsi: bytes) -> None:
        """The connection is over, or did not come about."""
        for meeting in [self._offers.get(nsi), *(leg for leg in self._legs.values() if leg.nsi == nsi)]:
            if meeting is not None:
                self._forget(meeting)

    def take(self, now_ms: int, packet: Packet, address: Peer) -> Datagrams:
        """GW_CONN_U: somebody shows an id."""
        if not isinstance(address, Carrier):
            self._counters.drop_unexpected += 1
            return NOTHING
        meeting = self._offers.get(packet.sp)
        try:
            nonce = parse_gateway_nonce((packet.get(PL_NONCE) or b"")[:GATEWAY_NONCE_LEN])
        except MalformedError:
            return self._refuse(address, "no gateway id")
        if meeting is None or not ct_equal(meeting.id, nonce.gateway_id):
            return self._refuse(address, "a gateway id that is unknown, used or expired")
        if address in self._legs or (meeting.client if nonce.flags & GW_CLIENT else meeting.device) is not None:
            return self._refuse(address, "a gateway id for the second time")
        self._legs[address] = meeting
        if nonce.flags & GW_CLIENT:
            meeting.client, meeting.client_flags = address, nonce.flags
        else:
            meeting.device = address
        if meeting.client is not None and meeting.device is not None:
            return self._join(meeting, meeting.device, meeting.client)
        return NOTHING

    def choose(self, session: Session, data: bytes) -> Datagrams:
        """A packet of the client, while the device's way is open: to its TCP connection if it is there."""
        meeting = self._offers[session.nsi]
        if meeting.device is None:
            return ((data, session.home),)
        del self._offers[meeting.nsi]
        session.device = meeting.device
        self._counters.gateway_relayed += 1
        # The client may vanish unnoticed, and packets may be lost on the way to it.
        return (meeting.answer(GW_KEEP_ALIVE), meeting.device), (data, meeting.device)

    def timeout(self, now_ms: int) -> None:
        """Forget the offers that nobody took up in time."""
        for meeting in self._wheel.due(now_ms):
            if self._offers.get(meeting.nsi) is meeting:
                self._forget(meeting)

    def carrier_lost(self, carrier: Carrier) -> None:
        """A connection has ended: its session goes on over UDP, if it can."""
        meeting = self._legs.get(carrier)
        if meeting is not None:
            self._forget(meeting)

    def _join(self, meeting: Meeting, device: Carrier, client: Carrier) -> Datagrams:
        """Both sides are TCP: nothing is lost, and each side's end is the other's."""
        del self._offers[meeting.nsi]
        if meeting.session is not None:
            meeting.session.device = meeting.session.home
        self._counters.gateway_joined += 1
        self._events.put(CarriersJoined(device, client))
        answer = meeting.answer(GW_RELIABLE | meeting.client_flags & GW_KEEP_ALIVE)
        return [(answer, device), (answer, client)]

    def _refuse(self, carrier: Carrier, reason: str) -> Datagrams:
        self._counters.gateway_refused += 1
        self._events.put(CarrierRefused(carrier, reason))
        return NOTHING

    def _forget(self, meeting: Meeting) -> None:
        if self._offers.get(meeting.nsi) is meeting:
            del self._offers[meeting.nsi]
        if meeting.session is not None:
            meeting.session.device = meeting.session.home
        for carrier in (meeting.device, meeting.client):
            if carrier is not None and self._legs.pop(carrier, None) is not None:
                self._events.put(CarrierDone(carrier))
