"""Our side of the end-to-end exchange, and what a session does after it (docs/extensions.md)."""

import random

import pytest
from device_bench import FINGERPRINT
from evil_basestation import E2E_KEY, E2E_KEY_ID, HELLO, EvilWorld, is_framing
from gsp_peers import Device, attach, drain, exchange, make_gsp
from homeport.basestation.events import Connected
from homeport.basestation.gsp.connect import ConnectRequest
from homeport.client.session.control import Control
from homeport.client.session.events import Opened
from homeport.client.session.introduced import IntroducedOpening, Introduction
from homeport.client.session.paths import Path, PathKind
from homeport.client.session.rekey import RETRY_MS, TRIES, Rekey
from homeport.client.session.requests import Requests
from homeport.client.session.states import State
from homeport.errors import AuthError, MalformedError, NotEndToEnd
from homeport_core.crypto import AesContext, prf, prf_plus
from homeport_core.packet import Packet, encode
from homeport_core.payloads import u32
from homeport_core.spec import FL_RESPONSE, FRAMING_CLOSE, NOTIFY_BAD_KEY_ID, PT_DATA, TAG_FRAMING
from session_world import DEVICE_GLOBAL, GSP, MATERIAL, NSI, FakeDevice, World

BASE = b"homeport end-to-end 1" + NSI + FINGERPRINT + E2E_KEY_ID
DEVICE_NONCE = b"\x88" * 32
ECHO, COUNT = 1, 2


def rekey():
    return Rekey(NSI, FINGERPRINT, E2E_KEY_ID, E2E_KEY, lambda n: bytes([0x77]) * n)


def device_answer(message, key=E2E_KEY, nonce=DEVICE_NONCE, nsi=NSI):
    base = BASE.replace(NSI, nsi)
    root = prf(key, base + b"keys" + message[20:52] + nonce)
    return HELLO + b"\0\0\0\x01" + nonce + prf(root, b"device"), prf_plus(root, b"data", 96)


def opened(kinds=(), **network):
    world = EvilWorld(**network)
    world.introduce_keyed(*kinds)
    world.until_open()
    assert world.session.state is State.OPEN
    return world


def answered(world, query=ECHO, params=b"", timeout_ms=10_000):
    request_id = world.request(query, params, timeout_ms)
    world.until(lambda: world.outcome(request_id) is not None, timeout_ms)
    return world.outcome(request_id)


# The messages


def test_the_message_is_as_the_document_says():
    nonce = bytes([0x77]) * 32
    assert rekey().message == HELLO + E2E_KEY_ID + nonce + prf(E2E_KEY, BASE + b"hello" + nonce)


def test_an_answer_that_proves_the_key_gives_the_new_context():
    exchange = rekey()
    answer, material = device_answer(exchange.message)
    context = exchange.take(answer)
    assert exchange.is_done
    packet = Packet()
    sealed = encode(PT_DATA, context=AesContext(material, False), plaintext=b"hi", iv=bytes(16))
    packet.decode_from(bytearray(sealed))
    assert context.open(packet) == b"hi"


@pytest.mark.parametrize("at", range(8, 72, 7))
def test_an_answer_with_a_wrong_octet_does_not_count(at):
    exchange = rekey()
    answer = bytearray(device_answer(exchange.message)[0])
    answer[at] ^= 0x10
    with pytest.raises(AuthError):
        exchange.take(bytes(answer))
    assert not exchange.is_done
    assert exchange.error is None


@pytest.mark.parametrize("n", [4, 7, 9, 40, 71, 73])
def test_an_answer_of_the_wrong_size_is_malformed(n):
    exchange = rekey()
    with pytest.raises(MalformedError):
        exchange.take((device_answer(exchange.message)[0] + b"\0")[:n])


def test_a_refusal_is_the_end():
    exchange = rekey()
    assert exchange.take(HELLO + NOTIFY_BAD_KEY_ID.to_bytes(4)) is None
    assert isinstance(exchange.error, NotEndToEnd)
    assert "homeport pair" in exchange.error.next_step


def test_the_key_is_in_no_text_of_it():
    assert E2E_KEY.hex() not in repr(rekey()) + str(vars(rekey()))


# The session


def test_it_costs_no_round_trip():
    world = EvilWorld(latency_ms=10)
    begin = world.now
    world.introduce_keyed()
    world.until(lambda: any(isinstance(event, Opened) for event in world.events))
    assert world.now - begin == 2 * world.latency_ms


def test_the_session_says_whether_it_is_end_to_end():
    world = EvilWorld()
    world.introduce_keyed()
    assert not world.session.is_end_to_end
    world.until_open()
    assert world.session.is_end_to_end


def test_a_device_that_never_answers_the_exchange_is_given_up_and_told():
    world = World(FakeDevice(careful=True))
    world.device.context = AesContext(MATERIAL, False)
    world.device.nsi = NSI
    introduction = Introduction(NSI, MATERIAL, GSP, bytes(6), DEVICE_GLOBAL, 0)
    kinds = frozenset((PathKind.RELAY,))
    begin = world.now
    world.connect(IntroducedOpening(introduction, kinds, world.rng, rekey=rekey()))
    request_id = world.request(ECHO, b"secret")
    error = world.until_open()
    assert isinstance(error, NotEndToEnd)
    assert world.outcome(request_id) is error
    assert world.now - begin >= RETRY_MS * TRIES
    assert world.device.runs == []
    world.run(100)
    assert world.device.closed


def test_a_client_without_the_key_says_what_is_missing():
    world = EvilWorld()
    world.introduce_keyed(rekey=False)
    world.until(lambda: world.session.state is State.CLOSED)
    assert isinstance(world.error, NotEndToEnd)
    assert "not in this profile" in str(world.error)
    world.run(1_000)
    assert world.bench.stack.connections.find(NSI) is None


