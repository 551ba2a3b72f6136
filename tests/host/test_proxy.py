"""Through an HTTP proxy to the gate: which proxy the environment means, and what each of its refusals is called."""

import asyncio
import dataclasses
import socket

import pytest
from connect_proxy import ConnectProxy
from gate_server import Gate, connected, self_signed
from homeport import gate_messages as messages
from homeport.client.gate import proxy
from homeport.client.gate.link import GateLink
from homeport.client.gate.proxy import parse_proxy, proxy_for
from homeport.client.profile import Profile
from homeport.errors import GateError
from processes import free_port

VARIABLES = ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy", "NO_PROXY", "no_proxy", "HTTP_PROXY", "http_proxy")
GATE = ("base.example.org", 5568)
OFFICE = "http://proxy.office.example:3128"
PASSWORD = "pa:ss%2Fw ö"


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    """Nothing of the machine's own settings; sets what a test wants."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)

    def set_(**variables):
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

    return set_


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
    """A link to a gate whose name nobody but a proxy knows."""
    made = GateLink(dataclasses.replace(me, basestation=f"gate.office.example:{server.port}", pin=certificate[1]))
    yield made
    await made.close()


def office(**options):
    return ConnectProxy({"gate.office.example": "127.0.0.1"}, **options)


def introduce(link):
    return link.connect("demo", None, None, 0, True)


async def failure(link):
    """The error of a link that cannot be made."""
    with pytest.raises(GateError) as caught:
        await introduce(link)
    assert caught.value.cause == "proxy"
    assert caught.value.next_step
    return str(caught.value)


# Which proxy


def test_without_a_setting_there_is_no_proxy():
    assert proxy_for(*GATE) is None


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"])
def test_the_environment_names_the_proxy(environment, name):
    environment(**{name: OFFICE})
    assert str(proxy_for(*GATE)) == OFFICE


def test_the_proxy_for_plain_http_is_none_of_ours(environment):
    environment(http_proxy=OFFICE)
    assert proxy_for(*GATE) is None


def test_the_one_for_https_goes_before_the_one_for_all(environment):
    environment(HTTPS_PROXY=OFFICE, ALL_PROXY="http://other.example:1")
    assert str(proxy_for(*GATE)) == OFFICE


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.8.9.10", "::1"])
def test_to_this_machine_there_is_no_proxy(environment, host):
    environment(HTTPS_PROXY=OFFICE)
    assert proxy_for(host, 5568) is None


@pytest.mark.parametrize(
    ("no_proxy", "host", "is_exempt"),
    [
        ("*", "base.example.org", True),
        ("base.example.org", "base.example.org", True),
        ("example.org", "base.example.org", True),
        (".example.org", "base.example.org", True),
        ("other.example, example.org", "base.example.org", True),
        ("base.example.org:5568", "base.example.org", True),
        ("base.example.org:443", "base.example.org", False),
        ("ample.org", "base.example.org", False),
        ("192.0.2.7", "192.0.2.7", True),
        ("192.0.2.0/24", "192.0.2.7", True),
        ("192.0.2.0/24", "192.0.3.7", False),
        ("2001:db8::/32", "2001:db8::7", True),
        ("[2001:db8::7]", "2001:db8::7", True),
        ("2001:db8::7", "2001:db8::8", False),
        ("/,:,[", "192.0.2.7", False),
    ],
)
def test_hosts_may_be_exempt(environment, no_proxy, host, is_exempt):
    environment(HTTPS_PROXY=OFFICE, NO_PROXY=no_proxy)
    assert (proxy_for(host, 5568) is None) == is_exempt


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("proxy.example", "http://proxy.example:80"),
        ("proxy.example:3128", "http://proxy.example:3128"),
        ("http://proxy.example:3128/", "http://proxy.example:3128"),
        ("http://[2001:db8::1]:3128", "http://[2001:db8::1]:3128"),
        ("HTTP://user:secret@proxy.example:3128", "http://proxy.example:3128"),
    ],
)
def test_a_proxy_is_shown_without_its_password(url, shown):
    assert str(parse_proxy(url)) == shown
    assert "secret" not in repr(parse_proxy(url))


@pytest.mark.parametrize(
    "url",
    ["https://u:secret@proxy.example", "socks5://u:secret@proxy.example:1080", "http://u:secret@", "http://u:secret@h:99999",
     "http://u:secret@a b:1", "http://[secret", "u:secret@ho\nst:1\x00"],
)  # fmt: skip
def test_a_setting_that_is_no_proxy_of_ours_is_refused_without_repeating_it(url):
    with pytest.raises(GateError, match=r"expected http://\[USER:PASSWORD@\]HOST:PORT") as caught:
        parse_proxy(url)
    assert "secret" not in str(caught.value)


# The way through it


async def test_messages_and_datagrams_go_through_the_proxy(link, server, environment):
    async with office() as between:
        environment(HTTPS_PROXY=f"http://127.0.0.1:{between.port}")
        got = []
        link.on_datagrams = got.extend

        async def answer(peer, message):
            peer.send_datagram(b"down")
            peer.send(connected(message))

        server.on_message = answer
        assert isinstance(await introduce(link), messages.Connected)
        link.send_datagram(b"up")
        async with asyncio.timeout(10):
            while not server.datagrams:
                await asyncio.sleep(0)
        assert (got, server.datagrams) == ([b"down"], [b"up"])
        assert between.asked == [("gate.office.example", server.port)]
        assert link.proxy == f"http://127.0.0.1:{between.port}"


async def test_the_pin_is_checked_behind_the_proxy_too(server, me, environment):
    link = GateLink(dataclasses.replace(me, basestation=f"gate.office.example:{server.port}", pin=bytes(16)))
    async with office() as between:
        environment(HTTPS_PROXY=f"http://127.0.0.1:{between.port}")
        with pytest.raises(GateError) as caught:
            await introduce(link)
    assert caught.value.cause == "pin"
    assert server.requests == []
    await link.close()


async def test_an_ipv6_address_is_asked_for_in_brackets(me, server, certificate, environment):
    link = GateLink(dataclasses.replace(me, basestation=f"[2001:db8::1]:{server.port}", pin=certificate[1]))
    async with ConnectProxy({"2001:db8::1": "127.0.0.1"}) as between:
        environment(HTTPS_PROXY=f"http://127.0.0.1:{between.port}")
        assert isinstance(await introduce(link), messages.Connected)
        assert f"CONNECT [2001:db8::1]:{server.port} HTTP/1.1\r\nHost: [2001:db8::1]:".encode() in between.heads[0]
    await link.close()


async def test_user_and_password_are_given_to_the_proxy_that_asks_for_them(link, environment):
    async with office(user=f"me@office:{PASSWORD}") as between:
        environment(HTTPS_PROXY=f"http://me%40office:pa%3Ass%252Fw%20%C3%B6@127.0.0.1:{between.port}")
        assert isinstance(await introduce(link), messages.Connected)


async def test_a_proxy_that_wants_a_password_is_told_apart(link, environment):
    async with office(user="me:secret") as between:
        environment(HTTPS_PROXY=f"http://127.0.0.1:{between.port}")
        assert "wants a user and password" in await failure(link)


async def test_a_proxy_that_refuses_the_password_is_told_apart_and_the_password_is_not_told(link, environment):
    async with office(user="me:secret") as between:
        environment(HTTPS_PROXY=f"http://me:wrong1@127.0.0.1:{between.port}")
        text = await failure(link)
    assert "refused the user and password" in text
    assert f"http://127.0.0.1:{between.port}" in text
    assert "wrong1" not in text


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (b"HTTP/1.1 403 Not\x1b[31m here\r\n\r\n", "does not connect to gate.office.example"),
        (b"HTTP/1.0 502\r\nA: b\r\n\r\n", "(HTTP status 502)"),
        (b"HTTP/1.1 301 Moved\r\nLocation: /\r\n\r\n", "(HTTP status 301: Moved)"),
        (b"220 mail.example.org\r\n\r\n", "does not answer like an HTTP proxy"),
        (b"x" * 20_000, "does not answer like an HTTP proxy"),
        (b"HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 101 Switching Protocols\r\n", "sent data that belongs to nobody"),
    ],
    ids=["403", "502", "301", "mail", "endless", "injection"],
)
async def test_what_else_a_proxy_may_say_is_told(link, server, environment, answer, text):
    async with office(answer=answer) as between:
        environment(HTTPS_PROXY=f"http://127.0.0.1:{between.port}")
        said = await failure(link)
    assert text in said
    assert said.isprintable()
    assert server.connections == 0


async def test_a_proxy_that_hangs_up_is_told_apart(link, environment):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        environment(HTTPS_PROXY=f"http://127.0.0.1:{listener.getsockname()[1]}")
        waiting = asyncio.create_task(failure(link))
        connection, _ = await asyncio.to_thread(listener.accept)
        connection.close()
        assert "broke off the connection" in await waiting or "cannot be reached" in waiting.result()


async def test_a_proxy_that_says_nothing_is_given_up(link, environment, monkeypatch):
    monkeypatch.setattr(proxy, "TIMEOUT_S", 0.2)
    async with office(answer=b"") as between:
        environment(HTTPS_PROXY=f"http://127.0.0.1:{between.port}")
        assert "did not open a way to gate.office.example" in await failure(link)


async def test_a_proxy_that_is_not_there_is_told_apart(link, environment):
    nobody = free_port()
    environment(HTTPS_PROXY=f"http://me:secret@127.0.0.1:{nobody}")
    assert await failure(link) == f"the proxy http://127.0.0.1:{nobody} cannot be reached: Connection refused"


async def test_what_fails_behind_the_proxy_names_the_proxy(link, server, environment):
    async def hang_up(peer):
        peer.writer.transport.abort()

    server.on_connect = hang_up
    async with office() as between:
        environment(HTTPS_PROXY=f"http://127.0.0.1:{between.port}")
        with pytest.raises(GateError, match="through the proxy http://127.0.0.1") as caught:
            await introduce(link)
        assert caught.value.cause == "closed"
