"""Requests over a bad network: answered once, never run twice by a device that remembers, and what errors say."""

import struct

import pytest
from homeport.client.session import requests
from homeport.client.session.clear import ClearOpening
from homeport.client.session.psk import PskOpening
from homeport.client.session.requests import Retry
from homeport.errors import FullError, RefusedError, StateError, Timeout
from homeport_core.crypto import AesContext, NullContext
from homeport_core.packet import Packet, encode
from homeport_core.payloads import build_notify
from homeport_core.spec import FL_RESPONSE, FRAMING_FEATURES, NOTIFY_MICRO_ACK, PL_NOTIFY, PT_DATA, TAG_FRAMING
from session_world import (
    CLIENT,
    DEVICE_ID,
    DEVICE_LOCAL,
    DEVICE_PRIVATE,
    GSP,
    KEY_ID,
    MATERIAL,
    NSI,
    PSK,
    QUERY_COUNT,
    QUERY_ECHO,
    QUERY_LATER,
    QUERY_REFUSE,
    STRANGER,
    FakeDevice,
    World,
)

SEEDS = range(12)


def opened(device=None, **network):
    """An open introduced session on a network that is good until the test says otherwise."""
    world = World(device)
    world.introduce()
    world.until_settled()
    for name, value in network.items():
        setattr(world, name, value)
    return world


def opened_psk(**network):
    """An open PSK session to a device that is known to remember what it ran."""
    world = World(FakeDevice(careful=True))
    world.connect(PskOpening(DEVICE_LOCAL, DEVICE_ID, "me", None, KEY_ID, PSK, world.rng))
    world.until_open()
    for name, value in network.items():
        setattr(world, name, value)
    return world


def finished(world, *request_ids):
    world.until(lambda: all(world.outcome(request_id) is not None for request_id in request_ids))
    return [world.outcome(request_id) for request_id in request_ids]


def decoded(data):
    packet = Packet()
    packet.decode_from(data)
    return packet


def rpc_packets(world):
    """The requests on the wire, repetitions included."""
    return [data for _, data, _ in world.sent if data[8] == PT_DATA and decoded(data).tag is None]


@pytest.mark.parametrize("seed", SEEDS)
def test_with_a_device_that_remembers_every_query_is_answered_and_run_once(seed):
    world = opened_psk(loss=0.3, duplicates=0.3, jitter_ms=200)
    world.random.seed(seed)
    ids = [world.request(QUERY_ECHO, bytes((n,)), timeout_ms=60_000) for n in range(20)]
    answers = finished(world, *ids)
    assert answers == [bytes((n,)) for n in range(20)], seed
    assert len(world.device.runs) == 20, seed


@pytest.mark.parametrize("seed", SEEDS)
def test_every_repetition_is_the_same_datagram(seed):
    world = opened_psk(loss=0.4)
    world.random.seed(seed)
    finished(world, world.request(QUERY_COUNT, timeout_ms=60_000))
    assert len(set(rpc_packets(world))) == 1


@pytest.mark.parametrize("seed", SEEDS)
def test_with_the_reference_device_a_query_runs_twice_only_if_acknowledgement_and_answer_were_lost(seed):
    world = opened(loss=0.3)
    world.random.seed(seed)
    lost_both = [0]
    post = world.post

    def watch(data, source, to):
        before = len(world._queue)
        post(data, source, to)
        if source == DEVICE_PRIVATE and data[8] == PT_DATA and len(world._queue) == before:
            lost_both[0] += 1

    world.post = watch
    finished(world, world.request(QUERY_COUNT, timeout_ms=60_000))
    assert len(world.device.runs) <= 1 + lost_both[0] // 2


def test_an_unacknowledged_request_is_not_repeated_within_the_time_of_an_acknowledgement():
    world = opened(loss=1.0)
    world.request(QUERY_ECHO)
    world.run(requests.ACK_TIMEOUT_MS - 1)
    assert len(rpc_packets(world)) == 1
    world.run(1)
    assert len(rpc_packets(world)) == 2


def test_repetitions_back_off():
    world = opened_psk(loss=1.0)
    world.request(QUERY_ECHO)
    start = world.now
    world.run(3_000)
    times = [time - start for time, data, _ in world.sent if time >= start and decoded(data).tag is None]
    assert times == [0, 400, 1_200, 2_800]


def test_an_acknowledged_request_is_not_repeated_to_a_device_that_might_run_it_again():
    world = opened()
    request_id = world.request(QUERY_LATER, timeout_ms=15_000)
    world.run(14_000)
    assert len(rpc_packets(world)) == 1
    (error,) = finished(world, request_id)
    assert isinstance(error, Timeout) and "acknowledged" in str(error)


@pytest.mark.parametrize("known", [False, True])
def test_an_acknowledged_request_is_polled_when_that_is_harmless(known):
    world = opened_psk() if known else opened()
    world.request(QUERY_LATER, timeout_ms=20_000, retry=Retry.SAFE if known else Retry.ALWAYS)
    world.run(10_000)
    assert len(rpc_packets(world)) == 5