def test_closing_while_the_exchange_is_under_way_is_no_error():
    world = EvilWorld()
    world.introduce_keyed()
    world.close()
    assert world.error is None


def test_an_old_answer_under_the_basestations_keys_does_not_count():
    world = opened()
    world.inject(world.forged_down(b"\0\0\0\0" + (1).to_bytes(4), FL_RESPONSE, TAG_FRAMING), GSP)
    assert world.session.drops["AuthError"] >= 1


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("kinds", [(PathKind.RELAY,), (PathKind.DIRECT,), (PathKind.DIRECT, PathKind.RELAY)])
def test_over_a_bad_network_it_opens_and_every_query_runs_once(kinds, seed):
    world = EvilWorld(seed=seed, loss=0.25, duplicates=0.25, jitter_ms=150)
    world.introduce_keyed(*kinds)
    results = [answered(world, ECHO, bytes([n]), 120_000) for n in range(8)]
    assert results == [bytes([n]) for n in range(8)], seed
    assert world.bench.app.runs == 8, seed
    assert world.session.is_end_to_end


def test_an_idle_connection_stays():
    world = opened()
    world.run(600_000)
    assert answered(world) == b""


# What binds the relay


def bindings(world):
    """The counters of the keep-alives that the basestation can verify, in the order sent."""
    opened_by_it = [world.peek(data) for data in world.seen_up if len(data) == 72]
    return [u32(plaintext, 4) for plaintext in opened_by_it if plaintext and plaintext[:4] == bytes(4)]


def test_on_a_relay_a_keep_alive_for_the_basestation_goes_beside_each_of_ours():
    world = opened()
    before = len(world.seen_up)
    world.run(20_000)
    sent = world.seen_up[before:]
    binding = [data for data in sent if world.peek(data) is not None]
    assert {len(data) for data in binding} == {72}
    assert len(binding) == [len(data) for data in sent if is_framing(data)].count(88) >= 3
    assert bindings(world) == sorted(set(bindings(world)))


def test_on_a_direct_path_there_is_none():
    world = opened((PathKind.DIRECT,))
    answered(world)
    before = len(world.sent)
    world.run(20_000)
    assert {len(data) for _, data, _ in world.sent[before:] if is_framing(data)} == {88}


def test_the_basestations_relay_follows_the_client_after_the_exchange():
    device = Device()
    gsp, _ = make_gsp(device.device_id)
    exchange(gsp, device, attach(gsp, device))
    gsp.connect(0, ConnectRequest(device.device_id, FINGERPRINT))
    exchange(gsp, device, gsp.timeout(0))
    event = next(event for event in drain(gsp) if isinstance(event, Connected))

    rng = random.Random(1).randbytes
    introduction = Introduction(event.nsi, event.key_material, GSP, bytes(6), bytes(6), 0)
    ours = Rekey(event.nsi, FINGERPRINT, E2E_KEY_ID, E2E_KEY, rng)
    opening = IntroducedOpening(introduction, frozenset((PathKind.RELAY,)), rng, rekey=ours)
    control = Control(opening, Requests(opening.cp, rng), rng)
    relay = Path(PathKind.RELAY, GSP)
    home, away = ("203.0.113.1", 1000), ("203.0.113.2", 2000)

    before = [data for data, _ in control.keep_alive(relay, 1)]
    assert [gsp.datagram(0, data, home) for data in before] == [((data, device.address),) for data in before]
    control.go_over(device_answer(ours.message, nsi=event.nsi)[0])
    binding, keep_alive = (data for data, _ in control.keep_alive(relay, 2))
    assert not gsp.datagram(0, keep_alive, away)
    assert gsp.datagram(0, binding, away) == ((binding, device.address),)
    assert gsp.datagram(0, keep_alive, away) == ((keep_alive, device.address),)
    assert not gsp.datagram(0, before[0], home)


def test_when_a_direct_path_dies_the_relay_carries_on_under_the_same_keys():
    world = opened((PathKind.DIRECT, PathKind.RELAY))
    world.until(lambda: world.session.path.kind is PathKind.DIRECT)
    answered(world)
    world.unreachable.add(DEVICE_GLOBAL)
    world.until(lambda: world.session.path.kind is PathKind.RELAY)
    assert answered(world, COUNT) == b"\0\0\0\x02"
    assert world.session.is_end_to_end


def test_the_close_goes_under_the_new_keys():
    world = opened()
    answered(world)
    world.close()
    assert FRAMING_CLOSE.to_bytes(4) not in [plaintext[:4] for plaintext in world.read]
    world.run(1_000)
    assert world.bench.stack.connections.find(NSI) is None


def test_requests_go_on_when_their_numbers_have_gone_round():
    world = opened()
    world.session._requests._seq = 0xFFF0
    results = [answered(world, ECHO, bytes([n])) for n in range(40)]
    assert results == [bytes([n]) for n in range(40)]
    world.session._requests._seq = 0xFFF0
    ids = [world.request(ECHO, bytes([n])) for n in range(40)]
    world.until(lambda: all(world.outcome(one) is not None for one in ids))
    assert [world.outcome(one) for one in ids] == results
    assert world.bench.app.runs == 80


def test_a_request_that_the_basestation_kept_for_long_is_not_run_again():
    world = opened()
    assert answered(world, COUNT) == b"\0\0\0\x01"
    recorded = list(world.seen_up)
    world.run(3_600_000)
    for data in recorded:
        world.give_device(data)
    assert world.bench.app.runs == 1
    assert answered(world, COUNT) == b"\0\0\0\x02"
