"""The way through the gate's WebSocket with the real parts: a device on MicroPython, a basestation process, TLS."""

import asyncio
import signal
import urllib.request

import pytest
from homeport.client.network.outbox import Outbox
from homeport.client.session.paths import PathKind
from homeport.errors import DeviceOffline
from processes import answer, basestation
from remote_world import World

SET_TEMPERATURE = "heatpump_set_target_temperature.json"
STATE = "heatpump_get_full_state.json"


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    world = World(tmp_path_factory.mktemp("world"))
    with basestation(world.root, world.ports), world.device():
        world.pair()
        yield world


@pytest.fixture
async def client(world):
    async with world.client() as client:
        yield client


@pytest.fixture
def udp(monkeypatch):
    """A switch: with `udp.blocked`, no datagram of the client leaves by a socket."""

    class Udp:
        blocked = False

    send = Outbox.send

    def send_unless_blocked(outbox, sock, data, endpoint):
        if not Udp.blocked:
            send(outbox, sock, data, endpoint)

    monkeypatch.setattr(Outbox, "send", send_unless_blocked)
    return Udp


def metric(world, name):
    """A counter of the gate."""
    with urllib.request.urlopen(f"http://127.0.0.1:{world.ports.admin}/metrics", timeout=10) as page:
        lines = page.read().decode().splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith(f'homeport_gate_total{{what="{name}"}}'))


async def until(condition):
    """Wait for something that takes real time."""
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.02)


async def test_a_device_is_read_and_changed_over_tls(world, client, udp):
    udp.blocked = True
    async with await client.connect("demo", "tls", interface=world.interface) as heat_pump:
        assert heat_pump.path == PathKind.TLS
        assert heat_pump.is_private
        for temperature in (24, 21):
            assert await heat_pump.call(SET_TEMPERATURE, temperature=temperature) == {"temperature": temperature}
            assert (await heat_pump.call(STATE))["target_temperature"] == temperature
    assert metric(world, "datagrams_up") > 4
    assert metric(world, "datagrams_down") > 4
    assert metric(world, "datagrams_stray") == 0


async def test_a_client_without_udp_finds_the_way_by_itself(world, client, udp):
    udp.blocked = True
    async with await client.connect("demo", interface=world.interface) as heat_pump:
        assert heat_pump.path == PathKind.TLS
        assert (await heat_pump.status())["path"] == "tls"


async def test_many_calls_over_tls_are_under_way_at_once(world, client):
    devices = await asyncio.gather(*(client.connect("demo", "tls", interface=world.interface) for _ in range(4)))
    states = await asyncio.gather(*(one.call(STATE) for one in devices for _ in range(25)))
    assert all(state == states[0] for state in states)
    await asyncio.gather(*(one.close() for one in devices))


async def test_a_link_that_breaks_does_not_end_the_connection(world, client):
    async with await client.connect("demo", "tls", interface=world.interface) as heat_pump:
        for _ in range(2):
            client._link._socket._writer.transport.abort()
            assert "mode" in await heat_pump.call_with(STATE, {}, timeout_ms=20_000)
        assert heat_pump.path == PathKind.TLS


async def test_a_client_whose_udp_is_cut_off_in_mid_connection_goes_on_over_tls_and_comes_back(world, client, udp):
    async with await client.connect("demo", interface=world.interface) as heat_pump:
        await until(lambda: heat_pump.path == PathKind.DIRECT)
        udp.blocked = True
        assert "mode" in await heat_pump.call_with(STATE, {}, timeout_ms=20_000)
        await until(lambda: heat_pump.path == PathKind.TLS)
        assert "mode" in await heat_pump.call(STATE)
        udp.blocked = False
        await until(lambda: heat_pump.path != PathKind.TLS)
        assert "mode" in await heat_pump.call(STATE)


async def test_after_a_crash_of_the_basestation_devices_are_reachable_over_tls_at_once(tmp_path):
    world = World(tmp_path)
    with basestation(world.root, world.ports) as first, world.device():
        world.pair()
        async with world.client() as client:
            before = await client.connect("demo", "tls", interface=world.interface)
            await before.call(STATE)
            await until(lambda: answer("device", "show", "demo", "--dir", world.root)["attached"])
            first.send_signal(signal.SIGKILL)
            first.wait()
            with basestation(world.root, world.ports):
                async with await client.connect("demo", "tls", interface=world.interface) as after:
                    assert "mode" in await after.call(STATE)
                    with pytest.raises(DeviceOffline):
                        await before.call_with(STATE, {}, timeout_ms=30_000)
                    assert "mode" in await after.call(STATE)


async def test_a_stream_over_tls_gives_everything_back(tmp_path):
    world = World(tmp_path, "tunnel_gateway", "--allow-all-ports")
    with basestation(world.root, world.ports), world.device():
        world.pair()
        async with world.client() as client, await client.connect("demo", "tls") as gateway:
            reader, writer = await gateway.open_stream("echo")
            sent = bytes(range(256)) * 1_000
            writer.write(sent)
            writer.write_eof()
            assert await reader.read() == sent
            assert gateway.path == PathKind.TLS
