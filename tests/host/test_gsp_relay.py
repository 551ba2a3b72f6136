"""Relay: who is bound to a session, what is passed on, when a session ends. And the endpoint probe."""

import pytest
from gsp_peers import FINGERPRINT, Client, Device, attach, drain, exchange, make_gsp, make_rng, opened
from homeport.basestation.events import Connected, RelayBound, SessionClosed
from homeport.basestation.gsp.connect import ConnectRequest
from homeport.basestation.gsp.probe import ANSWER_LEN
from homeport.wire import endpoint
from homeport_core.crypto import AesContext
from homeport_core.errors import FullError
from homeport_core.packet import encode
from homeport_core.spec import FL_RESPONSE, PL_EP, PL_NONCE, PL_STATS, PT_PROBE, PT_STATS, PT_U_PUSH, TAG_FRAMING

ELSEWHERE = ("192.0.2.99", 9)
KEY = bytes(range(96))
PROBE_ID = b"probe-id"


def connected(now_ms=0, bind=True, **settings):
    """A GSP with a session between a device and a client."""
    device = Device()
    gsp, _ = make_gsp(device.device_id, **settings)
    exchange(gsp, device, attach(gsp, device, now_ms), now_ms)
    gsp.connect(now_ms, ConnectRequest(device.device_id, FINGERPRINT))
    exchange(gsp, device, gsp.timeout(now_ms), now_ms)
    event = next(event for event in drain(gsp) if isinstance(event, Connected))
    client = Client(event.nsi, event.key_material)
    if bind:
        assert gsp.datagram(now_ms, client.keep_alive(), client.address)
        drain(gsp)
    return gsp, device, client


def test_a_verified_keep_alive_binds_the_client_and_is_passed_on_as_it_came():
    gsp, device, client = connected(bind=False)
    keep_alive = client.keep_alive()
    assert gsp.datagram(0, keep_alive, client.address) == ((keep_alive, device.address),)
    assert drain(gsp) == [RelayBound(device.device_id, client.nsi, client.address)]


def test_packets_pass_unchanged_in_both_directions():
    gsp, device, client = connected()
    up, down = client.data(b"request"), device.data(client.nsi)
    assert gsp.datagram(0, up, client.address) == ((up, device.address),)
    assert gsp.datagram(0, down, device.address) == ((down, client.address),)


def test_a_session_is_of_the_client_that_made_it_and_of_nobody_when_it_is_over():
    gsp, _, client = connected()
    assert gsp.is_of(client.nsi, FINGERPRINT)
    assert not gsp.is_of(client.nsi, bytes(16))
    assert not gsp.is_of(bytes(4), FINGERPRINT)
    gsp.disconnect(client.nsi)
    assert not gsp.is_of(client.nsi, FINGERPRINT)


def test_nothing_but_a_keep_alive_binds():
    gsp, _, client = connected(bind=False)
    assert not gsp.datagram(0, client.data(b"\0\0\0\1"), client.address)
    assert not gsp.datagram(0, client.data(bytes(8)), client.address)
    assert not gsp.datagram(0, client.data(b"\0\0\0\3" + bytes(4), tag=TAG_FRAMING), client.address)
    assert not gsp.datagram(0, client.data(bytes(4), tag=TAG_FRAMING), client.address)
    assert gsp.counters.relay_bound == 0


def test_before_a_client_is_bound_the_devices_packets_go_nowhere():
    gsp, device, client = connected(bind=False)
    assert not gsp.datagram(0, device.data(client.nsi), device.address)


def test_packets_from_anyone_else_are_dropped():
    gsp, device, client = connected()
    for packet in (client.data(b"request"), device.data(client.nsi)):
        assert not gsp.datagram(0, packet, ELSEWHERE)
    assert gsp.counters.drop_source == 2


def test_packets_of_unknown_sessions_are_dropped():
    gsp, device, client = connected()
    stray = Client(b"\1\2\3\4", client.key)
    assert not gsp.datagram(0, stray.keep_alive(), client.address)
    assert gsp.counters.drop_unknown_nsi == 1