def test_a_new_path_does_not_hasten_a_repetition_that_a_device_might_run_again():
    queue = requests.Requests(NSI, World().rng)
    queue.submit(b"", Retry.SAFE, 60_000)
    queue.sent(0, queue.next_to_send(), b"packet")
    queue.hurry(100)
    assert queue.due(requests.ACK_TIMEOUT_MS - 1) == []
    assert queue.due(requests.ACK_TIMEOUT_MS) == [b"packet"]


def test_a_device_that_says_that_it_remembers_is_asked_again_without_fear():
    world = opened(FakeDevice(careful=True))
    world.run(100)
    assert world.session.remembers
    world.request(QUERY_LATER, timeout_ms=20_000)
    world.run(10_000)
    assert len(rpc_packets(world)) == 5
    assert world.device.runs == [QUERY_LATER]


def test_what_was_acknowledged_before_the_device_was_known_to_remember_is_asked_for_too():
    world = opened(FakeDevice(careful=True))
    world.request(QUERY_LATER, timeout_ms=20_000)
    world.run(10_000)
    assert len(rpc_packets(world)) >= 4


def test_the_reference_device_is_not_pestered_with_the_question():
    world = opened()
    world.run(60_000)
    assert not world.session.remembers
    questions = [data for _, data, _ in world.sent if asks_for_features(data)]
    assert len(questions) == 3


def test_nobody_is_believed_to_remember_on_a_clear_connection():
    world = World(FakeDevice(careful=True))
    world.connect(ClearOpening(DEVICE_LOCAL, "me", None, world.rng))
    world.until_open()
    world.run(20_000)
    assert not world.session.remembers


def asks_for_features(data):
    packet = Packet()
    packet.decode_from(bytearray(data))
    if packet.type != PT_DATA or packet.tag != TAG_FRAMING:
        return False
    return AesContext(MATERIAL, False).open(packet)[:4] == FRAMING_FEATURES.to_bytes(4)


def test_never_means_once():
    world = opened(loss=1.0)
    request_id = world.request(QUERY_ECHO, retry=Retry.NEVER, timeout_ms=2_000)
    (error,) = finished(world, request_id)
    assert isinstance(error, Timeout)
    assert len(rpc_packets(world)) == 1


def test_an_asynchronous_answer_arrives_whenever_the_device_is_done():
    world = opened()
    request_id = world.request(QUERY_LATER, timeout_ms=60_000)
    world.run(9_000)
    for data, to in world.device.finish_later():
        world.post(data, DEVICE_PRIVATE, to)
    assert finished(world, request_id) == [b"done"]


def test_answers_may_come_in_any_order():
    world = opened()
    later = world.request(QUERY_LATER)
    quick = world.request(QUERY_ECHO, b"quick")
    assert finished(world, quick) == [b"quick"]
    assert world.outcome(later) is None


def test_an_exception_becomes_a_refusal_with_its_code():
    world = opened()
    (error,) = finished(world, world.request(QUERY_REFUSE))
    assert isinstance(error, RefusedError) and error.code == 9


def test_no_more_requests_are_in_flight_than_a_device_can_be_expected_to_hold():
    world = opened(loss=1.0)
    ids = [world.request(QUERY_ECHO, bytes((n,)), timeout_ms=60_000) for n in range(40)]
    assert len(rpc_packets(world)) == requests.ANSWERS_KEPT
    world.loss = 0.0
    assert finished(world, *ids) == [bytes((n,)) for n in range(40)]


def test_no_request_overtakes_one_whose_answer_may_have_to_come_again_by_more_than_a_device_keeps():
    world = opened_psk()
    post = world.post
    world.post = lambda data, source, to: post(data, source, to) if source == CLIENT else None
    first = world.request(QUERY_ECHO, b"its answer is lost")
    world.run(50)
    world.post = post
    for n in range(40):
        world.request(QUERY_ECHO, bytes((n,)), timeout_ms=60_000)
    world.run(200)
    assert world.outcome(first) is None
    assert len(world.device.runs) == requests.ANSWERS_KEPT


def test_a_request_that_takes_long_does_not_hold_up_the_others():
    world = opened_psk()
    later = world.request(QUERY_LATER, timeout_ms=60_000)
    ids = [world.request(QUERY_ECHO, bytes((n,)), timeout_ms=60_000) for n in range(40)]
    finished(world, *ids)
    assert world.outcome(later) is None


def test_requests_that_are_not_repeated_hold_up_no_others():
    world = opened()
    for _ in range(40):
        world.request(QUERY_LATER, timeout_ms=60_000)
    world.run(2_000)
    assert world.device.runs == [QUERY_LATER] * requests.MAX_IN_FLIGHT


def test_too_many_waiting_requests_are_refused():
    world = opened(loss=1.0)
    with pytest.raises(StateError):
        for _ in range(requests.MAX_WAITING + requests.MAX_IN_FLIGHT + 1):
            world.request(QUERY_ECHO)


