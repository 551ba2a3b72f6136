"""Opening a connection: clear, under a pre-shared key, introduced; and what each refuses."""

import pytest
from homeport.client.session.clear import ClearOpening
from homeport.client.session.paths import PathKind
from homeport.client.session.psk import PskOpening
from homeport.client.session.states import State
from homeport.errors import ConnectFailed, HomeportError, NotPaired, RefusedError
from homeport_core.crypto import AesContext, key_material
from homeport_core.packet import Packet, encode
from homeport_core.payloads import build_notify, parse_id, parse_ipx
from homeport_core.spec import (
    FL_EXCEPTION,
    FL_RESPONSE,
    NOTIFY_BAD_KEY,
    NOTIFY_BUSY_MICRO,
    NOTIFY_CP_ACCESS,
    NOTIFY_OK,
    PL_CP_ID,
    PL_CRYPTO,
    PL_EP,
    PL_FP,
    PL_IPX,
    PL_NONCE,
    PL_NOTIFY,
    PT_U_CONNECT,
    PT_U_CONNECT_PSK,
)
from session_world import (
    CLIENT,
    DEVICE_GLOBAL,
    DEVICE_ID,
    DEVICE_LOCAL,
    DEVICE_PRIVATE,
    GSP,
    KEY_ID,
    NSI,
    PSK,
    QUERY_ECHO,
    STRANGER,
    FakeDevice,
    World,
)

FINGERPRINT = bytes(range(0x10, 0x20))


def clear(world):
    return ClearOpening(DEVICE_LOCAL, "me", FINGERPRINT, world.rng)


def psk(world, key=PSK):
    return PskOpening(DEVICE_LOCAL, DEVICE_ID, "me", FINGERPRINT, KEY_ID, key, world.rng)


def decoded(data):
    packet = Packet()
    packet.decode_from(data)
    return packet


def test_a_clear_connect_carries_identity_and_an_nsi_of_its_own_above_1000():
    world = World()
    world.connect(clear(world))
    packet = decoded(world.sent[0][1])
    ipx = parse_ipx(packet.get(PL_IPX))
    assert packet.first == PL_IPX and len(packet.get(PL_IPX)) == 17
    assert ipx.flags == 0xA0
    assert int.from_bytes(ipx.sp) > 1000 and int.from_bytes(packet.cp) > 1000
    assert parse_id(packet.get(PL_CP_ID)) == (1, b"me")
    assert packet.get(PL_FP) == b"\x01" + FINGERPRINT


def test_a_clear_connection_opens_on_the_first_answer():
    world = World()
    world.connect(clear(world))
    assert world.until_open() is PathKind.LOCAL
    assert not world.session.is_sealed


def test_a_repeated_clear_connect_is_the_same_datagram():
    world = World(loss=1.0)
    world.connect(clear(world))
    world.run(2_900)
    assert len(world.sent) == 6
    assert len({data for _, data, _ in world.sent}) == 1


def test_a_device_that_ignores_our_nsi_is_addressed_by_the_one_it_reports():
    world = World()
    session = world.connect(clear(world))
    request = decoded(world.sent[0][1])
    notify = build_notify(NOTIFY_OK, b"\0\0\x01\x23")
    answer = encode(PT_U_CONNECT, [(PL_NOTIFY, notify)], flags=FL_RESPONSE, cp=request.cp)
    world.inject(answer, DEVICE_LOCAL)
    world.request(QUERY_ECHO)
    assert session.state is State.OPEN
    assert decoded(world.sent[-1][1]).sp == b"\0\0\x01\x23"


def test_an_answer_from_another_source_is_ignored():
    world = World(loss=1.0)
    session = world.connect(clear(world))
    request = decoded(world.sent[0][1])
    answer = encode(PT_U_CONNECT, [(PL_NOTIFY, build_notify(NOTIFY_OK, NSI))], flags=FL_RESPONSE, cp=request.cp)
    world.inject(answer, STRANGER)
    assert session.state is State.OPENING


@pytest.mark.parametrize(("code", "kind"), [(NOTIFY_CP_ACCESS, NotPaired), (NOTIFY_BUSY_MICRO, RefusedError)])
def test_a_refused_clear_connect_ends_with_its_reason(code, kind):
    device = FakeDevice()
    device.refuse_with = code
    world = World(device)
    world.connect(clear(world))
    assert isinstance(world.until_open(), kind)


def test_a_silent_device_ends_a_clear_connect_after_five_seconds():
    world = World(loss=1.0)
    world.connect(clear(world))
    started = world.now
    assert isinstance(world.until_open(), HomeportError)
    assert 5_000 <= world.now - started <= 5_600


