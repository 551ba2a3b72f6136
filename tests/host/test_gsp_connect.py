"""Connect: what U_CONNECT says, which answers count, and what the client is told when none comes."""

import pytest
from gsp_peers import FINGERPRINT, Client, Device, attach, drain, exchange, make_gsp, opened
from homeport.basestation.events import Connected, ConnectRefused, SessionClosed
from homeport.basestation.gsp.connect import ConnectRequest, cut
from homeport.wire import endpoint
from homeport_core.catalogue import NOTIFY_MICRO_REATTACHING, NOTIFY_MICRO_REQ_ERR, NOTIFY_UNKNOWN_MICRO
from homeport_core.crypto import AesContext
from homeport_core.packet import encode
from homeport_core.payloads import build_notify, parse_fp, parse_id, parse_ipx
from homeport_core.spec import (
    CAP_FP,
    FL_RESPONSE,
    ID_MAIL,
    IPX_CP_ASYNC,
    IPX_NO_RENDEZVOUS,
    NOTIFY_BUSY_MICRO,
    NOTIFY_CP_ACCESS,
    NOTIFY_OK,
    PL_CP_ID,
    PL_CRYPTO,
    PL_FP,
    PL_IPX,
    PL_NOTIFY,
    PT_U_ALIVE,
    PT_U_CONNECT,
)

PRIVATE = endpoint(("10.0.0.9", 50000))
GLOBAL = endpoint(("203.0.113.9", 50000))


def attached(**settings):
    device = Device()
    gsp, _ = make_gsp(device.device_id, **settings)
    exchange(gsp, device, attach(gsp, device))
    drain(gsp)
    return gsp, device


def request(device, **changes):
    values = {"client_id": "ann@example.org", "private": PRIVATE, "global_": GLOBAL, **changes}
    return ConnectRequest(device.device_id, FINGERPRINT, **values)


def connect_packets(datagrams):
    return [(packet, to) for packet, to in datagrams if packet[8] == PT_U_CONNECT]


def begin(gsp, device, now_ms=0, **changes):
    connect_id = gsp.connect(now_ms, request(device, **changes))
    ((packet, to),) = connect_packets(gsp.timeout(now_ms))
    assert to == device.address
    return connect_id, packet


def test_u_connect_has_the_specified_form():
    gsp, device = attached()
    _, data = begin(gsp, device, nat_type=4)
    packet = opened(data)
    assert (packet.type, packet.flags, packet.sp, packet.cp) == (PT_U_CONNECT, 0, device.nsi, bytes(4))
    assert [kind for kind, _, _ in packet.payloads()] == [PL_IPX, PL_CP_ID, PL_FP, PL_CRYPTO]
    ipx = parse_ipx(packet.get(PL_IPX))
    assert (ipx.private, ipx.global_, ipx.flags) == (PRIVATE, GLOBAL, IPX_CP_ASYNC | 4)
    assert int.from_bytes(ipx.sp, "big") > 1_000
    assert parse_id(packet.get(PL_CP_ID)) == (ID_MAIL, b"ann@example.org")
    assert parse_fp(packet.get(PL_FP)) == FINGERPRINT
    assert len(AesContext(device.key, False).open(packet)) == 96


@pytest.mark.parametrize("now_ms", [1, 50, 99, 100])
def test_u_connect_goes_out_at_once(now_ms):
    gsp, device = attached()
    begin(gsp, device, now_ms)


def test_an_accepted_connection_hands_the_client_everything_it_needs():
    gsp, device = attached()
    connect_id, data = begin(gsp, device)
    assert exchange(gsp, device, [(data, device.address)]) == []
    (event,) = drain(gsp)
    assert isinstance(event, Connected)
    assert (event.connect_id, event.device_id) == (connect_id, device.device_id)
    assert device.connections == {event.nsi: event.key_material}
    assert (event.device_private, event.device_global) == (bytes(6), endpoint(device.address))
    assert (event.nat_type, event.capability_bits, event.capability_mask) == (0, device.capabilities, 0xB3C)
    assert gsp.sessions == 1


def test_keys_do_not_show_in_the_text_of_an_event():
    gsp, device = attached()
    _, data = begin(gsp, device)
    exchange(gsp, device, [(data, device.address)])
    (event,) = drain(gsp)
    assert event.key_material.hex()[:8] not in repr(event)
    assert repr(event.key_material)[2:10] not in repr(event)


def test_rendezvous_can_be_declined():
    gsp, device = attached()
    _, data = begin(gsp, device, rendezvous=False)
    assert parse_ipx(opened(data).get(PL_IPX)).flags == IPX_NO_RENDEZVOUS | IPX_CP_ASYNC


def test_a_device_that_does_not_know_fingerprints_gets_none():
    device = Device()
    device.capabilities &= ~CAP_FP
    gsp, _ = make_gsp(device.device_id)
    attach(gsp, device)
    _, data = begin(gsp, device)
    assert opened(data).find(PL_FP) == -1


