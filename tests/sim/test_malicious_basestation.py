"""What a basestation that knows a connection's first keys can do against end-to-end keys: nothing but refuse to serve.

Client and device are real, the network is the basestation's (`evil_basestation`): it reads what it can, and forges,
replays, drops, alters and swaps at will.
"""

import pytest
from device_bench import FINGERPRINT, decode
from evil_basestation import E2E_KEY, E2E_KEY_ID, HELLO, EvilWorld
from homeport.client.session.requests import Retry
from homeport.client.session.states import State
from homeport.errors import NotEndToEnd
from homeport_core.crypto import AesContext
from homeport_core.end_to_end import Secrets, build_answer, build_hello
from homeport_core.errors import AuthError
from homeport_core.packet import encode
from homeport_core.payloads import build_fp, build_id, build_ipx, u32
from homeport_core.spec import (
    AER_NO_ACCESS,
    FL_EXCEPTION,
    FL_RESPONSE,
    FRAMING_CLOSE,
    FRAMING_KEEP_ALIVE,
    ID_MAIL,
    IPX_CP_ASYNC,
    IPX_NO_RENDEZVOUS,
    NOTIFY_BAD_KEY,
    NOTIFY_BAD_KEY_ID,
    NOTIFY_OK,
    PL_CP_ID,
    PL_FP,
    PL_IPX,
    PL_NOTIFY,
    PT_U_CONNECT,
    TAG_FRAMING,
)
from session_world import GSP, MATERIAL, NSI

ECHO, COUNT = 1, 2
SECRET = b"the code of the door"
OTHER_NSI = b"\x7a\x01\x02\x04"


def opened(**network):
    world = EvilWorld(**network)
    world.introduce_keyed()
    world.until_open()
    assert world.session.state is State.OPEN
    return world


def answered(world, query=ECHO, params=b""):
    request_id = world.request(query, params)
    world.until(lambda: world.outcome(request_id) is not None)
    return world.outcome(request_id)


def code(sent):
    """The exception code in what the device answered to the basestation, under the basestation's keys."""
    assert len(sent) == 1, sent
    packet = decode(sent[0][2])
    assert packet.flags & FL_EXCEPTION
    return u32(AesContext(MATERIAL, True).open(packet), 0)


# Read


def test_it_reads_no_parameter_and_no_answer():
    world = opened()
    assert answered(world, ECHO, SECRET) == SECRET
    assert all(SECRET not in data for data in world.seen_up + world.seen_down + world.read)
    commands = {plaintext[:4] for plaintext in world.read}
    assert commands == {FRAMING_KEEP_ALIVE.to_bytes(4), HELLO}


def test_no_request_is_sent_under_its_keys_however_early_it_is_made():
    world = EvilWorld()
    world.introduce_keyed()
    request_id = world.request(ECHO, SECRET)
    world.until(lambda: world.outcome(request_id) is not None)
    assert world.outcome(request_id) == SECRET
    assert all(SECRET not in plaintext for plaintext in world.read)


# Forge


def test_its_requests_to_the_device_are_refused_before_the_exchange():
    world = EvilWorld()
    world.up = lambda plaintext, data: []
    world.introduce_keyed()
    assert code(world.give_device(world.forged_up(COUNT.to_bytes(4)))) == AER_NO_ACCESS
    assert world.bench.app.runs == 0


def test_its_requests_to_the_device_get_silence_after_the_exchange():
    world = opened()
    answered(world)
    assert world.give_device(world.forged_up(COUNT.to_bytes(4))) == []
    assert world.bench.app.runs == 1


def test_it_cannot_close_the_connection_of_either_side():
    world = opened()
    answered(world)
    close = FRAMING_CLOSE.to_bytes(4)
    assert world.give_device(world.forged_up(close, TAG_FRAMING)) == []
    world.inject(world.forged_down(close, FL_RESPONSE, TAG_FRAMING), GSP)
    assert answered(world, ECHO, SECRET) == SECRET


def test_its_answers_to_the_client_do_not_count():
    world = opened()

    def answer_first(plaintext, data):
        packet = decode(data)
        if packet.tag is None and not packet.flags:
            forged = world.forged_down(b"forged", FL_RESPONSE, seq=packet.seq, cp=packet.cp)
            world.inject(forged, GSP)
        return [data]

    world.up = answer_first
    assert answered(world, ECHO, SECRET) == SECRET
    assert world.session.drops["AuthError"] >= 1


# Replay


def test_what_it_recorded_is_not_run_again_on_the_same_connection():
    world = opened()
    assert answered(world, COUNT) == b"\0\0\0\x01"
    for data in world.seen_up:
        world.give_device(data)
    assert world.bench.app.runs == 1


