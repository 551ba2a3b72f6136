"""Peers of the session server that are not on UDP: a device on TCP, a client on the gate."""

import pytest
from gsp_peers import FINGERPRINT, Client, Device, Inventory, attach, drain, exchange, make_gsp
from homeport.basestation.carrier import GATE, TCP, Carrier, peer_text, seen_endpoint, source_of
from homeport.basestation.controller import Controller
from homeport.basestation.events import Connected, ConnectRefused, DeviceAttached, DeviceLost
from homeport.basestation.gsp.connect import ConnectRequest
from homeport.basestation.gsp.settings import ControllerSettings, RateLimit
from homeport.basestation.udp import UdpEndpoint
from homeport.wire import endpoint
from homeport_core.packet import Packet
from homeport_core.payloads import parse_ipx
from homeport_core.spec import PL_IPX

REMOTE = ("198.51.100.7", 40000)
FIRST = Carrier(TCP, 1, REMOTE)
SECOND = Carrier(TCP, 2, ("198.51.100.7", 40001))
LINK = Carrier(GATE, 1, ("2001:db8::1", 50000))
GRACE_MS = 5_000


def on_tcp(carrier=FIRST, **settings):
    """A device attached over a carrier."""
    device = Device(address=carrier)
    gsp, _ = make_gsp(device.device_id, **settings)
    exchange(gsp, device, attach(gsp, device))
    return gsp, device


def connected(gsp, device, now_ms=0):
    """What a client was told, and the client on a gate link, not bound yet."""
    gsp.connect(now_ms, ConnectRequest(device.device_id, FINGERPRINT))
    exchange(gsp, device, gsp.timeout(now_ms), now_ms)
    event = next(event for event in drain(gsp) if isinstance(event, Connected))
    return event, Client(event.nsi, event.key_material, LINK)


def test_a_device_attaches_and_every_answer_goes_to_its_carrier():
    gsp, device = on_tcp()
    attached = next(event for event in drain(gsp) if isinstance(event, DeviceAttached))
    assert attached.address == FIRST
    assert peer_text(attached.address) == "tcp 198.51.100.7:40000"
    assert [to for _, to in gsp.timeout(10_000)] == [FIRST]


def test_a_client_on_the_gate_is_relayed_to_a_device_on_tcp():
    gsp, device = on_tcp()
    _, client = connected(gsp, device)
    keep_alive = client.keep_alive()
    assert gsp.datagram(0, keep_alive, LINK) == ((keep_alive, FIRST),)
    down = device.data(client.nsi)
    assert gsp.datagram(0, down, FIRST) == ((down, LINK),)


def test_a_client_is_told_no_endpoint_of_a_device_that_has_no_udp():
    gsp, device = on_tcp()
    event, _ = connected(gsp, device)
    assert (event.device_global, event.nat_type) == (bytes(6), 3)


def test_the_same_remote_address_over_udp_is_another_peer():
    gsp, device = on_tcp()
    _, client = connected(gsp, device)
    gsp.datagram(0, client.keep_alive(), LINK)
    assert not gsp.datagram(0, device.data(client.nsi), REMOTE)
    assert not gsp.datagram(0, device.poll(), REMOTE)
    assert gsp.counters.drop_source == 2


def test_handshakes_are_limited_by_the_address_of_the_tcp_connection():
    gsp, _ = make_gsp(b"dev1.example.net", source=RateLimit(2, 0.001))
    fresh = [Device(address=Carrier(TCP, number, REMOTE), seed=number) for number in range(3)]
    answered = [len(gsp.datagram(0, device.invite(), device.address)) for device in fresh]
    assert answered == [1, 1, 0]


def test_a_device_that_comes_back_in_time_was_never_lost():
    gsp, device = on_tcp()
    gsp.carrier_lost(0, FIRST)
    device.restart()
    device.address = SECOND
    exchange(gsp, device, attach(gsp, device, GRACE_MS - 1), GRACE_MS - 1)
    drain(gsp)
    gsp.timeout(GRACE_MS + 1_000)
    assert not [event for event in drain(gsp) if isinstance(event, DeviceLost)]
    assert gsp.attachment(device.device_id).address == SECOND


def test_a_device_that_does_not_come_back_is_lost_after_the_grace():
    gsp, device = on_tcp()
    drain(gsp)
    gsp.carrier_lost(0, FIRST)
    gsp.timeout(GRACE_MS - 200)
    assert gsp.attached == 1
    gsp.timeout(GRACE_MS)
    assert drain(gsp) == [DeviceLost(device.device_id, FIRST, "connection closed")]
    assert gsp.attached == 0
    gsp.connect(GRACE_MS, ConnectRequest(device.device_id, FINGERPRINT))
    assert isinstance(drain(gsp)[0], ConnectRefused)