@pytest.mark.parametrize(
    ("client_id", "fingerprint_known", "sent"),
    [
        ("", True, 0),
        ("x" * 59, True, 59),
        ("x" * 60, True, 59),
        ("x" * 500, True, 59),
        ("x" * 500, False, 64),
        ("x" * 58 + "é", True, 58),
        ("é" * 100, True, 58),
        ("\ud800" * 3, True, 3),
    ],
)
def test_a_long_client_id_is_cut_so_that_the_smallest_device_receives_the_packet(client_id, fingerprint_known, sent):
    device = Device()
    device.capabilities = device.capabilities if fingerprint_known else device.capabilities & ~CAP_FP
    gsp, _ = make_gsp(device.device_id)
    attach(gsp, device)
    _, data = begin(gsp, device, client_id=client_id)
    name = parse_id(opened(data).get(PL_CP_ID))[1]
    assert len(data) <= 272
    assert len(name) == sent
    name.decode()


def test_text_is_cut_between_characters():
    assert cut("añb", 2) == b"a"
    assert cut("añb", 3) == "añ".encode()
    assert cut("abc", 0) == b""


def test_an_unanswered_u_connect_is_repeated_unchanged_and_then_given_up():
    gsp, device = attached()
    connect_id = gsp.connect(0, request(device))
    sent = []
    for now_ms in range(0, 8_100, 100):
        sent += [(now_ms, packet) for packet, _ in connect_packets(gsp.timeout(now_ms))]
    assert [now_ms for now_ms, _ in sent] == [0, 500, 1_000, 2_000, 4_000]
    assert len({packet for _, packet in sent}) == 1
    (event,) = drain(gsp)
    assert (event.connect_id, event.code) == (connect_id, NOTIFY_MICRO_REATTACHING)


def test_a_device_that_does_not_answer_is_asked_whether_it_is_alive():
    gsp, device = attached()
    gsp.connect(0, request(device))
    for now_ms in range(0, 8_000, 100):
        gsp.timeout(now_ms)
    assert PT_U_ALIVE in [packet[8] for packet, _ in gsp.timeout(8_000)]


def test_an_answer_after_a_repeat_counts_once():
    gsp, device = attached()
    _, data = begin(gsp, device)
    gsp.timeout(500)
    (answer,) = device.take(data)
    gsp.datagram(600, answer, device.address)
    gsp.datagram(601, answer, device.address)
    assert len(drain(gsp)) == 1
    assert connect_packets(gsp.timeout(9_000)) == []


def test_a_device_that_is_not_attached_is_unknown_at_once():
    gsp, _ = make_gsp(b"dev1.example.net")
    connect_id = gsp.connect(0, request(Device()))
    (event,) = drain(gsp)
    assert (event.connect_id, event.code) == (connect_id, NOTIFY_UNKNOWN_MICRO)
    assert gsp.timeout(10_000) == []


@pytest.mark.parametrize("code", [NOTIFY_CP_ACCESS, NOTIFY_BUSY_MICRO, 0x8008, 0x8123])
def test_a_devices_refusal_is_passed_on(code):
    gsp, device = attached()
    device.answer_code = code
    connect_id, data = begin(gsp, device)
    exchange(gsp, device, [(data, device.address)])
    (event,) = drain(gsp)
    assert isinstance(event, ConnectRefused)
    assert (event.connect_id, event.code) == (connect_id, code)
    assert event.reason
    assert gsp.sessions == 0


def forged(device, data, **changes):
    packet = opened(data)
    nsi = parse_ipx(packet.get(PL_IPX)).sp
    values = {"sp": packet.sp, "seq": packet.seq, "flags": FL_RESPONSE, "nsi": nsi, "source": device.address, **changes}
    notify = build_notify(NOTIFY_OK, values["nsi"])
    answer = encode(PT_U_CONNECT, ((PL_NOTIFY, notify),), sp=values["sp"], seq=values["seq"], flags=values["flags"])
    return answer, values["source"]


@pytest.mark.parametrize(
    "changes",
    [
        {"source": ("198.51.100.7", 40001)},
        {"source": ("198.51.100.8", 40000)},
        {"seq": 0},
        {"sp": b"\1\2\3\4"},
        {"nsi": b"\1\2\3\4"},
        {"nsi": b""},
        {"flags": 0},
        {"flags": 3},
    ],
)
def test_an_answer_that_does_not_match_in_every_field_is_ignored(changes):
    gsp, device = attached()
    _, data = begin(gsp, device)
    assert opened(data).seq
    gsp.datagram(100, *forged(device, data, **changes))
    assert drain(gsp) == []
    gsp.datagram(100, *forged(device, data))
    assert isinstance(drain(gsp)[0], Connected)


def test_a_reattach_ends_the_attempts_made_under_the_old_keys():
    gsp, device = attached()
    connect_id, _ = begin(gsp, device)
    device.restart()
    attach(gsp, device, 1_000)
    refused = [event for event in drain(gsp) if isinstance(event, ConnectRefused)]
    assert [(event.connect_id, event.code) for event in refused] == [(connect_id, NOTIFY_MICRO_REATTACHING)]
    assert connect_packets(gsp.timeout(9_000)) == []