@pytest.mark.parametrize("careful", [False, True])
def test_a_psk_connection_opens_and_knows_whether_the_device_remembers(careful):
    world = World(FakeDevice(careful))
    world.connect(psk(world))
    assert world.until_open() is PathKind.LOCAL
    assert world.session.is_sealed
    assert world.session.remembers is careful


def test_a_psk_connection_carries_requests():
    world = World()
    world.connect(psk(world))
    answer = world.request(QUERY_ECHO, b"hello")
    world.until(lambda: world.outcome(answer) is not None)
    assert world.outcome(answer) == b"hello"


def test_a_psk_connect_that_is_refused_names_the_key():
    device = FakeDevice()
    device.refuse_with = NOTIFY_BAD_KEY
    world = World(device)
    world.connect(psk(world))
    error = world.until_open()
    assert isinstance(error, RefusedError) and error.code == NOTIFY_BAD_KEY


def test_a_device_without_the_key_cannot_pass_for_the_device():
    device = FakeDevice()
    world = World(device)
    world.connect(psk(world, key=bytes(16)))
    request = decoded(world.sent[0][1])
    forged = encode(PT_U_CONNECT_PSK, [(PL_NONCE, bytes(32))], sp=b"\0\0\0\xe0", flags=FL_RESPONSE, cp=request.cp)
    world.inject(forged, DEVICE_LOCAL)
    assert world.session.drops["AuthError"] == 1
    assert world.session.state is State.OPENING


def test_a_recorded_answer_of_the_device_does_not_fit_another_attempt():
    old = World()
    old.connect(psk(old))
    request = decoded(old.sent[0][1])
    (recorded,) = old.device.receive(old.sent[0][1], CLIENT)
    world = World(seed=1, loss=1.0)
    session = world.connect(psk(world))
    replayed = session.opening.cp + recorded[4:]
    assert request.cp != session.opening.cp
    world.inject(replayed, DEVICE_LOCAL)
    world.inject(reseal(recorded, session.opening.cp), DEVICE_LOCAL)
    assert world.session.drops["AuthError"] == 2
    assert session.opening.sp == b""


def reseal(recorded, cp):
    """What a device would send that has the key, but answers another nonce."""
    context = AesContext(key_material(DEVICE_ID.encode(), PSK), True)
    device = AesContext(key_material(DEVICE_ID.encode(), PSK), False)
    packet = Packet()
    packet.decode_from(bytearray(recorded))
    payloads = [(kind, data) for kind, _, data in packet.payloads() if kind != PL_CRYPTO]
    return encode(
        packet.type, payloads, sp=packet.sp, flags=packet.flags, cp=cp, context=device,
        plaintext=context.open(packet), iv=bytes(16),
    )  # fmt: skip


def test_a_rendezvous_packet_of_another_connection_is_dropped():
    world = World()
    world.endpoints.clear()
    session = world.introduce(PathKind.DIRECT)
    world.inject(encode(PT_U_CONNECT, [(PL_EP, CLIENT)], sp=b"\x7a\0\0\0", seq=2), STRANGER)
    assert session.opening.candidates.best() is None
    assert session.drops["MalformedError"] == 1


def test_giving_up_after_the_second_message_aborts_the_attempt():
    device = FakeDevice()
    world = World(device)
    session = world.connect(psk(world))
    world.until(lambda: session.opening.sp)
    world.close()
    last = decoded(world.sent[-1][1])
    assert last.type == PT_U_CONNECT_PSK and last.flags == FL_EXCEPTION and last.sp == session.opening.sp


def test_an_introduced_connection_prefers_the_private_endpoint():
    world = World()
    session = world.introduce()
    assert world.until_settled() is PathKind.DIRECT
    assert session.path.endpoint == DEVICE_PRIVATE


def test_an_introduced_connection_takes_the_global_endpoint_when_the_private_is_silent():
    world = World()
    world.unreachable.add(DEVICE_PRIVATE)
    session = world.introduce()
    assert world.until_settled() is PathKind.DIRECT
    assert session.path.endpoint == DEVICE_GLOBAL


def test_the_relay_is_used_after_one_round_trip_whether_or_not_a_direct_path_comes():
    for unreachable in (set(), {DEVICE_PRIVATE, DEVICE_GLOBAL}):
        world = World()
        world.unreachable.update(unreachable)
        started = world.now
        world.introduce()
        assert world.until_open() is PathKind.RELAY
        assert world.now - started == 2 * world.latency_ms


