"""The gate over real TLS: who gets in, who is told why not, and that hostile peers cost little and stop nobody else."""

import asyncio
import contextlib
import datetime
import ssl

import pytest
from cryptography.exceptions import InvalidSignature
from gate_peers import GateClient, NotedSwitchboard, certificate, client_tls, ec_key, rsa_key
from homeport.basestation.events import Connected, ConnectRefused
from homeport.basestation.gate.admission import Gate, GateSettings
from homeport.basestation.gate.link import BACKLOG_MAX, CLOSING_MS, OPENING_MS, STALLED_MS
from homeport.basestation.gate.session import Send, SessionSettings
from homeport.basestation.gate.tls import identify, server_context
from homeport.basestation.gsp.settings import RateLimit
from homeport.errors import AuthError
from homeport.fingerprint import fingerprint_of
from homeport.gate_messages import DATAGRAM_MAX
from homeport.tcp import listen
from OpenSSL import crypto
from wsproto.events import AcceptConnection, Ping, Pong

NOW = datetime.datetime.now(datetime.UTC)
TLS12, TLS13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
NSI = b"\x00\x01\xe2\x40"
CONNECT = {
    "type": "connect",
    "id": 1,
    "device": "dev1",
    "client_id": "",
    "private": None,
    "probe": None,
    "nat_type": 0,
    "rendezvous": True,
}


class Bench:
    """A gate on a free port, with a clock that only the test moves."""

    def __init__(self, settings):
        self.now_ms = 0
        self.lines = []
        self.switchboard = NotedSwitchboard()
        key = rsa_key()
        tls = server_context(key, [certificate(key)])
        self.gate = Gate(tls, self.switchboard, lambda: self.now_ms, bytes, self.log, settings)

    def log(self, event, **facts):
        self.lines.append((event, facts))

    def reasons(self):
        return [facts["reason"] for event, facts in self.lines if event == "gate_failed"]

    async def start(self):
        listener = listen(("127.0.0.1", 0))
        self.address = listener.getsockname()
        await self.gate.start(listener, sweep_s=None)

    def pass_ms(self, elapsed_ms):
        self.now_ms += elapsed_ms
        self.gate.sweep(self.now_ms)

    async def until(self, condition):
        """Let the event loop work until something holds."""
        async with asyncio.timeout(20):
            while not condition():
                await asyncio.sleep(0)


@pytest.fixture
async def make_bench():
    benches = []

    async def make(**settings):
        bench = Bench(GateSettings(**settings))
        await bench.start()
        benches.append(bench)
        return bench

    yield make
    for bench in benches:
        await bench.gate.close()


@pytest.fixture
async def bench(make_bench):
    return await make_bench()


@pytest.mark.parametrize("version", [TLS12, TLS13])
async def test_a_client_with_an_rsa_key_gets_in(bench, version):
    client = await GateClient.greeted(bench.address, client_tls(rsa_key(), version=version))
    assert client.hello["fingerprint"] == fingerprint_of(rsa_key().public_key()).hex()
    assert client.writer.get_extra_info("ssl_object").version() == version.name.replace("_", ".")
    await client.close()


async def test_what_a_client_is_told_is_what_the_switchboard_knows(bench):
    client = await GateClient.greeted(bench.address)
    assert client.hello["gsp"] == "192.0.2.1:5565"
    assert bench.switchboard.reached == "127.0.0.1"
    probe = {bytes.fromhex(client.hello["probe"]["id"]): bytes.fromhex(client.hello["probe"]["key"])}
    assert bench.switchboard.probes == probe
    await client.close()


async def test_old_tls_is_refused(bench):
    tls = client_tls(rsa_key())
    tls.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning):
        tls.minimum_version = tls.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises((ssl.SSLError, ConnectionError)):
        await GateClient.connect(bench.address, tls)
    await bench.until(bench.reasons)
    assert bench.reasons()[0].startswith("TLS handshake failed")


async def test_tls12_without_a_certificate_fails_the_handshake(bench):
    with pytest.raises((ssl.SSLError, ConnectionError)):
        await GateClient.connect(bench.address, client_tls(version=TLS12))
    await bench.until(bench.reasons)


