"""The known weaknesses of the wire (core 14) and the rules of design section 6, as far as a basestation can close
them. Each test names its row or rule."""

import dataclasses
import random
import tracemalloc

from gsp_peers import FINGERPRINT, Client, Device, attach, drain, exchange, make_gsp, make_rng, opened
from homeport.basestation.controller import Controller
from homeport.basestation.events import Connected, ConnectRefused, DeviceAttached, InviteRefused
from homeport.basestation.gsp.connect import ConnectRequest
from homeport.basestation.gsp.settings import ControllerSettings, RateLimit
from homeport_core.packet import encode
from homeport_core.payloads import build_notify, parse_ipx
from homeport_core.spec import (
    FL_RESPONSE,
    NOTIFY_OK,
    PL_IPX,
    PL_NOTIFY,
    PL_STATS,
    PT_PROBE,
    PT_STATS,
    PT_U_ALIVE,
    PT_U_ATTACH,
    PT_U_CONNECT,
    PT_U_INVITE,
)

STRANGER = ("192.0.2.66", 666)


def attached(**settings):
    device = Device()
    gsp, inventory = make_gsp(device.device_id, **settings)
    exchange(gsp, device, attach(gsp, device))
    drain(gsp)
    return gsp, device, inventory


def connected(**settings):
    gsp, device, _ = attached(**settings)
    gsp.connect(0, ConnectRequest(device.device_id, FINGERPRINT))
    exchange(gsp, device, gsp.timeout(0))
    (event,) = drain(gsp)
    client = Client(event.nsi, event.key_material)
    gsp.datagram(0, client.keep_alive(), client.address)
    return gsp, device, client


def state(gsp, device):
    """Everything of a registration that an attacker would like to change."""
    attachment = gsp.attachment(device.device_id)
    return (attachment, attachment.nsi, attachment.address, attachment.key, attachment.facts, attachment.seq)


def test_rule_1_a_live_registration_survives_any_number_of_false_invites():
    gsp, device, _ = attached()
    before = state(gsp, device)
    stranger = Device(psk=b"\x66" * 16, address=STRANGER)
    for now_ms in range(0, 30_000, 10):
        stranger.restart()
        gsp.datagram(now_ms, stranger.invite(), STRANGER)
        gsp.datagram(now_ms, stranger.invite(), device.address)
    assert state(gsp, device) == before


def test_rule_1_a_live_registration_survives_any_number_of_false_attaches():
    gsp, device, _ = attached()
    before = state(gsp, device)
    stranger = Device(psk=b"\x66" * 16, address=STRANGER)
    for now_ms in range(0, 60_000, 2_000):
        stranger.restart()
        for packet, _ in gsp.datagram(now_ms, stranger.invite(), STRANGER):
            forged = stranger.attach_answer(opened(packet).sp, opened(packet).get(0x32), bytes(32))
            for source in (STRANGER, device.address):
                assert not gsp.datagram(now_ms, forged, source)
    assert gsp.counters.drop_auth >= 30
    assert state(gsp, device) == before


def test_rule_1_a_replayed_attach_registers_nobody():
    """A recorded attach proves the key over an old nonce of ours, which is worth nothing."""
    device = Device()
    gsp, _ = make_gsp(device.device_id)
    recorded = [device.invite()]
    ((packet, _),) = gsp.datagram(0, recorded[0], device.address)
    recorded += device.take(packet)
    gsp.datagram(0, recorded[1], device.address)
    before = state(gsp, device)
    for source in (device.address, STRANGER):
        for packet in recorded * 3:
            answer = bytearray(packet)
            pending = gsp.datagram(1_000, packet, source)
            if pending and pending[0][0][8] == PT_U_ATTACH:
                answer = bytearray(recorded[1])
                answer[4:8] = pending[0][0][4:8]
                assert not gsp.datagram(1_000, bytes(answer), source)
    assert state(gsp, device) == before


def test_rule_1_the_device_itself_can_attach_again_in_the_middle_of_a_flood():
    gsp, device, _ = attached()
    stranger = Device(psk=b"\x66" * 16)
    for n in range(5_000):
        gsp.datagram(n, stranger.invite(nonce=n.to_bytes(32, "big")), (f"203.0.113.{n % 250}", n))
    device.restart()
    device.address = (device.address[0], 40_002)
    attach(gsp, device, 5_000)
    assert gsp.attachment(device.device_id).address == device.address


