"""The tunnel gateway in a process of its own, with real sockets on both sides of it."""

import contextlib
import hashlib
import os
import pty
import select
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from device_process import DeviceProcess, running
from homeport_core.stream_states import ABORTED, CLOSED, TIME_WAIT
from scripted_world import Basestation
from stream_client import StreamClient, now_ms

KEY = bytes(range(16))
OWNER = bytes(range(0x10, 0x20))


@pytest.fixture
def target() -> Iterator[socket.socket]:
    """A TCP server on loopback, whose connections the test accepts."""
    with socket.create_server(("127.0.0.1", 0)) as opened:
        opened.settimeout(10)
        yield opened


@pytest.fixture
def basestation() -> Iterator[Basestation]:
    opened = Basestation("dev", KEY)
    yield opened
    opened.close()


@pytest.fixture(params=["micropython", "cpython"])
def gateway(
    request: pytest.FixtureRequest, tmp_path: Path, basestation: Basestation, target: socket.socket
) -> Iterator[DeviceProcess]:
    add_owner(tmp_path)
    controller = f"127.0.0.1:{basestation.address[1]}"
    options = ["--id", "dev", "--key", KEY.hex(), "--controller", controller]
    options += ["--allow-port", str(target.getsockname()[1])]
    with running(request.param, "tunnel_gateway", tmp_path, *options) as device:
        device.runtime = request.param
        basestation.attach()
        yield device
    assert not [line for line in device.lines if "failed" in line or "Traceback" in line], device.lines


@pytest.fixture
def client(gateway: DeviceProcess, basestation: Basestation) -> Iterator[StreamClient]:
    opened = StreamClient()
    basestation.introduce(opened, os.urandom(4), OWNER)
    yield opened
    opened.close()


def add_owner(state: Path) -> None:
    from homeport_device.acl import Acl
    from homeport_device.acl_file import AclFile

    Acl(AclFile(f"{state}/acl.bin")).add(OWNER, b"owner")


def tunnel_line(target: socket.socket, host: str = "127.0.0.1") -> bytes:
    return f"tunnel host={host} port={target.getsockname()[1]}\n".encode()


def test_the_echo_stream_gives_everything_back(client: StreamClient) -> None:
    stream = client.open(b"echo\n")
    assert client.receive(stream, 2) == b"+\n"
    data = os.urandom(100_000)
    got = bytearray()
    sent = 0
    while len(got) < len(data):
        if sent < len(data):
            sent += stream.write(now_ms(), memoryview(data)[sent : sent + 20000])
        client.pump()
        got += stream.read()
    assert bytes(got) == data
    stream.close(now_ms())
    client.until(lambda: stream.at_eof and stream.state in (CLOSED, TIME_WAIT))


class EchoServer(threading.Thread):
    """Takes one connection and gives back what it gets until the end; `got` is all of it."""

    def __init__(self, target: socket.socket) -> None:
        super().__init__(daemon=True)
        self.target = target
        self.got = bytearray()
        self.start()

    def run(self) -> None:
        accepted, _ = self.target.accept()
        with accepted:
            while data := accepted.recv(65536):
                self.got += data
                accepted.sendall(data)


def test_a_megabyte_goes_through_a_tunnel_and_back(client: StreamClient, target: socket.socket) -> None:
    server = EchoServer(target)
    data = os.urandom(1 << 20)
    stream = client.open(tunnel_line(target) + data[:100])
    sent, got = 100, bytearray()
    while len(got) < len(data):
        if sent < len(data):
            sent += stream.write(now_ms(), memoryview(data)[sent : sent + 100_000])
        client.pump()
        got += stream.read()
    stream.close(now_ms())
    client.until(lambda: stream.at_eof)
    assert hashlib.sha256(got).digest() == hashlib.sha256(data).digest()
    server.join(10)
    assert bytes(server.got) == data


def test_the_targets_end_is_the_clients_end(client: StreamClient, target: socket.socket) -> None:
    stream = client.open(tunnel_line(target))
    accepted, _ = target.accept()
    accepted.sendall(b"220 ready\r\n")
    accepted.close()
    assert client.receive(stream, 100) == b"220 ready\r\n"
    stream.close(now_ms())
    client.until(lambda: stream.state in (CLOSED, TIME_WAIT))


def test_the_clients_end_reaches_the_target_which_may_still_answer(
    client: StreamClient, gateway: DeviceProcess, target: socket.socket
) -> None:
    stream = client.open(tunnel_line(target) + b"question")
    stream.close(now_ms())
    client.pump()
    accepted, _ = target.accept()
    with accepted:
        accepted.settimeout(10)
        assert accepted.recv(100) == b"question"
        if gateway.runtime == "cpython":  # MicroPython cannot end one direction alone
            client.until(lambda: stream.state >= 0 and _has_ended(accepted))
        accepted.sendall(b"answer")
        assert client.receive(stream, 6) == b"answer"
    client.until(lambda: stream.at_eof)


