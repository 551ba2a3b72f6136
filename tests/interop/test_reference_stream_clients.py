"""A client with the reference's streams at our tunnel gateway, on both runtimes and over real sockets."""

import contextlib
import os
import socket
import threading

import pytest
from device_process import running
from homeport_device.acl import Acl
from homeport_device.acl_file import AclFile
from reference_stream_client import ReferenceStreamClient
from reference_stream_states import State
from scripted_world import Basestation
from stream_frames import ACK, RST, Frame

KEY = bytes(range(16))
OWNER = bytes(range(0x10, 0x20))
QUIET_S = 0.5
ECHO = b"echo\n"


@pytest.fixture(scope="module")
def target():
    """A TCP server that gives back what it gets, and closes when the other end does, or says nothing for a moment:
    MicroPython cannot end one direction of TCP alone."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, args=(listener,), daemon=True).start()
        yield listener


def serve(listener):
    while True:
        try:
            accepted, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=give_back, args=(accepted,), daemon=True).start()


def give_back(sock):
    sock.settimeout(QUIET_S)
    with sock, contextlib.suppress(TimeoutError):
        while data := sock.recv(65536):
            sock.sendall(data)


@pytest.fixture(scope="module", params=["micropython", "cpython"])
def basestation(request, tmp_path_factory, target):
    """With the gateway registered."""
    state = tmp_path_factory.mktemp("gateway")
    Acl(AclFile(f"{state}/acl.bin")).add(OWNER, b"owner")
    opened = Basestation("dev", KEY)
    options = ["--id", "dev", "--key", KEY.hex(), "--controller", f"127.0.0.1:{opened.address[1]}"]
    options += ["--allow-port", str(target.getsockname()[1])]
    with running(request.param, "tunnel_gateway", state, *options) as device:
        opened.attach()
        yield opened
    opened.close()
    assert not [line for line in device.lines if "Traceback" in line], device.lines


@pytest.fixture
def introduced(basestation):
    """Makes clients that the device has accepted."""
    clients = []

    def introduce(**manners):
        clients.append(ReferenceStreamClient(**manners))
        basestation.introduce(clients[-1], os.urandom(4), OWNER)
        return clients[-1]

    yield introduce
    for client in clients:
        client.leave()


@pytest.fixture
def client(introduced):
    return introduced()


@pytest.mark.parametrize("manners", [{}, {"lazy": True}, {"window": 100}, {"window": 1}], ids=str)
def test_its_echo_comes_back_whole(introduced, manners):
    client = introduced(**manners)
    data = os.urandom(20_000 if manners == {"window": 1} else 60_000)
    assert client.transfer(client.open(ECHO), data) == b"+\n" + data


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_its_tunnel_carries_both_ways_and_says_nothing_of_its_own(client, target, host):
    data = os.urandom(100_000)
    stream = client.open(b"tunnel host=%s port=%d\n" % (host.encode(), target.getsockname()[1]))
    assert client.transfer(stream, data) == data


def test_octets_behind_the_command_in_its_segment_are_not_lost(client, target):
    stream = client.open(b"tunnel port=%d host=127.0.0.1\nhello" % target.getsockname()[1])
    assert client.receive(stream, 5) == b"hello"
    assert client.transfer(stream, b"") == b""


@pytest.mark.parametrize("line", [b"tunnel host=127.0.0.1 port=1\n", b"nope\n", b"tunnel port=x\n", b"x" * 600])
def test_what_is_refused_ends_without_an_octet(client, line):
    assert client.transfer(client.open(line), b"", close=False) == b""


def test_streams_of_the_same_tag_and_id_one_after_the_other(client):
    for _ in range(5):
        client.peer._ids = 76
        stream = client.open(ECHO, tag=0x1000, syn_seq=1000)
        assert stream.initiator == 77
        assert client.transfer(stream, b"again") == b"+\nagain"
        client.until(lambda stream=stream: stream.state in (State.CLOSED, State.TIME_WAIT))
        client.peer.release(stream)


def test_a_stream_without_a_command_is_no_harm(client):
    stream = client.open()
    assert client.transfer(stream, b"") == b""


def test_a_packet_of_no_stream_is_answered_by_a_well_formed_reset_and_a_reset_by_nothing(client):
    client.peer.streams.clear()
    client.send(Frame(0x1ABC, ACK, 5, 5, 10, 10, 4))
    client.until(lambda: client.resets)
    (reset,) = client.resets
    assert (reset.initiator, reset.responder, reset.seq, reset.ack, reset.malformed) == (5, 5, 10, 11, False)
    client.send(Frame(0x1ABD, RST, 5, 5, 10, 10))
    for _ in range(20):
        client.pump()
    assert client.resets == [reset]


def test_its_close_of_the_connection_resets_its_streams(client):
    stream = client.open(ECHO)
    assert client.receive(stream, 2) == b"+\n"
    client._send(b"\0\0\0\3", 3)
    client.until(lambda: stream.state is State.ABORTED)
    assert not client.resets[0].malformed
