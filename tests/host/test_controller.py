"""The controller: who is told which GSP, and who gets nothing."""

import pytest
from gsp_peers import GSP_ENDPOINT, Device, Inventory, drain, opened
from homeport.basestation.controller import Controller
from homeport.basestation.events import AttachFailed, AttachFailure, InviteRefused, Refusal
from homeport.basestation.gsp.settings import ControllerSettings, RateLimit
from homeport.wire import endpoint
from homeport_core.errors import ConfigError
from homeport_core.packet import encode
from homeport_core.payloads import build_attach_stats, build_id, parse_ipx
from homeport_core.spec import (
    FL_RESPONSE,
    ID_MAIL,
    ID_URL,
    PL_ATTACH_STATS,
    PL_IPX,
    PL_SP_ID,
    PL_STATS,
    PT_PROBE,
    PT_STATS,
    PT_U_INVITE,
)


def make_controller(*device_ids, gsps=(GSP_ENDPOINT,), **settings):
    inventory = Inventory()
    for device_id in device_ids:
        inventory.provision(device_id)
    return Controller(ControllerSettings(tuple(gsps), **settings), inventory), inventory


def test_a_known_device_is_told_its_gsp_and_its_own_address():
    device = Device()
    controller, _ = make_controller(device.device_id)
    ((answer, to),) = controller.datagram(0, device.invite(controller=True), device.address)
    packet = opened(answer)
    ipx = parse_ipx(packet.get(PL_IPX))
    assert to == device.address
    assert (packet.type, packet.flags, packet.sp, packet.n) == (PT_U_INVITE, FL_RESPONSE, bytes(4), 33)
    assert (ipx.private, ipx.global_, ipx.flags) == (GSP_ENDPOINT, endpoint(device.address), 0)


def test_an_unknown_device_gets_nothing_and_the_operator_hears_why():
    device = Device(b"stranger\x1b[2J.example")
    controller, _ = make_controller()
    assert not controller.datagram(0, device.invite(controller=True), device.address)
    assert drain(controller) == [InviteRefused("stranger\ufffd[2J.example", device.address, Refusal.UNKNOWN)]


def test_a_disabled_device_gets_nothing_and_the_operator_hears_why():
    device = Device()
    controller, inventory = make_controller()
    inventory.provision(device.device_id, enabled=False)
    assert not controller.datagram(0, device.invite(controller=True), device.address)
    (event,) = drain(controller)
    assert event.reason is Refusal.DISABLED


def test_probes_go_to_who_answers_them():
    asked = []
    inventory = Inventory()
    settings = ControllerSettings((GSP_ENDPOINT,))
    controller = Controller(settings, inventory, None, lambda now_ms, packet, address: asked.append(address) or ())
    controller.datagram(0, encode(PT_PROBE, ()), ("192.0.2.7", 4000))
    assert asked == [("192.0.2.7", 4000)]


def test_probes_get_nothing_where_nobody_answers_them():
    controller, _ = make_controller()
    assert not controller.datagram(0, encode(PT_PROBE, ()), ("192.0.2.7", 4000))
    assert controller.counters.ignored == 1


def test_an_answer_is_never_larger_than_what_asked_for_it():
    controller, _ = make_controller(b"d")
    short = encode(PT_U_INVITE, ((PL_SP_ID, build_id(ID_URL, b"d")),))
    assert len(short) < 33
    assert not controller.datagram(0, short, ("198.51.100.7", 1))


def test_an_invite_for_the_gsp_is_not_answered():
    device = Device()
    controller, _ = make_controller(device.device_id)
    assert not controller.datagram(0, device.invite(), device.address)


def test_a_response_is_not_answered():
    device = Device()
    controller, _ = make_controller(device.device_id)
    invite = bytearray(device.invite(controller=True))
    invite[11] = FL_RESPONSE
    assert not controller.datagram(0, bytes(invite), device.address)


def test_an_id_of_another_kind_is_nobody():
    controller, _ = make_controller(b"dev1.example.net")
    invite = encode(PT_U_INVITE, ((PL_SP_ID, build_id(ID_MAIL, b"dev1.example.net")),))
    assert not controller.datagram(0, invite, ("198.51.100.7", 1))


def test_each_source_is_limited_and_recovers():
    device = Device()
    controller, _ = make_controller(device.device_id, source=RateLimit(2, 1.0))
    invite = device.invite(controller=True)
    answers = [bool(controller.datagram(now_ms, invite, device.address)) for now_ms in (0, 0, 0, 1_000, 1_000)]
    assert answers == [True, True, False, True, False]
    assert controller.datagram(1_000, invite, ("198.51.100.8", 1))


def test_a_device_is_always_sent_to_the_same_gsp_and_devices_spread():
    gsps = [bytes((192, 0, 2, n, 0, 1)) for n in range(1, 4)]
    ids = [b"dev%d" % n for n in range(300)]
    controller, _ = make_controller(*ids, gsps=gsps)
    chosen = [controller.gsp_for(device_id) for device_id in ids]
    assert chosen == [controller.gsp_for(device_id) for device_id in ids]
    assert all(chosen.count(gsp) > 60 for gsp in gsps)


def test_only_the_devices_of_a_removed_gsp_move():
    gsps = [bytes((192, 0, 2, n, 0, 1)) for n in range(1, 4)]
    before, _ = make_controller(gsps=gsps)
    after, _ = make_controller(gsps=gsps[:2])
    for n in range(300):
        device_id = b"dev%d" % n
        if before.gsp_for(device_id) != gsps[2]:
            assert after.gsp_for(device_id) == before.gsp_for(device_id)


def test_a_gsp_without_an_address_is_this_machine_as_the_device_reaches_it():
    device = Device()
    inventory = Inventory()
    inventory.provision(device.device_id)
    routes = {device.address[0]: "192.0.2.77"}
    controller = Controller(ControllerSettings((bytes(4) + b"\x15\xbd",)), inventory, routes.get)
    ((answer, _),) = controller.datagram(0, device.invite(controller=True), device.address)
    assert parse_ipx(opened(answer).get(PL_IPX)).private == endpoint(("192.0.2.77", 5565))


def test_a_controller_without_a_gsp_is_a_configuration_error():
    with pytest.raises(ConfigError, match="GSP"):
        Controller(ControllerSettings(()), Inventory())


def attach_stats(device, status):
    return encode(
        PT_STATS,
        (
            (PL_STATS, b"\x07"),
            (PL_SP_ID, build_id(ID_URL, device.device_id)),
            (PL_ATTACH_STATS, build_attach_stats(1, status, 1)),
        ),
    )


def test_a_devices_report_of_a_failed_attach_reaches_the_operator():
    device = Device()
    controller, _ = make_controller(device.device_id)
    assert not controller.datagram(0, attach_stats(device, 9), device.address)
    assert drain(controller) == [AttachFailed(device.device_id, device.address, AttachFailure.REPORTED, 9)]


def test_reports_in_the_name_of_unknown_devices_are_only_counted():
    device = Device(b"unknown.example.net")
    controller, _ = make_controller()
    controller.datagram(0, attach_stats(device, 9), device.address)
    assert drain(controller) == []
    assert controller.counters.ignored == 1


def test_a_flood_of_reports_is_rationed():
    device = Device()
    controller, _ = make_controller(device.device_id)
    for _ in range(1_000):
        controller.datagram(0, attach_stats(device, 9), device.address)
    assert len(drain(controller)) == 3


def test_it_waits_for_nothing():
    controller, _ = make_controller()
    assert controller.deadline_ms is None
    assert not controller.timeout(1_000)
