"""Streams of our client at a device with the reference's manners, over real sockets and through a real basestation."""

import asyncio
import os
import socket
import threading

import pytest
from basestation_process import BasestationProcess, until
from homeport.client import Client, Profile
from homeport.client.session.paths import PathKind
from homeport.errors import StreamError
from homeport_core.spec import FRAMING_CLOSE, FRAMING_FEATURES, FRAMING_KEEP_ALIVE
from processes import KEY, CommandLine, Ports
from reference_device import Lamp
from reference_stream_device import StreamDevice

DEVICE_ID = "dev1.example.net"
PATHS = ("direct", "relay", "local")
PATIENCE_S = 20


class World:
    """A basestation, the device, and a client that is its owner."""

    def __init__(self, path, **build):
        ports = Ports()
        nobody = CommandLine(path / "nobody")
        pin = nobody.answer("basestation", "init", path / "var")["pin"]
        nobody.answer("device", "add", DEVICE_ID, "--key", KEY, "--dir", path / "var")
        where = {name: f"127.0.0.1:{getattr(ports, name)}" for name in ("controller", "gsp", "gate", "admin")}
        self.basestation = BasestationProcess(path / "var", **where)
        self.lamp = Lamp()
        address = self.basestation.address("controller")
        self.device = StreamDevice(
            DEVICE_ID, bytes.fromhex(KEY), address, self.lamp.answer, self.lamp.allow, **build
        ).start()  # fmt: skip
        until(lambda: self.device.alive, "the first alive request")
        self.profile = Profile.create(path / "home", "me", basestation=f"127.0.0.1:{ports.gate}", pin=pin)
        self.lamp.users[self.profile.fingerprint] = b"me"
        self.local = f"{DEVICE_ID}@127.0.0.1:{self.device.local_port}"

    def end(self):
        self.device.stop()
        self.basestation.stop()


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    world = World(tmp_path_factory.mktemp("reference"))
    yield world
    world.end()


@pytest.fixture(params=PATHS)
async def device(world, request):
    """Connected over each path."""
    async with Client(world.profile) as client, asyncio.timeout(2 * PATIENCE_S):
        if request.param == "local":
            device = await client.connect(world.local)
        else:
            device = await client.connect(DEVICE_ID, request.param)
        async with device:
            assert str(device.path) == request.param
            yield device


class Target(threading.Thread):
    """A TCP server for one connection, which `serve(socket)` is called with."""

    def __init__(self, sock, serve):
        super().__init__(daemon=True)
        self.sock, self.serve = sock, serve
        self.port = sock.getsockname()[1]
        self.start()

    def run(self):
        accepted, _ = self.sock.accept()
        with accepted:
            accepted.settimeout(PATIENCE_S)
            self.serve(accepted)


@pytest.fixture
def listener():
    with socket.create_server(("127.0.0.1", 0)) as opened:
        opened.settimeout(PATIENCE_S)
        yield opened


def read_all(sock):
    data = bytearray()
    while part := sock.recv(65536):
        data += part
    return bytes(data)


async def everything(reader, writer, data):
    """Write `data` and close our direction; returns all that comes."""

    async def write():
        writer.write(data)
        await writer.drain()
        writer.write_eof()

    _, received = await asyncio.gather(write(), reader.read())
    return received


async def test_its_echo_gives_everything_back(device):
    reader, writer = await device.open_stream("echo")
    data = os.urandom(100_000)
    assert await everything(reader, writer, data) == data


async def test_a_megabyte_goes_through_its_tunnel_and_back(world, device, listener):
    def serve(sock):
        while data := sock.recv(65536):
            sock.sendall(data)

    target = Target(listener, serve)
    data = os.urandom(1 << 20)
    reader, writer = await device.open_tunnel("localhost", target.port)
    assert await everything(reader, writer, data) == data
    assert world.device.commands[-1] == b"tunnel host=127.0.0.1 port=%d\n" % target.port