def test_a_request_larger_than_a_packet_fails_and_the_session_goes_on():
    world = opened()
    (error,) = finished(world, world.request(QUERY_ECHO, bytes(2_000)))
    assert isinstance(error, FullError)
    assert finished(world, world.request(QUERY_ECHO, b"ok")) == [b"ok"]


def test_a_request_that_nobody_waits_for_is_not_repeated_and_has_no_outcome():
    world = opened(loss=1.0)
    request_id = world.request(QUERY_ECHO)
    world.session.cancel(request_id)
    world.run(20_000)
    assert len(rpc_packets(world)) == 1
    assert world.outcome(request_id) is None


def test_a_request_that_is_given_up_before_it_was_sent_is_never_sent():
    world = World()
    world.introduce()
    world.session.cancel(world.request(QUERY_ECHO))
    world.until_open()
    world.run(1_000)
    assert rpc_packets(world) == []


def test_requests_that_wait_for_a_connection_expire():
    world = World(loss=1.0)
    world.introduce()
    request_id = world.request(QUERY_ECHO, timeout_ms=1_000)
    world.run(1_000)
    assert isinstance(world.outcome(request_id), Timeout)


def test_a_replayed_answer_is_not_taken_for_another_request():
    world = opened()
    answers = []
    post = world.post
    world.post = lambda data, source, to: (answers.append(data), post(data, source, to))[1]
    first = world.request(QUERY_COUNT)
    finished(world, first)
    world.loss = 1.0
    second = world.request(QUERY_COUNT)
    for data in answers:
        world.inject(data, DEVICE_PRIVATE)
    assert world.outcome(second) is None
    assert world.session.drops["replay"] > 0


def test_sequence_numbers_never_come_twice_with_the_same_nsi():
    queue = requests.Requests(b"\x80\0\0\1", World().rng)
    keys = set()
    for _ in range(70_000):
        queue.submit(b"", Retry.NEVER, 1)
        request = queue.next_to_send()
        queue.sent(0, request, b"x")
        queue.finish(request)
        keys.add(request.key)
    assert len(keys) == 70_000


def test_answers_still_find_the_session_when_the_sequence_has_gone_round():
    world = opened()
    world.session._requests._seq = 0xFFFF
    request_id = world.request(QUERY_ECHO, b"round")
    assert world.session.nsis[0] == decoded(rpc_packets(world)[-1]).cp
    assert finished(world, request_id) == [b"round"]


def test_an_answer_without_encryption_is_no_answer():
    world = opened(loss=1.0)
    request_id = world.request(QUERY_ECHO)
    request = decoded(rpc_packets(world)[-1])
    for context in (None, NullContext()):
        forged = encode(
            PT_DATA, sp=NSI, seq=request.seq, flags=FL_RESPONSE, cp=request.cp, context=context, plaintext=b"forged"
        )
        world.inject(forged, DEVICE_PRIVATE)
    assert world.outcome(request_id) is None


def test_a_forged_acknowledgement_only_lengthens_the_wait():
    world = opened(loss=1.0)
    request_id = world.request(QUERY_ECHO, timeout_ms=5_000)
    request = decoded(rpc_packets(world)[-1])
    notify = [(PL_NOTIFY, build_notify(NOTIFY_MICRO_ACK))]
    world.inject(encode(PT_DATA, notify, sp=NSI, seq=request.seq, flags=FL_RESPONSE, cp=request.cp), STRANGER)
    (error,) = finished(world, request_id)
    assert isinstance(error, Timeout)


def test_our_own_request_reflected_is_no_answer():
    world = opened(loss=1.0)
    request_id = world.request(QUERY_ECHO)
    reflected = bytearray(rpc_packets(world)[-1])
    world.inject(bytes(reflected), DEVICE_PRIVATE)
    reflected[11] |= FL_RESPONSE
    world.inject(bytes(reflected), DEVICE_PRIVATE)
    assert world.outcome(request_id) is None
    assert world.session.drops["AuthError"] == 1


def test_a_clear_answer_counts_only_from_the_devices_address():
    world = World()
    world.connect(ClearOpening(DEVICE_LOCAL, "me", None, world.rng))
    world.until_open()
    world.loss = 1.0
    request_id = world.request(QUERY_ECHO)
    request = decoded(rpc_packets(world)[-1])
    forged = encode(
        PT_DATA, sp=request.sp, seq=request.seq, flags=FL_RESPONSE, cp=request.cp, context=NullContext(), plaintext=b"f"
    )
    world.inject(forged, STRANGER)
    assert world.outcome(request_id) is None
    assert world.session.drops["source"] == 1


def test_an_answer_is_taken_from_wherever_it_comes_if_it_is_authentic():
    world = opened(loss=1.0)
    request_id = world.request(QUERY_ECHO)
    request = decoded(rpc_packets(world)[-1])
    answer = encode(
        PT_DATA, sp=NSI, seq=request.seq, flags=FL_RESPONSE, cp=request.cp, context=AesContext(MATERIAL, False),
        plaintext=struct.pack(">I", 5), iv=bytes(16),
    )  # fmt: skip
    world.inject(answer, GSP)
    assert world.outcome(request_id) == struct.pack(">I", 5)
