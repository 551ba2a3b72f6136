"""The client library with the real parts: a heat pump on MicroPython, a basestation process, real sockets."""

import asyncio
import dataclasses
import signal
import socket

import pytest
from homeport import wire
from homeport.client import Client, Profile, sync
from homeport.client.session.paths import PathKind
from homeport.client.session.session import Session
from homeport.errors import ConnectFailed, DeviceOffline, GateError, NotPaired, RefusedError
from processes import answer, basestation, free_port
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


@pytest.mark.parametrize("path", ["local", "direct", "relay"])
async def test_a_device_is_read_and_changed_over_every_path(world, client, path):
    async with await client.connect("demo", path, interface=world.interface) as heat_pump:
        assert heat_pump.path == path
        assert heat_pump.is_private == (path != "local")
        for temperature in (24, 21):
            assert await heat_pump.call(SET_TEMPERATURE, temperature=temperature) == {"temperature": temperature}
            assert (await heat_pump.call(STATE))["target_temperature"] == temperature


async def test_auto_prefers_an_encrypted_path(client):
    async with await client.connect("demo") as heat_pump:
        assert heat_pump.is_private


async def test_a_device_given_with_its_address_is_reached_locally(world, client):
    async with await client.connect(world.local) as heat_pump:
        assert heat_pump.path == PathKind.LOCAL


async def test_auto_goes_local_without_a_basestation(world):
    alone = dataclasses.replace(world.profile, basestation=None)
    async with world.client(alone) as client, await client.connect("demo") as heat_pump:
        assert heat_pump.path == PathKind.LOCAL


async def test_a_lan_without_the_device_is_no_hindrance(world):
    elsewhere = [("127.0.0.1", free_port())]
    async with Client(world.profile, search=elsewhere) as client, await client.connect("demo") as heat_pump:
        assert heat_pump.is_private


async def test_many_calls_and_connections_share_one_gate_link(world, client):
    devices = await asyncio.gather(*(client.connect("demo", path) for path in ("direct", "relay", "direct", "relay")))
    replies = await asyncio.gather(*(one.status() for one in devices for _ in range(10)))
    assert {reply["device_name"] for reply in replies} == {"Heat pump"}
    assert {reply["path"] for reply in replies} == {"direct", "relay"}


async def test_an_unknown_device_is_offline(client):
    with pytest.raises(DeviceOffline) as caught:
        await client.connect("nobody", "relay")
    assert caught.value.next_step


async def test_a_stranger_is_refused_remotely_and_told_to_pair(world, tmp_path):
    stranger = Profile.create(tmp_path, "stranger", basestation=world.profile.basestation, pin=world.pin)
    async with world.client(stranger) as client:
        with pytest.raises(NotPaired) as caught:
            await client.connect("demo", "direct")
    assert "pair" in caught.value.next_step


async def test_a_wrong_pin_is_told_apart(world):
    async with world.client(dataclasses.replace(world.profile, pin=bytes(16))) as client:
        with pytest.raises(GateError) as caught:
            await client.connect("demo", "direct")
    assert caught.value.cause == "pin"


async def test_without_a_pin_a_self_signed_basestation_is_not_trusted(world):
    async with world.client(dataclasses.replace(world.profile, pin=None)) as client:
        with pytest.raises(GateError) as caught:
            await client.connect("demo", "direct")
    assert caught.value.cause == "tls" and "pin" in caught.value.next_step


async def test_a_basestation_that_is_down_is_told_apart(world):
    down = dataclasses.replace(world.profile, basestation=f"127.0.0.1:{free_port()}")
    async with world.client(down) as client:
        with pytest.raises(GateError) as caught:
            await client.connect("demo", "relay")
    assert caught.value.cause == "refused"


async def test_auto_without_basestation_and_device_tells_both_attempts(world):
    away = dataclasses.replace(world.profile, basestation=None)
    async with Client(away, search=[("127.0.0.1", free_port())]) as client:
        with pytest.raises(ConnectFailed) as caught:
            await client.connect("demo")
    assert [path for path, _ in caught.value.attempts] == ["local", "remote"]