def test_rule_2_no_unauthenticated_packet_but_an_invite_gets_more_octets_than_it_had():
    gsp, device, client = connected()
    gsp.set_unix_offset(1_700_000_000_000)
    controller = Controller(ControllerSettings((bytes(6),)), {device.device_id: gsp._devices[device.device_id]})
    rng = random.Random(6)
    for n in range(4_000):
        kind = rng.choice(
            (PT_U_INVITE, PT_U_ALIVE, PT_U_CONNECT, PT_PROBE, PT_STATS, PT_U_ATTACH, 22, rng.randrange(256))
        )
        size = rng.randrange(0, 60)
        data = encode(kind, ((rng.randrange(256), rng.randbytes(size)),), sp=rng.choice((device.nsi, client.nsi)))
        data = data[:11] + bytes((rng.choice((0, FL_RESPONSE)),)) + data[12:]
        for machine in (gsp, controller):
            for source in (device.address, client.address, STRANGER):
                sent = machine.datagram(n * 100, data, source)
                assert sum(len(packet) for packet, _ in sent) <= len(data)


def test_rule_2_a_u_attach_is_at_most_twice_its_invite():
    for length in range(1, 41):
        device = Device(b"d" * length)
        gsp, _ = make_gsp(device.device_id)
        invite = device.invite()
        ((packet, _),) = gsp.datagram(0, invite, device.address)
        assert len(packet) <= 2 * len(invite)
    device = Device(b"d")
    gsp, _ = make_gsp(device.device_id)
    short = opened(device.invite())
    bare = encode(PT_U_INVITE, [(kind, data) for kind, _, data in short.payloads() if kind not in (0x3A, 0x40)])
    assert len(bare) < 90
    assert not gsp.datagram(0, bare, device.address)


def test_rule_2_a_flood_of_forged_invites_reflects_no_more_than_the_limit_per_device():
    device = Device()
    gsp, _ = make_gsp(device.device_id, device=RateLimit(6, 0.5))
    rng = random.Random(7)
    sent = 0
    for n in range(20_000):
        source = (f"203.0.{rng.randrange(256)}.{rng.randrange(256)}", rng.randrange(65_536))
        sent += len(gsp.datagram(n, device.invite(nonce=rng.randbytes(32)), source))
    assert sent <= 6 + 20 * 0.5 + 1


def test_rule_2_a_flood_at_one_victim_reflects_no_more_than_the_limit_per_source():
    devices = [Device(b"dev%d" % n, seed=n) for n in range(500)]
    gsp, _ = make_gsp(*(device.device_id for device in devices), source=RateLimit(20, 5.0))
    sent = sum(
        len(gsp.datagram(now_ms, devices[now_ms % 500].invite(), ("203.0.113.1", now_ms))) for now_ms in range(10_000)
    )
    assert sent <= 20 + 10 * 5 + 1


