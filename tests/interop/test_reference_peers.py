"""Our firmware, as a process on both runtimes, opposite a scripted basestation and client that speak the protocol as
the specification allows it, not as we would: headers and payloads that are unusual, but legal."""

import os
import socket

import pytest
from device_process import RUNTIMES, running
from homeport_core.crypto import AesContext, NullContext, key_material
from homeport_core.payloads import build_fp, build_gw, build_id, build_ipx, build_notify, build_time, parse_ipx
from homeport_core.spec import (
    AER_INV_QUERY_ID,
    AER_NO_QUERY_ID,
    AER_TOO_LARGE,
    FL_EXCEPTION,
    FL_RESPONSE,
    FRAMING_CLOSE,
    FRAMING_KEEP_ALIVE,
    ID_MAIL,
    IPX_CP_ASYNC,
    IPX_NO_RENDEZVOUS,
    NOTIFY_CP_ACCESS,
    NOTIFY_MICRO_ACK,
    NOTIFY_OK,
    PL_CAPABILITY,
    PL_CP_ID,
    PL_CRYPTO,
    PL_EP,
    PL_FP,
    PL_GW,
    PL_IPX,
    PL_NONCE,
    PL_NOTIFY,
    PL_TIME,
    PLF_OPTIONAL,
    PT_DATA,
    PT_U_ALIVE,
    PT_U_ATTACH,
    PT_U_CONNECT,
    PT_U_INVITE,
    TAG_FRAMING,
)
from scripted_world import DATAGRAM_MAX, LanClient, build, decode, endpoint

DEVICE_ID = "dev1.example.net"
KEY = bytes(range(16))
FINGERPRINT = bytes(range(0x10, 0x20))
GSP_NSI = b"\x11\x22\x33\x44"
NSI_CO = b"\x01\x02\x03\x04\x05\x06\x07\x08"
CP = b"\x0a\x0b\x0c\x0d"
UNKNOWN = 0x7E  # a payload type that nobody knows
PATIENCE_S = 10
SILENCE_S = 0.25


class Peer:
    """One socket that talks to the device's remote port."""

    def __init__(self):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.settimeout(PATIENCE_S)
        self.endpoint = endpoint(self.socket.getsockname())
        self.device = None

    def send(self, octets):
        self.socket.sendto(octets, self.device)

    def next(self, *kinds):
        """The next packet of these types."""
        while True:
            octets, self.device = self.socket.recvfrom(DATAGRAM_MAX)
            packet = decode(octets)
            if packet.type in kinds:
                return packet

    def ask(self, octets):
        """Send, and take the next packet of the same type."""
        self.send(octets)
        return self.next(octets[8])

    def drain(self):
        """All that comes until it is silent."""
        packets = []
        self.socket.settimeout(SILENCE_S)
        try:
            while True:
                packets.append(decode(self.socket.recv(DATAGRAM_MAX)))
        except TimeoutError:
            return packets
        finally:
            self.socket.settimeout(PATIENCE_S)


