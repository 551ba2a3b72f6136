"""The routers of nat_world are what they say: seen from two servers by mapping and filtering, as a STUN test does."""

import os
import signal
import socket
import subprocess
import sys

import pytest
from nat_world import OTHER_SERVER, SERVER, Nat, World
from netns import NamespaceError, wait_until

_WAIT_S = 0.2

# mapping: is the public port the same towards two servers?  filtering: who else may send to it?
_KINDS = {
    Nat.OPEN: ("same", "anyone"),
    Nat.FULL_CONE: ("same", "anyone"),
    Nat.ADDRESS_RESTRICTED: ("same", "address"),
    Nat.PORT_RESTRICTED: ("same", "endpoint"),
    Nat.SYMMETRIC: ("different", "endpoint"),
    Nat.SYMMETRIC_POOL: ("different", "endpoint"),
    Nat.COUNTING: ("different", "endpoint"),
}


@pytest.fixture(scope="module")
def world():
    with World() as made:
        yield made


@pytest.fixture(scope="module")
def server(world):
    with world.server.udp(SERVER) as made:
        yield made


@pytest.fixture(scope="module")
def other_server(world):
    with world.other_server.udp(OTHER_SERVER) as made:
        yield made


def _received(receiver: socket.socket) -> "tuple[bytes, tuple[str, int]] | None":
    receiver.settimeout(_WAIT_S)
    try:
        return receiver.recvfrom(100)
    except TimeoutError:
        return None


def _public_endpoint(host: socket.socket, server: socket.socket) -> tuple[str, int]:
    host.sendto(b"who am I", server.getsockname())
    seen = _received(server)
    assert seen is not None, "the server got nothing"
    return seen[1]


def _reaches(sender: socket.socket, public: tuple[str, int], host: socket.socket) -> bool:
    sender.sendto(b"hello", public)
    return _received(host) is not None


def _filtering(world: World, host: socket.socket, server: socket.socket) -> str:
    public = _public_endpoint(host, server)
    assert _reaches(server, public, host), "even the answer does not come in"
    with world.other_server.udp() as stranger, world.server.udp() as same_address:
        if _reaches(stranger, public, host):
            return "anyone"
        return "address" if _reaches(same_address, public, host) else "endpoint"


@pytest.mark.parametrize("nat", _KINDS, ids=lambda nat: nat.name.lower())
def test_router_maps_and_filters_as_its_kind_says(world, server, other_server, nat):
    home = world.home(nat)
    with home.host().udp() as one, home.host().udp() as two:
        ports = {_public_endpoint(one, at)[1] for at in (server, other_server)}
        mapping = "same" if len(ports) == 1 else "different"
        assert (mapping, _filtering(world, two, server)) == _KINDS[nat]


def test_cones_keep_the_port_and_hide_the_address(world, server):
    home = world.home(Nat.PORT_RESTRICTED)
    with home.host().udp() as host:
        assert _public_endpoint(host, server) == (home.public, host.getsockname()[1])


def test_counting_router_takes_the_next_port(world, server, other_server):
    with world.home(Nat.COUNTING).host().udp() as host:
        first, second = (_public_endpoint(host, at)[1] for at in (server, other_server))
        assert second == first + 1


def test_open_home_shows_its_own_endpoint(world, server):
    home = world.home(Nat.OPEN)
    with home.host().udp() as host:
        assert _public_endpoint(host, server) == (home.address_of(1), host.getsockname()[1])


def test_unmapped_port_of_a_full_cone_is_closed(world, server):
    home = world.home(Nat.FULL_CONE)
    with home.host().udp() as host:
        assert not _reaches(server, (home.public, host.getsockname()[1]), host)


def test_blocked_udp_does_not_pass(world, server):
    with world.home(Nat.BLOCKED).host().udp() as host:
        host.sendto(b"who am I", server.getsockname())
        assert _received(server) is None


def test_tcp_passes_where_udp_is_blocked(world):
    inside = world.home(Nat.BLOCKED).host()
    with world.server, socket.create_server((SERVER, 0)) as listener, inside:
        socket.create_connection(listener.getsockname(), timeout=2).close()


def test_two_port_restricted_homes_punch_through(world, server):
    with world.home(Nat.PORT_RESTRICTED).host().udp() as one, world.home(Nat.PORT_RESTRICTED).host().udp() as two:
        of_one, of_two = _public_endpoint(one, server), _public_endpoint(two, server)
        assert not _reaches(one, of_two, two), "the first packet finds the hole closed"
        assert _reaches(two, of_one, one)
        assert _reaches(one, of_two, two)


