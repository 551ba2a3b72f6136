"""One client's session at the gate, without any network: texts and time in, actions out."""

import json

import pytest
from gate_peers import valid
from homeport import gate_messages as gate
from homeport.basestation.events import Connected, ConnectRefused
from homeport.basestation.gate.session import Carry, Close, GateSession, HangUp, Introduce, Send, SessionSettings
from homeport.basestation.gsp.settings import RateLimit
from homeport_core.crypto import AesContext
from homeport_core.packet import encode
from homeport_core.spec import PT_DATA

RELAY = bytes((192, 0, 2, 1, 21, 189))
FINGERPRINT = bytes(range(16))
KEY = bytes(96)
NSI = b"\x00\x01\xe2\x40"
DATAGRAM = encode(PT_DATA, (), sp=NSI, context=AesContext(KEY, True), plaintext=b"request", iv=bytes(16))


def make_session(now_ms=0, **settings):
    """A session that has said hello."""
    session = GateSession(FINGERPRINT, RELAY, b"probe id", b"k" * 96, SessionSettings(**settings))
    session.start(now_ms)
    return session


def connect(id_=1, device="dev1", **fields):
    values = {"client_id": "", "private": None, "probe": None, "nat_type": 0, "rendezvous": True, **fields}
    return gate.encode(gate.Connect(id=id_, device=device, **values))


def accepted(nsi=NSI):
    return Connected(9, b"dev1", nsi, KEY, bytes(6), RELAY, 7, 0x838, 0xB3C)


def sent(action):
    assert isinstance(action, Send)
    return valid(action.text)


def test_a_session_begins_with_hello():
    session = GateSession(FINGERPRINT, RELAY, b"probe id", b"k" * 96, SessionSettings(), RELAY)
    (hello,) = session.start(0)
    document = sent(hello)
    assert document["type"] == "hello"
    assert document["fingerprint"] == FINGERPRINT.hex()
    assert document["gsp"] == "192.0.2.1:5565"
    assert document["probe"] == {"id": b"probe id".hex(), "key": (b"k" * 96).hex(), "also": "192.0.2.1:5565"}


def test_a_connect_becomes_an_introduction():
    session = make_session()
    (action,) = session.text(1, connect(3, client_id="my phone", nat_type=7))
    assert action == Introduce(gate.Connect(3, "dev1", "my phone", None, None, 7, True))


def test_success_gives_the_client_all_it_needs():
    session = make_session()
    session.text(1, connect(3))
    (answer,) = session.connected(3, accepted())
    assert sent(answer) == {
        "type": "connected",
        "id": 3,
        "device": "dev1",
        "nsi": NSI.hex(),
        "key": KEY.hex(),
        "suite": "230a",
        "gsp": "192.0.2.1:5565",
        "device_private": "0.0.0.0:0",
        "device_global": "192.0.2.1:5565",
        "device_nat": 7,
        "capabilities": {"bits": 0x838, "mask": 0xB3C},
    }


@pytest.mark.parametrize(
    ("code", "name"),
    [(0x8004, "CP_ACCESS"), (0x8007, "UNKNOWN_MICRO"), (0x8009, "BUSY_MICRO"), (0x800B, "MICRO_REATTACHING")],
)
def test_a_refusal_carries_code_name_and_reason(code, name):
    session = make_session()
    session.text(1, connect(3))
    (answer,) = session.refused(3, ConnectRefused(9, b"dev1", code, "because"))
    assert sent(answer) == {
        "type": "refused",
        "id": 3,
        "device": "dev1",
        "code": code,
        "name": name,
        "reason": "because",
    }


def test_a_code_from_the_device_that_nobody_knows_is_passed_on():
    session = make_session()
    session.text(1, connect(3))
    (answer,) = session.refused(3, ConnectRefused(9, b"dev1", 0xBEEF, "bad\x1btext" + "x" * 500))
    assert sent(answer)["code"] == 0xBEEF
    assert "\x1b" not in sent(answer)["reason"]


def test_two_connects_may_wait_at_once():
    session = make_session()
    session.text(1, connect(1, "dev1"))
    session.text(1, connect(2, "dev2"))
    (second,) = session.refused(2, ConnectRefused(10, b"dev2", 0x8007, "offline"))
    (first,) = session.connected(1, accepted())
    assert (sent(second)["id"], sent(first)["id"]) == (2, 1)


def test_an_id_in_use_is_an_error():
    session = make_session()
    session.text(1, connect(1))
    problem, close = session.text(2, connect(1, "dev2"))
    assert sent(problem)["id"] == 1
    assert close.code == 1007


def test_an_id_may_be_used_again_after_its_answer():
    session = make_session()
    session.text(1, connect(1))
    session.connected(1, accepted())
    (action,) = session.text(2, connect(1))
    assert isinstance(action, Introduce)


def test_a_connection_of_the_session_may_be_closed_once():
    session = make_session()
    session.text(1, connect(1))
    session.connected(1, accepted())
    text = gate.encode(gate.Disconnect(NSI))
    assert session.text(2, text) == [HangUp(NSI)]
    assert session.text(3, text) == []


def test_a_connection_of_somebody_else_may_not_be_closed():
    assert make_session().text(1, gate.encode(gate.Disconnect(NSI))) == []


def test_an_answer_after_the_client_has_gone_hangs_up():
    session = make_session()
    session.text(1, connect(1))
    session.closed()
    assert session.connected(1, accepted()) == [HangUp(NSI)]


