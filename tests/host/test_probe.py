"""The probe: sealed, no smaller than its answer, repeated, and only a sealed answer to it counts."""

import pytest
from homeport.client.network.probe import Probe, Probed
from homeport.wire import endpoint
from homeport_core.crypto import AesContext
from homeport_core.packet import Packet, encode
from homeport_core.spec import FL_RESPONSE, PL_EP, PL_NONCE, PT_PROBE
from vector_files import damaged

KEY = bytes(range(96))
PROBE_ID = b"probe id"
GSP = endpoint(("192.0.2.11", 5565))
OWN = endpoint(("203.0.113.7", 60_000))
SERVER = AesContext(KEY, False)


def started():
    probe = Probe(PROBE_ID, KEY, GSP, lambda n: bytes(range(n)))
    probe.start(0)
    return probe


def answer(probe, context=SERVER, **more):
    nonce = more.pop("nonce", PROBE_ID + probe.token)
    payloads = more.pop("payloads", [(PL_NONCE, nonce), (PL_EP, OWN)])
    return encode(PT_PROBE, payloads, flags=more.pop("flags", FL_RESPONSE), context=context, iv=bytes(16))


def test_the_request_is_sealed_and_names_the_token():
    probe = started()
    ((data, to),) = probe.datagrams()
    packet = Packet()
    packet.decode_from(bytearray(data))
    SERVER.verify(packet)
    assert to == GSP
    assert packet.get(PL_NONCE) == PROBE_ID + probe.token


def test_the_answer_is_not_larger_than_the_request():
    probe = started()
    ((data, _),) = probe.datagrams()
    assert len(answer(probe)) <= len(data)


def test_the_answer_tells_our_public_endpoint_once():
    probe = started()
    for _ in range(2):
        probe.datagram(10, answer(probe), GSP)
    assert probe.next_event() == Probed(OWN)
    assert probe.next_event() is None
    assert probe.deadline_ms is None


def test_without_an_answer_it_asks_five_times_and_gives_up():
    probe = started()
    times = []
    while probe.deadline_ms is not None:
        times += [probe.deadline_ms] if probe.datagrams() else []
        probe.timeout(probe.deadline_ms)
    assert len(times) == 5
    assert probe.next_event() == Probed(None)


@pytest.mark.parametrize(
    "wrong",
    [
        {"context": AesContext(KEY, True)},
        {"context": AesContext(bytes(96), False)},
        {"nonce": PROBE_ID + bytes(8)},
        {"flags": 0},
        {"payloads": [(PL_NONCE, PROBE_ID + bytes(range(8)))]},
        {"payloads": [(PL_NONCE, PROBE_ID + bytes(range(8))), (PL_EP, bytes(5))]},
        {"context": None},
    ],
)
def test_an_answer_that_is_wrong_is_counted_and_dropped(wrong):
    probe = started()
    probe.datagram(10, answer(probe, **wrong), GSP)
    assert probe.next_event() is None
    assert sum(probe.drops.values()) == 1


def test_damaged_answers_never_raise_and_never_count():
    for what, data in damaged(answer(started())):
        probe = started()
        probe.datagram(10, data, GSP)
        assert probe.next_event() is None, what