class Gsp(Peer):
    """Controller and GSP on one port."""

    def attach(self):
        """Odd headers: version 0, a repetition count, an NSI.cp; OPTIONAL payloads; an IPX with everything."""
        odd = {"version": 0, "retrans": 3, "cp": CP}
        invite = self.next(PT_U_INVITE)
        ipx = build_ipx(self.endpoint, endpoint(self.device), 0, bytes(4), NSI_CO, CP)
        self.send(build(PT_U_INVITE, [(UNKNOWN, b"?"), (PL_IPX, ipx, PLF_OPTIONAL)], flags=FL_RESPONSE, seq=9, **odd))
        while (nonce := invite.get(PL_NONCE)) is None:
            invite = self.next(PT_U_INVITE)
        keys = AesContext(key_material(DEVICE_ID.encode(), KEY), True)
        own, seed = os.urandom(32), os.urandom(32)
        seen = (PL_EP, endpoint(self.device), PLF_OPTIONAL)
        answer = self.ask(
            build(PT_U_ATTACH, [seen, (PL_NONCE, own)], keys, nonce + seed, sp=GSP_NSI, seq=0x1234, **odd)
        )
        self.answer = [kind for kind, _, _ in answer.payloads()], answer.flags, answer.seq, answer.sp
        self.seen = parse_ipx(answer.get(PL_IPX)).global_
        plaintext = keys.open(answer)
        assert plaintext[:32] == own
        self.keys = AesContext(key_material(own + nonce, seed + plaintext[32:]), True)

    def introduction(self, nsi, material, payloads, seq=7):
        return build(PT_U_CONNECT, payloads, self.keys, material, sp=GSP_NSI, seq=seq)

    def introduce(self, nsi, flags=IPX_CP_ASYNC, client=bytes(6), fingerprint=FINGERPRINT):
        """Connect with all that an introduction may hold, IPX not first; returns (code, keys of the client)."""
        material = os.urandom(96)
        payloads = [
            (PL_CP_ID, build_id(ID_MAIL, b"n" * 80), PLF_OPTIONAL),
            (UNKNOWN, b"whatever"),
            (PL_GW, build_gw(self.endpoint, CP, bytes(20))),
            (PL_IPX, build_ipx(bytes(6), client, flags, nsi, NSI_CO, CP), PLF_OPTIONAL),
        ]
        if fingerprint is not None:
            payloads.append((PL_FP, build_fp(fingerprint)))
        answer = self.ask(self.introduction(nsi, material, payloads))
        assert (answer.flags, answer.sp, answer.seq) == (FL_RESPONSE, GSP_NSI, 7)
        notify = answer.get(PL_NOTIFY)
        assert notify[4:] == nsi
        assert answer.get(PL_CAPABILITY) is None
        return int.from_bytes(notify[:4], "big"), AesContext(material, True)


@pytest.fixture(scope="module", params=RUNTIMES)
def world(request, tmp_path_factory):
    """A light that is attached, with one paired client; returns (GSP, local port)."""
    gsp = Gsp()
    where = ("--id", DEVICE_ID, "--key", KEY.hex(), "--controller", f"127.0.0.1:{gsp.socket.getsockname()[1]}")
    with running(request.param, "light", tmp_path_factory.mktemp("light"), *where) as device:
        gsp.attach()
        client = LanClient(device.local_port, FINGERPRINT)
        assert client.call(11010, b"\x00\x02me")[0]
        client.close()
        yield gsp, device.local_port
    assert [line for line in device.lines if "failed" in line] == []
    gsp.socket.close()


@pytest.fixture
def gsp(world):
    world[0].drain()
    return world[0]


@pytest.fixture
def client(gsp):
    """A client's socket, which knows the device's remote port."""
    peer = Peer()
    peer.device = gsp.device
    yield peer
    peer.socket.close()


def frame(keys, nsi, plaintext, **header):
    return build(PT_DATA, (), keys, plaintext, sp=nsi, tag=TAG_FRAMING, **{"cp": CP, **header})


def keep_alive(keys, nsi, counter=1, **header):
    return frame(keys, nsi, FRAMING_KEEP_ALIVE.to_bytes(4, "big") + counter.to_bytes(4, "big"), **header)


def query(keys, nsi, query_id, parameters=b"", **header):
    plaintext = query_id.to_bytes(4, "big") + parameters
    return build(PT_DATA, (), keys, plaintext, sp=nsi, **{"cp": CP, "seq": 100, **header})


def close(peer, keys, nsi):
    answer = peer.ask(frame(keys, nsi, FRAMING_CLOSE.to_bytes(4, "big")))
    assert keys.open(answer) == FRAMING_CLOSE.to_bytes(4, "big")


def test_it_attaches_with_odd_headers_and_optional_payloads(gsp):
    kinds = [PL_CAPABILITY, PL_IPX, PL_NOTIFY, PL_CRYPTO]
    assert gsp.answer == (kinds, FL_RESPONSE, 0x1234, GSP_NSI)
    assert gsp.seen == endpoint(gsp.device)


@pytest.mark.parametrize(
    "payloads", [(), ((PL_TIME, build_time(1_700_000_000)),), ((UNKNOWN, b""), (UNKNOWN, b"x", PLF_OPTIONAL))]
)
def test_an_alive_request_is_answered_whatever_it_carries(gsp, payloads):
    answer = gsp.ask(build(PT_U_ALIVE, payloads, sp=GSP_NSI, seq=5, version=0, retrans=2))
    assert (answer.flags, answer.seq, answer.sp) == (FL_RESPONSE, 5, GSP_NSI)
    assert answer.payloads() == [(PL_NOTIFY, 0, build_notify(NOTIFY_OK))]