def test_rule_2_a_flood_from_forged_sources_does_not_grow_memory_without_bound():
    """Known and unknown ids, every packet from another source, the tables small so that they fill early."""
    devices = [Device(b"dev%d" % n, seed=n) for n in range(50)]
    small = {"handshakes_max": 100, "sources_max": 500, "events_max": 100}
    gsp, inventory = make_gsp(*(device.device_id for device in devices), **small)
    controller = Controller(ControllerSettings((bytes(6),), sources_max=500, events_max=100), inventory)
    invites = [device.invite() for device in devices] + [Device(b"stranger").invite()]
    unknown = Device(b"stranger").invite(controller=True)
    rng = random.Random(8)

    def flood(first, count):
        for n in range(first, first + count):
            source = (f"{rng.randrange(1, 224)}.{rng.randrange(256)}.{n & 255}.{n >> 8 & 255}", 1 + n % 65_000)
            gsp.datagram(n // 10, invites[n % 51], source)
            controller.datagram(n // 10, unknown, source)

    flood(0, 20_000)
    tracemalloc.start()
    flood(20_000, 2_000)
    before = tracemalloc.get_traced_memory()[0]
    flood(22_000, 10_000)
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert gsp.handshakes <= 100
    assert len(drain(gsp)) <= 100
    assert grown < 200_000


def test_rule_3_a_stranger_cannot_move_the_relay_endpoint():
    gsp, device, client = connected()
    forged = Client(client.nsi, bytes(96), STRANGER)
    for packet in (forged.keep_alive(99), forged.data(b"x"), device.data(client.nsi), client.data(b"request")):
        assert not gsp.datagram(0, packet, STRANGER)
    assert gsp.datagram(0, device.data(client.nsi), device.address)[0][1] == client.address


def test_rule_3_a_recorded_binding_cannot_be_used_again():
    gsp, device, client = connected()
    recorded = client.keep_alive()
    gsp.datagram(0, recorded, client.address)
    client.address = ("203.0.113.10", 50_001)
    gsp.datagram(0, client.keep_alive(), client.address)
    assert not gsp.datagram(0, recorded, STRANGER)
    assert gsp.datagram(0, device.data(client.nsi), device.address)[0][1] == client.address


def test_rule_3_a_client_cannot_reach_the_session_of_another():
    gsp, device, first = connected()
    gsp.connect(0, ConnectRequest(device.device_id, FINGERPRINT))
    exchange(gsp, device, gsp.timeout(0))
    event = next(event for event in drain(gsp) if isinstance(event, Connected))
    second = Client(event.nsi, first.key, STRANGER)
    assert not gsp.datagram(0, second.keep_alive(99), STRANGER)


def test_rule_6_keys_do_not_show_in_the_text_of_anything_a_log_may_print():
    gsp, device, inventory = attached()
    gsp.connect(0, ConnectRequest(device.device_id, FINGERPRINT))
    exchange(gsp, device, gsp.timeout(0))
    (connected_event,) = drain(gsp)
    record = inventory[device.device_id]
    shown = repr(record) + repr(connected_event) + repr(gsp.attachment(device.device_id))
    for secret in (record.psk, connected_event.key_material, device.key):
        assert secret.hex()[:12] not in shown
        assert repr(secret)[2:14] not in shown


def test_rule_7_a_strangers_text_is_printable_and_capped():
    gsp, _ = make_gsp()
    device = Device(b"\x1b]0;owned\x07" + b"\xff" * 500 + b"\n")
    gsp.datagram(0, device.invite(), device.address)
    (event,) = drain(gsp)
    assert isinstance(event, InviteRefused)
    assert event.claimed_id.isprintable()
    assert len(event.claimed_id) <= 41


def test_row_2_a_connection_has_its_own_nsi_and_key():
    gsp, device, _ = attached()
    seen = set()
    for _ in range(200):
        gsp.connect(0, ConnectRequest(device.device_id, FINGERPRINT))
        datagrams = gsp.timeout(0)
        exchange(gsp, device, datagrams)
        (event,) = (event for event in drain(gsp) if isinstance(event, Connected))
        seen.add(event.nsi)
        seen.add(event.key_material)
        gsp.disconnect(event.nsi)
        drain(gsp)
    assert len(seen) == 400


def test_row_5_payload_lengths_that_loop_or_underflow_are_dropped():
    gsp, device, _ = attached()
    for size in (0, 1, 2, 3, 5, 0xFFFF):
        packet = bytearray(device.poll())
        packet[18:20] = size.to_bytes(2, "big")
        assert not gsp.datagram(5_000, bytes(packet), device.address)
    assert gsp.counters.drop_malformed == 6


def test_row_7_a_spoofed_alive_neither_loses_nor_moves_a_device():
    gsp, device, _ = attached()
    before = state(gsp, device)
    for seq in range(300):
        notify = ((PL_NOTIFY, build_notify(NOTIFY_OK)),)
        spoofed = encode(PT_U_ALIVE, notify, sp=device.nsi, seq=seq, flags=FL_RESPONSE)
        assert not gsp.datagram(seq, spoofed, STRANGER)
    assert state(gsp, device) == before


def test_row_8_a_connect_answer_that_is_not_from_the_device_is_not_believed():
    gsp, device, _ = attached()
    gsp.connect(0, ConnectRequest(device.device_id, FINGERPRINT))
    request = next(packet for packet, _ in gsp.timeout(0) if packet[8] == PT_U_CONNECT)
    nsi = parse_ipx(opened(request).get(PL_IPX)).sp
    for code in (NOTIFY_OK, 0x8004):
        notify = ((PL_NOTIFY, build_notify(code, nsi)),)
        answer = encode(PT_U_CONNECT, notify, sp=device.nsi, seq=opened(request).seq, flags=FL_RESPONSE)
        gsp.datagram(0, answer, STRANGER)
    assert drain(gsp) == []


def test_row_9_nsis_cannot_be_guessed_from_each_other():
    gsp, device, _ = attached(sessions_per_device=1_000)
    nsis = []
    for _ in range(100):
        gsp.connect(0, ConnectRequest(device.device_id, FINGERPRINT))
        exchange(gsp, device, gsp.timeout(0))
        nsis += [int.from_bytes(event.nsi, "big") for event in drain(gsp) if isinstance(event, Connected)]
    differences = {second - first for first, second in zip(nsis, nsis[1:])}
    assert len(differences) == 99
    assert max(nsis) - min(nsis) > 1 << 31


def test_row_20_octets_behind_crypto_make_an_answer_worthless():
    device = Device()
    gsp, _ = make_gsp(device.device_id)
    ((packet, _),) = gsp.datagram(0, device.invite(), device.address)
    (answer,) = device.take(packet)
    longer = bytearray(answer + b"\x7f\x00\x00\x04")
    longer[14:16] = len(longer).to_bytes(2, "big")
    assert not gsp.datagram(0, bytes(longer), device.address)
    assert gsp.attached == 0


def test_row_22_statistics_change_nothing_but_counters():
    gsp, device, client = connected()
    before = state(gsp, device)
    for event in range(256):
        gsp.datagram(0, encode(PT_STATS, ((PL_STATS, bytes((event,))),), sp=device.nsi), STRANGER)
    assert state(gsp, device) == before
    assert gsp.datagram(0, client.data(b"request"), client.address)


def test_a_reflected_packet_of_ours_is_never_answered():
    gsp, device, client = connected()
    gsp.connect(0, ConnectRequest(device.device_id, FINGERPRINT))
    ours = [packet for packet, _ in gsp.timeout(500)] + [packet for packet, _ in gsp.timeout(10_000)]
    assert {PT_U_CONNECT, PT_U_ALIVE} <= {packet[8] for packet in ours}
    for packet in ours:
        for source in (device.address, client.address, STRANGER):
            assert not gsp.datagram(10_100, packet, source)


def test_every_dropped_datagram_is_counted():
    gsp, device, client = connected()
    rng = make_rng(9)
    for n in range(500):
        before = sum(dataclasses.astuple(gsp.counters))
        data = bytearray(encode(n % 256, ((rng(1)[0], rng(20)),), sp=client.nsi))
        data[12] ^= rng(1)[0]
        gsp.datagram(n, bytes(data), STRANGER)
        assert sum(dataclasses.astuple(gsp.counters)) > before


def test_one_refusal_or_success_comes_back_for_each_connect():
    gsp, device, _ = attached()
    ids = [gsp.connect(0, ConnectRequest(device.device_id, FINGERPRINT)) for _ in range(20)]
    exchange(gsp, device, gsp.timeout(0))
    for now_ms in range(0, 20_000, 100):
        gsp.timeout(now_ms)
    outcomes = [event for event in drain(gsp) if isinstance(event, Connected | ConnectRefused)]
    assert sorted(event.connect_id for event in outcomes) == ids


def test_a_key_rotated_by_the_operator_shuts_the_old_key_out():
    gsp, device, inventory = attached()
    inventory.provision(device.device_id, psk=b"\x10" * 16)
    gsp.revoke(device.device_id)
    drain(gsp)
    device.restart()
    ((packet, _),) = gsp.datagram(1_000, device.invite(), device.address)
    assert device.take(packet) == []
    device.psk = b"\x10" * 16
    device.restart()
    attach(gsp, device, 2_000)
    assert [type(event) for event in drain(gsp)] == [DeviceAttached]