def test_a_packet_whose_length_field_is_wrong_is_dropped():
    gsp, _, client = connected()
    packet = client.data(b"request")
    assert not gsp.datagram(0, packet + b"\0", client.address)
    assert not gsp.datagram(0, packet[:-1], client.address)
    assert not gsp.datagram(0, packet[:15], client.address)
    assert gsp.counters.drop_malformed == 3


def test_a_client_that_moves_is_followed_after_its_next_keep_alive():
    gsp, device, client = connected()
    assert not gsp.datagram(0, client.data(b"request"), ELSEWHERE)
    assert gsp.datagram(0, client.keep_alive(), ELSEWHERE)
    assert gsp.datagram(0, device.data(client.nsi), device.address)[0][1] == ELSEWHERE


def test_a_keep_alive_under_another_key_does_not_move_the_client():
    gsp, device, client = connected()
    assert not gsp.datagram(0, client.keep_alive(counter=99, key=bytes(96)), ELSEWHERE)
    assert gsp.datagram(0, device.data(client.nsi), device.address)[0][1] == client.address


def test_a_replayed_keep_alive_does_not_move_the_client():
    gsp, device, client = connected()
    recorded = [client.keep_alive() for _ in range(5)]
    for keep_alive in recorded:
        gsp.datagram(0, keep_alive, client.address)
    for keep_alive in recorded:
        assert not gsp.datagram(0, keep_alive, ELSEWHERE)
    assert gsp.counters.drop_replayed == 5
    assert gsp.datagram(0, device.data(client.nsi), device.address)[0][1] == client.address


def test_a_devices_echo_does_not_bind():
    gsp, device, client = connected(bind=False)
    echo = encode(
        22, (), sp=client.nsi, flags=FL_RESPONSE, tag=TAG_FRAMING, context=AesContext(client.key, False),
        plaintext=bytes(4) + b"\0\0\0\7", iv=bytes(16),
    )  # fmt: skip
    assert not gsp.datagram(0, echo, ELSEWHERE)
    assert gsp.counters.relay_bound == 0


def test_attempts_to_bind_are_limited_per_session_and_source():
    gsp, _, client = connected()
    forged = Client(client.nsi, bytes(96))
    for _ in range(100):
        gsp.datagram(0, forged.keep_alive(), ELSEWHERE)
    assert gsp.counters.drop_auth == 10
    assert gsp.counters.drop_limited == 90
    assert gsp.datagram(0, client.keep_alive(), ("192.0.2.100", 9))


def test_a_device_that_attaches_again_elsewhere_keeps_its_sessions():
    gsp, device, client = connected()
    device.restart()
    device.address = ("198.51.100.77", 4321)
    attach(gsp, device, 1_000)
    up, down = client.data(b"request"), device.data(client.nsi)
    assert gsp.datagram(1_000, up, client.address) == ((up, device.address),)
    assert gsp.datagram(1_000, down, device.address) == ((down, client.address),)
    assert not gsp.datagram(1_000, down, ("198.51.100.7", 40000))


def device_is_heard(gsp, device, client, now_ms):
    return bool(gsp.datagram(now_ms, device.data(client.nsi), device.address))


def closed(gsp):
    return [event for event in drain(gsp) if isinstance(event, SessionClosed)]


def advance(gsp, since_ms, until_ms):
    for now_ms in range(since_ms, until_ms, 500):
        if gsp.deadline_ms is not None and gsp.deadline_ms <= now_ms:
            gsp.timeout(now_ms)


def test_a_silent_client_is_sent_nothing_more():
    gsp, device, client = connected()
    advance(gsp, 0, 20_000)
    assert device_is_heard(gsp, device, client, now_ms=19_999)
    gsp, device, client = connected()
    advance(gsp, 0, 26_000)
    assert not device_is_heard(gsp, device, client, now_ms=26_000)


def test_a_client_whose_direct_path_fails_may_come_back_to_the_relay():
    gsp, device, client = connected(bind=False)
    advance(gsp, 0, 600_000)
    assert gsp.datagram(600_000, client.keep_alive(), client.address)
    assert device_is_heard(gsp, device, client, now_ms=600_000)


