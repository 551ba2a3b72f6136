"""Attach: who gets a U_ATTACH, what makes a registration, what never touches one."""

import pytest
from gsp_peers import Device, attach, drain, exchange, make_gsp, opened
from homeport.basestation.events import AttachFailed, AttachFailure, DeviceAttached, DeviceLost, InviteRefused, Refusal
from homeport.basestation.gsp.settings import RateLimit
from homeport.wire import endpoint
from homeport_core.crypto import AesContext, key_material
from homeport_core.packet import encode
from homeport_core.payloads import build_notify
from homeport_core.spec import (
    ENDPOINT_ZERO,
    FL_RESPONSE,
    NOTIFY_ERROR,
    NOTIFY_OK,
    PL_CRYPTO,
    PL_EP,
    PL_NONCE,
    PL_NOTIFY,
    PT_U_ALIVE,
    PT_U_ATTACH,
    SUITE_NULL,
)


def invited(gsp, device, now_ms=0):
    ((packet, _),) = gsp.datagram(now_ms, device.invite(), device.address)
    return packet


def test_an_invite_is_answered_with_a_u_attach_of_the_specified_form():
    device = Device()
    gsp, _ = make_gsp(device.device_id)
    packet = opened(invited(gsp, device))
    assert (packet.type, packet.flags, packet.n) == (PT_U_ATTACH, 0, 180)
    assert [kind for kind, _, _ in packet.payloads()] == [PL_EP, PL_NONCE, PL_CRYPTO]
    assert packet.get(PL_EP) == endpoint(device.address)
    assert len(packet.get(PL_NONCE)) == 32
    assert int.from_bytes(packet.sp, "big") > 1_000
    assert device.context().open(packet)[:32] == device.nonce


def test_an_invite_alone_registers_nobody():
    device = Device()
    gsp, _ = make_gsp(device.device_id)
    invited(gsp, device)
    assert gsp.attached == 0
    assert gsp.handshakes == 1


def test_a_proven_answer_registers_the_device_and_starts_keep_alive_at_once():
    device = Device()
    gsp, _ = make_gsp(device.device_id)
    ((alive, to),) = attach(gsp, device)
    packet = opened(alive)
    assert (packet.type, packet.seq, packet.sp, to) == (PT_U_ALIVE, 1, device.nsi, device.address)
    assert drain(gsp) == [DeviceAttached(device.device_id, device.address, None, 0, "4.6.0-alpha.0", "-")]
    attachment = gsp.attachment(device.device_id)
    assert (attachment.key, attachment.nsi) == (device.key, device.nsi)
    assert gsp.handshakes == 0


def test_the_devices_answer_tells_endpoints_nat_type_and_capabilities():
    device = Device()
    device.nat_type = 7
    device.private = endpoint(("10.0.0.5", 40000))
    gsp, _ = make_gsp(device.device_id)
    attach(gsp, device)
    attachment = gsp.attachment(device.device_id)
    assert (attachment.private, attachment.nat_type) == (device.private, 7)
    assert (attachment.capability_bits, attachment.capability_mask) == (device.capabilities, 0xB3C)
    assert attachment.takes_fingerprint


def test_a_device_that_tells_nothing_of_itself_attaches_all_the_same():
    device = Device()
    gsp, _ = make_gsp(device.device_id)
    sp, nonce, seed = answer_to(gsp, device)
    answer = encode(
        PT_U_ATTACH,
        ((PL_NOTIFY, build_notify(NOTIFY_OK)),),
        sp=sp,
        seq=1,
        flags=FL_RESPONSE,
        context=device.context(),
        plaintext=nonce + seed,
        iv=bytes(16),
    )
    assert gsp.datagram(0, answer, device.address)
    attachment = gsp.attachment(device.device_id)
    assert (attachment.private, attachment.nat_type) == (ENDPOINT_ZERO, 0)
    assert not attachment.takes_fingerprint