async def test_tls13_without_a_certificate_gets_an_alert(bench):
    client = await GateClient.connect(bench.address, client_tls(version=TLS13))
    with pytest.raises(ssl.SSLError, match="CERTIFICATE_REQUIRED"):
        await client.reader.read(1)
    await bench.until(bench.reasons)
    assert bench.gate.sessions == 0


async def test_sessions_are_not_resumed(bench):
    tls = client_tls(rsa_key(), version=TLS12)
    client = await GateClient.greeted(bench.address, tls)
    first = client.writer.get_extra_info("ssl_object").session
    assert not first.has_ticket
    await client.close()


@pytest.mark.parametrize(
    ("tls", "reason"),
    [
        (lambda: client_tls(rsa_key(1024)), "RSA key of 2048 to 8192 bits"),
        (lambda: client_tls(ec_key()), "RSA key of 2048 to 8192 bits"),
        (lambda: client_tls(rsa_key(), certificate(rsa_key(), from_days=-9, to_days=-2)), "expired"),
        (lambda: client_tls(rsa_key(), certificate(rsa_key(), from_days=2, to_days=9)), "not valid before"),
        (lambda: client_tls(rsa_key(), certificate(rsa_key(), names=20)), "a name is longer than 1024 bytes"),
        (lambda: client_tls(rsa_key(), certificate(rsa_key(), extension_len=9000)), "larger than 8192 bytes"),
    ],
    ids=["small key", "EC key", "expired", "not yet valid", "absurd name", "absurd size"],
)
async def test_a_client_with_an_unacceptable_certificate_is_told_why(bench, tls, reason):
    context = tls_at_any_level(tls)
    client, answer = await GateClient.open(bench.address, context)
    status, body = await client.refusal(answer)
    assert status == 403
    assert reason in body
    assert bench.gate.sessions == 0
    assert reason in bench.reasons()[0]
    await client.close()


def tls_at_any_level(make):
    """The client's own OpenSSL must not be what refuses a small key."""
    original = ssl.SSLContext.load_cert_chain

    def load(context, *args, **kwargs):
        context.set_ciphers("DEFAULT:@SECLEVEL=0")
        return original(context, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ssl.SSLContext, "load_cert_chain", load)
        return make()


def test_a_certificate_that_cannot_be_read_is_refused():
    broken = crypto.X509()  # empty: no key, no names, no validity
    with pytest.raises((AuthError, crypto.Error, InvalidSignature)):
        identify(broken, NOW)


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        ({"target": "/"}, 404),
        ({"target": "/gate?x=1"}, 404),
        ({"subprotocols": []}, 400),
        ({"subprotocols": ["homeport.gate.v9"]}, 400),
        ({"extra_headers": [(b"Origin", b"https://example.net")]}, 403),
    ],
)
async def test_another_upgrade_than_ours_is_refused_with_a_reason(bench, request_, status):
    client, answer = await GateClient.open(bench.address, **request_)
    found, body = await client.refusal(answer)
    assert found == status
    assert body.strip()
    await client.close()


@pytest.mark.parametrize(
    "data",
    [
        b"GET /gate HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST /gate HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
        b"GET /gate HTTP/1.1\r\n" + b"X: y\r\n" * 10_000,
        b"GET /gate HTTP/1.1\r\nHost: \xff\xfe\r\nUpgrade: websocket\r\n\r\n",
        b"GET /gate HTTP/1.1\r\nHost: x\r\nConnection: \xff\r\n\r\n",
        b"\x00" * 1000,
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(100),
    ],
    ids=["plain GET", "POST", "endless header", "odd host", "odd header", "zeros", "TLS inside TLS"],
)
async def test_garbage_instead_of_an_upgrade_ends_the_connection(bench, data):
    client = await GateClient.connect(bench.address, client_tls(rsa_key()))
    await client.write(data)
    assert await client.reader.read() is not None
    await bench.until(lambda: bench.gate.connections == 0)
    assert (await GateClient.greeted(bench.address)).hello


@pytest.mark.parametrize("data", [b"GET / HTTP/1.1\r\n\r\n", b"\x00" * 100, b"\x16\x03\x01\xff\xff" + bytes(70_000)])
async def test_garbage_instead_of_tls_ends_the_connection(bench, data):
    reader, writer = await asyncio.open_connection(*bench.address)
    writer.write(data)
    writer.write_eof()
    await bench.until(bench.reasons)
    writer.close()
    await bench.until(lambda: bench.gate.connections == 0)
    assert (await GateClient.greeted(bench.address)).hello


