"""Our client against the reference device: fed the recorded packets of the real C device, the session accepts them, and
with the recorded random numbers it sends what the recorded client sent.

Intended differences: we ask for a clear connection under an NSI of our own (the recorded client left it to the device),
we commit to a path by a keep-alive (the recorded client began with a request), and our keep-alives are numbered from 1.
"""

import struct

import pytest
import vector_files
from homeport.client.network.discovery import parse_found
from homeport.client.session import frames
from homeport.client.session.clear import ClearOpening
from homeport.client.session.events import Answered, Closed, Failed, Opened
from homeport.client.session.introduced import IntroducedOpening, Introduction
from homeport.client.session.paths import PathKind
from homeport.client.session.psk import PskOpening
from homeport.client.session.session import Session
from homeport.client.session.states import State
from homeport.wire import endpoint, parse_address
from homeport_core.crypto import AesContext, NullContext
from homeport_core.legacy import OP_RPC, parse_response
from homeport_core.packet import Packet, PacketWriter
from homeport_core.spec import (
    ENDPOINT_ZERO,
    FL_RESPONSE,
    PACKET_MAX,
    PL_CRYPTO,
    PL_NONCE,
    PT_DATA,
    PT_U_CONNECT,
    PT_U_CONNECT_PSK,
    PT_U_VERIFY_PSK,
    TAG_FRAMING,
)

FINGERPRINT = bytes.fromhex("fd7cb72d697daca558d63ac7cc32c9ba")
DEVICE_ID = "dev1.u.example.org"


class Recorded:
    """One recorded datagram."""

    def __init__(self, entry):
        self.data = bytes.fromhex(entry["hex"])
        self.from_device = entry["dir"] == "d2p"
        self.source = endpoint(parse_address(entry["src"]))
        self.to = endpoint(parse_address(entry["dst"]))
        self.packet = Packet()
        self.packet.decode_from(bytearray(self.data))

    @property
    def iv(self):
        """The initialisation vector of a sealed packet."""
        return self.packet.get(PL_CRYPTO)[2:18]


def recorded(name, types=(PT_DATA, PT_U_CONNECT, PT_U_CONNECT_PSK, PT_U_VERIFY_PSK)):
    """The datagrams between client and device: what a client sees of a capture."""
    found = []
    for entry in vector_files.capture(name)["datagrams"]:
        if "hex" in entry and not entry["decoded"]["type"].startswith("LEGACY"):
            one = Recorded(entry)
            if one.packet.type in types:
                found.append(one)
    return found


class Replay:
    """A session whose random numbers come from a script, so that its packets can be compared."""

    def __init__(self, make_opening, script=()):
        self.script = list(script)
        self.opening = make_opening(self.rng)
        self.session = Session(self.opening, self.rng)
        self.now = 0
        self.events = []
        self.session.start(self.now)
        self.sent = self.take()

    def rng(self, n):
        octets = self.script.pop(0) if self.script else bytes([0x5A]) * n
        assert len(octets) == n
        return octets

    def take(self):
        sent = [data for data, _ in self.session.datagrams()]
        while (event := self.session.next_event()) is not None:
            self.events.append(event)
        return sent

    def feed(self, one):
        self.session.datagram(self.now, one.data, one.source)
        return self.take()

    def echo_keep_alive(self, packet, material, source):
        """What the device would have sent back; the recorded client sent no keep-alive here."""
        device = AesContext(material, False)
        sent = Packet()
        sent.decode_from(bytearray(packet))
        plaintext = device.open(sent)
        reply = PacketWriter(bytearray(PACKET_MAX))
        reply.reply_to(sent, FL_RESPONSE)
        reply.seal(device, plaintext, bytes(16))
        self.session.datagram(self.now, reply.bytes(), source)
        return self.take()

    def run_requests(self, datagrams, context):
        """Make the recorded requests, compare them, and feed the recorded answers; returns the outcomes in order."""
        outcomes = []
        for one in datagrams:
            if one.packet.tag is not None or one.packet.type != PT_DATA:
                continue
            if one.from_device:
                before = len(self.events)
                self.feed(one)
                outcomes += self.events[before:]
            else:
                self.session._requests._seq = one.packet.seq - 1
                if context.suite != 0x000A:
                    self.script = [one.iv]
                self.session.request(self.now, plaintext_of(one, context), 10_000)
                assert self.take() == [one.data]
        assert not self.session.drops, self.session.drops
        return outcomes