def test_a_refusal_after_the_client_has_gone_is_nothing():
    session = make_session()
    session.text(1, connect(1))
    session.closed()
    assert session.refused(1, ConnectRefused(9, b"dev1", 0x8007, "offline")) == []


def test_a_ping_is_answered():
    (pong,) = make_session().text(1, gate.encode(gate.Ping(5)))
    assert sent(pong) == {"type": "pong", "id": 5}


def test_a_bad_message_is_answered_by_an_error_and_the_end():
    session = make_session()
    problem, close = session.text(1, '{"type":"connect","id":4}')
    assert sent(problem)["id"] == 4
    assert close == Close(1007, sent(problem)["reason"])


def test_nothing_is_done_after_the_end():
    session = make_session()
    session.text(1, "garbage")
    assert session.text(2, connect(1)) == []
    assert session.datagram(2, DATAGRAM) == []
    assert session.stray(2) == []
    assert session.timeout(10**9) == []
    assert session.deadline_ms is None


def test_a_datagram_is_for_the_session_server():
    assert make_session().datagram(1, DATAGRAM) == [Carry(DATAGRAM)]


@pytest.mark.parametrize(
    "data",
    [b"", DATAGRAM[:15], DATAGRAM[:-1], DATAGRAM + b"\0", DATAGRAM[:8] + b"\x80" + DATAGRAM[9:]],
    ids=["empty", "no header", "cut", "a tail", "another type"],
)
def test_a_binary_message_that_is_no_data_datagram_is_refused(data):
    problem, close = make_session().datagram(1, data)
    assert sent(problem)["reason"] == "binary message: expected one whole DATA datagram"
    assert close.code == 1007


def test_datagrams_beyond_the_limit_are_lost_and_the_session_lives_on():
    session = make_session(datagrams=RateLimit(2, 1.0))
    assert [bool(session.datagram(0, DATAGRAM)) for _ in range(4)] == [True, True, False, False]
    assert session.datagram(1_000, DATAGRAM) == [Carry(DATAGRAM)]


def test_datagrams_do_not_count_as_messages_but_put_the_deadline_off():
    session = make_session(messages=RateLimit(1, 1.0))
    for _ in range(10):
        assert session.datagram(5, DATAGRAM)
    assert session.deadline_ms == 120_005
    assert sent(*session.text(5, gate.encode(gate.Ping(1))))["type"] == "pong"


def test_some_datagrams_for_no_connection_are_forgiven_and_many_end_the_session():
    session = make_session(strays=RateLimit(3, 1.0))
    assert [session.stray(0) for _ in range(3)] == [[], [], []]
    problem, close = session.stray(0)
    assert "connections that this client does not have" in sent(problem)["reason"]
    assert close.code == 1008


@pytest.mark.parametrize("limit", [4096, 1368])
def test_an_oversized_message_is_refused(limit):
    problem, close = make_session().oversized(limit)
    assert f"longer than {limit} bytes" in sent(problem)["reason"]
    assert close.code == 1009


@pytest.mark.parametrize("start_ms", [0, 2**31 - 5])
def test_a_silent_client_is_sent_away_at_the_deadline(start_ms):
    session = make_session(start_ms)
    assert session.deadline_ms == start_ms + 120_000
    assert session.timeout(start_ms + 119_999) == []
    (close,) = session.timeout(start_ms + 120_000)
    assert close.code == 1001


def test_every_message_puts_the_deadline_off():
    session = make_session()
    session.text(100_000, gate.encode(gate.Ping(1)))
    session.heard(110_000)
    assert session.deadline_ms == 230_000


def test_too_many_messages_end_the_session():
    session = make_session(messages=RateLimit(3, 1.0))
    for _ in range(3):
        assert session.heard(0) == []
    problem, close = session.text(0, gate.encode(gate.Ping(1)))
    assert sent(problem)["type"] == "error"
    assert close.code == 1008


def test_too_many_connects_are_refused_without_asking_anyone():
    session = make_session(connects=RateLimit(2, 1.0))
    actions = [session.text(0, connect(id_))[0] for id_ in range(3)]
    assert [type(action) for action in actions] == [Introduce, Introduce, Send]
    assert sent(actions[2])["code"] == 0x8000
    (later,) = session.text(1_000, connect(4))
    assert isinstance(later, Introduce)


def test_connects_in_progress_are_limited():
    session = make_session(pending_max=1)
    session.text(0, connect(1))
    (answer,) = session.text(0, connect(2))
    assert sent(answer)["reason"] == "too many connects in progress"


def test_remembered_connections_are_limited():
    session = make_session(connections_max=2)
    for number in range(3):
        session.text(0, connect(number))
        session.connected(number, accepted(bytes((1, 0, 0, number))))
    assert session.text(1, gate.encode(gate.Disconnect(bytes((1, 0, 0, 0))))) == []
    assert session.text(1, gate.encode(gate.Disconnect(bytes((1, 0, 0, 2))))) == [HangUp(bytes((1, 0, 0, 2)))]


def test_the_server_may_end_the_session():
    session = make_session()
    assert session.stop("stopping") == [Close(1001, "stopping")]
    assert session.stop("stopping") == []


def test_reasons_fit_the_schema_whatever_the_client_wrote():
    (problem, _) = make_session().text(1, json.dumps({"type": "x" * 3000}))
    assert sent(problem)["type"] == "error"
