"""Forwards on real local sockets, over a device that the test plays: ends, resets, reconnecting, limits."""

import asyncio
import contextlib
import errno

import pytest
from homeport.client.session.paths import PathKind
from homeport.client.streams import forward, standing
from homeport.client.streams.forward import Forwarder, Target
from homeport.client.streams.news import Connected, Listening, Lost, Moved, NotYet, Refused
from homeport.client.streams.opener import tunnel_command
from homeport.client.streams.standing import Standing
from homeport.client.streams.transport import StreamTransport
from homeport.errors import ConfigError, DeviceOffline, StreamError
from homeport_core.stream import ABORTED, CLOSED, ENDED, READABLE
from homeport_core.stream_states import CLOSED as STATE_CLOSED
from played_stream import PlayedStream

TARGET = Target("192.168.1.10", 22)


class PlayedDevice:
    """An open device. `outcomes` are errors that the next opens end with; the others give a stream in `opened`."""

    def __init__(self):
        self.is_open = self.is_answering = True
        self.path, self.connect_ms, self.on_path = PathKind.RELAY, 7, None
        self.commands = []
        self.outcomes = []
        self.opened = asyncio.Queue()
        self.streams = self
        self._closed = asyncio.Event()
        self._error = None

    async def open(self, command):
        self.commands.append(command)
        if self.outcomes:
            raise self.outcomes.pop(0)
        stream = PlayedStream()
        stream.transport = StreamTransport(stream, {}.get, lambda: None, lambda: None)
        self.opened.put_nowait(stream)
        return stream.transport

    async def wait_closed(self):
        await self._closed.wait()
        return self._error

    def die(self, error=None):
        self.is_open = self.is_answering = False
        self._error = error or DeviceOffline("gone")
        self._closed.set()

    async def close(self):
        self.is_open = False
        self._closed.set()


class World:
    """A forwarder, and the devices that connecting leads to; `next_device` may be an error."""

    def __init__(self):
        self.news = []
        self.devices = []
        self.failures = []
        self.told = asyncio.Event()
        self.standing = Standing(self._connect, self._tell)
        self.forwarder = Forwarder(self.standing, self._tell)

    def _tell(self, news):
        self.news.append(news)
        self.told.set()

    async def _connect(self):
        if self.failures:
            raise self.failures.pop(0)
        self.devices.append(PlayedDevice())
        return self.devices[-1]

    @property
    def device(self):
        return self.devices[-1]

    async def until(self, kind):
        """The first news of this kind."""
        async with asyncio.timeout(5):
            while True:
                for one in self.news:
                    if isinstance(one, kind):
                        return one
                self.told.clear()
                await self.told.wait()

    async def connection(self, port):
        """A TCP connection to the forward, and the stream that it led to."""
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        async with asyncio.timeout(5):
            return reader, writer, await self.device.opened.get()


@pytest.fixture
async def world(monkeypatch):
    monkeypatch.setattr(forward, "BUSY_RETRY_S", 0.001)
    monkeypatch.setattr(standing, "FIRST_RETRY_S", 0.01)
    monkeypatch.setattr(standing, "WATCH_S", 0.01)
    world = World()
    await world.standing.start()
    yield world
    await world.forwarder.close()
    await world.standing.close()


@pytest.fixture
async def port(world):
    return await world.forwarder.listen(TARGET)


def arrive(stream, data):
    stream.unread += data
    stream.transport.changed(READABLE)


def end(stream):
    stream.peer_closed = True
    stream.transport.changed(ENDED)


def finish(stream):
    stream.state = STATE_CLOSED
    stream.transport.changed(CLOSED)


async def eventually(condition):
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.001)


async def test_a_connection_becomes_a_stream_with_its_command(world, port):
    assert world.news == [Connected(PathKind.RELAY, 7, False), Listening("127.0.0.1", port, "192.168.1.10", 22)]
    await world.connection(port)
    assert world.device.commands == [b"tunnel host=192.168.1.10 port=22"]
    assert world.forwarder.connections == 1


async def test_octets_go_both_ways_and_are_counted(world, port):
    reader, writer, stream = await world.connection(port)
    writer.write(b"up")
    await eventually(lambda: stream.written == b"up")
    arrive(stream, b"down!")
    assert await reader.readexactly(5) == b"down!"
    assert (world.forwarder.traffic.up, world.forwarder.traffic.down) == (2, 5)


async def test_the_programs_end_first(world, port):
    reader, writer, stream = await world.connection(port)
    writer.write(b"all")
    writer.write_eof()
    await eventually(lambda: stream.closed)
    assert stream.written == b"all"
    arrive(stream, b"the rest")
    end(stream)
    assert await reader.read() == b"the rest"
    finish(stream)
    await eventually(lambda: world.forwarder.connections == 0)
    assert not stream.aborted


