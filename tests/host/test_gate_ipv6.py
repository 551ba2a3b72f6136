"""IPv6 at the gate: how addresses are written, where the gate listens, what a client over IPv6 is told, and whose share
of the limits it takes. Needs a machine with the address ::1."""

import asyncio
import contextlib
import dataclasses
import socket

import pytest
from basestation_process import BasestationProcess, homeport_json
from gate_peers import GateClient, NotedSwitchboard, certificate, rsa_key
from homeport.basestation.config import Config
from homeport.basestation.gate.admission import Gate, GateSettings
from homeport.basestation.gate.tls import server_context
from homeport.basestation.switchboard import GspSwitchboard
from homeport.basestation.udp import monotonic_ms
from homeport.client.gate.link import GateLink
from homeport.client.profile import Profile, split_address
from homeport.errors import ConfigError, GateError
from homeport.gate_messages import Refused
from homeport.tcp import listen
from homeport.wire import address_text, endpoint, parse_address, share_of, socket_address

# How addresses are written


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("[2001:db8::1]:5568", ("2001:db8::1", 5568)),
        ("[::]:0", ("::", 0)),
        ("[::ffff:192.0.2.1]:1", ("::ffff:192.0.2.1", 1)),
        ("192.0.2.1:5568", ("192.0.2.1", 5568)),
        ("base.example.org:5568", ("base.example.org", 5568)),
    ],
)
def test_an_address_is_read_and_written_with_an_ipv6_host_in_brackets(text, address):
    assert parse_address(text) == address
    assert address_text(address) == text


def test_a_missing_port_is_the_default_for_ipv6_too():
    assert parse_address("[2001:db8::1]", 5568) == ("2001:db8::1", 5568)


@pytest.mark.parametrize(
    "text",
    ["2001:db8::1", "2001:db8::1:5568", "[2001:db8::1", "2001:db8::1]:5568", "[2001:db8::1]5568", "[2001:db8::1]:",
     "[]:1",
     "[base.example.org]:1", "[192.0.2.1]:1", "[2001:db8::g]:1", "[fe80::1%eth0]:1", "[[::1]]:1", "[::1]:65536"],
)  # fmt: skip
def test_what_is_no_address_is_refused(text):
    with pytest.raises(ValueError, match="is not"):
        parse_address(text)


def test_without_brackets_the_error_shows_them():
    with pytest.raises(ValueError, match=r"brackets, as in \[2001:db8::1\]:5568"):
        parse_address("2001:db8::1:5568")


def test_a_profile_may_name_an_ipv6_address(tmp_path):
    profile = Profile.create(tmp_path, "me", basestation="[2001:db8::1]")
    assert Profile.load(tmp_path, "me").basestation == "[2001:db8::1]:5568"
    assert profile.basestation_address == ("2001:db8::1", 5568)


@pytest.mark.parametrize("text", ["[::1]:0", "[::1", "::1", "[h]:1"])
def test_a_profile_with_half_an_ipv6_address_is_refused(text):
    with pytest.raises(ConfigError, match="IPv6 in brackets"):
        split_address(text, 5568)


def test_gate_gateway_and_admin_may_listen_on_ipv6():
    config = Config().override({"gate": "[::]:1", "gateway": "[::]:2", "admin": "[::1]:3"})
    assert (config.gate, config.gateway, config.admin) == (("::", 1), ("::", 2), ("::1", 3))


@pytest.mark.parametrize("name", ["controller", "gsp"])
def test_the_ports_of_the_devices_protocol_may_not(name):
    with pytest.raises(ConfigError, match=f"{name}: ::1 is IPv6, and the devices' protocol is IPv4"):
        Config().override({name: "[::1]:5565"})


def test_ipv4_seen_through_an_ipv6_socket_is_ipv4():
    assert socket_address(("::ffff:192.0.2.1", 7, 0, 0)) == ("192.0.2.1", 7)
    assert socket_address(("fe80::1%eth0", 7, 0, 2)) == ("fe80::1", 7)
    assert socket_address(("192.0.2.1", 7)) == ("192.0.2.1", 7)


def test_all_addresses_of_a_network_of_64_bits_share():
    assert share_of("2001:db8::1") == share_of("2001:db8::ffff:2")
    assert share_of("2001:db8::1") != share_of("2001:db8:0:1::1")
    assert share_of("192.0.2.1") != share_of("192.0.2.2")


# What a client is told of IPv4


class Nothing:
    """In the place of a session server and its socket, which are not asked."""