def test_operators_can_count_them():
    gsp, device = on_tcp()
    assert (gsp.attached, gsp.attached_over_tcp) == (1, 1)
    device.restart()
    device.address = REMOTE
    exchange(gsp, device, attach(gsp, device))
    assert (gsp.attached, gsp.attached_over_tcp) == (1, 0)


def test_the_grace_is_a_deadline():
    gsp, _ = on_tcp()
    gsp.carrier_lost(0, FIRST)
    assert gsp.deadline_ms <= GRACE_MS


def test_a_device_that_moves_to_udp_is_not_ended_with_its_old_connection():
    gsp, device = on_tcp()
    _, client = connected(gsp, device)
    gsp.datagram(0, client.keep_alive(), LINK)
    device.restart()
    device.address = REMOTE
    exchange(gsp, device, attach(gsp, device, 100), 100)
    gsp.carrier_lost(200, FIRST)
    gsp.timeout(GRACE_MS * 2)
    assert gsp.attached == 1
    up = client.data(b"request")
    assert gsp.datagram(200, up, LINK) == ((up, REMOTE),)


def test_only_who_proves_the_key_takes_an_attachment_over():
    gsp, device = on_tcp()
    stranger = Device(device.device_id, b"\x08" * 16, SECOND, seed=9)
    attach_answer = gsp.datagram(0, stranger.invite(), SECOND)
    assert stranger.take(attach_answer[0][0]) == []
    assert gsp.attachment(device.device_id).address == FIRST
    twin = Device(address=SECOND, seed=10)
    exchange(gsp, twin, attach(gsp, twin))
    assert gsp.attachment(device.device_id).address == SECOND


def test_a_client_whose_link_ended_has_to_bind_again():
    gsp, device = on_tcp()
    _, client = connected(gsp, device)
    gsp.datagram(0, client.keep_alive(), LINK)
    gsp.carrier_lost(0, LINK)
    assert not gsp.datagram(0, device.data(client.nsi), FIRST)
    assert not gsp.datagram(0, client.data(b"request"), LINK._replace(number=2))
    again = LINK._replace(number=2)
    assert gsp.datagram(0, client.keep_alive(), again)
    assert gsp.datagram(0, device.data(client.nsi), FIRST)[0][1] == again


def test_the_end_of_an_old_link_does_not_unbind_the_new_one():
    gsp, device = on_tcp()
    _, client = connected(gsp, device)
    gsp.datagram(0, client.keep_alive(), LINK)
    gsp.datagram(0, client.keep_alive(), client.address._replace(number=2))
    gsp.carrier_lost(0, LINK)
    assert gsp.datagram(0, device.data(client.nsi), FIRST)


def test_an_attachment_over_tcp_is_not_kept_for_a_restart():
    gsp, device = on_tcp()
    assert gsp.row(device.device_id) is None
    assert gsp.snapshot() == []


def test_a_connection_is_in_use_while_something_hangs_on_it():
    gsp, device = on_tcp()
    _, client = connected(gsp, device)
    assert gsp.in_use(FIRST)
    assert not gsp.in_use(LINK)
    gsp.datagram(0, client.keep_alive(), LINK)
    assert gsp.in_use(LINK)
    gsp.disconnect(client.nsi)
    gsp.revoke(device.device_id)
    assert not gsp.in_use(LINK)
    assert not gsp.in_use(FIRST)


def test_the_controller_reports_what_the_session_server_will_see():
    inventory = Inventory()
    inventory.provision(b"dev1.example.net")
    controller = Controller(ControllerSettings((endpoint(("192.0.2.1", 5565)),)), inventory)
    ((answer, to),) = controller.datagram(0, Device(address=FIRST).invite(controller=True), FIRST)
    packet = Packet()
    packet.decode_from(answer)
    assert to == FIRST
    assert parse_ipx(packet.get(PL_IPX)).global_ == seen_endpoint(FIRST) == endpoint(REMOTE)


@pytest.mark.parametrize(("peer", "source"), [(REMOTE, "198.51.100.7"), (LINK, "2001:db8::1")])
def test_the_source_of_a_peer_is_its_ip_address(peer, source):
    assert source_of(peer) == source


class Echo:
    """A machine that answers each datagram to where it came from."""

    deadline_ms = None

    def datagram(self, now_ms, data, address):
        return ((data, address),)

    def next_event(self):
        return None


async def test_the_adapter_hands_answers_to_the_sender_of_the_kind():
    sent = []
    udp = UdpEndpoint(Echo(), None)
    udp.open(("127.0.0.1", 0))
    udp.carriers[TCP] = lambda number, data: sent.append((number, data))
    udp.receive(b"datagram", SECOND)
    udp.close()
    assert sent == [(2, b"datagram")]