def test_a_binding_that_was_forgotten_cannot_be_replayed():
    gsp, device, client = connected(bind=False)
    recorded = client.keep_alive()
    assert gsp.datagram(0, recorded, client.address)
    advance(gsp, 0, 40_000)
    assert not gsp.datagram(40_000, recorded, ELSEWHERE)
    assert not gsp.datagram(40_000, recorded, client.address)


def test_a_session_that_nobody_uses_ends_after_an_hour():
    gsp, device, client = connected(bind=False)
    advance(gsp, 0, 3_600_000)
    assert gsp.sessions == 1
    advance(gsp, 3_600_000, 3_661_000)
    assert closed(gsp) == [SessionClosed(device.device_id, client.nsi, "silent")]
    assert not gsp.datagram(3_661_000, client.keep_alive(), client.address)


def test_traffic_keeps_a_client():
    gsp, device, client = connected()
    for now_ms in range(0, 100_000, 10_000):
        gsp.datagram(now_ms, client.keep_alive(), client.address)
        advance(gsp, now_ms, now_ms + 10_000)
    assert device_is_heard(gsp, device, client, now_ms=100_000)


def test_a_strangers_packets_do_not_keep_a_client():
    gsp, device, client = connected()
    packet = client.data(b"request")
    for now_ms in range(0, 26_000, 500):
        gsp.datagram(now_ms, packet, ELSEWHERE)
        gsp.timeout(now_ms)
    assert not device_is_heard(gsp, device, client, now_ms=26_000)


def close_report(client):
    return encode(PT_STATS, ((PL_STATS, b"\x03"),), sp=client.nsi)


@pytest.mark.parametrize(("bind", "within_ms"), [(True, 7_000), (False, 62_000)])
def test_the_devices_report_of_a_close_ends_a_quiet_session_soon(bind, within_ms):
    gsp, device, client = connected(bind=bind)
    advance(gsp, 0, 6_000)
    gsp.datagram(6_000, close_report(client), device.address)
    advance(gsp, 6_000, 6_000 + within_ms)
    assert gsp.sessions == 0


def test_a_report_of_a_close_is_only_a_hint():
    gsp, device, client = connected()
    gsp.datagram(1_000, close_report(client), device.address)
    gsp.datagram(1_100, client.data(b"still here"), client.address)
    advance(gsp, 1_100, 70_000)
    assert gsp.sessions == 1


def test_a_strangers_report_of_a_close_is_ignored():
    gsp, _, client = connected()
    gsp.datagram(1_000, close_report(client), ELSEWHERE)
    advance(gsp, 1_000, 70_000)
    assert gsp.sessions == 1


def test_the_gate_can_end_a_session():
    gsp, device, client = connected()
    gsp.disconnect(client.nsi)
    assert closed(gsp) == [SessionClosed(device.device_id, client.nsi, "closed by the client")]
    gsp.disconnect(client.nsi)
    assert gsp.sessions == 0


def test_one_session_cannot_take_the_whole_relay():
    gsp, _, client = connected(session_packets_per_s=10)
    packet = client.data(b"request")
    passed = [bool(gsp.datagram(now_ms, packet, client.address)) for now_ms in (1_500,) * 20 + (2_500,)]
    assert passed == [True] * 10 + [False] * 10 + [True]


def test_push_is_dropped_and_counted():
    gsp, device, _ = connected()
    assert not gsp.datagram(0, encode(PT_U_PUSH, (), sp=device.nsi), device.address)
    assert gsp.counters.drop_push == 1


def probe(token=b"token--1", probe_id=PROBE_ID, key=KEY, padding=10, flags=0):
    payloads = ((PL_NONCE, probe_id + token), (0x7F, bytes(padding)))
    return encode(PT_PROBE, payloads, cp=b"\0\0\4\1", seq=3, flags=flags, context=AesContext(key, True), iv=bytes(16))


def probing(**settings):
    gsp, _ = make_gsp(**settings)
    gsp.add_probe(PROBE_ID, KEY)
    return gsp