@pytest.mark.parametrize("header", [{"flags": FL_RESPONSE}, {"sp": b"\x11\x22\x33\x45"}, {"tag": 0}, {"co": NSI_CO}])
def test_an_alive_request_that_is_not_quite_one_is_dropped(gsp, header):
    gsp.send(build(PT_U_ALIVE, (), **{"sp": GSP_NSI, "seq": 6, **header}))
    assert gsp.drain() == []


def test_a_client_without_fingerprint_is_refused_by_the_access_list(gsp):
    assert gsp.introduce(b"\x70\x00\x00\x01", fingerprint=None)[0] == NOTIFY_CP_ACCESS


def test_a_repeated_introduction_is_confirmed_and_changes_no_keys(gsp, client):
    nsi = b"\x70\x00\x00\x02"
    code, keys = gsp.introduce(nsi, IPX_NO_RENDEZVOUS | IPX_CP_ASYNC)
    assert code == NOTIFY_OK
    assert gsp.introduce(nsi)[0] == NOTIFY_OK
    keys.verify(client.ask(keep_alive(keys, nsi)))
    close(client, keys, nsi)


def test_rendezvous_works_in_both_directions_and_whatever_the_addresses_in_it(gsp, client):
    nsi = b"\x70\x00\x00\x03"
    code, keys = gsp.introduce(nsi, client=client.endpoint)
    assert code == NOTIFY_OK
    asked = client.next(PT_U_CONNECT)
    assert (asked.cp, asked.sp, asked.seq) == (bytes(4), nsi, 0)
    assert asked.payloads() == [(PL_EP, 0, client.endpoint)]
    unknown = bytes(4) + gsp.seen[4:]
    answers = []
    for seq in (0, 1):
        interval = [(PL_NONCE, (5000).to_bytes(4, "big"))] if seq else []
        client.send(build(PT_U_CONNECT, [(PL_EP, unknown), (PL_EP, bytes(6)), *interval], sp=nsi, seq=seq))
        while (answer := client.next(PT_U_CONNECT)).seq == 0:
            continue  # it still asks on its own
        answers.append((answer.seq, answer.payloads()))
    assert answers == [(seq, [(PL_EP, 0, client.endpoint), (PL_EP, 0, unknown)]) for seq in (1, 2)]
    keys.verify(client.ask(keep_alive(keys, nsi)))
    close(client, keys, nsi)


def test_a_client_that_wanted_no_rendezvous_may_ask_for_one(gsp, client):
    nsi = b"\x70\x00\x00\x04"
    code, keys = gsp.introduce(nsi, IPX_NO_RENDEZVOUS | IPX_CP_ASYNC, client=client.endpoint)
    assert code == NOTIFY_OK
    assert client.drain() == []
    assert client.ask(build(PT_U_CONNECT, [(PL_EP, gsp.seen)], sp=nsi, cp=CP)).seq == 1
    keys.verify(client.ask(keep_alive(keys, nsi)))
    close(client, keys, nsi)


def test_an_answer_repeats_the_header_of_its_request(gsp, client):
    nsi = b"\x70\x00\x00\x05"
    _, keys = gsp.introduce(nsi, IPX_NO_RENDEZVOUS | IPX_CP_ASYNC)
    client.send(query(keys, nsi, 2, b"\x01", tag=0, co=NSI_CO, version=0, retrans=2, cp=bytes(4)))
    acknowledged, answer = client.next(PT_DATA), client.next(PT_DATA)
    for packet in (acknowledged, answer):
        assert (packet.cp, packet.sp, packet.seq, packet.tag, packet.co) == (bytes(4), nsi, 100, 0, NSI_CO)
        assert (packet.version, packet.retrans, packet.flags & 3) == (0, 2, FL_RESPONSE)
    assert acknowledged.payloads() == [(PL_NOTIFY, 0, build_notify(NOTIFY_MICRO_ACK))]
    assert keys.open(answer) == b"\x00"
    close(client, keys, nsi)