def test_revoking_a_device_ends_attempts_and_sessions():
    gsp, device = attached()
    _, data = begin(gsp, device)
    exchange(gsp, device, [(data, device.address)])
    (connected,) = drain(gsp)
    waiting, _ = begin(gsp, device)
    gsp.revoke(device.device_id, "removed")
    events = drain(gsp)
    assert SessionClosed(device.device_id, connected.nsi, "removed") in events
    assert [(e.connect_id, e.code) for e in events if isinstance(e, ConnectRefused)] == [
        (waiting, NOTIFY_UNKNOWN_MICRO)
    ]
    assert gsp.sessions == 0


def test_attempts_are_capped_per_device_and_in_all():
    gsp, device = attached(connects_per_device=3)
    for _ in range(5):
        gsp.connect(0, request(device))
    assert [event.code for event in drain(gsp)] == [NOTIFY_BUSY_MICRO] * 2
    gsp, device = attached(connects_max=3)
    for _ in range(5):
        gsp.connect(0, request(device))
    assert [event.code for event in drain(gsp)] == [NOTIFY_MICRO_REQ_ERR] * 2


def accepted(gsp, device):
    _, data = begin(gsp, device)
    exchange(gsp, device, [(data, device.address)])
    (event,) = [event for event in drain(gsp) if isinstance(event, Connected)]
    return event


def test_of_too_many_sessions_in_all_the_oldest_that_is_not_relayed_goes():
    gsp, device = attached(sessions_max=2)
    relayed, resting = accepted(gsp, device), accepted(gsp, device)
    client = Client(relayed.nsi, relayed.key_material)
    gsp.datagram(0, client.keep_alive(), client.address)
    accepted(gsp, device)
    assert gsp.sessions == 2
    assert gsp.datagram(0, client.data(b"request"), client.address)
    assert not gsp.datagram(0, device.data(resting.nsi), device.address)
    assert gsp.counters.drop_unknown_nsi == 1


def test_without_room_for_a_session_a_connect_is_refused():
    gsp, device = attached(sessions_max=1)
    event = accepted(gsp, device)
    client = Client(event.nsi, event.key_material)
    gsp.datagram(0, client.keep_alive(), client.address)
    drain(gsp)
    gsp.connect(0, request(device))
    assert [event.code for event in drain(gsp)] == [NOTIFY_MICRO_REQ_ERR]


def test_the_quietest_of_too_many_sessions_of_a_device_goes():
    gsp, device = attached(sessions_per_device=2)
    nsis = []
    for now_ms in (0, 100, 200):
        _, data = begin(gsp, device, now_ms)
        exchange(gsp, device, [(data, device.address)], now_ms)
        nsis.append([event.nsi for event in drain(gsp) if isinstance(event, Connected)][0])
    assert gsp.sessions == 2
    assert gsp.counters.sessions_closed == 1
    gsp.datagram(300, device.data(nsis[0]), device.address)
    assert gsp.counters.drop_unknown_nsi == 1


def test_an_nsi_is_never_used_again_for_a_device():
    device = Device()
    gsp, _ = make_gsp(device.device_id)
    attach(gsp, device)
    attachment = gsp.attachment(device.device_id)
    first, second = b"\x11\x11\x11\x11", b"\x22\x22\x22\x22"
    numbers = [first, first, second]
    rng = gsp._connects._rng
    gsp._connects._rng = lambda n: numbers.pop(0) if n == 4 else rng(n)
    _, data = begin(gsp, device)
    exchange(gsp, device, [(data, device.address)])
    gsp.disconnect(first)
    _, data = begin(gsp, device)
    assert parse_ipx(opened(data).get(PL_IPX)).sp == second
    assert attachment.has_used(first)
    assert not attachment.has_used(b"\x11\x11\x11\x22")


def test_used_nsis_are_remembered_over_a_reattach():
    gsp, device = attached()
    begin(gsp, device)
    used = gsp.attachment(device.device_id).used
    device.restart()
    attach(gsp, device, 1_000)
    assert gsp.attachment(device.device_id).used == used != b""


def test_what_is_remembered_of_used_nsis_is_bounded():
    gsp, device = attached()
    attachment = gsp.attachment(device.device_id)
    for n in range(10_000):
        attachment.mark_used(n.to_bytes(4, "big"))
    assert len(attachment.used) <= 4 * 256
    assert attachment.has_used((9_999).to_bytes(4, "big"))


@pytest.mark.parametrize("changes", [{"fingerprint": bytes(15)}, {"private": bytes(5)}, {"nat_type": 16}])
def test_an_impossible_request_is_a_bug_of_the_caller(changes):
    values = {"device_id": b"d", "fingerprint": FINGERPRINT, **changes}
    with pytest.raises(ValueError, match="octets|NAT"):
        ConnectRequest(**values)
