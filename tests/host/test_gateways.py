"""A device that is asked to the gateway by its introduction, and its client (specification, core 5.9, 9.6)."""

import pytest
from gsp_peers import CAPABILITIES, FINGERPRINT, Client, Device, attach, drain, exchange, make_gsp, opened
from homeport.basestation.carrier import GATE, TCP, Carrier
from homeport.basestation.events import CarrierDone, CarrierRefused, CarriersJoined, Connected
from homeport.basestation.gsp.connect import ConnectRequest
from homeport.wire import endpoint
from homeport_core.catalogue import GatewayNonce, build_gateway_nonce, parse_gateway_nonce
from homeport_core.packet import encode
from homeport_core.payloads import parse_gw, parse_ipx
from homeport_core.spec import (
    CAP_FB_TCP_U,
    FL_NSI_CO,
    FL_RESPONSE,
    GW_CLIENT,
    GW_KEEP_ALIVE,
    GW_RELIABLE,
    GW_SERVER,
    PL_GW,
    PL_IPX,
    PL_NONCE,
    PT_GW_CONN_U,
    PT_U_CONNECT,
)

GATEWAY = endpoint(("192.0.2.1", 5566))
AT_GATEWAY = Carrier(TCP, 7, ("198.51.100.7", 41000))
CLIENT_AT_GATEWAY = Carrier(TCP, 8, ("203.0.113.9", 51000))
STRANGER = Carrier(TCP, 9, ("203.0.113.66", 666))
LINK = Carrier(GATE, 1, ("203.0.113.9", 50000))


class World:
    """A device that knows the gateway handshake, attached, and a client that has no UDP."""

    def __init__(self, tcp=True, capabilities=CAPABILITIES | CAP_FB_TCP_U, address=("198.51.100.7", 40000), **settings):
        self.device = Device(address=address)
        self.device.capabilities = capabilities
        self.gsp, _ = make_gsp(self.device.device_id, **settings)
        self.gsp.set_gateway(lambda ip: GATEWAY)
        exchange(self.gsp, self.device, attach(self.gsp, self.device))
        self.gsp.connect(0, ConnectRequest(self.device.device_id, FINGERPRINT, tcp=tcp))
        sent = self.gsp.timeout(0)
        self.request = next(opened(data) for data, _ in sent if opened(data).type == PT_U_CONNECT)
        self.raw = next(data for data, _ in sent if opened(data).type == PT_U_CONNECT)
        self.ipx = parse_ipx(self.request.get(PL_IPX))
        self.gw = self.request.get(PL_GW) and parse_gw(self.request.get(PL_GW))

    def accept(self):
        """The device accepts; the client learns its keys."""
        exchange(self.gsp, self.device, ((self.raw, self.device.address),))
        event = next(event for event in drain(self.gsp) if isinstance(event, Connected))
        self.client = Client(event.nsi, event.key_material, LINK)
        return self

    def handshake(self, flags=GW_RELIABLE, gateway_id=None, nsi=None):
        """GW_CONN_U of the device, or of a client."""
        nsi = nsi or self.ipx.sp
        nonce = GatewayNonce(0, flags, self.ipx.cp, nsi, self.ipx.co, gateway_id or self.gw.gateway_id)
        payloads = ((PL_NONCE, build_gateway_nonce(nonce)),)
        return encode(PT_GW_CONN_U, payloads, sp=nsi, cp=self.ipx.cp, co=self.ipx.co)

    def arrive(self, now_ms=0, carrier=AT_GATEWAY, **changes):
        return self.gsp.datagram(now_ms, self.handshake(**changes), carrier)


def assert_answer(world, data, flags):
    packet = opened(data)
    assert (packet.type, packet.flags, len(data)) == (PT_GW_CONN_U, FL_RESPONSE | FL_NSI_CO, 66)
    assert (packet.sp, packet.cp, packet.co) == (world.ipx.sp, world.ipx.cp, world.ipx.co)
    nonce = parse_gateway_nonce(packet.get(PL_NONCE))
    assert nonce == GatewayNonce(0, flags, world.ipx.cp, world.ipx.sp, world.ipx.co, world.gw.gateway_id)


# The offer


def test_the_introduction_names_gateway_and_id_and_all_nsis():
    world = World()
    assert world.gw.endpoint == GATEWAY
    assert len(world.gw.gateway_id) == 20
    assert len(world.ipx.co) == 8
    assert world.gw.peer == world.ipx.cp
    assert world.request.first == PL_IPX


