"""What streams cost a device on MicroPython, built for boards: what is configured, at the start, and nothing more."""

import os
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from board_device import KEY, MEMORY_QUERY, MICROPYTHON, build, environment, fill_users, start
from homeport_core.stream_states import CLOSED, TIME_WAIT
from homeport_device.streams import packet_len
from scripted_world import Basestation
from stream_client import StreamClient, now_ms

PLENTY_K = 2000
SEGMENT = 1247
WINDOW = 4
# Both windows, and the last acknowledged segment, which is kept to probe with (streams 3.6).
STREAM_LEN = SEGMENT * (2 * WINDOW + 1)
# What the machine of one open stream and its session may hold beside, in 64-bit objects.
OPEN_MAX = 6_000
NOISE_LEN = 2_000
# What a gateway with four slots of window 4 may need, attached, with a full list of users, all four busy.
GATEWAY_K = 308


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("board")
    build(out)
    return out


@pytest.fixture
def basestation() -> Iterator[Basestation]:
    opened = Basestation("dev", KEY)
    yield opened
    opened.close()


class Running:
    """An attached device with streams, and a client that asks it for its memory."""

    def __init__(self, tree: Path, state: Path, basestation: Basestation, heap_k: int, *options: str) -> None:
        fill_users(state)
        self.device = start(tree, heap_k, state, basestation, "stream_device", *options)
        basestation.attach()
        self.client = StreamClient(receive_window=16, send_window=16)
        basestation.introduce(self.client, os.urandom(4), (1).to_bytes(16, "big"))

    def held(self) -> int:
        self.client.socket.settimeout(10)
        return int.from_bytes(self.client.call(MEMORY_QUERY)[:4], "big")

    def echoed(self, octets: int) -> None:
        """One echo stream from open to closed."""
        client = self.client
        stream = client.open(b"echo\n")
        sent = got = 0
        while got < octets + 2:
            if sent < octets:
                sent += stream.write(now_ms(), bytes(min(octets - sent, 20_000)))
            client.pump()
            got += len(stream.read())
        stream.close(now_ms())
        client.until(lambda: stream.at_eof and stream.state in (CLOSED, TIME_WAIT))
        stream.release()
        client.send_waiting()

    def end(self) -> None:
        self.client.close()
        # Before the signal that ends it, which may find the collector at work.
        assert not [line for line in self.device.lines if "failed" in line or "Traceback" in line]
        self.device.stop()


@pytest.fixture
def target() -> Iterator[int]:
    """The port of a TCP server that sends back what it gets."""

    def serve(connection: socket.socket) -> None:
        with connection:
            while octets := connection.recv(20_000):
                connection.sendall(octets)

    def accept() -> None:
        while True:
            try:
                threading.Thread(target=serve, args=(server.accept()[0],), daemon=True).start()
            except OSError:
                return

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=accept, daemon=True).start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)


def through_tunnels(client: StreamClient, port: int, tunnels: int, octets: int) -> None:
    """As many at once; each gets all its octets back."""
    line = b"tunnel host=127.0.0.1 port=%d\n" % port
    streams = [client.open(line) for _ in range(tunnels)]
    data = os.urandom(octets)
    sent = [0] * tunnels
    got = [bytearray() for _ in streams]

    def complete() -> bool:
        for i, stream in enumerate(streams):
            sent[i] += stream.write(now_ms(), memoryview(data)[sent[i] : sent[i] + 20_000])
            got[i] += stream.read()
        return all(len(part) == octets for part in got)

    client.until(complete)
    assert all(part == data for part in got)
    for stream in streams:
        stream.close(now_ms())
    client.until(lambda: all(stream.at_eof and stream.state in (CLOSED, TIME_WAIT) for stream in streams))
    for stream in streams:
        stream.release()


def test_a_gateway_with_busy_tunnels_lives_within_the_ceiling(
    tree: Path, tmp_path: Path, basestation: Basestation, target: int
) -> None:
    running = Running(tree, tmp_path, basestation, GATEWAY_K)
    for _ in range(3):
        through_tunnels(running.client, target, 4, 50_000)
    running.end()


def test_memory_for_streams_is_taken_at_the_start_as_configured(
    tree: Path, tmp_path: Path, basestation: Basestation
) -> None:
    held = []
    for streams in ("1", "4"):
        state = tmp_path / streams
        state.mkdir()
        world = Basestation("dev", KEY)
        running = Running(tree, state, world, PLENTY_K, "--streams", streams)
        held.append(running.held())
        running.end()
        world.close()
    assert 3 * STREAM_LEN <= held[1] - held[0] < 3 * (STREAM_LEN + OPEN_MAX)


def test_an_open_stream_takes_little_more(tree: Path, tmp_path: Path, basestation: Basestation) -> None:
    running = Running(tree, tmp_path, basestation, PLENTY_K)
    running.echoed(100)
    before = running.held()
    streams = [running.client.open(b"echo\n") for _ in range(4)]
    assert running.held() - before < 4 * OPEN_MAX
    assert len(streams) == 4
    running.end()


def test_nothing_grows_over_many_streams_and_transfers(tree: Path, tmp_path: Path, basestation: Basestation) -> None:
    running = Running(tree, tmp_path, basestation, PLENTY_K)
    for _ in range(20):
        running.echoed(50_000)
    before = min(running.held() for _ in range(3))
    for _ in range(300):
        running.echoed(100)
    for _ in range(10):
        running.echoed(200_000)
    running.client.until(lambda: running.held() - before < NOISE_LEN)  # once the last stream is over at the device too
    running.end()


def test_a_device_without_streams_loads_none_of_it(tree: Path) -> None:
    program = "import sys, light; print([name for name in sys.modules])"
    done = subprocess.run(
        [MICROPYTHON, "-c", program, "--id", "dev"], env=environment(tree), capture_output=True, text=True, check=True
    )
    apart = ("stream", "services", "tunnel", "pipe", "echo", "uart", "tcp_", "serial")
    assert "homeport_firmware" in done.stdout
    assert not [word for word in apart if word in done.stdout], done.stdout


def test_a_packet_of_a_full_segment_is_as_long_as_the_specification_says() -> None:
    assert packet_len(SEGMENT) == 1368
