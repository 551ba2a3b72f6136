"""The tunnel gateway in a process of its own, with real sockets on both sides of it."""

import hashlib
import os
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