@pytest.mark.parametrize(
    ("public", "reached", "told"),
    [
        ("203.0.113.5", "2001:db8::1", "203.0.113.5"),
        ("0.0.0.0", "::1", "127.0.0.1"),
        ("0.0.0.0", "192.0.2.1", "192.0.2.1"),
    ],
)
def test_the_session_server_has_an_ipv4_address_for_clients_on_ipv6(public, reached, told):
    ports = endpoint((public, 5565)), endpoint((public, 5566))
    switchboard = GspSwitchboard(Nothing(), Nothing(), *ports)
    assert switchboard.relay_endpoint(reached) == endpoint((told, 5565))
    assert switchboard.second_probe_endpoint(reached) == endpoint((told, 5566))


# Listening


@contextlib.asynccontextmanager
async def gate(host, **settings):
    """A gate on `host`; yields it and its address."""
    key = rsa_key()
    tls = server_context(key, [certificate(key)])
    made = Gate(tls, NotedSwitchboard(), monotonic_ms, bytes, lambda *_, **__: None, GateSettings(**settings))
    listener = listen((host, 0))
    await made.start(listener, sweep_s=None)
    yield made, socket_address(listener.getsockname())
    await made.close()


async def test_a_gate_on_every_address_takes_ipv6_and_ipv4_and_knows_them_apart():
    async with gate("::") as (made, (_, port)):
        for host in ("::1", "127.0.0.1"):
            client = await GateClient.greeted((host, port))
            (link,) = made.links
            assert (link.source, link.reached) == (host, host)
            await client.close()
            async with asyncio.timeout(10):
                while made.connections:
                    await asyncio.sleep(0)


async def test_an_ipv6_address_that_is_taken_is_named():
    with listen(("::1", 0)) as taken:
        where = socket_address(taken.getsockname())
        with pytest.raises(ConfigError, match=rf"TCP \[::1\]:{where[1]} is already in use"):
            listen(where)


async def test_limits_count_an_ipv6_network_as_one_source():
    async with gate("::1", connections_per_source=1) as (made, address):
        first = await GateClient.greeted(address)
        second = await GateClient.connect(address, None)
        assert await second.event() is None
        assert made.counters["limited_source"] == 1
        await first.close()
        await second.close()


@pytest.fixture(scope="module")
def basestation(tmp_path_factory):
    root = tmp_path_factory.mktemp("base")
    pin = homeport_json("basestation", "init", root)["pin"]
    running = BasestationProcess(root, gate="[::1]:0", admin="[::1]:0", gateway="[::1]:0")
    yield running, pin
    assert running.stop() == 0


@pytest.fixture
def profile(basestation, tmp_path):
    running, pin = basestation
    return Profile.create(tmp_path, "me", basestation=running.ready["gate"], pin=pin)


async def test_a_client_reaches_a_basestation_on_ipv6_and_its_certificate_is_the_same(basestation, profile):
    running, _ = basestation
    assert running.ready["gate"].startswith("[::1]:")
    link = GateLink(profile)
    hello = await link.hello()
    assert hello.gsp == endpoint(running.address("gsp"))
    assert isinstance(await link.connect("nobody", None, None, 0, True), Refused)
    await link.close()


async def test_a_name_that_has_only_an_ipv6_address_will_do(basestation, profile, monkeypatch):
    running, _ = basestation
    _, port = running.address("gate")
    real = socket.getaddrinfo

    def look_up(host, *arguments, **options):
        return real("::1" if host == "base.example.org" else host, *arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    link = GateLink(dataclasses.replace(profile, basestation=f"base.example.org:{port}"))
    assert (await link.hello()).version == 1
    await link.close()


async def test_a_name_whose_first_address_is_dead_is_reached_at_its_other(basestation, profile, monkeypatch):
    running, _ = basestation
    _, port = running.address("gate")

    def look_up(host, port, family=0, type=0, proto=0, flags=0):
        # The gate listens on ::1 only.
        return [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port)),
            (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("::1", port, 0, 0)),
        ]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    link = GateLink(dataclasses.replace(profile, basestation=f"base.example.org:{port}"))
    assert (await link.hello()).version == 1
    await link.close()


def test_the_admin_port_answers_on_ipv6(basestation):
    running, _ = basestation
    assert running.health()["status"] == "ok"


async def test_when_no_address_of_a_name_answers_the_reasons_are_told_once(profile, monkeypatch):
    with listen(("127.0.0.1", 0)) as closing:
        _, port = closing.getsockname()

    def look_up(host, port, family=0, type=0, proto=0, flags=0):
        return [
            (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("::1", port, 0, 0)),
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port)),
        ]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    link = GateLink(dataclasses.replace(profile, basestation=f"base.example.org:{port}"))
    with pytest.raises(
        GateError, match=rf"cannot reach the basestation at base.example.org:{port}: Connection refused$"
    ):
        await link.hello()
    await link.close()