def _has_ended(accepted: socket.socket) -> bool:
    accepted.settimeout(0.01)
    try:
        return accepted.recv(1) == b""
    except TimeoutError:
        return False


def test_a_target_that_does_not_read_stops_the_client(client: StreamClient, target: socket.socket) -> None:
    stream = client.open(tunnel_line(target))
    accepted, _ = target.accept()
    taken = 0
    still = 0
    while still < 50:
        n = stream.write(now_ms(), bytes(100_000))
        taken += n
        still = 0 if n else still + 1
        client.pump()
    assert taken < 32 << 20
    accepted.settimeout(0.01)
    got = 0

    def all_came() -> bool:
        nonlocal got
        with contextlib.suppress(TimeoutError):
            got += len(accepted.recv(1 << 20))
        return got == taken

    client.until(all_came)
    accepted.close()


def test_a_target_that_refuses_is_an_end_without_an_octet(client: StreamClient, target: socket.socket) -> None:
    line = tunnel_line(target)
    target.close()
    stream = client.open(line)
    client.until(lambda: stream.at_eof)
    assert stream.state != ABORTED


@pytest.mark.parametrize("line", [b"tunnel port=1\n", b"tunnel host=192.0.2.1 port=80\n", b"nothing\n"])
def test_what_is_not_allowed_is_an_end_without_an_octet(client: StreamClient, line: bytes) -> None:
    stream = client.open(line)
    client.until(lambda: stream.at_eof)
    assert stream.state != ABORTED


def test_a_stranger_may_open_no_tunnel(
    gateway: DeviceProcess, basestation: Basestation, target: socket.socket, tmp_path: Path
) -> None:
    """A paired user without the right to come from far away may not connect; one without any right has no tunnel."""
    client = StreamClient()
    try:
        with pytest.raises(AssertionError, match="0x8004"):
            basestation.introduce(client, os.urandom(4), bytes(range(16)))
    finally:
        client.close()


def test_the_connection_to_the_target_is_reset_with_the_clients_connection(
    client: StreamClient, target: socket.socket
) -> None:
    client.open(tunnel_line(target))
    accepted, _ = target.accept()
    client._send(b"\x00\x00\x00\x03", 3)
    accepted.settimeout(10)
    with pytest.raises(ConnectionResetError):
        accepted.recv(1)
    accepted.close()


def test_many_tunnels_one_after_the_other(client: StreamClient, target: socket.socket) -> None:
    for number in range(60):
        stream = client.open(tunnel_line(target) + b"%d" % number)
        accepted, _ = target.accept()
        accepted.settimeout(10)
        assert accepted.recv(10) == b"%d" % number
        accepted.sendall(b"ok")
        accepted.close()
        assert client.receive(stream, 10) == b"ok"
        stream.close(now_ms())
        client.pump(0)
        stream.release()


def test_a_client_has_so_many_tunnels_and_no_more(client: StreamClient, target: socket.socket) -> None:
    target.listen(32)
    streams = [client.open(tunnel_line(target)) for _ in range(16)]
    refused = client.streams.open(now_ms())
    client.until(lambda: refused.state == ABORTED)
    streams[0].abort(now_ms())
    client.pump(0.2)
    client.open(tunnel_line(target))


@pytest.mark.parametrize("runtime", ["micropython", "cpython"])
def test_the_serial_line_is_a_stream(runtime: str, tmp_path: Path, basestation: Basestation) -> None:
    line, device_end = pty.openpty()
    add_owner(tmp_path)
    options = ["--id", "dev", "--key", KEY.hex(), "--controller", f"127.0.0.1:{basestation.address[1]}"]
    with running(runtime, "tunnel_gateway", tmp_path, *options, "--uart-device", os.ttyname(device_end)) as device:
        basestation.attach()
        client = StreamClient()
        basestation.introduce(client, os.urandom(4), OWNER)
        stream = client.open(b"uart\n")
        assert client.receive(stream, 2) == b"+\n"
        data = bytes(range(256)) * 8  # a raw line changes nothing, neither newlines nor control characters
        client.send(stream, data)
        assert _read_line(client, line, len(data)) == data
        os.write(line, data[:1000])
        assert client.receive(stream, 1000) == data[:1000]
        stream.close(now_ms())
        client.until(lambda: stream.at_eof)
        client.close()
    assert not [text for text in device.lines if "failed" in text or "Traceback" in text]
    os.close(line)
    os.close(device_end)


def _read_line(client: StreamClient, line: int, n: int) -> bytes:
    """So many octets of the serial line's other end."""
    got = bytearray()

    def complete() -> bool:
        if select.select([line], [], [], 0)[0]:
            got.extend(os.read(line, n))
        return len(got) == n

    client.until(complete)
    return bytes(got)