async def test_a_client_that_never_finishes_the_handshake_is_cut(bench):
    reader, writer = await asyncio.open_connection(*bench.address)
    writer.write(b"\x16\x03\x01")
    await bench.until(lambda: bench.gate.connections == 1)
    bench.pass_ms(OPENING_MS - 1)
    assert bench.gate.connections == 1
    bench.pass_ms(1)
    await bench.until(lambda: bench.gate.connections == 0)
    writer.close()


async def test_a_client_that_never_finishes_the_upgrade_is_cut(bench):
    client = await GateClient.connect(bench.address, client_tls(rsa_key()))
    await client.write(b"GET /gate HTTP/1.1\r\n")
    bench.pass_ms(OPENING_MS)
    assert await client.ended() is None
    await bench.until(lambda: bench.gate.connections == 0)


async def test_an_opening_that_only_grows_is_cut(bench):
    client = await GateClient.connect(bench.address, client_tls(rsa_key()))
    await client.write(b"GET /gate HTTP/1.1\r\nX: ")
    with pytest.raises((ConnectionError, ssl.SSLError)):
        async with asyncio.timeout(20):
            while True:  # until the cut arrives, which a busy machine may take its time for
                await client.write(b"y" * 1000)
                await asyncio.sleep(0)
    await bench.until(lambda: bench.gate.connections == 0)


async def test_an_introduction_goes_to_the_switchboard_with_the_proven_fingerprint(bench):
    client = await GateClient.greeted(bench.address)
    await client.send(CONNECT)
    await bench.until(lambda: bench.switchboard.introductions)
    ((fingerprint, probe_id, request),) = bench.switchboard.introductions
    assert fingerprint.hex() == client.hello["fingerprint"]
    assert probe_id.hex() == client.hello["probe"]["id"]
    assert (request.device, request.id) == ("dev1", 1)
    await client.close()


async def test_the_switchboards_answers_reach_the_client_that_asked(bench):
    asking, other = await GateClient.greeted(bench.address), await GateClient.greeted(bench.address)
    await asking.send(CONNECT)
    await bench.until(lambda: len(bench.switchboard.introductions) == 1)
    await other.send(CONNECT)
    await bench.until(lambda: len(bench.switchboard.introductions) == 2)
    bench.gate.refused(ConnectRefused(2, b"dev1", 0x8007, "offline"))
    bench.gate.connected(Connected(1, b"dev1", NSI, bytes(96), bytes(6), bytes(6), 0, 0, 0))
    assert (await asking.message())["nsi"] == NSI.hex()
    assert (await other.message())["name"] == "UNKNOWN_MICRO"
    await asking.close()
    await other.close()


async def test_keys_are_in_no_log_line(bench):
    client = await GateClient.greeted(bench.address)
    await client.send(CONNECT)
    await bench.until(lambda: bench.switchboard.introductions)
    key = bytes(range(96))
    bench.gate.connected(Connected(1, b"dev1", NSI, key, bytes(6), bytes(6), 0, 0, 0))
    await client.message()
    assert bench.lines
    assert key.hex() not in repr(bench.lines)
    assert repr(key)[2:-1] not in repr(bench.lines)
    await client.close()


async def test_the_probe_ends_with_the_session(bench):
    client = await GateClient.greeted(bench.address)
    await client.close()
    await bench.until(lambda: not bench.switchboard.probes)
    assert bench.gate.connections == 0


async def test_an_answer_for_a_client_that_has_gone_hangs_up(bench):
    client = await GateClient.greeted(bench.address)
    await client.send(CONNECT)
    await bench.until(lambda: bench.switchboard.introductions)
    await client.close()
    await bench.until(lambda: bench.gate.connections == 0)
    bench.gate.connected(Connected(1, b"dev1", NSI, bytes(96), bytes(6), bytes(6), 0, 0, 0))
    assert bench.switchboard.hung_up == [NSI]