def test_a_repeated_invite_gets_the_identical_u_attach():
    device = Device()
    gsp, _ = make_gsp(device.device_id)
    first = invited(gsp, device)
    assert invited(gsp, device, 4_000) == first
    assert gsp.handshakes == 1


def test_another_nonce_or_another_source_opens_another_handshake():
    device = Device()
    gsp, _ = make_gsp(device.device_id)
    packets = {invited(gsp, device)}
    device.restart()
    packets.add(invited(gsp, device))
    device.address = ("198.51.100.7", 40001)
    packets.add(invited(gsp, device))
    assert len(packets) == gsp.handshakes == 3


def refused(gsp, device, invite=None):
    assert not gsp.datagram(0, device.invite() if invite is None else invite, device.address)
    assert gsp.handshakes == 0
    (event,) = drain(gsp)
    assert isinstance(event, InviteRefused)
    return event.reason


def test_an_unknown_device_gets_nothing_and_the_operator_hears_why():
    gsp, _ = make_gsp()
    assert refused(gsp, Device()) is Refusal.UNKNOWN


def test_a_disabled_device_gets_nothing_and_the_operator_hears_why():
    device = Device()
    gsp, inventory = make_gsp()
    inventory.provision(device.device_id, enabled=False)
    assert refused(gsp, device) is Refusal.DISABLED


@pytest.mark.parametrize("changes", [{"nonce": bytes(8)}, {"suite": SUITE_NULL}, {"nonce": bytes(31)}])
def test_the_insecure_variant_is_refused_in_silence_with_a_reason(changes):
    device = Device()
    gsp, _ = make_gsp(device.device_id)
    assert refused(gsp, device, device.invite(**changes)) is Refusal.INSECURE


def test_an_invite_with_the_response_flag_or_without_nonce_is_dropped():
    device = Device()
    gsp, _ = make_gsp(device.device_id)
    response = bytearray(device.invite())
    response[11] = FL_RESPONSE
    assert not gsp.datagram(0, bytes(response), device.address)
    assert not gsp.datagram(0, device.invite(controller=True), device.address)
    assert gsp.counters.drop_unexpected == 2


def answer_to(gsp, device):
    packet = opened(invited(gsp, device))
    nonce = packet.get(PL_NONCE)
    return packet.sp, nonce, device.context().open(packet)[32:]


def test_an_answer_under_another_key_registers_nobody():
    device = Device()
    gsp, _ = make_gsp(device.device_id)
    sp, nonce, seed = answer_to(gsp, device)
    wrong = AesContext(key_material(device.device_id, b"\x08" * 16), False)
    assert not gsp.datagram(0, device.attach_answer(sp, nonce, seed, context=wrong), device.address)
    assert gsp.attached == 0
    assert gsp.counters.drop_auth == 1
    assert drain(gsp) == [AttachFailed(device.device_id, device.address, AttachFailure.UNVERIFIED)]


def test_an_answer_over_another_nonce_registers_nobody():
    device = Device()
    gsp, _ = make_gsp(device.device_id)
    sp, _, seed = answer_to(gsp, device)
    assert not gsp.datagram(0, device.attach_answer(sp, bytes(32), seed), device.address)
    assert gsp.attached == 0


def test_an_answer_that_does_not_say_ok_registers_nobody():
    device = Device()
    gsp, _ = make_gsp(device.device_id)
    sp, nonce, seed = answer_to(gsp, device)
    assert not gsp.datagram(0, device.attach_answer(sp, nonce, seed, code=NOTIFY_ERROR), device.address)
    assert gsp.attached == 0


@pytest.mark.parametrize("flags", [0, 3])
def test_an_answer_without_exactly_the_response_flag_registers_nobody(flags):
    device = Device()
    gsp, _ = make_gsp(device.device_id)
    sp, nonce, seed = answer_to(gsp, device)
    assert not gsp.datagram(0, device.attach_answer(sp, nonce, seed, flags=flags), device.address)
    assert gsp.attached == 0