async def test_the_devices_end_first(world, port):
    reader, writer, stream = await world.connection(port)
    arrive(stream, b"all")
    end(stream)
    assert await reader.read() == b"all"
    writer.write(b"the rest")
    writer.close()
    await eventually(lambda: stream.closed)
    assert stream.written == b"the rest"
    finish(stream)
    await eventually(lambda: world.forwarder.connections == 0)
    assert not stream.aborted


async def test_a_program_that_closes_before_the_stream_is_open_gets_its_octets_sent(world, port):
    gate = asyncio.Event()
    opens = world.device.open

    async def slowly(command):
        await gate.wait()
        return await opens(command)

    world.device.open = slowly
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"quick")
    writer.write_eof()
    await eventually(lambda: world.forwarder.connections == 1)
    gate.set()
    stream = await world.device.opened.get()
    await eventually(lambda: stream.closed)
    assert stream.written == b"quick"
    writer.close()


async def test_a_program_that_resets_resets_the_stream(world, port):
    _, writer, stream = await world.connection(port)
    forward.reset_connection(writer.transport)
    await eventually(lambda: stream.aborted)
    assert world.forwarder.connections == 0


async def test_a_stream_that_is_reset_resets_the_program(world, port):
    reader, _, stream = await world.connection(port)
    stream.transport.changed(ABORTED)
    with pytest.raises(ConnectionResetError):
        await reader.read()


async def test_a_stream_that_is_reset_is_told_with_its_reason(world, port):
    _, _, stream = await world.connection(port)
    stream.reason = "the peer does not answer"
    stream.transport.changed(ABORTED)
    refused = await world.until(Refused)
    assert refused.local_port == port
    assert "the peer does not answer" in str(refused.error)


async def test_a_target_that_the_device_does_not_reach_or_allow_is_told(world, port):
    reader, _, stream = await world.connection(port)
    end(stream)
    assert await reader.read() == b""
    refused = await world.until(Refused)
    assert str(refused.error).startswith("192.168.1.10:22 ended without an octet")


async def test_a_program_that_asks_nothing_and_leaves_is_no_failure(world, port):
    _, writer, stream = await world.connection(port)
    writer.close()
    await eventually(lambda: stream.closed)
    end(stream)
    finish(stream)
    await eventually(lambda: world.forwarder.connections == 0)
    assert not [news for news in world.news if isinstance(news, Refused)]


async def test_a_port_that_is_bound_lets_nobody_in_before_it_is_served(world):
    port = await world.forwarder.bind(TARGET)
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)
    await world.forwarder.serve()
    await world.connection(port)


def test_what_to_do_about_a_port_that_needs_privileges_is_said():
    assert "below 1024" in str(forward._not_listening("127.0.0.1", 80, PermissionError(errno.EACCES, "no")))


async def test_a_port_that_is_taken_twice_before_it_is_served_is_a_clear_error(world):
    port = await world.forwarder.bind(TARGET)
    await world.forwarder.bind(Target("h", 1, port))
    with pytest.raises(ConfigError, match=f"127.0.0.1:{port}: Address already in use"):
        await world.forwarder.serve()


async def test_a_slow_device_slows_the_program(world, port):
    _, writer, stream = await world.connection(port)
    stream.room = 0
    sent = 0
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(0.3):
            while sent < 100_000_000:
                writer.write(bytes(100_000))
                await writer.drain()
                sent += 100_000
    assert 0 < sent < 50_000_000
    assert stream.transport.get_write_buffer_size() < 1_000_000
    forward.reset_connection(writer.transport)


async def test_a_slow_program_slows_the_device(world, port):
    _, writer, stream = await world.connection(port)
    for _ in range(1_000):
        arrive(stream, bytes(100_000))
        await asyncio.sleep(0)
        if stream.readable:
            break
    assert stream.readable, "everything was taken from the stream"
    forward.reset_connection(writer.transport)


async def test_a_device_that_refuses_resets_the_program_and_says_so(world, port):
    world.device.outcomes = [StreamError("no streams", "silent")]
    reader, _ = await asyncio.open_connection("127.0.0.1", port)
    with pytest.raises(ConnectionResetError):
        await reader.read()
    refused = await world.until(Refused)
    assert (refused.local_port, str(refused.error)) == (port, "no streams")


async def test_a_busy_device_is_asked_again(world, port):
    world.device.outcomes = [StreamError("no free stream", "busy")] * 5
    _, writer, stream = await world.connection(port)
    writer.write(b"at last")
    await eventually(lambda: stream.written == b"at last")