def test_what_it_recorded_is_worthless_on_a_later_connection():
    world = opened()
    answered(world, COUNT)
    recorded = list(world.seen_up)
    world.close()
    world.run(1_000)
    # Only another attach lets it use the same NSI and key material again (core 14 row 2).
    world.bench.stack.attach.renew(world.bench.now_ms)
    world.bench.settle()
    world.bench.port.take()
    world.bench.finish_attach()
    assert world.bench.introduce(nsi=NSI) == 1
    for data in recorded:
        world.give_device(data)
    assert world.bench.app.runs == 1
    assert not world.bench.stack.connections.find(NSI).is_end_to_end


def test_an_old_answer_does_not_count_on_a_later_connection():
    world = opened()
    old = next(data for data in world.seen_down if (world.peek(data) or b"").startswith(HELLO))
    later = EvilWorld(seed=1)
    later.down = lambda plaintext, data: [old if (plaintext or b"").startswith(HELLO) else data]
    later.introduce_keyed()
    assert isinstance(later.until_open(), NotEndToEnd)
    assert later.requests_sent() == 0


# Drop and alter


@pytest.mark.parametrize("direction", ["up", "down"])
@pytest.mark.parametrize("nth", range(4))
def test_a_packet_that_it_drops_while_the_connection_opens_only_delays(direction, nth):
    world = EvilWorld()
    count = [0]

    def drop(plaintext, data):
        count[0] += 1
        return [] if count[0] == nth + 1 else [data]

    setattr(world, direction, drop)
    world.introduce_keyed()
    assert answered(world, ECHO, SECRET) == SECRET
    assert world.session.is_end_to_end


@pytest.mark.parametrize("direction", ["up", "down"])
def test_when_it_drops_the_exchange_the_client_says_nothing_more_and_tells_why(direction):
    world = EvilWorld()
    setattr(world, direction, lambda plaintext, data: [] if (plaintext or b"").startswith(HELLO) else [data])
    world.introduce_keyed()
    world.request(ECHO, SECRET)
    error = world.until_open()
    assert isinstance(error, NotEndToEnd)
    assert "does not answer in the end-to-end exchange" in str(error)
    assert world.requests_sent() == 0
    assert world.bench.app.runs == 0


@pytest.mark.parametrize("at", [4, 19, 20, 51, 52, 83])
def test_a_message_that_it_alters_is_refused(at):
    world = EvilWorld()

    def alter(plaintext, data):
        if plaintext is None or not plaintext.startswith(HELLO):
            return [data]
        changed = bytearray(plaintext)
        changed[at] ^= 1
        return [world.forged_up(bytes(changed), TAG_FRAMING)]

    world.up = alter
    world.introduce_keyed()
    error = world.until_open()
    assert isinstance(error, NotEndToEnd)
    assert error.detail == (NOTIFY_BAD_KEY_ID if at < 20 else NOTIFY_BAD_KEY)
    assert world.requests_sent() == 0
    assert world.bench.app.runs == 0


@pytest.mark.parametrize("at", [8, 39, 40, 71])
def test_an_answer_that_it_alters_does_not_count(at):
    world = EvilWorld()

    def alter(plaintext, data):
        if plaintext is None or not plaintext.startswith(HELLO):
            return [data]
        changed = bytearray(plaintext)
        changed[at] ^= 1
        return [world.forged_down(bytes(changed), FL_RESPONSE, TAG_FRAMING)]

    world.down = alter
    world.introduce_keyed()
    assert isinstance(world.until_open(), NotEndToEnd)
    assert world.requests_sent() == 0


# Downgrade


def test_an_answer_of_its_own_does_not_count():
    world = EvilWorld()

    def answer(plaintext, data):
        if plaintext is None or not plaintext.startswith(HELLO):
            return [data]
        proof, _ = Secrets(NSI, FINGERPRINT, E2E_KEY_ID, bytes(16)).agree(plaintext[20:52], bytes(32), False)
        forged = world.forged_down(build_answer(NOTIFY_OK, bytes(32), proof), FL_RESPONSE, TAG_FRAMING)
        world.inject(forged, GSP)
        return []

    world.up = answer
    world.introduce_keyed()
    assert isinstance(world.until_open(), NotEndToEnd)
    assert world.requests_sent() == 0


@pytest.mark.parametrize("refusal", [NOTIFY_BAD_KEY_ID, NOTIFY_BAD_KEY, 0, 2, 0xFFFFFFFF])
def test_a_refusal_of_its_own_ends_the_connection_and_opens_nothing(refusal):
    world = EvilWorld()
    world.down = lambda plaintext, data: (
        [world.forged_down(build_answer(refusal), FL_RESPONSE, TAG_FRAMING)]
        if (plaintext or b"").startswith(HELLO)
        else [data]
    )
    world.introduce_keyed()
    world.request(ECHO, SECRET, retry=Retry.ALWAYS)
    assert isinstance(world.until_open(), NotEndToEnd)
    assert world.requests_sent() == 0


