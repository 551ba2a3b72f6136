"""The client's link to a gate: who is trusted, what breaks it, and what each failure is called."""

import asyncio
import dataclasses
import socket
import tempfile

import pytest
from gate_server import HELLO, Gate, connected, self_signed
from homeport import gate_messages as messages
from homeport.client.gate import link as gate
from homeport.client.gate import websocket
from homeport.client.gate.link import GateLink
from homeport.client.gate.tls import client_context
from homeport.client.profile import Profile
from homeport.errors import GateError, StateError
from processes import free_port
from wsproto.events import BytesMessage, RejectConnection, Request


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    return self_signed(tmp_path_factory.mktemp("gate"))


@pytest.fixture(scope="module")
def me(tmp_path_factory):
    return Profile.create(tmp_path_factory.mktemp("home"), "me")


@pytest.fixture
async def server(certificate):
    async with Gate(certificate[0]) as running:
        yield running


@pytest.fixture
async def link(server, me, certificate):
    profile = dataclasses.replace(me, basestation=f"127.0.0.1:{server.port}", pin=certificate[1])
    link = GateLink(profile)
    yield link
    await link.close()


def introduce(link, device="demo"):
    return link.connect(device, None, None, 0, True)


async def arrival(server, n):
    """Until `n` datagrams have come."""
    async with asyncio.timeout(10):
        while len(server.datagrams) < n:
            await asyncio.sleep(0)


async def cause(awaitable):
    """What kind of GateError it raises."""
    with pytest.raises(GateError) as caught:
        await awaitable
    return caught.value.cause


async def test_the_first_message_tells_where_to_probe_and_relay(link):
    assert (await link.hello()).gsp == bytes((192, 0, 2, 11, 0x15, 0xBD))


async def test_an_introduction_carries_our_name_and_what_we_know_of_ourselves(link, server):
    answer = await link.connect("demo", b"\xc0\xa8\x01\x14\x9c\x40", b"8 octets", 2, False)
    assert isinstance(answer, messages.Connected)
    (request,) = server.received
    assert request == messages.Connect(request.id, "demo", "me", b"\xc0\xa8\x01\x14\x9c\x40", b"8 octets", 2, False)


async def test_many_introductions_share_one_connection_and_may_be_answered_in_any_order(link, server):
    waiting = []

    async def answer_backwards(peer, message):
        waiting.append(message)
        if len(waiting) == 20:
            for request in reversed(waiting):
                peer.send(connected(request))

    server.on_message = answer_backwards
    names = [f"device-{n}" for n in range(20)]
    answers = await asyncio.gather(*(introduce(link, name) for name in names))
    assert [answer.device for answer in answers] == names
    assert server.connections == 1


async def test_a_refusal_is_an_answer(link, server):
    async def refuse(peer, message):
        peer.send(messages.Refused(message.id, message.device, 0x8007, "UNKNOWN_MICRO", "not attached"))

    server.on_message = refuse
    assert (await introduce(link)).reason == "not attached"


async def test_a_wrong_pin_ends_the_attempt_before_anything_is_sent(server, me):
    link = GateLink(dataclasses.replace(me, basestation=f"127.0.0.1:{server.port}", pin=bytes(16)))
    assert await cause(introduce(link)) == "pin"
    assert server.requests == []
    await link.close()


async def test_without_a_pin_a_certificate_of_nobody_known_is_not_trusted(server, me):
    link = GateLink(dataclasses.replace(me, basestation=f"127.0.0.1:{server.port}", pin=None))
    assert await cause(introduce(link)) == "tls"
    await link.close()