async def test_a_device_that_stays_busy_is_not_asked_for_ever(world, port, monkeypatch):
    monkeypatch.setattr(forward, "BUSY_PATIENCE_S", 0.05)
    world.device.outcomes = [StreamError("no free stream", "busy")] * 1_000_000
    reader, _ = await asyncio.open_connection("127.0.0.1", port)
    with pytest.raises(ConnectionResetError):
        await reader.read()
    assert (await world.until(Refused)).error.cause == "busy"


async def test_more_connections_than_there_is_room_for_are_reset(world, port, monkeypatch):
    monkeypatch.setattr(forward, "CONNECTIONS_MAX", 2)
    for _ in range(2):
        await world.connection(port)
    reader, _ = await asyncio.open_connection("127.0.0.1", port)
    with pytest.raises(ConnectionResetError):
        await reader.read()


async def test_the_next_connection_connects_again(world, port, monkeypatch):
    monkeypatch.setattr(standing, "FIRST_RETRY_S", 60)
    world.device.die()
    await world.until(Lost)
    assert world.standing.current is None
    _, writer, stream = await _connected_again(world, port)
    writer.write(b"again")
    await eventually(lambda: stream.written == b"again")
    assert world.news[-1] == Connected(PathKind.RELAY, 7, True)


async def _connected_again(world, port):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    await eventually(lambda: len(world.devices) == 2)
    async with asyncio.timeout(5):
        return reader, writer, await world.device.opened.get()


async def test_without_any_connection_it_connects_again_too_later_and_later(world, port):
    world.failures = [DeviceOffline("not yet")] * 2
    world.device.die()
    await eventually(lambda: len(world.devices) == 2)
    assert [one.retry_s for one in world.news if isinstance(one, NotYet)] == [0.02, 0.04]


async def test_a_connection_that_cannot_connect_again_is_reset_with_the_reason(world, port, monkeypatch):
    monkeypatch.setattr(standing, "FIRST_RETRY_S", 60)
    world.failures = [DeviceOffline("still off")]
    world.device.die()
    await world.until(Lost)
    reader, _ = await asyncio.open_connection("127.0.0.1", port)
    with pytest.raises(ConnectionResetError):
        await reader.read()
    assert str((await world.until(Refused)).error) == "still off"


async def test_a_connection_made_over_a_dead_device_goes_over_the_next(world, port):
    first = world.device

    async def dies(command):
        first.die()
        raise DeviceOffline("gone")

    first.open = dies
    _, _, stream = await _connected_again(world, port)
    assert stream is not None


async def test_a_silent_device_is_replaced_by_one_that_answers(world, port):
    first = world.device
    first.is_answering = False
    await eventually(lambda: len(world.devices) == 2 and world.standing.current is world.device)
    assert not first.is_open
    assert [type(one) for one in world.news[-2:]] == [Lost, Connected]


async def test_a_silence_that_passes_costs_nothing(world, port):
    first = world.device
    connect = world.standing._connect

    async def meanwhile():
        first.is_answering = True
        return await connect()

    world.standing._connect = meanwhile
    first.is_answering = False
    await eventually(lambda: len(world.devices) == 2 and not world.device.is_open)
    assert world.standing.current is first
    assert Lost not in [type(one) for one in world.news]


async def test_a_change_of_the_path_is_told(world):
    world.device.on_path(PathKind.DIRECT)
    assert world.news[-1] == Moved(PathKind.DIRECT)


async def test_closing_cuts_off_what_is_open_and_frees_the_port(world, port):
    reader, _, stream = await world.connection(port)
    await world.forwarder.close()
    with pytest.raises(ConnectionResetError):
        await reader.read()
    assert stream.aborted
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)


async def test_a_port_that_is_taken_is_a_clear_error(world, port):
    with pytest.raises(ConfigError, match=f"127.0.0.1:{port}"):
        await world.forwarder.listen(Target("h", 1, port))


def test_localhost_is_sent_as_an_address():
    assert tunnel_command("LocalHost", 80) == b"tunnel host=127.0.0.1 port=80"


@pytest.mark.parametrize("host", ["", "a b", "a\nb", "port=1", "h" * 128, "h\u00e9"])
def test_a_host_that_a_command_cannot_carry_is_refused(host):
    with pytest.raises(ConfigError, match="not a host"):
        tunnel_command(host, 80)


@pytest.mark.parametrize("port", [0, 65_536, -1])
def test_a_port_that_is_none_is_refused(port):
    with pytest.raises(ConfigError, match="not a port"):
        tunnel_command("h", port)