async def test_its_target_may_end_first(device, listener):
    received = []

    def serve(sock):
        sock.sendall(b"220 ready\r\n")
        sock.shutdown(1)
        received.append(read_all(sock))

    target = Target(listener, serve)
    reader, writer = await device.open_tunnel("127.0.0.1", target.port)
    assert await reader.read() == b"220 ready\r\n"
    writer.write(b"thank you")
    writer.close()
    await writer.wait_closed()
    target.join(PATIENCE_S)
    assert received == [b"thank you"]


async def test_we_may_end_first_and_are_answered(device, listener):
    def serve(sock):
        sock.sendall(read_all(sock)[::-1])

    target = Target(listener, serve)
    reader, writer = await device.open_tunnel("127.0.0.1", target.port)
    assert await everything(reader, writer, b"question" * 1000) == (b"question" * 1000)[::-1]


async def test_what_its_tunnel_takes_late_arrives_before_our_end(world, device, listener):
    """Its FIN handling loses an end that comes while it has data to read."""
    target = Target(listener, lambda sock: sock.sendall(b"%d" % len(read_all(sock))))
    reader, writer = await device.open_tunnel("127.0.0.1", target.port)
    world.device.reads = False
    try:
        writer.write(bytes(50_000))
        writer.write_eof()
        await asyncio.sleep(0.7)
    finally:
        world.device.reads = True
    assert await reader.read() == b"50000"


async def test_a_refused_tunnel_ends_without_an_octet(device, listener):
    port = listener.getsockname()[1]
    listener.close()
    reader, _ = await device.open_tunnel("127.0.0.1", port)
    assert await reader.read() == b""


async def test_its_malformed_reset_of_a_stream_it_does_not_know_ends_ours(world, device):
    reader, writer = await device.open_stream("echo")
    world.device.forget_streams()
    await asyncio.sleep(0.1)
    writer.write(b"is anybody there?")
    with pytest.raises(StreamError, match="reset"):
        async with asyncio.timeout(5):
            await reader.read()


async def test_many_streams_one_after_the_other_leave_it_free_slots(world, device):
    for _ in range(40):
        reader, writer = await device.open_stream("echo")
        assert await everything(reader, writer, b"hello") == b"hello"
        writer.close()
        await writer.wait_closed()
    assert sum(peer.lost_slots for peer in world.device.peers.values()) == 0


async def test_what_it_does_not_know_is_not_needed(world, device):
    world.device.framing.clear()
    reader, writer = await device.open_stream("echo")
    assert await everything(reader, writer, b"hello") == b"hello"
    assert not device.end_to_end
    assert set(world.device.framing) <= {FRAMING_KEEP_ALIVE, FRAMING_FEATURES, FRAMING_CLOSE}


@pytest.fixture(scope="module")
def smallest(tmp_path_factory):
    """The library's defaults: four streams, four segments."""
    world = World(tmp_path_factory.mktemp("smallest"), window=4, streams=4)
    yield world
    world.end()


async def test_the_smallest_windows_carry_everything(smallest):
    data = os.urandom(60_000)
    async with Client(smallest.profile) as client, await client.connect(DEVICE_ID) as device:
        pairs = [await device.open_stream("echo") for _ in range(4)]
        async with asyncio.timeout(PATIENCE_S):
            assert await asyncio.gather(*(everything(*pair, data) for pair in pairs)) == 4 * [data]


async def test_a_fifth_stream_is_told_that_all_are_taken(smallest):
    async with Client(smallest.profile) as client, await client.connect(DEVICE_ID) as device:
        taken = [await device.open_stream("echo") for _ in range(4)]
        with pytest.raises(StreamError) as caught:
            await device.open_stream("echo")
        assert caught.value.cause == "busy"
        assert await everything(*taken[0], b"the others go on") == b"the others go on"


async def test_the_direct_path_comes_about_though_it_searches_no_more_after_the_first_data(smallest):
    async with Client(smallest.profile) as client, await client.connect(DEVICE_ID) as device:
        async with asyncio.timeout(PATIENCE_S):
            while device.path is not PathKind.DIRECT:
                await asyncio.sleep(0.02)
