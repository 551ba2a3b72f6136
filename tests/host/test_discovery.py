"""Finding devices: whom to ask, how often, and which answers to believe."""

import pytest
from homeport.client.network.discovery import MAX_FOUND, Discovery, parse_found
from homeport.errors import MalformedError
from homeport.wire import endpoint
from homeport_core.legacy import (
    OP_DISCOVERY,
    OP_RPC,
    build_discovery_body,
    build_response,
    parse_discovery,
    parse_request,
)
from vector_files import capture, damaged

NONCE = bytes(range(8))
SOURCE = endpoint(("192.168.1.30", 5570))
BROADCAST = endpoint(("255.255.255.255", 5570))


def answer(device_id=b"demo", nonce=NONCE, items=((4, b"1"), (6, b"1"))):
    body = build_discovery_body(bytes(6), [(1, device_id), (1, b"1.2"), (2, b"-"), *items])
    return build_response(OP_DISCOVERY, nonce, body)


def started(device_id=None):
    discovery = Discovery(device_id, [BROADCAST, SOURCE], NONCE)
    discovery.start(0)
    return discovery


def test_it_asks_everywhere_three_times_within_a_second():
    discovery = started("demo")
    times = []
    for now in range(0, 2_000, 50):
        discovery.timeout(now)
        sent = discovery.datagrams()
        times += [now] * bool(sent)
        assert [to for _, to in sent] in ([], [BROADCAST, SOURCE])
        for data, _ in sent:
            assert parse_discovery(parse_request(data)[2]) == b"demo"
    assert times == [0, 300, 700]
    assert discovery.deadline_ms is None


def test_an_answer_says_what_the_device_offers():
    discovery = started()
    discovery.datagram(10, answer(), SOURCE)
    found = discovery.next_event()
    assert (found.device_id, found.endpoint, found.version, found.url) == ("demo", SOURCE, "1.2", "")
    assert (found.local, found.psk, found.fingerprint) == (True, True, False)


def test_several_devices_are_each_reported_once():
    discovery = started()
    for _ in range(3):
        for name in (b"one", b"two"):
            discovery.datagram(10, answer(name), SOURCE)
    assert [found.device_id for found in discovery.found] == ["one", "two"]
    assert discovery.next_event() and discovery.next_event() and discovery.next_event() is None


def test_answers_to_somebody_elses_question_are_dropped():
    discovery = started("demo")
    discovery.datagram(10, answer(nonce=bytes(8)), SOURCE)
    discovery.datagram(10, answer(b"other"), SOURCE)
    assert discovery.found == []
    assert discovery.drops["unexpected"] == 2


@pytest.mark.parametrize("device_id", [b"a" * 41, b"Upper", b"../../etc", b"sp ace", b"\xff\xfe"])
def test_what_cannot_be_a_device_id_is_no_device(device_id):
    with pytest.raises(MalformedError):
        parse_found(answer(device_id), SOURCE)


def test_text_of_a_device_is_made_printable_and_short():
    body = build_discovery_body(bytes(6), [(1, b"demo"), (1, b"\x1b[31m" + b"x" * 500)])
    found, _ = parse_found(build_response(OP_DISCOVERY, NONCE, body), SOURCE)
    assert found.version.isprintable() and len(found.version) <= 128


def test_a_flood_of_invented_devices_is_bounded():
    discovery = started()
    for n in range(3 * MAX_FOUND):
        discovery.datagram(10, answer(b"d%d" % n), SOURCE)
    assert len(discovery.found) == MAX_FOUND


@pytest.mark.parametrize("kind", ["rpc", "error"])
def test_other_legacy_answers_are_no_devices(kind):
    body = build_discovery_body(bytes(6), [(1, b"demo")])
    wrong = build_response(OP_RPC if kind == "rpc" else OP_DISCOVERY, NONCE, body, error=kind == "error")
    with pytest.raises(MalformedError):
        parse_found(wrong, SOURCE)


def test_damaged_answers_are_read_or_counted_but_never_raise():
    entry = next(entry for entry in capture("local_discovery")["datagrams"] if entry["dir"] == "d2p")
    for good in (answer(), bytes.fromhex(entry["hex"])):
        for _, data in damaged(good):
            discovery = started()
            discovery.datagram(10, data, SOURCE)
            assert len(discovery.found) + sum(discovery.drops.values()) == 1