@pytest.mark.parametrize(
    ("send", "code"),
    [
        (lambda client: client.send_text("garbage"), 1007),
        (lambda client: client.send_text("x" * 4097), 1009),
        (lambda client: client.send_binary(b"datagram"), 1007),
        (lambda client: client.send_binary(bytes(DATAGRAM_MAX + 1)), 1009),
        (lambda client: client.write(b"\x81\x84\x00\x00\x00\x00\xff\xff\xff\xff"), 1007),
        (lambda client: client.write(b"\xc1\x80\x00\x00\x00\x00"), 1002),
        (lambda client: client.write(b"\x83\x80\x00\x00\x00\x00"), 1002),
        (lambda client: client.write(b"\x81\x01x"), 1002),
    ],
    ids=[
        "no JSON",
        "a byte too long",
        "no datagram",
        "a datagram too long",
        "no UTF-8",
        "reserved bit",
        "opcode 3",
        "unmasked",
    ],
)
async def test_a_bad_message_ends_the_session_with_its_code(bench, send, code):
    client = await GateClient.greeted(bench.address)
    await send(client)
    assert await client.ended() == code
    await client.close()
    await bench.until(lambda: bench.gate.connections == 0)


async def test_a_message_in_fragments_is_one_message(bench):
    client = await GateClient.greeted(bench.address)
    mask = bytes(4)
    for opcode, part in ((0x01, b'{"type":'), (0x00, b'"ping",'), (0x80, b'"id":7}')):
        await client.write(bytes((opcode, 0x80 | len(part))) + mask + part)
    assert await client.message() == {"type": "pong", "id": 7}
    await client.close()


async def test_a_message_of_endless_fragments_is_cut(bench):
    client = await GateClient.greeted(bench.address)
    await client.write(bytes((0x01, 0x80 | 100)) + bytes(4) + b"x" * 100)
    for _ in range(50):
        await client.write(bytes((0x00, 0x80 | 100)) + bytes(4) + b"x" * 100)
    assert (await client.message())["type"] == "error"
    assert await client.ended() == 1009


async def test_a_ping_frame_is_answered(bench):
    client = await GateClient.greeted(bench.address)
    await client.write(client.ws.send(Ping(payload=b"here?")))
    event = await client.event()
    assert isinstance(event, Pong)
    assert event.payload == b"here?"
    await client.close()


async def test_a_flood_of_ping_frames_ends_the_session(make_bench):
    bench = await make_bench(session=SessionSettings(messages=RateLimit(5, 1.0)))
    client = await GateClient.greeted(bench.address)
    await client.write(client.ws.send(Ping()) * 20)
    assert await client.ended() == 1008


async def test_a_silent_client_is_told_and_closed(bench):
    client = await GateClient.greeted(bench.address)
    bench.pass_ms(120_000)
    assert await client.ended() == 1001
    bench.pass_ms(CLOSING_MS)
    await bench.until(lambda: bench.gate.connections == 0)


async def test_a_client_that_does_not_read_is_cut_by_time(bench):
    client = await GateClient.greeted(bench.address)
    client.writer.transport.pause_reading()
    (link,) = bench.gate.links
    while not link.waiting_len:
        link.perform([Send("x" * 50_000)])
    bench.pass_ms(0)
    bench.pass_ms(STALLED_MS - 1)
    assert bench.gate.connections == 1
    bench.pass_ms(1)
    await bench.until(lambda: bench.gate.connections == 0)
    client.writer.transport.abort()


async def test_a_client_that_lets_too_much_wait_is_cut_at_once(bench):
    client = await GateClient.greeted(bench.address)
    client.writer.transport.pause_reading()
    (link,) = bench.gate.links
    sent_len = 0
    while bench.gate.connections and link.waiting_len <= BACKLOG_MAX and sent_len < 100_000_000:
        link.perform([Send("x" * 50_000)])
        sent_len += 50_000
    await bench.until(lambda: bench.gate.connections == 0)
    assert bench.switchboard.probes == {}
    client.writer.transport.abort()


async def test_a_client_that_does_not_take_our_last_words_is_cut(bench):
    client = await GateClient.greeted(bench.address)
    client.writer.transport.pause_reading()
    (link,) = bench.gate.links
    while not link.waiting_len:
        link.perform([Send("x" * 50_000)])
    await client.send_binary(b"datagram")
    await bench.until(lambda: link.session.deadline_ms is None)
    bench.pass_ms(0)
    bench.pass_ms(STALLED_MS)
    await bench.until(lambda: bench.gate.connections == 0)
    client.writer.transport.abort()