def plaintext_of(one, device):
    packet = Packet()
    packet.decode_from(bytearray(one.data))
    return device.open(packet)


def introduced(name, kinds, source, gsp):
    """A session introduced as in the capture, committed to its path."""
    material = bytes.fromhex(vector_files.capture(name)["secrets"]["key96_data5001"])
    introduction = Introduction((5001).to_bytes(4), material, gsp, ENDPOINT_ZERO, source, 0)

    def make(rng):
        opening = IntroducedOpening(introduction, frozenset(kinds), rng)
        opening.cp = opening._rendezvous._cp = bytes(4)  # as the recorded client
        return opening

    return Replay(make), material


def outcome_values(events):
    return [event.payload if isinstance(event, Answered) else event.error.code for event in events]


def test_relayed_requests_and_answers():
    datagrams = recorded("connect_rpc_relayed", (PT_DATA,))
    gsp = datagrams[0].source
    replay, material = introduced("connect_rpc_relayed", (PathKind.RELAY,), ENDPOINT_ZERO, gsp)
    replay.echo_keep_alive(replay.sent[-1], material, gsp)
    assert replay.session.state is State.OPEN
    events = replay.run_requests(datagrams, AesContext(material, False))
    assert outcome_values(events) == [b"\x01", b"\x01", b"\x00", 7, 5]


def test_the_recorded_close_is_ours_and_its_echo_ends_the_session():
    datagrams = recorded("connect_rpc_relayed", (PT_DATA,))
    gsp = datagrams[0].source
    replay, material = introduced("connect_rpc_relayed", (PathKind.RELAY,), ENDPOINT_ZERO, gsp)
    replay.echo_keep_alive(replay.sent[-1], material, gsp)
    close, echo = [one for one in datagrams if one.packet.tag == TAG_FRAMING][-2:]
    replay.script = [close.iv]
    replay.session.close(replay.now)
    assert replay.take() == [close.data]
    replay.feed(echo)
    assert replay.events[-1] == Closed(None)


def test_the_recorded_rendezvous_leads_to_the_device():
    name = "connect_rendezvous_rpc_direct"
    datagrams = recorded(name)
    client, device = next(
        (one.source, one.to) for one in datagrams if not one.from_device and one.packet.sp == (5001).to_bytes(4)
    )
    exchange = [one for one in datagrams if {one.source, one.to} == {client, device}]
    replay, material = introduced(name, (PathKind.DIRECT,), device, ENDPOINT_ZERO)
    sent = list(replay.sent)
    for one in exchange:
        if one.from_device and one.packet.type == PT_U_CONNECT:
            sent += replay.feed(one)
    assert exchange[0].from_device and replay.opening.candidates.best().endpoint == device
    ours = {data for data in sent if data[8] == PT_U_CONNECT}
    theirs = {one.data for one in exchange if not one.from_device and one.packet.type == PT_U_CONNECT}
    with_interval = {data for data in theirs if PL_NONCE in [kind for kind, _, _ in payloads(data)]}
    assert with_interval and {data for data in theirs if data[13] == 0} | with_interval <= ours
    keep_alive = next(data for data in sent if data[8] == PT_DATA)
    replay.echo_keep_alive(keep_alive, material, device)
    events = replay.run_requests(exchange, AesContext(material, False))
    assert outcome_values(events) == [b"\x01", b"\x01", b"\x00"]


def payloads(data):
    packet = Packet()
    packet.decode_from(bytearray(data))
    return packet.payloads()


def test_a_device_that_tries_many_ports_of_ours_is_met():
    name = "rendezvous_client_symmetric"
    datagrams = recorded(name)
    client, device = next((one.source, one.to) for one in datagrams if not one.from_device and one.packet.seq == 1)
    replay, material = introduced(name, (PathKind.DIRECT,), device, ENDPOINT_ZERO)
    sent = list(replay.sent)
    for one in datagrams:
        if one.from_device and one.to == client and one.packet.type == PT_U_CONNECT:
            sent += replay.feed(one)
    replay.echo_keep_alive(next(data for data in sent if data[8] == PT_DATA), material, device)
    assert isinstance(replay.events[0], Opened)
    exchange = [one for one in datagrams if client in (one.source, one.to)]
    (answer,) = replay.run_requests(exchange, AesContext(material, False))
    assert answer.payload.startswith(b"\x00\x06Tunnel")