async def test_the_access_list_is_managed_over_the_relay(world, client):
    guest = bytes(range(16))
    async with await client.connect("demo", "relay") as heat_pump:
        added = await heat_pump.add_user(guest, "guest")
        assert not added.is_owner
        assert (await heat_pump.allow(guest, 0x40000000)).is_remote
        assert not (await heat_pump.deny(guest, 0x40000000)).is_remote
        assert [user.name for user in await heat_pump.users()] == ["me", "guest"]
        with pytest.raises(RefusedError) as caught:
            await heat_pump.add_user(guest, "again")
        assert caught.value.code == 5
        await heat_pump.remove_user(guest)
        assert [user.name for user in await heat_pump.users()] == ["me"]


async def test_a_long_list_of_users_is_read_page_by_page(client):
    fingerprints = [bytes((n,)) * 16 for n in range(1, 21)]
    async with await client.connect("demo", "direct") as heat_pump:
        for n, fingerprint in enumerate(fingerprints):
            await heat_pump.add_user(fingerprint, f"user {n}")
        users = await heat_pump.users()
        assert [user.fingerprint for user in users[1:]] == fingerprints
        for fingerprint in fingerprints:
            await heat_pump.remove_user(fingerprint)


async def test_pairing_can_be_closed_and_opened(world, client, tmp_path):
    async with (
        await client.connect("demo", "direct") as heat_pump,
        world.client(Profile.create(tmp_path, "second")) as second,
    ):
        assert not (await heat_pump.change_settings(pairing=False)).pairing
        async with await second.connect(world.local) as stranger:
            with pytest.raises(NotPaired):
                await stranger.pair("second")
            assert (await heat_pump.change_settings(pairing=True)).pairing
            paired = await stranger.pair("second")
        await heat_pump.remove_user(paired.fingerprint)


@pytest.fixture
def attacker():
    """A socket that is not the client's."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        yield sock


async def test_recorded_datagrams_sent_again_do_nothing(world, attacker, monkeypatch):
    recorded = []
    datagrams = Session.datagrams

    def record(session):
        sent = datagrams(session)
        recorded.extend(sent)
        return sent

    monkeypatch.setattr(Session, "datagrams", record)
    async with (
        world.client() as client,
        await client.connect("demo", "direct", interface=world.interface) as heat_pump,
    ):
        await heat_pump.call(SET_TEMPERATURE, temperature=28)
        await heat_pump.call(SET_TEMPERATURE, temperature=20)
        monkeypatch.setattr(Session, "datagrams", datagrams)
        assert recorded
        for data, endpoint in recorded:
            attacker.sendto(data, wire.address(endpoint))
        assert (await heat_pump.call(STATE))["target_temperature"] == 20
        assert heat_pump.path == PathKind.DIRECT


async def test_after_a_crash_of_the_basestation_devices_are_reachable_at_once(tmp_path):
    world = World(tmp_path)
    with basestation(world.root, world.ports) as first, world.device() as running_device:
        world.pair()
        async with world.client() as client:
            async with await client.connect("demo", "relay") as before:
                await before.status()
            while not answer("device", "show", "demo", "--dir", world.root)["attached"]:
                pass  # each look takes a process; the database learns of an attachment within a second
            first.send_signal(signal.SIGKILL)
            first.wait()
            with basestation(world.root, world.ports):
                async with await client.connect("demo", "relay", interface=world.interface) as after:
                    assert (await after.status())["path"] == "relay"
        running_device.send_signal(signal.SIGINT)
        log = running_device.communicate()[0].decode()
        assert "attached" not in log, "the device had to attach again"


async def test_a_device_that_is_gone_is_offline(tmp_path):
    world = World(tmp_path)
    with basestation(world.root, world.ports):
        with world.device(), sync.Client(world.profile) as pairing, pairing.connect(world.local) as heat_pump:
            heat_pump.pair("me")
        async with world.client() as client:
            with pytest.raises(DeviceOffline):
                await client.connect("demo", "relay")