async def test_without_a_pin_a_certificate_of_a_known_authority_is_trusted(server, me, certificate, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
    link = GateLink(dataclasses.replace(me, basestation=f"127.0.0.1:{server.port}", pin=None))
    assert isinstance(await introduce(link), messages.Connected)
    await link.close()


async def test_a_gate_that_does_not_accept_our_certificate_is_told_apart(link, server, certificate):
    server.demand_certificates_of(certificate[0])
    assert await cause(introduce(link)) in ("tls", "closed")


async def test_nobody_at_the_address_is_told_apart(me, certificate):
    nobody = free_port()
    link = GateLink(dataclasses.replace(me, basestation=f"127.0.0.1:{nobody}", pin=certificate[1]))
    with pytest.raises(GateError, match="cannot reach the basestation at .*: Connection refused$") as caught:
        await introduce(link)
    assert caught.value.cause == "refused"
    await link.close()


async def test_a_host_that_does_not_exist_is_told_apart(me, certificate):
    link = GateLink(dataclasses.replace(me, basestation="no-such-host.invalid:1", pin=certificate[1]))
    assert await cause(introduce(link)) == "refused"
    await link.close()


async def test_a_server_that_speaks_something_else_is_told_apart(link, server):
    async def greet(peer):
        peer.writer.write(b"220 mail.example.org ESMTP\r\n")
        await peer.writer.drain()

    server.on_connect = greet
    assert await cause(introduce(link)) == "closed"


async def test_a_gate_that_refuses_the_upgrade_is_told_apart(link, server):
    async def reject(peer):
        peer.socket.receive_data(await peer._reader.read(65536))
        assert isinstance(next(peer.socket.events()), Request)
        peer.writer.write(peer.socket.send(RejectConnection(status_code=403)))
        await peer.writer.drain()

    server.on_connect = reject
    assert await cause(introduce(link)) == "refused"


async def test_a_gate_of_another_version_is_told_apart(link, server):
    server.subprotocol = None
    assert await cause(introduce(link)) == "protocol"


@pytest.mark.parametrize(
    "greeting",
    ["{", "[]", '{"type": "hello"}', '{"type": "hello", "type": "hello"}', "[" * 3_000, "x" * 5_000],
)
async def test_a_greeting_that_is_wrong_is_an_error_of_the_protocol(link, server, greeting):
    server.greeting = greeting
    assert await cause(introduce(link)) == "protocol"


async def test_messages_that_a_newer_gate_may_send_are_ignored(link, server):
    server.greeting = '{"type": "news", "text": "hello"}'
    waiting = asyncio.create_task(link.hello())
    await server.arrived.wait()
    while not server.requests:
        await asyncio.sleep(0)
    server.peers[0].send(messages.encode(messages.Hello(1, bytes(16), "later", bytes(6), bytes(8), bytes(96))))
    assert (await waiting).software == "later"


async def test_a_gate_says_whether_it_carries_datagrams(link, server):
    assert (await link.hello()).datagrams


async def test_to_a_gate_that_carries_none_no_datagram_is_sent(link, server):
    server.greeting = dataclasses.replace(HELLO, datagrams=False)
    await link.hello()
    link.send_datagram(b"datagram")
    await introduce(link)
    assert server.datagrams == []
    assert link.drops["gate"] == 1


async def test_datagrams_go_out_as_binary_messages_in_order(link, server):
    await link.hello()
    sent = [bytes((n,)) * 1300 for n in range(100)]
    for data in sent:
        link.send_datagram(data)
    await arrival(server, 100)
    assert server.datagrams == sent


async def test_datagrams_before_the_first_link_are_lost(link, server):
    link.send_datagram(b"datagram")
    await introduce(link)
    assert server.datagrams == []
    assert link.drops["gate"] == 1


async def test_of_too_many_datagrams_the_surplus_is_lost_and_messages_get_through(link, server):
    await link.hello()
    for _ in range(1_000):
        link.send_datagram(bytes(1300))
    assert 0 < link.drops["gate"] < 1_000
    assert isinstance(await introduce(link), messages.Connected)
    await arrival(server, 1_000 - link.drops["gate"])


async def test_a_datagram_that_no_gate_takes_is_lost_and_the_link_lives_on(link, server):
    await link.hello()
    link.send_datagram(bytes(messages.DATAGRAM_MAX + 1))
    link.send_datagram(bytes(messages.DATAGRAM_MAX))
    await arrival(server, 1)
    assert server.datagrams == [bytes(messages.DATAGRAM_MAX)]


async def test_datagrams_that_come_together_are_handed_on_together(link, server):
    got = []
    link.on_datagrams = got.append

    async def answer(peer, message):
        for n in range(3):
            peer.send_datagram(bytes((n,)) * 20)
        peer.send(connected(message))

    server.on_message = answer
    await introduce(link)
    assert [data for batch in got for data in batch] == [bytes((n,)) * 20 for n in range(3)]


async def test_a_datagram_may_come_in_fragments(link, server):
    got = []
    link.on_datagrams = got.extend

    async def answer(peer, message):
        peer.writer.write(peer.socket.send(BytesMessage(data=b"data", message_finished=False)))
        peer.writer.write(peer.socket.send(BytesMessage(data=b"gram")))
        peer.send(connected(message))

    server.on_message = answer
    await introduce(link)
    assert got == [b"datagram"]


async def test_a_datagram_that_is_too_long_breaks_the_link(link, server):
    async def answer(peer, message):
        peer.send_datagram(bytes(messages.DATAGRAM_MAX + 1))

    server.on_message = answer
    assert await cause(introduce(link)) == "protocol"


async def test_whoever_waits_for_the_link_is_told_each_time_that_it_is_there(link, server, monkeypatch):
    monkeypatch.setattr(gate, "BACKOFF_S", (0, 0))
    opened = asyncio.Queue()
    link.on_open = lambda: opened.put_nowait(link._socket.alive)
    await link.hello()
    server.peers[0].writer.transport.abort()
    async with asyncio.timeout(10):
        assert [await opened.get(), await opened.get()] == [True, True]


async def test_a_link_that_answers_survives_a_check(link, server):
    pinged = asyncio.Event()

    async def answer(peer, message):
        if isinstance(message, messages.Ping):
            peer.send(messages.Pong(message.id))
            pinged.set()
        else:
            await server.answer(peer, message)

    server.on_message = answer
    link.check()
    await link.hello()
    for _ in range(2):
        pinged.clear()
        link.check()
        link.check()
        async with asyncio.timeout(10):
            await pinged.wait()
        await introduce(link)
    assert server.connections == 1


async def test_a_link_that_does_not_answer_a_check_is_made_again(link, server, monkeypatch):
    async def be_silent(peer, message):
        pass

    monkeypatch.setattr(websocket, "CHECK_MIN_S", 0.05)
    server.on_message = be_silent
    await link.hello()
    server.arrived.clear()
    link.check()
    async with asyncio.timeout(10):
        await server.arrived.wait()
    assert server.connections == 2


async def test_a_link_on_which_nothing_answers_datagrams_is_made_again(link, server, monkeypatch):
    async def be_silent(peer, message):
        pass

    monkeypatch.setattr(websocket, "DOUBT_S", 0)
    monkeypatch.setattr(websocket, "CHECK_MIN_S", 0.05)
    server.on_message = be_silent
    await link.hello()
    server.arrived.clear()
    link.send_datagram(b"first")
    await arrival(server, 1)
    link.send_datagram(b"second")
    async with asyncio.timeout(10):
        await server.arrived.wait()
    assert server.connections == 2


async def test_a_small_message_does_not_wait_for_others(link):
    await link.hello()
    sock = link._socket._writer.get_extra_info("socket")
    assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


async def test_a_complaint_of_the_gate_reaches_whoever_waits(link, server):
    async def complain(peer, message):
        peer.send(messages.Problem(None, "too many messages"))

    server.on_message = complain
    with pytest.raises(GateError, match="too many messages"):
        await introduce(link)


async def test_a_connection_that_breaks_fails_what_waits_and_the_next_request_makes_a_new_one(link, server):
    await link.hello()

    async def drop(peer, message):
        peer.writer.transport.abort()

    server.on_message = drop
    assert await cause(introduce(link)) == "closed"
    server.on_message = server.answer
    assert isinstance(await introduce(link), messages.Connected)


async def test_a_broken_link_is_made_again_without_being_asked(link, server, monkeypatch):
    monkeypatch.setattr(gate, "BACKOFF_S", (0, 0))
    await link.hello()
    server.arrived.clear()
    server.peers[0].writer.transport.abort()
    async with asyncio.timeout(10):
        await server.arrived.wait()
    assert server.connections == 2


async def test_simultaneous_requests_make_one_connection(link, server):
    await asyncio.gather(*(introduce(link) for _ in range(10)))
    assert server.connections == 1


async def test_a_request_that_is_given_up_does_not_stop_the_others(link, server):
    first = asyncio.create_task(introduce(link))
    second = asyncio.create_task(introduce(link))
    await server.arrived.wait()
    first.cancel()
    assert isinstance(await second, messages.Connected)


async def test_a_gate_that_does_not_answer_is_given_up(link, server, monkeypatch):
    async def be_silent(peer, message):
        pass

    monkeypatch.setattr(websocket, "ANSWER_TIMEOUT_S", 0)
    server.on_message = be_silent
    assert await cause(introduce(link)) == "timeout"


async def test_a_gate_that_never_greets_is_given_up(link, server, monkeypatch):
    monkeypatch.setattr(websocket, "CONNECT_TIMEOUT_S", 0.2)
    server.greeting = None
    assert await cause(introduce(link)) == "timeout"


async def test_a_closed_link_stays_closed(link, server):
    await link.hello()
    await link.close()
    with pytest.raises(StateError):
        await introduce(link)


async def test_the_link_is_kept_by_pings(link, server, monkeypatch):
    monkeypatch.setattr(websocket, "PING_PERIOD_S", 0)
    pinged = asyncio.Event()

    async def answer(peer, message):
        peer.send(messages.Pong(message.id))
        pinged.set()

    server.on_message = answer
    await link.hello()
    async with asyncio.timeout(10):
        await pinged.wait()


def test_the_private_key_is_left_in_no_file(me, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    client_context(me)
    assert list(tmp_path.iterdir()) == []