def test_a_clear_connection_pairing_and_the_first_exception():
    datagrams = recorded("local_connect_rpc_pairing")
    request, answer = datagrams[2], datagrams[3]
    device = request.to

    def make(rng):
        return ClearOpening(device, "local@example.org", FINGERPRINT, rng)

    replay = Replay(make, [request.packet.cp])
    assert {kind for kind, _, _ in payloads(replay.sent[0])} == {kind for kind, _, _ in request.packet.payloads()}
    replay.feed(answer)
    assert isinstance(replay.events[0], Opened)
    mine = [one for one in datagrams[4:] if one.packet.cp == request.packet.cp]
    events = replay.run_requests(mine, NullContext())
    assert len(events) == 10
    assert [event.error.code for event in events if isinstance(event, Failed)] == [4]
    assert events[3].payload == b"\x00\x00\x10" + FINGERPRINT + b"\x00\x05alice\xe0\x00\x00\x00"


def test_a_stranger_is_refused_by_the_access_list():
    request, answer = recorded("local_connect_rpc_pairing")[:2]
    replay = Replay(lambda rng: ClearOpening(request.to, "local@example.org", None, rng), [request.packet.cp])
    replay.feed(answer)
    assert replay.session.state is State.CLOSED
    assert replay.events[-1].error.detail == 0x8004


PSK_ATTEMPTS = {  # position in the capture: key id, key, fingerprint sent, outcome
    0: (b"\x77" * 16, bytes(16), True, 0x800F),
    2: (bytes(range(0x10, 0x20)), None, True, 0x8011),
    6: (bytes(range(0x10, 0x20)), bytes(range(16)), True, "open"),
    20: (bytes(16), bytes(16), False, "open"),
}


def psk_replay(position):
    """A PSK session with the random numbers of the recorded attempt; its own first message has been compared."""
    datagrams = recorded("local_psk")
    key_id, key, with_fingerprint, outcome = PSK_ATTEMPTS[position]
    first = datagrams[position]
    script = [first.packet.cp, first.packet.get(PL_NONCE), bytes(32), first.iv]
    if outcome == "open":
        verify = datagrams[position + 2]
        handshake = AesContext(vector_key(position), False)
        inner = plaintext_of(verify, handshake)
        script = [first.packet.cp, first.packet.get(PL_NONCE), inner[4:36], first.iv, verify.iv]

    def make(rng):
        opening = PskOpening(
            first.to, DEVICE_ID, "psk@example.org", FINGERPRINT if with_fingerprint else None, key_id,
            key or bytes(16), rng,
        )  # fmt: skip
        if key is None:
            # The recorded client had another wrong key, of which the file keeps only what was derived from it.
            opening._handshake = AesContext(bytes.fromhex(secrets()["key96_pskA+"]), True)
            opening._message = frames.psk_connect(
                opening._handshake, opening.cp, "psk@example.org", FINGERPRINT, key_id, opening._nonce, first.iv
            )
        return opening

    replay = Replay(make, script)
    assert replay.sent == [first.data]
    return replay, datagrams, outcome


def secrets():
    return vector_files.capture("local_psk")["secrets"]


def vector_key(position):
    return bytes.fromhex(secrets()["key96_pskA" if position == 20 else "key96_pskA++"])


@pytest.mark.parametrize("position", [0, 2])
def test_a_psk_attempt_is_the_recorded_one_and_its_refusal_is_understood(position):
    replay, datagrams, outcome = psk_replay(position)
    replay.feed(datagrams[position + 1])
    assert replay.events[-1].error.code == outcome


@pytest.mark.parametrize("position", [6, 20])
def test_a_psk_handshake_is_the_recorded_one_although_the_device_sends_zeros_and_version_0(position):
    replay, datagrams, _ = psk_replay(position)
    assert datagrams[position + 1].packet.version == 0
    assert replay.feed(datagrams[position + 1]) == [datagrams[position + 2].data]
    (keep_alive,) = replay.feed(datagrams[position + 3])
    assert not replay.session.remembers
    material = bytes.fromhex(secrets()["key96_pskD" if position == 6 else "key96_pskD+"])
    replay.echo_keep_alive(keep_alive, material, datagrams[position].to)
    assert replay.session.state is State.OPEN
    mine = [one for one in datagrams[position + 4 :] if one.packet.cp == datagrams[position].packet.cp]
    events = replay.run_requests(mine, AesContext(material, False))
    assert events and all(isinstance(event, Answered) for event in events)