def test_the_first_data_may_be_a_request_through_the_relay_and_answers_follow_the_client(gsp, client):
    nsi = b"\x70\x00\x00\x06"
    _, keys = gsp.introduce(nsi, IPX_NO_RENDEZVOUS)
    assert keys.open(gsp.ask(query(keys, nsi, 1, b"\x05\x01"))) == b"\x01"
    assert keys.open(client.ask(query(keys, nsi, 2, b"\x05"))) == b"\x01"
    assert keys.open(gsp.ask(query(keys, nsi, 2, b"\x06"))) == b"\x00"
    close(gsp, keys, nsi)


@pytest.mark.parametrize(
    ("plaintext", "code"),
    [
        ((4711).to_bytes(4, "big"), AER_INV_QUERY_ID),
        (b"\x00\x00\x00", AER_NO_QUERY_ID),
        (bytes(201), AER_TOO_LARGE),
    ],
)
def test_a_wrong_request_is_an_exception(gsp, client, plaintext, code):
    nsi = b"\x71\x00\x00" + bytes((code,))
    _, keys = gsp.introduce(nsi, IPX_NO_RENDEZVOUS | IPX_CP_ASYNC)
    client.send(build(PT_DATA, (), keys, plaintext, sp=nsi, seq=1))
    answer = client.next(PT_DATA)
    answer = answer if answer.crypto_off >= 0 else client.next(PT_DATA)
    assert answer.flags == FL_RESPONSE | FL_EXCEPTION
    assert keys.open(answer) == code.to_bytes(4, "big")
    close(client, keys, nsi)


def test_without_the_asynchronous_flag_errors_are_silence(gsp, client):
    nsi = b"\x70\x00\x00\x07"
    _, keys = gsp.introduce(nsi, IPX_NO_RENDEZVOUS)
    client.send(query(keys, nsi, 4711))
    assert client.drain() == []
    close(client, keys, nsi)


def test_a_tag_that_nobody_has_and_commands_that_nobody_knows_are_silence(gsp, client):
    nsi = b"\x70\x00\x00\x08"
    _, keys = gsp.introduce(nsi, IPX_NO_RENDEZVOUS | IPX_CP_ASYNC)
    client.send(query(keys, nsi, 2, b"\x01", tag=0xF000))
    client.send(frame(keys, nsi, b"\x00\x00\x00\x01"))
    client.send(frame(keys, nsi, b"\x00\x00\x00"))
    assert client.drain() == []
    close(client, keys, nsi)


def test_the_old_close_is_answered_with_the_new_one_each_time(gsp, client):
    nsi = b"\x70\x00\x00\x09"
    _, keys = gsp.introduce(nsi, IPX_NO_RENDEZVOUS | IPX_CP_ASYNC)
    for _ in range(2):
        assert keys.open(client.ask(frame(keys, nsi, b"\x00\x00\x00\x02"))) == b"\x00\x00\x00\x03"
    assert [packet for packet in client.drain() if packet.type == PT_DATA] == []


def test_on_the_local_network_a_number_of_the_clients_own_makes_repetition_harmless(world):
    peer = Peer()
    peer.device = ("127.0.0.1", world[1])
    nsi, clear = b"\x70\x00\x00\x0a", NullContext()
    ipx = (PL_IPX, build_ipx(flags=IPX_NO_RENDEZVOUS | IPX_CP_ASYNC, sp=nsi), PLF_OPTIONAL)
    request = build(PT_U_CONNECT, [ipx, (PL_FP, build_fp(FINGERPRINT))], cp=CP, version=0)
    for _ in range(2):
        assert peer.ask(request).get(PL_NOTIFY) == build_notify(NOTIFY_OK, nsi)
    # One number for different requests, as clients in the field have it; and as much rendezvous as makes sense here.
    for parameters, result in ((b"\x09\x01", b"\x01"), (b"\x09\x00", b"\x00")):
        peer.send(query(clear, nsi, 1, parameters, seq=50))
        assert peer.next(PT_DATA).payloads() == [(PL_NOTIFY, 0, build_notify(NOTIFY_MICRO_ACK))]
        assert clear.open(peer.next(PT_DATA)) == result
    close(peer, clear, nsi)
    peer.socket.close()