@pytest.mark.parametrize(
    "settings",
    [{"tcp": False}, {"capabilities": CAPABILITIES}, {"address": AT_GATEWAY}],
    ids=["not asked for", "device cannot", "device is on TCP anyway"],
)
def test_otherwise_it_does_not(settings):
    world = World(**settings)
    assert world.gw is None
    assert not world.ipx.co


def test_ids_are_never_the_same():
    world = World().accept()
    world.gsp.connect(0, ConnectRequest(world.device.device_id, FINGERPRINT, tcp=True))
    again = next(opened(data) for data, _ in world.gsp.timeout(100) if opened(data).type == PT_U_CONNECT)
    assert parse_gw(again.get(PL_GW)).gateway_id != world.gw.gateway_id


# The relay


def test_the_clients_first_packet_finds_the_device_there_and_goes_that_way():
    world = World().accept()
    assert not world.arrive()
    first = world.client.keep_alive()
    (answer, to), (packet, also) = world.gsp.datagram(0, first, LINK)
    assert to == also == AT_GATEWAY
    assert packet == first
    assert_answer(world, answer, GW_KEEP_ALIVE)
    up, down = world.client.data(b"request"), world.device.data(world.client.nsi)
    assert world.gsp.datagram(0, up, LINK) == ((up, AT_GATEWAY),)
    assert world.gsp.datagram(0, down, AT_GATEWAY) == ((down, LINK),)


def test_it_may_come_before_its_answer_to_the_introduction():
    world = World()
    assert not world.arrive()
    world.accept()
    assert len(world.gsp.datagram(0, world.client.keep_alive(), LINK)) == 2


def test_what_comes_before_the_device_does_not_wait_for_it():
    world = World().accept()
    first, again = world.client.keep_alive(), world.client.keep_alive()
    assert world.gsp.datagram(0, first, LINK) == ((first, world.device.address),)
    assert not world.arrive(100)
    (_, to), (packet, also) = world.gsp.datagram(200, again, LINK)
    assert (to, also, packet) == (AT_GATEWAY, AT_GATEWAY, again)


@pytest.mark.parametrize("client_chose_tcp", [False, True])
def test_a_device_that_speaks_over_udp_is_relayed_over_udp_for_good(client_chose_tcp):
    world = World().accept()
    world.gsp.datagram(0, world.client.keep_alive(), LINK)
    world.arrive()
    if client_chose_tcp:
        world.gsp.datagram(0, world.client.keep_alive(), LINK)
    down, up = world.device.data(world.client.nsi), world.client.data(b"request")
    assert world.gsp.datagram(100, down, world.device.address) == ((down, LINK),)
    assert CarrierDone(AT_GATEWAY) in drain(world.gsp)
    assert world.gsp.datagram(100, up, LINK) == ((up, world.device.address),)
    assert not world.gsp.datagram(100, down, AT_GATEWAY)


def test_a_device_that_comes_after_it_spoke_over_udp_is_not_let_in():
    world = World().accept()
    world.gsp.datagram(0, world.client.keep_alive(), LINK)
    world.gsp.datagram(0, world.device.data(world.client.nsi), world.device.address)
    assert not world.arrive()
    assert isinstance(drain(world.gsp)[-1], CarrierRefused)


def test_a_client_that_begins_late_is_relayed_over_udp():
    world = World().accept()
    world.gsp.timeout(30_000)
    first = world.client.keep_alive()
    assert world.gsp.datagram(31_000, first, LINK) == ((first, world.device.address),)


def test_when_its_tcp_ends_the_relay_goes_on_over_udp():
    world = World().accept()
    world.arrive()
    world.gsp.datagram(0, world.client.keep_alive(), LINK)
    world.gsp.carrier_lost(0, AT_GATEWAY)
    up = world.client.data(b"request")
    assert world.gsp.datagram(0, up, LINK) == ((up, world.device.address),)
    assert not world.gsp.in_use(AT_GATEWAY)


def test_a_device_that_attaches_again_keeps_its_connections_at_the_gateway():
    world = World().accept()
    world.arrive()
    world.gsp.datagram(0, world.client.keep_alive(), LINK)
    world.device.restart()
    world.device.address = ("198.51.100.7", 40001)
    attach(world.gsp, world.device, 100)
    up = world.client.data(b"request")
    assert world.gsp.datagram(200, up, LINK) == ((up, AT_GATEWAY),)
    world.gsp.carrier_lost(300, AT_GATEWAY)
    assert world.gsp.datagram(300, up, LINK) == ((up, world.device.address),)