def test_relay_alone_sends_no_rendezvous():
    world = World()
    world.introduce(PathKind.RELAY)
    assert world.until_open() is PathKind.RELAY
    assert {to for _, _, to in world.sent} == {GSP}


def test_direct_alone_fails_after_five_seconds_and_says_what_was_tried():
    world = World()
    world.unreachable.update((DEVICE_PRIVATE, DEVICE_GLOBAL))
    world.introduce(PathKind.DIRECT)
    error = world.until_open()
    assert isinstance(error, ConnectFailed)
    assert [path for path, _ in error.attempts] == ["direct"]
    assert error.next_step


def test_a_direct_path_that_carries_no_authentic_packet_is_not_used():
    world = World()
    world.endpoints.discard(DEVICE_PRIVATE)
    world.endpoints.discard(DEVICE_GLOBAL)
    session = world.introduce()
    fake = encode(PT_U_CONNECT, [(PL_EP, CLIENT)], sp=NSI, seq=2)
    world.inject(fake, STRANGER)
    world.run(30_000)
    assert session.state is State.OPEN
    assert world.paths == [PathKind.RELAY]


def test_a_direct_path_that_carries_no_authentic_packet_is_given_up_and_told():
    world = World()
    world.endpoints.clear()
    world.introduce(PathKind.DIRECT)
    world.inject(encode(PT_U_CONNECT, [(PL_EP, CLIENT)], sp=NSI, seq=2), STRANGER)
    assert world.until_open().attempts == [("direct", "no echo of 6 keep-alives")]


def test_when_nothing_works_all_attempts_are_told():
    world = World()
    world.unreachable.update((DEVICE_PRIVATE, DEVICE_GLOBAL, GSP))
    world.introduce()
    error = world.until_open()
    assert isinstance(error, ConnectFailed)
    assert [path for path, _ in error.attempts] == ["direct", "relay"]


def test_a_direct_path_found_late_takes_over_from_the_relay():
    world = World()
    world.unreachable.update((DEVICE_PRIVATE, DEVICE_GLOBAL))
    session = world.introduce()
    assert world.until_open() is PathKind.RELAY
    world.unreachable.clear()
    world.run(3_000)
    assert session.path.kind is PathKind.DIRECT
    assert session.state is State.OPEN


def test_seq_0_is_answered_by_1_and_seq_1_by_2_with_the_interval():
    world = World()
    world.endpoints.clear()
    world.introduce()
    for seq in (0, 1):
        before = len(world.sent)
        world.inject(encode(PT_U_CONNECT, [(PL_EP, CLIENT)], sp=NSI, seq=seq), STRANGER)
        answers = [(decoded(data), to) for _, data, to in world.sent[before:]]
        packet, to = next((packet, to) for packet, to in answers if packet.type == PT_U_CONNECT)
        assert to == STRANGER and packet.seq == seq + 1
        assert [data for kind, _, data in packet.payloads() if kind == PL_EP] == [STRANGER, CLIENT]
        assert packet.get(PL_NONCE) == (5_000).to_bytes(4)


def test_rendezvous_answers_are_limited():
    world = World()
    world.endpoints.clear()
    world.introduce(PathKind.DIRECT)
    probe = encode(PT_U_CONNECT, [(PL_EP, CLIENT)], sp=NSI, seq=0)
    for _ in range(1_000):
        world.inject(probe, STRANGER)
    assert sum(to == STRANGER for _, _, to in world.sent) == 64


def test_false_endpoints_are_bounded_and_do_not_keep_the_relay_out():
    world = World()
    world.endpoints.clear()
    session = world.introduce()
    for n in range(200):
        world.inject(encode(PT_U_CONNECT, [(PL_EP, CLIENT)], sp=NSI, seq=2), bytes((203, 0, 113, n, 1, 1)))
    assert world.until_open() is PathKind.RELAY
    assert len(session.opening.candidates.attempts) <= 9


def test_a_symmetric_device_is_tried_on_many_ports():
    world = World()
    world.endpoints.clear()
    world.introduce(PathKind.DIRECT, nat=7)
    world.run(4_990)
    ports = {to for _, _, to in world.sent if to[:4] == DEVICE_GLOBAL[:4]}
    assert 950 <= len(ports) <= 1_001


def test_requests_made_before_the_connection_is_open_wait_for_it():
    world = World()
    world.introduce()
    answer = world.request(QUERY_ECHO, b"x")
    world.until(lambda: world.outcome(answer) is not None)
    assert world.outcome(answer) == b"x"
