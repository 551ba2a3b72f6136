"""A device whose UDP to the basestation is blocked: it attaches over TCP, and its clients reach it through the relay.

The device looks for its controller at the gateway's port number, where nobody listens on UDP.
"""

import asyncio
import re
import subprocess
import urllib.request

import pytest
from homeport.client import Client
from homeport.errors import DeviceOffline
from processes import HOMEPORT, answer, basestation, environment, free_port, running, wait_for_line
from remote_world import World

STATE = "heatpump_get_full_state.json"
ATTACHED = "attached to"
PATIENCE_S = 30


class TcpWorld(World):
    """`ports.controller` is the gateway's TCP port; the controller itself listens elsewhere."""

    def __init__(self, path, app="heat_pump", *options):
        super().__init__(path, app, *options)
        self.ports.controller = free_port()

    def basestation(self):
        ports = self.ports
        where = {name: getattr(ports, name) for name in ("gsp", "gate", "admin")}
        where |= {"controller": 0, "gateway": ports.controller}
        options = [text for name, port in where.items() for text in (f"--{name}", f"127.0.0.1:{port}")]
        return running("basestation", "run", self.root, *options, until="basestation ready")

    def shown(self):
        """What `homeport device show` says."""
        return answer("device", "show", "demo", "--dir", self.root)

    async def shown_when(self, condition, what):
        for _ in range(PATIENCE_S * 5):
            if condition(self.shown()):
                return
            await asyncio.sleep(0.2)
        raise AssertionError(f"waited in vain for {what}: {self.shown()}")


@pytest.fixture
def world(tmp_path):
    return TcpWorld(tmp_path)


async def read(world):
    """One query over the relay, from a client of its own."""
    remote = Client(world.profile, search=[])
    async with remote as client, await client.connect("demo", "relay", interface=world.interface) as heat_pump:
        assert heat_pump.path == "relay"
        return (await heat_pump.call(STATE))["target_temperature"]


async def test_a_client_reaches_it_through_the_relay_and_operators_see_how_it_is_attached(world):
    with world.basestation(), world.device(until=ATTACHED):
        world.pair()
        assert await read(world)
        await world.shown_when(lambda shown: str(shown["endpoint"]).startswith("tcp 127.0.0.1:"), "the way")


async def test_it_comes_back_after_the_basestation_was_restarted(world):
    with world.device(until="ready") as process:
        with world.basestation():
            wait_for_line(process, ATTACHED)
            world.pair()
            before = await read(world)
        with world.basestation():
            wait_for_line(process, ATTACHED)
            assert await read(world) == before


async def test_a_device_that_is_killed_is_soon_known_to_be_gone(world):
    with world.basestation():
        with world.device(until=ATTACHED) as process:
            world.pair()
            process.kill()
        await world.shown_when(lambda shown: not shown["attached"], "the loss")
        with pytest.raises(DeviceOffline):
            await read(world)


def test_streams_pass_octet_by_octet(tmp_path):
    world = TcpWorld(tmp_path, "tunnel_gateway", "--allow-all-ports")
    octets = bytes(range(256)) * 1200
    with world.basestation(), world.device(until=ATTACHED):
        world.pair()
        for path in ("relay", "tls"):
            command = [HOMEPORT, "--home", tmp_path / "home", "stream", "demo", "echo", "--path", path]
            done = subprocess.run(command, input=octets, capture_output=True, timeout=60, env=environment(), check=True)
            assert done.stdout == octets


async def test_for_a_client_without_udp_a_device_that_has_it_is_asked_to_come_by_tcp_too(tmp_path):
    world = World(tmp_path)
    with basestation(world.root, world.ports), world.device():
        world.pair()
        for path, asked in (("relay", 0), ("tls", 1)):
            async with world.client() as client, await client.connect("demo", path, interface=world.interface) as pump:
                assert (await pump.call(STATE))["target_temperature"]
            assert metric(world, "opened") == asked


def metric(world, what):
    """A counter of the gateway, 0 before it was first counted."""
    with urllib.request.urlopen(f"http://127.0.0.1:{world.ports.admin}/metrics", timeout=10) as answer:
        figures = answer.read().decode()
    return sum(map(float, re.findall(rf'^homeport_gateway_total{{what="{what}"}} (.*)$', figures, re.MULTILINE)))