def test_the_end_of_the_session_ends_tcp():
    world = World().accept()
    world.arrive()
    world.gsp.datagram(0, world.client.keep_alive(), LINK)
    drain(world.gsp)
    world.gsp.disconnect(world.client.nsi)
    assert CarrierDone(AT_GATEWAY) in drain(world.gsp)


def test_a_device_whose_client_never_comes_is_let_go():
    world = World().accept()
    world.arrive()
    world.gsp.timeout(30_000)
    assert CarrierDone(AT_GATEWAY) in drain(world.gsp)
    assert not world.gsp.in_use(AT_GATEWAY)


# A client that comes by TCP as well


@pytest.mark.parametrize("client_first", [False, True])
@pytest.mark.parametrize("keep_alive", [0, GW_KEEP_ALIVE])
def test_device_and_client_are_joined_and_both_answered(client_first, keep_alive):
    world = World().accept()
    flags = GW_CLIENT | GW_RELIABLE | keep_alive
    steps = [{"carrier": AT_GATEWAY}, {"carrier": CLIENT_AT_GATEWAY, "flags": flags}]
    if client_first:
        steps.reverse()
    assert not world.arrive(**steps[0])
    sent = world.arrive(**steps[1])
    assert [to for _, to in sent] == [AT_GATEWAY, CLIENT_AT_GATEWAY]
    for data, _ in sent:
        assert_answer(world, data, GW_RELIABLE | keep_alive)
    assert CarriersJoined(AT_GATEWAY, CLIENT_AT_GATEWAY) in drain(world.gsp)


def test_a_device_may_say_that_it_is_the_server():
    world = World().accept()
    assert not world.arrive(flags=GW_RELIABLE | GW_SERVER)
    assert len(world.gsp.datagram(0, world.client.keep_alive(), LINK)) == 2


# Strangers


@pytest.mark.parametrize(
    "changes",
    [{"gateway_id": bytes(20)}, {"nsi": b"\1\2\3\4"}, {"gateway_id": bytes(20), "flags": GW_CLIENT}],
    ids=["another id", "another connection", "another id as client"],
)
def test_a_guess_is_refused_and_changes_nothing(changes):
    world = World().accept()
    assert not world.arrive(carrier=STRANGER, **changes)
    assert [event.carrier for event in drain(world.gsp)] == [STRANGER]
    assert world.gsp.counters.gateway_refused == 1
    assert not world.arrive()
    assert len(world.gsp.datagram(0, world.client.keep_alive(), LINK)) == 2


def test_an_id_is_good_once_for_each_role():
    world = World().accept()
    world.arrive()
    assert not world.arrive(carrier=STRANGER)
    assert CarrierRefused(STRANGER, "a gateway id for the second time") in drain(world.gsp)
    world.arrive(carrier=CLIENT_AT_GATEWAY, flags=GW_CLIENT)
    drain(world.gsp)
    for flags in (GW_RELIABLE, GW_CLIENT):
        assert not world.arrive(carrier=STRANGER, flags=flags)
        assert [event.carrier for event in drain(world.gsp)] == [STRANGER]


def test_one_connection_cannot_play_both_roles():
    world = World().accept()
    world.arrive()
    assert not world.arrive(flags=GW_CLIENT)
    assert [event.carrier for event in drain(world.gsp)] == [AT_GATEWAY]


def test_an_id_expires():
    world = World().accept()
    world.gsp.timeout(30_000)
    assert not world.arrive(30_001)
    assert isinstance(drain(world.gsp)[-1], CarrierRefused)


def test_a_handshake_over_udp_is_none():
    world = World().accept()
    assert not world.gsp.datagram(0, world.handshake(), world.device.address)
    assert [to for _, to in world.gsp.datagram(0, world.client.keep_alive(), LINK)] == [world.device.address]


@pytest.mark.parametrize("nonce", [None, b"", bytes(37)])
def test_a_handshake_without_id_is_refused(nonce):
    world = World().accept()
    payloads = () if nonce is None else ((PL_NONCE, nonce),)
    assert not world.gsp.datagram(0, encode(PT_GW_CONN_U, payloads, sp=world.ipx.sp), STRANGER)
    assert drain(world.gsp) == [CarrierRefused(STRANGER, "no gateway id")]
