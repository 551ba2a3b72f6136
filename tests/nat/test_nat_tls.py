"""Clients that have no UDP: behind a router that drops it, behind an office's proxy that is the only way out, and in a
network that has IPv6 only. All reach the device through the gate's one TCP port."""

import sys
from pathlib import Path

import pytest
from nat_world import OTHER_SERVER, Nat, World
from netns import link, wait_until
from parts import GATE_PORT, Parts

PROXY_PORT = 3128
SERVER_IPV6 = "2001:db8:1::10"
SWITCHED_ON = {"light_state": 1}
_PROXY = Path(__file__).parents[1] / "support" / "connect_proxy.py"


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    """A world whose gate listens on IPv6 and IPv4."""
    with World() as world:
        _give_ipv6(world.server, "wan", world.internet, "server", "2001:db8:1")
        world.internet.sysctl("ipv6/conf/all/forwarding", 1)
        made = Parts(world, tmp_path_factory.mktemp("parts"))
        made.start_basestation(f"--gate=[::]:{GATE_PORT}")
        yield made


@pytest.fixture(scope="module")
def device(parts):
    made = parts.device(parts.world.home(Nat.PORT_RESTRICTED).host())
    made.wait_until_attached()
    return made


@pytest.fixture
def client(parts):
    """Start a client."""
    started = []

    def start(*arguments, **variables):
        started.append(parts.client(*arguments, **variables))
        return started[-1]

    yield start
    for made in started:
        made.close()


def _give_ipv6(host, name, router, far_name, network):
    """Addresses for both ends of a cable, and a way out."""
    host.ip(f"-6 addr add {network}::10/64 dev {name} nodad")
    router.ip(f"-6 addr add {network}::1/64 dev {far_name} nodad")
    host.ip(f"-6 route add default via {network}::1 dev {name}")


def works_over_tls(person, device):
    """Whether it connects by itself, and calls."""
    connected = person.connect(device)
    assert connected.get("path") == "tls", connected
    called = person.switch(device, 1)
    assert called.get("result") == SWITCHED_ON, called
    assert called["path"] == "tls"


def test_a_client_whose_udp_is_blocked(parts, device, client):
    works_over_tls(client(parts.world.home(Nat.BLOCKED).host()), device)


def test_a_client_whose_udp_is_let_through_again_leaves_tls(parts, device, client):
    home = parts.world.home(Nat.BLOCKED)
    person = client(home.host())
    works_over_tls(person, device)
    home.set_nat(Nat.PORT_RESTRICTED)
    wait_until(lambda: person.switch(device, 1).get("path") in ("relay", "direct"), "the client uses UDP", 30)


def test_a_client_that_gets_another_address_goes_on(parts, device, client):
    home = parts.world.home(Nat.BLOCKED)
    host = home.host()
    person = client(host)
    works_over_tls(person, device)
    old, new = home.address_of(1), home.address_of(9)
    host.ip(f"addr del {old}/28 dev lan0")
    host.ip(f"addr add {new}/28 brd + dev lan0")
    host.ip(f"route add default via {old.rpartition('.')[0]}.1")
    called = person.switch(device, 1)
    assert called.get("result") == SWITCHED_ON, called
    assert called["path"] == "tls"


def test_a_client_whose_link_dies_without_a_word_goes_on(parts, device, client):
    home = parts.world.home(Nat.BLOCKED)
    host = home.host()
    person = client(host)
    works_over_tls(person, device)
    home.router.nft(f"""
table ip deaf {{
    chain out {{
        type filter hook forward priority filter - 1;
        iifname lan tcp sport {_port_to_the_gate(host)} drop
    }}
}}
""")
    called = person.ask("call", on=device.id, query="light_read.json", params={"light_id": 9}, timeout_ms=20_000)
    assert called.get("path") == "tls", called


def _port_to_the_gate(host):
    """Of the client's end of its TCP connection."""
    connections = [line.split()[1:3] for line in host.run("cat", "/proc/net/tcp").splitlines()[1:]]
    (port,) = (int(near[-4:], 16) for near, far in connections if int(far[-4:], 16) == GATE_PORT)
    return port


def test_a_client_behind_a_proxy_that_is_the_only_way_out(parts, device, client):
    proxy = parts.world.other_server
    log = parts.directory / "proxy.log"
    proxy.start(sys.executable, str(_PROXY), f"{OTHER_SERVER}:{PROXY_PORT}", log=log)
    wait_until(lambda: log.exists() and "ready" in log.read_text(), "the proxy is ready")
    home = parts.world.home(Nat.BLOCKED)
    home.router.nft(f"""
table ip office {{
    chain out {{
        type filter hook forward priority filter - 1;
        iifname lan ip daddr {OTHER_SERVER} tcp dport {PROXY_PORT} accept
        iifname lan counter drop
    }}
}}
""")
    works_over_tls(client(home.host(), HTTPS_PROXY=f"http://{OTHER_SERVER}:{PROXY_PORT}"), device)
    without = client(home.host()).connect(device, "relay")
    assert without["type"] == "GateError", without


def test_a_client_in_a_network_with_ipv6_only(parts, device, client):
    host = parts.world.node("host on IPv6")
    link(host, "wan", parts.world.internet, "ipv6only")
    _give_ipv6(host, "wan", parts.world.internet, "ipv6only", "2001:db8:6")
    works_over_tls(client(host, f"[{SERVER_IPV6}]:{GATE_PORT}"), device)
