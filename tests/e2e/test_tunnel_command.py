"""Streams and tunnels with the real parts: basestation process, gateway firmware on MicroPython, sockets, commands."""

import asyncio
import contextlib
import hashlib
import json
import os
import pty
import random
import signal
import socket
import subprocess

import pytest
from homeport.client import Client, Profile, sync
from homeport.client.streams.forward import Forwarder, Target
from homeport.client.streams.news import Connected, Lost
from homeport.client.streams.standing import Standing
from homeport.errors import StreamError
from processes import (
    HOMEPORT,
    KEY,
    RUN_TIMEOUT_S,
    CommandLine,
    Ports,
    answer,
    basestation,
    device,
    environment,
    free_port,
    only_error_line,
)

PATHS = ["local", "direct", "relay"]
TEN_MEGABYTES = 10_000_000
PATIENCE_S = 20


class World:
    """A basestation's directory, the gateway's ports, and a paired profile."""

    def __init__(self, path):
        self.path = path
        self.ports = Ports()
        self.root = path / "base"
        pin = answer("basestation", "init", self.root)["pin"]
        answer("device", "add", "demo", "--dir", self.root, "--key", KEY)
        self.profile = Profile.create(path / "home", "me", basestation=f"127.0.0.1:{self.ports.gate}", pin=pin)
        self.local = f"demo@127.0.0.1:{self.ports.local}"
        self.command_line = CommandLine(path / "home")

    def gateway(self, until="attached", runtime="micropython"):
        """The device."""
        options = {"app": "tunnel_gateway", "until": until, "runtime": runtime}
        return device(self.ports, self.path / "state", "--allow-all-ports", **options)

    def pair(self):
        with sync.Client(self.profile) as client, client.connect(self.local) as gateway:
            gateway.pair("me")

    @contextlib.asynccontextmanager
    async def connected(self, path):
        """An open device."""
        async with (
            asyncio.timeout(PATIENCE_S),
            Client(self.profile, search=[("127.0.0.1", self.ports.local)]) as client,
            await client.connect(self.local if path == "local" else "demo", path) as gateway,
        ):
            yield gateway

    def start(self, *arguments):
        """`homeport …` in the background, on pipes."""
        return subprocess.Popen(
            [HOMEPORT, "--home", self.path / "home", *map(str, arguments)],
            env=environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    world = World(tmp_path_factory.mktemp("world"))
    with basestation(world.root, world.ports), world.gateway():
        world.pair()
        yield world


@pytest.fixture(scope="module")
def desktop(tmp_path_factory):
    """A gateway on CPython: MicroPython's sockets cannot close one direction alone."""
    world = World(tmp_path_factory.mktemp("desktop"))
    with world.gateway("ready", "cpython"):
        world.pair()
        yield world


@contextlib.asynccontextmanager
async def serving(handle):
    """A TCP server on 127.0.0.1; yields its port."""
    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


async def echoing(reader, writer):
    """Give everything back, and close when the other has."""
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    writer.close()


async def exchange(reader, writer, data):
    """Send all of `data`; returns as many octets of what comes."""

    async def send():
        writer.write(data)
        await writer.drain()

    sending = asyncio.create_task(send())
    received = await reader.readexactly(len(data))
    await sending
    return received


def sha256(data):
    return hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize("path", PATHS)
async def test_an_echo_gives_back_what_it_got_over_every_path(world, path):
    async with world.connected(path) as gateway:
        reader, writer = await gateway.open_stream("echo")
        assert (writer.get_extra_info("device"), writer.get_extra_info("path")) == ("demo", path)
        assert await exchange(reader, writer, b"hello") == b"hello"
        writer.close()
        await writer.wait_closed()


@pytest.mark.parametrize("path", ["local", "relay"])
async def test_ten_megabytes_pass_a_tunnel_both_ways_unchanged(world, path):
    data = random.Random(path).randbytes(TEN_MEGABYTES)
    async with serving(echoing) as port, world.connected(path) as gateway:
        reader, writer = await gateway.open_tunnel("localhost", port)
        assert sha256(await exchange(reader, writer, data)) == sha256(data)
        writer.close()


async def test_a_forward_carries_many_connections_at_once(world):
    async def page(reader, writer):
        request = await reader.readuntil(b"\r\n\r\n")
        body = request.split()[1] * 5_000
        writer.write(b"HTTP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        await writer.drain()
        writer.close()

    async def get(port, name):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /%d HTTP/1.0\r\n\r\n" % name)
        _, body = (await reader.read()).split(b"\r\n\r\n", 1)
        writer.close()
        return body

    async with serving(page) as port, world.connected("relay") as gateway, gateway.forward("127.0.0.1", port) as local:
        pages = await asyncio.gather(*(get(local, n) for n in range(40)))
        assert pages == [b"/%d" % n * 5_000 for n in range(40)]


async def test_either_end_may_close_first_and_still_gets_the_rest(desktop):
    async def last_word(reader, writer):
        await reader.read()
        writer.write(b"after your end")
        writer.close()

    async def first_word(reader, writer):
        writer.write(b"before")
        writer.write_eof()
        heard.set_result(await reader.read())
        writer.close()

    heard = asyncio.get_running_loop().create_future()
    async with desktop.connected("local") as gateway, serving(last_word) as patient, serving(first_word) as hasty:
        async with gateway.forward("127.0.0.1", patient) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write_eof()
            assert await reader.read() == b"after your end"
            writer.close()
        async with gateway.forward("127.0.0.1", hasty) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            assert await reader.read() == b"before"
            writer.write(b"still here")
            writer.close()
            assert await heard == b"still here"


async def test_a_port_where_nobody_listens_is_an_end_without_an_octet(world):
    async with world.connected("direct") as gateway:
        reader, writer = await gateway.open_tunnel("127.0.0.1", free_port())
        assert await reader.read() == b""
        writer.close()


async def test_a_service_that_the_device_does_not_offer_is_said(world):
    async with world.connected("direct") as gateway:
        with pytest.raises(StreamError) as caught:
            await gateway.open_stream("teleport", answers=True)
        assert caught.value.cause == "unknown"
        assert caught.value.next_step


async def test_connections_beyond_the_devices_streams_wait_for_their_turn(world):
    async def slow(reader, writer):
        await asyncio.sleep(0.05)
        await echoing(reader, writer)

    words = [b"%d" % n for n in range(12)]
    async with (
        serving(slow) as target,
        world.connected("direct") as gateway,
        gateway.forward("127.0.0.1", target) as port,
    ):
        assert await asyncio.gather(*(say(port, word) for word in words)) == words


class Watcher:
    """A forward that takes notes of what happens."""

    def __init__(self, world, path):
        self.client = Client(world.profile, search=[("127.0.0.1", world.ports.local)])
        self.news = []
        self.changed = asyncio.Event()
        self.standing = Standing(lambda: self.client.connect("demo", path), self._tell)
        self.forwarder = Forwarder(self.standing, self._tell)

    def _tell(self, news):
        self.news.append(news)
        self.changed.set()

    async def until(self, kind):
        """Wait for news of this kind; takes them all."""
        async with asyncio.timeout(PATIENCE_S):
            while not any(isinstance(one, kind) for one in self.news):
                self.changed.clear()
                await self.changed.wait()
        taken, self.news = self.news, []
        return taken

    async def __aenter__(self):
        await self.client.open()
        await self.standing.start()
        return self

    async def __aexit__(self, *_):
        await self.forwarder.close()
        await self.standing.close()
        await self.client.close()


async def say(port, word):
    """One TCP connection: `word` there and back."""
    async with asyncio.timeout(PATIENCE_S):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        heard = await exchange(reader, writer, word)
        writer.close()
        return heard


@pytest.mark.parametrize("path", ["local", "relay"])
async def test_after_a_restart_of_the_device_new_connections_go_through(tmp_path, path):
    world = await asyncio.to_thread(World, tmp_path)
    with basestation(world.root, world.ports):
        with world.gateway():
            await asyncio.to_thread(world.pair)
            watcher = Watcher(world, path)
            await watcher.__aenter__()
            target = await asyncio.start_server(echoing, "127.0.0.1", 0)
            port = await watcher.forwarder.listen(Target("127.0.0.1", target.sockets[0].getsockname()[1]))
            assert await say(port, b"before") == b"before"
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            assert await exchange(reader, writer, b"open") == b"open"
        with world.gateway():
            assert await say(port, b"after") == b"after"
            with pytest.raises(ConnectionResetError):
                await reader.read()
            news = await watcher.until(Lost)
            assert any(isinstance(one, Connected) and one.again for one in news)
            await watcher.__aexit__()
            target.close()


async def test_after_a_crash_of_the_basestation_a_relayed_tunnel_comes_back(tmp_path):
    world = await asyncio.to_thread(World, tmp_path)
    async with serving(echoing) as target, contextlib.AsyncExitStack() as stack:
        with basestation(world.root, world.ports) as first, world.gateway():
            await asyncio.to_thread(world.pair)
            while not (await asyncio.to_thread(answer, "device", "show", "demo", "--dir", world.root))["attached"]:
                pass  # each look takes a process; the database learns of an attachment within a second
            watcher = await stack.enter_async_context(Watcher(world, "relay"))
            port = await watcher.forwarder.listen(Target("127.0.0.1", target))
            assert await say(port, b"before") == b"before"
            first.send_signal(signal.SIGKILL)
            await asyncio.to_thread(first.wait)
            with basestation(world.root, world.ports):
                assert await said_at_last(port, b"after") == b"after"
                assert any(isinstance(one, Connected) and one.again for one in watcher.news)
                await stack.aclose()


async def said_at_last(port, word):
    """Like `say`, again and again: connections may be reset while the device attaches anew."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            with contextlib.suppress(ConnectionError):
                heard = await say(port, word)
                if heard:
                    return heard
            await asyncio.sleep(0.2)


async def test_a_transfer_goes_on_while_the_connection_finds_a_better_path(world):
    data = random.Random(1).randbytes(3_000_000)
    nobody = [("127.0.0.1", free_port())]
    async with (
        asyncio.timeout(PATIENCE_S),
        serving(echoing) as target,
        Client(world.profile, search=nobody) as client,
        await client.connect("demo") as gateway,
    ):
        begun = gateway.path
        moved = asyncio.Event()
        gateway.on_path = lambda path: moved.set()
        reader, writer = await gateway.open_tunnel("127.0.0.1", target)
        assert sha256(await exchange(reader, writer, data)) == sha256(data)
        if begun != "direct":
            await moved.wait()
        assert writer.get_extra_info("path") == "direct"
        assert await exchange(reader, writer, b"still the same stream") == b"still the same stream"
        writer.close()


def test_programs_without_asyncio_have_streams_and_forwards(desktop):
    with sync.Client(desktop.profile) as client, client.connect(desktop.local) as gateway:
        with gateway.open_stream("echo") as stream:
            stream.send(b"hello")
            assert stream.receive() == b"hello"
            stream.end()
            assert stream.receive() == b""
        with socket.create_server(("127.0.0.1", 0)) as server:
            target = server.getsockname()[1]
            with gateway.open_tunnel("localhost", target) as stream, server.accept()[0] as far:
                far.sendall(b"from afar")
                assert stream.receive() == b"from afar"
            with (
                gateway.forward("localhost", target) as port,
                socket.create_connection(("127.0.0.1", port)) as near,
                server.accept()[0] as far,
            ):
                far.sendall(b"forwarded")
                assert near.recv(100) == b"forwarded"


# The commands


def test_the_stream_command_is_a_pipe_to_the_device(world):
    data = os.urandom(300_000)
    process = world.start("stream", world.local, "echo")
    heard, errors = process.communicate(data, timeout=RUN_TIMEOUT_S)
    assert (process.returncode, errors) == (0, b"")
    assert sha256(heard) == sha256(data)


def test_the_stream_command_reads_files_too(world, tmp_path):
    (tmp_path / "in").write_bytes(b"from a file")
    with open(tmp_path / "in", "rb") as source:
        done = subprocess.run(
            [HOMEPORT, "--home", world.path / "home", "stream", world.local, "echo"],
            env=environment(), stdin=source, capture_output=True, timeout=RUN_TIMEOUT_S, check=False,
        )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, b"from a file")


def test_the_stream_command_says_what_the_device_does_not_offer(world):
    done = world.command_line.run("stream", world.local, "uart")
    assert done.returncode == 5
    assert "does not offer 'uart'" in only_error_line(done)


def test_the_tunnel_command_forwards_until_it_is_interrupted(world):
    with socket.create_server(("127.0.0.1", 0)) as server:
        target = server.getsockname()[1]
        process = world.start("--json", "tunnel", "demo", f"0:127.0.0.1:{target}", f"0:{target}", "--path", "relay")
        events = [json.loads(process.stdout.readline()) for _ in range(3)]
        assert [event["event"] for event in events] == ["connected", "listening", "listening"]
        assert events[0]["path"] == "relay"
        for event in events[1:]:
            with socket.create_connection(("127.0.0.1", event["local_port"]), RUN_TIMEOUT_S) as near:
                near.sendall(b"to the device")
                far, _ = server.accept()
                with far:
                    assert far.recv(100) == b"to the device"
                    far.sendall(b"and back")
                    assert near.recv(100) == b"and back"
        process.send_signal(signal.SIGINT)
        rest, errors = process.communicate(timeout=RUN_TIMEOUT_S)
    assert (process.returncode, errors) == (0, b"")
    assert json.loads(rest) == {"event": "stopped", "up": 26, "down": 16}


def test_off_a_terminal_the_tunnel_command_prints_plain_lines(world):
    process = world.start("tunnel", world.local, "0:80")
    lines = [process.stdout.readline().decode() for _ in range(2)]
    assert lines[0].startswith("connected (local")
    assert lines[1].endswith(" leads to 127.0.0.1:80\n")
    process.send_signal(signal.SIGTERM)
    rest, _ = process.communicate(timeout=RUN_TIMEOUT_S)
    assert (process.returncode, rest) == (0, b"stopped; 0 B up, 0 B down\n")


def test_on_a_terminal_the_tunnel_command_has_a_status_line(world):
    terminal, its_end = pty.openpty()
    process = subprocess.Popen(
        [HOMEPORT, "--home", world.path / "home", "tunnel", world.local, "0:80"],
        env=environment(TERM="xterm", COLUMNS="120"), stdin=its_end, stdout=its_end, stderr=its_end,
    )  # fmt: skip
    os.close(its_end)
    seen = b""
    while b"0 open | up 0 B/s, down 0 B/s" not in seen:
        seen += os.read(terminal, 4_096)
    assert b"leads to 127.0.0.1:80" in seen
    process.send_signal(signal.SIGINT)
    with contextlib.suppress(OSError):  # how Linux says that nobody has the other end any more
        while chunk := os.read(terminal, 4_096):
            seen += chunk
    os.close(terminal)
    assert process.wait(RUN_TIMEOUT_S) == 0
    assert seen.rstrip().endswith(b"stopped; 0 B up, 0 B down")


def test_a_local_port_that_is_taken_ends_the_tunnel_command(world):
    with socket.create_server(("127.0.0.1", 0)) as server:
        taken = server.getsockname()[1]
        done = world.command_line.run("tunnel", world.local, f"{taken}:127.0.0.1:80")
    assert done.returncode == 3
    assert str(taken) in done.stderr


def test_a_device_that_is_not_there_ends_the_tunnel_command(world):
    done = world.command_line.run("tunnel", "nobody", "0:80", "--path", "relay")
    assert done.returncode == 4
    assert "not attached" in only_error_line(done)