@pytest.mark.parametrize("source", [("198.51.100.8", 40000), ("198.51.100.7", 40001)])
def test_an_answer_from_another_source_registers_nobody(source):
    device = Device()
    gsp, _ = make_gsp(device.device_id)
    sp, nonce, seed = answer_to(gsp, device)
    answer = device.attach_answer(sp, nonce, seed)
    assert not gsp.datagram(0, answer, source)
    assert gsp.counters.drop_source == 1
    assert gsp.datagram(0, answer, device.address)


def test_our_own_u_attach_reflected_is_no_answer():
    device = Device()
    gsp, _ = make_gsp(device.device_id)
    packet = bytearray(invited(gsp, device))
    assert not gsp.datagram(0, bytes(packet), device.address)
    packet[11] = FL_RESPONSE
    assert not gsp.datagram(0, bytes(packet), device.address)
    assert gsp.attached == 0


def test_a_handshake_ends_after_a_few_answers_that_do_not_verify():
    device = Device()
    gsp, _ = make_gsp(device.device_id, handshake_failures=3)
    sp, nonce, seed = answer_to(gsp, device)
    bad = bytearray(device.attach_answer(sp, nonce, seed))
    bad[-1] ^= 1
    for _ in range(3):
        gsp.datagram(0, bytes(bad), device.address)
    assert gsp.handshakes == 0


def test_a_device_disabled_during_the_handshake_is_not_registered():
    device = Device()
    gsp, inventory = make_gsp(device.device_id)
    sp, nonce, seed = answer_to(gsp, device)
    inventory.provision(device.device_id, enabled=False)
    assert not gsp.datagram(0, device.attach_answer(sp, nonce, seed), device.address)
    assert gsp.attached == 0


def test_a_key_rotated_during_the_handshake_makes_the_old_one_worthless():
    device = Device()
    gsp, inventory = make_gsp(device.device_id)
    sp, nonce, seed = answer_to(gsp, device)
    inventory.provision(device.device_id, psk=b"\x09" * 16)
    assert not gsp.datagram(0, device.attach_answer(sp, nonce, seed), device.address)
    assert gsp.attached == 0
    assert gsp.datagram(0, device.invite(), device.address)[0][0][4:8] != sp


def test_the_newest_proven_attach_replaces_the_old_one_and_says_so():
    device, again = Device(), Device(address=("198.51.100.99", 1234), seed=5)
    gsp, _ = make_gsp(device.device_id)
    attach(gsp, device)
    drain(gsp)
    attach(gsp, again, 1_000)
    (event,) = drain(gsp)
    assert (event.address, event.previous) == (again.address, device.address)
    assert gsp.attachment(device.device_id).nsi == again.nsi
    assert gsp.attached == 1


def test_handshakes_expire():
    device = Device()
    gsp, _ = make_gsp(device.device_id)
    invited(gsp, device, 500)
    assert gsp.deadline_ms == 120_500
    gsp.timeout(120_499)
    assert gsp.handshakes == 1
    gsp.timeout(120_500)
    assert gsp.handshakes == 0
    assert gsp.deadline_ms is None


def test_an_unanswered_handshake_is_reported_when_it_expires():
    device = Device()
    gsp, _ = make_gsp(device.device_id)
    invited(gsp, device)
    gsp.timeout(120_000)
    assert drain(gsp) == [AttachFailed(device.device_id, device.address, AttachFailure.UNANSWERED)]


def test_a_stray_copy_of_an_attached_devices_invite_alarms_nobody():
    device = Device()
    gsp, _ = make_gsp(device.device_id)
    attach(gsp, device)
    drain(gsp)
    invited(gsp, device, 1_000)
    while gsp.handshakes:
        now_ms = gsp.deadline_ms
        exchange(gsp, device, gsp.timeout(now_ms), now_ms)
    assert drain(gsp) == []