def test_a_request_that_the_device_ran_twice_is_answered_once():
    name = "retransmissions"
    datagrams = recorded(name, (PT_DATA,))
    gsp = datagrams[0].source
    replay, material = introduced(name, (PathKind.RELAY,), ENDPOINT_ZERO, gsp)
    replay.echo_keep_alive(replay.sent[-1], material, gsp)
    first = datagrams[0]
    replay.script = [first.iv]
    replay.session._requests._seq = first.packet.seq - 1
    replay.session.request(0, plaintext_of(first, AesContext(material, False)), 10_000)
    assert replay.take() == [first.data]
    for one in datagrams:
        if one.from_device and one.packet.sp == first.packet.sp:
            replay.feed(one)
    assert [event.payload for event in replay.events if isinstance(event, Answered)] == [b"\x01"]
    assert replay.session.drops["replay"] == 2


@pytest.mark.parametrize("name", ["local_discovery", "genvexnabto_client"])
def test_discovery_answers_with_stray_octets_are_read(name):
    capture = vector_files.capture(name)
    answers = [entry for entry in capture["datagrams"] if entry["dir"] == "d2p" and entry["decoded"]["type"] ==
               "LEGACY_DISCOVERY"]  # fmt: skip
    assert answers
    for entry in answers:
        source = endpoint(parse_address(entry["src"]))
        found, _ = parse_found(bytes.fromhex(entry["hex"]), source)
        assert found.device_id == capture["device_id"]
        assert (found.version, found.url, found.local, found.endpoint) == ("", "", True, source)


def test_an_answer_to_legacy_rpc_is_no_discovery():
    for entry in vector_files.capture("legacy_rpc")["datagrams"]:
        if entry["dir"] == "d2p" and entry["decoded"]["type"].startswith("LEGACY"):
            assert parse_response(bytes.fromhex(entry["hex"]))[0] == OP_RPC
            with pytest.raises(Exception, match="not a discovery response"):
                parse_found(bytes.fromhex(entry["hex"]), ENDPOINT_ZERO)


def test_a_damaged_answer_is_no_answer():
    datagrams = recorded("connect_rpc_relayed", (PT_DATA,))
    gsp = datagrams[0].source
    request, acknowledgement, answer = datagrams[:3]
    replay, material = introduced("connect_rpc_relayed", (PathKind.RELAY,), ENDPOINT_ZERO, gsp)
    replay.echo_keep_alive(replay.sent[-1], material, gsp)
    replay.session._requests._seq = request.packet.seq - 1
    replay.session.request(replay.now, plaintext_of(request, AesContext(material, False)), 10_000)
    before = len(replay.events)
    for good in (acknowledgement.data, answer.data):
        for what, data in vector_files.damaged(good):
            replay.session.datagram(replay.now, data, answer.source)
            replay.take()
            assert len(replay.events) == before, what
    replay.feed(answer)
    assert [event.payload for event in replay.events[before:]] == [b"\x01"]


@pytest.mark.parametrize("position", [6, 20])
def test_a_damaged_psk_answer_is_not_believed(position):
    replay, datagrams, _ = psk_replay(position)
    for what, data in vector_files.damaged(datagrams[position + 1].data):
        replay.session.datagram(replay.now, data, datagrams[position + 1].source)
        assert replay.opening.context is None, what
    assert replay.feed(datagrams[position + 1])[-1] == datagrams[position + 2].data


def test_every_recorded_packet_of_a_device_is_survived_by_any_session():
    for name in vector_files.CAPTURES:
        replay, _ = introduced("connect_rpc_relayed", (PathKind.RELAY, PathKind.DIRECT), ENDPOINT_ZERO, bytes(6))
        for entry in vector_files.capture(name)["datagrams"]:
            if "hex" in entry:
                replay.session.datagram(0, bytes.fromhex(entry["hex"]), struct.pack(">IH", 0x7F000001, 1))
        assert replay.session.state is State.OPENING