def test_a_probe_is_answered_with_its_source_and_remembered():
    gsp = probing()
    ((answer, to),) = gsp.datagram(0, probe(), ELSEWHERE)
    packet = opened(answer)
    assert (packet.type, packet.flags, packet.cp, packet.seq, to) == (PT_PROBE, FL_RESPONSE, b"\0\0\4\1", 3, ELSEWHERE)
    assert packet.get(PL_EP) == endpoint(ELSEWHERE)
    assert packet.get(PL_NONCE) == PROBE_ID + b"token--1"
    assert AesContext(KEY, True).open(packet) == b""
    assert gsp.probed(PROBE_ID, b"token--1") == endpoint(ELSEWHERE)
    assert gsp.probed(PROBE_ID, b"token--2") is None
    assert gsp.probed(b"other---", b"token--1") is None


def test_a_probe_shorter_than_its_answer_is_dropped():
    gsp = probing()
    assert not gsp.datagram(0, probe(padding=0), ELSEWHERE)
    ((answer, _),) = gsp.datagram(0, probe(padding=ANSWER_LEN - len(probe(padding=0))), ELSEWHERE)
    assert len(answer) == ANSWER_LEN


@pytest.mark.parametrize(
    "changes", [{"key": bytes(96)}, {"probe_id": b"unknown-"}, {"token": b"short"}, {"flags": FL_RESPONSE}]
)
def test_a_probe_that_does_not_verify_is_dropped(changes):
    gsp = probing()
    assert not gsp.datagram(0, probe(**changes), ELSEWHERE)
    assert gsp.probed(PROBE_ID, b"token--1") is None


def test_a_probe_replayed_from_elsewhere_changes_nothing():
    gsp = probing()
    gsp.datagram(0, probe(), ELSEWHERE)
    assert not gsp.datagram(0, probe(), ("192.0.2.100", 1))
    assert gsp.probed(PROBE_ID, b"token--1") == endpoint(ELSEWHERE)


def test_an_answer_reflected_is_no_probe():
    gsp = probing()
    ((answer, _),) = gsp.datagram(0, probe(), ELSEWHERE)
    assert not gsp.datagram(0, answer, ELSEWHERE)


def test_a_repeated_probe_is_answered_again():
    gsp = probing()
    assert gsp.datagram(0, probe(), ELSEWHERE)
    assert gsp.datagram(0, probe(), ELSEWHERE)


def test_tokens_are_bounded_and_the_oldest_goes():
    gsp = probing()
    tokens = [b"token-%02d" % n for n in range(12)]
    for token in tokens:
        gsp.datagram(0, probe(token), ELSEWHERE)
    assert [gsp.probed(PROBE_ID, token) is not None for token in tokens] == [False] * 4 + [True] * 8


def test_probes_are_limited_and_forgotten_when_removed():
    gsp = probing()
    assert sum(bool(gsp.datagram(0, probe(), ELSEWHERE)) for _ in range(100)) == 20
    gsp.remove_probe(PROBE_ID)
    gsp.remove_probe(PROBE_ID)
    assert gsp.probes == 0
    assert not gsp.datagram(10_000, probe(), ELSEWHERE)


def test_probe_ids_are_capped():
    gsp, _ = make_gsp(probes_max=1)
    gsp.add_probe(PROBE_ID, KEY)
    with pytest.raises(FullError):
        gsp.add_probe(b"another-", KEY)


def test_arbitrary_octets_never_make_it_raise():
    gsp, device, client = connected()
    gsp.add_probe(PROBE_ID, KEY)
    rng = make_rng(11)
    good = [client.keep_alive(), device.invite(), device.poll(), probe(), close_report(client), device.data(client.nsi)]
    for round_ in range(3_000):
        data = bytearray(good[round_ % len(good)])
        for _ in range(1 + round_ % 4):
            at, value = rng(2)
            data[at % len(data)] = value
        if round_ % 3 == 0:
            data = data[: rng(1)[0]]
        gsp.datagram(round_, bytes(data), device.address)
        length = len(data)
        if length >= 16:
            data[14], data[15] = length >> 8, length & 0xFF
            gsp.datagram(round_, bytes(data), (device.address, client.address, ELSEWHERE)[round_ % 3])
    assert gsp.attached == 1