async def test_a_megabyte_in_one_message_is_not_even_read(bench):
    client = await GateClient.greeted(bench.address)
    with contextlib.suppress(ConnectionError):
        await client.send_text("x" * 1_000_000)
    await bench.until(lambda: bench.gate.connections == 0)
    client.writer.transport.abort()


async def test_connections_of_one_source_are_limited(make_bench):
    bench = await make_bench(connections_per_source=2)
    first, second = await GateClient.greeted(bench.address), await GateClient.greeted(bench.address)
    with pytest.raises((ConnectionError, ssl.SSLError)):
        await GateClient.connect(bench.address, client_tls(rsa_key()))
    assert bench.gate.counters["limited_source"] == 1
    await first.close()
    await bench.until(lambda: bench.gate.connections == 1)
    assert (await GateClient.greeted(bench.address)).hello
    await second.close()


async def test_new_connections_of_one_source_are_limited_over_time(make_bench):
    bench = await make_bench(source=RateLimit(1, 1.0))
    await (await GateClient.greeted(bench.address)).close()
    with pytest.raises((ConnectionError, ssl.SSLError)):
        await GateClient.connect(bench.address, client_tls(rsa_key()))
    bench.pass_ms(1_000)
    assert (await GateClient.greeted(bench.address)).hello


async def test_unfinished_openings_are_limited_and_sessions_live_on(make_bench):
    bench = await make_bench(opening_max=3)
    client = await GateClient.greeted(bench.address)
    idle = [await asyncio.open_connection(*bench.address) for _ in range(3)]
    await bench.until(lambda: bench.gate.connections == 4)
    with pytest.raises((ConnectionError, ssl.SSLError)):
        await GateClient.connect(bench.address, client_tls(rsa_key()))
    await client.send({"type": "ping", "id": 1})
    assert await client.message() == {"type": "pong", "id": 1}
    bench.pass_ms(OPENING_MS)
    await bench.until(lambda: bench.gate.connections == 1)
    assert (await GateClient.greeted(bench.address)).hello
    for _, writer in idle:
        writer.close()


async def test_one_source_cannot_take_all_unfinished_openings(make_bench):
    bench = await make_bench(opening_per_source=2)
    idle = [await asyncio.open_connection(*bench.address) for _ in range(2)]
    await bench.until(lambda: bench.gate.connections == 2)
    with pytest.raises((ConnectionError, ssl.SSLError)):
        await GateClient.connect(bench.address, client_tls(rsa_key()))
    assert bench.gate.counters["limited_opening_source"] == 1
    for _, writer in idle:
        writer.close()
    await bench.until(lambda: bench.gate.connections == 0)
    assert (await GateClient.greeted(bench.address)).hello


async def test_connections_are_limited_in_all(make_bench):
    bench = await make_bench(connections_max=1)
    client = await GateClient.greeted(bench.address)
    with pytest.raises((ConnectionError, ssl.SSLError)):
        await GateClient.connect(bench.address, client_tls(rsa_key()))
    assert bench.gate.counters["limited_connections"] == 1
    await client.close()


async def test_a_source_fills_the_log_only_so_far(bench):
    for _ in range(10):
        reader, writer = await asyncio.open_connection(*bench.address)
        writer.write(b"garbage\r\n" * 10)
        await reader.read()
        writer.close()
    await bench.until(lambda: bench.gate.connections == 0)
    assert len(bench.reasons()) == 3
    assert bench.gate.counters["failed_tls"] == 10


async def test_closing_the_gate_tells_its_clients(bench):
    client = await GateClient.greeted(bench.address)
    closing = asyncio.create_task(bench.gate.close("stopping"))
    assert await client.ended() == 1001
    await client.close()
    await closing
    assert bench.gate.connections == 0


async def test_the_upgrade_is_granted_with_our_subprotocol_and_no_extension(bench):
    client, answer = await GateClient.open(bench.address, extensions=[])
    assert isinstance(answer, AcceptConnection)
    assert answer.subprotocol == "homeport.gate.v1"
    assert not answer.extensions
    await client.close()