def test_forgotten_mapping_gets_a_new_port(world, server):
    home = world.home(Nat.SYMMETRIC)
    with home.host().udp() as host:
        before = _public_endpoint(host, server)
        assert _public_endpoint(host, server) == before
        home.forget_mappings()
        assert _public_endpoint(host, server) != before


def test_mended_router_forgets_the_old_kind(world, server, other_server):
    home = world.home(Nat.SYMMETRIC)
    with home.host().udp() as host:
        _public_endpoint(host, server)
        home.set_nat(Nat.PORT_RESTRICTED)
        assert _public_endpoint(host, server) == _public_endpoint(host, other_server)


def test_hosts_of_one_home_see_each_other(world):
    home = world.home(Nat.PORT_RESTRICTED)
    with home.host().udp() as one, home.host().udp() as two:
        assert _reaches(one, (home.address_of(2), two.getsockname()[1]), two)


def test_cut_stops_what_it_names_until_it_is_mended(world, server):
    home = world.home(Nat.OPEN)
    with home.host().udp() as one, world.home(Nat.OPEN).host().udp() as two:
        target = _public_endpoint(two, server)
        world.cut(f"ip saddr {home.address_of(1)}")
        assert not _reaches(one, target, two)
        world.cut()
        assert _reaches(one, target, two)


def test_loss_takes_some_and_leaves_some(world, server):
    with world.home(Nat.OPEN).host().udp() as one, world.home(Nat.OPEN).host().udp() as two:
        target = _public_endpoint(two, server)
        world.lose(50)
        for _ in range(100):
            one.sendto(b"hello", target)
        arrived = 0
        while _received(two):
            arrived += 1
        world.cut()
    assert 0 < arrived < 100


def test_left_world_leaves_no_process_and_no_namespace(tmp_path):
    with World() as gone:
        process = gone.internet.start("sleep", "100", log=tmp_path / "log")
    assert process.returncode is not None
    with pytest.raises(NamespaceError, match="enter the namespace"):
        gone.internet.ip("link")


def test_killed_tests_leave_no_process():
    script = (
        "import pathlib, nat_world\n"
        "world = nat_world.World()\n"
        "print(world.internet.start('sleep', '100', log=pathlib.Path('/dev/null')).pid, flush=True)\n"
        "input()"
    )
    with subprocess.Popen(
        (sys.executable, "-c", script), cwd=os.path.dirname(__file__), stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as tests:
        sleeper = tests.stdout.readline().strip().decode()
        assert os.path.exists(f"/proc/{sleeper}")
        tests.send_signal(signal.SIGKILL)
    wait_until(lambda: not os.path.exists(f"/proc/{sleeper}"), "the process started in a namespace is gone")


def test_missing_privilege_is_named():
    done = subprocess.run(
        ("setpriv", "--bounding-set=-all", "--inh-caps=-all", sys.executable, "-c", "import netns; netns.Node('one')"),
        cwd=os.path.dirname(__file__), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode != 0
    assert "cannot make a network namespace: Operation not permitted" in done.stderr
    assert "run them as root" in done.stderr


@pytest.mark.parametrize("hairpin", [True, False])
def test_two_homes_behind_one_nat_meet_by_its_public_address_only_if_it_hairpins(world, server, hairpin):
    provider = world.home(Nat.FULL_CONE, hairpin=hairpin)
    one, two = (world.home(Nat.FULL_CONE, behind=provider) for _ in range(2))
    with one.host().udp() as host_one, two.host().udp() as host_two:
        of_one, of_two = _public_endpoint(host_one, server), _public_endpoint(host_two, server)
        assert of_one[0] == of_two[0] == provider.public
        assert _reaches(host_one, of_two, host_two) == hairpin


def test_hairpinned_packet_comes_from_the_public_endpoint_of_its_sender(world, server):
    provider = world.home(Nat.FULL_CONE, hairpin=True)
    with provider.host().udp() as one, provider.host().udp() as two:
        of_one, of_two = _public_endpoint(one, server), _public_endpoint(two, server)
        one.sendto(b"hello", of_two)
        received = _received(two)
        assert received is not None and received[1] == of_one