def test_it_cannot_play_the_device_for_a_client_that_has_a_key():
    world = EvilWorld()
    world.bench.app.end_to_end = None
    world.introduce_keyed()
    world.request(ECHO, SECRET)
    error = world.until_open()
    assert isinstance(error, NotEndToEnd)
    assert "pair again" in error.next_step
    assert world.requests_sent() == 0


# Swap


def test_a_message_of_another_connection_proves_nothing():
    world = opened()
    hello = next(plaintext for plaintext in world.read if plaintext.startswith(HELLO))
    assert world.bench.introduce(nsi=OTHER_NSI) == 1
    sent = world.give_device(world.forged_up(hello, TAG_FRAMING, OTHER_NSI))
    assert AesContext(MATERIAL, True).open(decode(sent[0][2])) == build_answer(NOTIFY_BAD_KEY)


def test_a_message_of_another_client_proves_nothing():
    world = EvilWorld()
    users = {FINGERPRINT: (E2E_KEY_ID, E2E_KEY), bytes(16): (E2E_KEY_ID[:15] + b"\xff", bytes(16))}
    world.bench.app.key_of = lambda connection: users[connection.fingerprint]
    world.introduce_keyed()
    world.until_open()
    hello = next(plaintext for plaintext in world.read if plaintext.startswith(HELLO))
    assert _introduce(world, bytes(16), OTHER_NSI)
    sent = world.give_device(world.forged_up(hello, TAG_FRAMING, OTHER_NSI))
    assert AesContext(MATERIAL, True).open(decode(sent[0][2])) == build_answer(NOTIFY_BAD_KEY_ID)


def test_a_user_who_has_a_key_proves_nothing_for_another_fingerprint():
    """The basestation introduces one user under the fingerprint of another, and this one plays along."""
    world = EvilWorld()
    mine = (E2E_KEY_ID[:15] + b"\xff", bytes(16))
    world.bench.app.key_of = lambda connection: (E2E_KEY_ID, E2E_KEY)
    assert _introduce(world, FINGERPRINT, OTHER_NSI)
    proof = Secrets(OTHER_NSI, FINGERPRINT, *mine).client_proof(bytes(32))
    hello = build_hello(mine[0], bytes(32), proof)
    sent = world.give_device(world.forged_up(hello, TAG_FRAMING, OTHER_NSI))
    assert AesContext(MATERIAL, True).open(decode(sent[0][2])) == build_answer(NOTIFY_BAD_KEY_ID)


def test_two_clients_on_two_connections_cannot_be_given_each_others_packets():
    first, second = opened(), opened(seed=1)
    answered(first, ECHO, SECRET)
    answered(second, COUNT)
    for data in first.seen_up[-3:]:
        assert second.give_device(data) == []
    for data in first.seen_down[-3:]:
        second.inject(data, GSP)
    assert answered(second, COUNT) == b"\0\0\0\x02"


# Introduce


def test_an_owners_fingerprint_with_keys_of_its_own_gains_nothing():
    world = EvilWorld()
    assert _introduce(world, FINGERPRINT, OTHER_NSI)
    assert code(world.give_device(world.forged_up(COUNT.to_bytes(4), nsi=OTHER_NSI))) == AER_NO_ACCESS
    assert world.bench.app.runs == 0


def test_introducing_an_open_connection_again_changes_nothing():
    world = opened()
    answered(world)
    assert world.bench.introduce(material=bytes(96), nsi=NSI) == 1
    for material in (bytes(96), MATERIAL):
        forged = world.forged_up(COUNT.to_bytes(4), context=AesContext(material, True))
        assert world.give_device(forged) == []
    assert answered(world, ECHO, SECRET) == SECRET
    assert world.bench.app.runs == 2


def test_the_keys_that_it_knows_open_none_of_the_later_packets():
    world = opened()
    answered(world, ECHO, SECRET)
    later = world.seen_up[world.seen_up.index(next(d for d in world.seen_up if world.peek(d) is None)) :]
    for data in later:
        packet = decode(data)
        if packet.n != 72:  # keep-alives that bind the relay are for the basestation
            with pytest.raises(AuthError):
                AesContext(MATERIAL, False).open(packet)


def _introduce(world, fingerprint, nsi):
    """The basestation introduces `fingerprint` of its own accord; whether the device accepted."""
    payloads = (
        (PL_IPX, build_ipx(flags=IPX_NO_RENDEZVOUS | IPX_CP_ASYNC, sp=nsi)),
        (PL_CP_ID, build_id(ID_MAIL, b"owner")),
        (PL_FP, build_fp(fingerprint)),
    )
    keys = world.bench.connect_keys
    sent = world.give_device(encode(PT_U_CONNECT, payloads, context=keys, plaintext=MATERIAL, iv=bytes(16)))
    return decode(sent[0][2]).get(PL_NOTIFY)[:4] == b"\0\0\0\x01"