def test_a_device_that_asks_a_third_time_is_reported_at_once():
    device = Device(psk=b"\x08" * 16)
    gsp, _ = make_gsp(device.device_id)
    for now_ms, reports in ((0, 0), (4_000, 0), (12_000, 1)):
        packet = invited(gsp, device, now_ms)
        assert device.take(packet) == []
        events = drain(gsp)
        assert len(events) == reports
    assert events[0].reason is AttachFailure.UNANSWERED
    gsp.timeout(200_000)
    assert drain(gsp) == []


@pytest.mark.parametrize(
    ("limit", "spread"),
    [
        ({"handshakes_max": 8}, lambda n: (b"dev%d" % n, ("198.51.100.%d" % n, 1))),
        ({"handshakes_per_source": 8}, lambda n: (b"dev%d" % n, ("198.51.100.7", n))),
        ({"handshakes_per_device": 8}, lambda n: (b"dev0", ("198.51.100.%d" % n, 1))),
    ],
    ids=["in all", "per source", "per device"],
)
def test_handshakes_are_capped_and_the_oldest_goes(limit, spread):
    devices = [Device(device_id, address=address, seed=n) for n in range(40) for device_id, address in [spread(n)]]
    ids = {device.device_id for device in devices}
    gsp, _ = make_gsp(*ids, source=RateLimit(1_000, 1.0), device=RateLimit(1_000, 1.0), **limit)
    packets = [invited(gsp, device) for device in devices]
    assert gsp.handshakes == 8
    assert gsp.counters.handshakes_evicted == 32
    (first,), (last,) = devices[0].take(packets[0]), devices[-1].take(packets[-1])
    assert not gsp.datagram(0, first, devices[0].address)
    assert gsp.datagram(0, last, devices[-1].address)


def test_each_source_is_limited():
    devices = [Device(b"dev%d" % n, address=("198.51.100.7", n), seed=n) for n in range(10)]
    gsp, _ = make_gsp(*(device.device_id for device in devices), source=RateLimit(3, 1.0))
    answered = [bool(gsp.datagram(0, device.invite(), device.address)) for device in devices]
    assert answered == [True] * 3 + [False] * 7
    assert {event.reason for event in drain(gsp)} == {Refusal.LIMITED}


def test_each_device_is_limited_however_many_sources_ask():
    device = Device()
    gsp, _ = make_gsp(device.device_id, device=RateLimit(3, 1.0))
    answered = [bool(gsp.datagram(0, device.invite(), ("203.0.113.%d" % n, 1))) for n in range(10)]
    assert answered == [True] * 3 + [False] * 7


def test_strangers_cannot_use_up_the_invites_of_a_device_from_where_it_is_attached():
    device = Device()
    gsp, _ = make_gsp(device.device_id)
    attach(gsp, device)
    stranger = Device(seed=9)
    for n in range(100):
        gsp.datagram(1_000, stranger.invite(), ("203.0.113.%d" % n, 1))
    device.restart()
    device.address = (device.address[0], 40_001)
    attach(gsp, device, 1_000)
    assert gsp.attachment(device.device_id).address == device.address


def test_revoking_drops_the_attachment_and_the_handshakes():
    device = Device()
    gsp, _ = make_gsp(device.device_id)
    attach(gsp, device)
    drain(gsp)
    device.restart()
    invited(gsp, device, 1_000)
    gsp.revoke(device.device_id, "disabled")
    assert (gsp.attached, gsp.handshakes) == (0, 0)
    assert drain(gsp) == [DeviceLost(device.device_id, device.address, "disabled")]
    gsp.revoke(b"nobody")
    assert gsp.timeout(60_000) == []


def test_an_unset_private_address_is_kept_as_it_came():
    device = Device()
    gsp, _ = make_gsp(device.device_id)
    attach(gsp, device)
    assert gsp.attachment(device.device_id).private == ENDPOINT_ZERO
