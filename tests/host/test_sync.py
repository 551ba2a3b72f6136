"""The synchronous client against a device on a real socket in this process."""

import socket
import struct
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from homeport.client.profile import Profile
from homeport.client.sync import Client
from homeport.errors import ConfigError, ConnectFailed, DeviceOffline, HomeportError, RefusedError, StateError
from homeport.wire import address, endpoint
from homeport_core.legacy import OP_DISCOVERY, build_discovery_body, build_response, is_legacy, parse_request
from session_world import QUERY_ECHO, QUERY_REFUSE, FakeDevice


class DeviceThread:
    """A FakeDevice behind a socket on 127.0.0.1; it answers discovery as `demo`."""

    def __init__(self):
        self.device = FakeDevice()
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.bind(("127.0.0.1", 0))
        self.port = self.sock.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self):
        while True:
            data, source = self.sock.recvfrom(2048)
            if not data:
                return
            if is_legacy(data):
                body = build_discovery_body(bytes(6), [(1, b"demo"), (1, b"-"), (2, b"-"), (4, b"1")])
                self.sock.sendto(build_response(OP_DISCOVERY, parse_request(data)[1], body), source)
                continue
            for answer in self.device.receive(data, endpoint(source)):
                self.sock.sendto(answer, source)

    def stop(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.sendto(b"", ("127.0.0.1", self.port))
        self._thread.join()
        self.sock.close()


@pytest.fixture(scope="module")
def me(tmp_path_factory):
    return Profile.create(tmp_path_factory.mktemp("home"), "me")


@pytest.fixture
def running():
    thread = DeviceThread()
    yield thread
    thread.stop()


@pytest.fixture
def client(me, running):
    with Client(me, search=[("127.0.0.1", running.port)]) as client:
        yield client


def echo(device, text):
    return device.request(struct.pack(">I", QUERY_ECHO) + text)


def test_a_request_is_answered(client, running):
    with client.connect(f"demo@127.0.0.1:{running.port}") as device:
        assert echo(device, b"hello") == b"hello"
        assert (device.id, device.path, device.is_open) == ("demo", "local", True)


def test_a_device_is_found_by_its_id(client, running):
    (found,) = client.discover("demo")
    assert address(found.endpoint) == ("127.0.0.1", running.port)
    with client.connect("demo", "local") as device:
        assert echo(device, b"found") == b"found"


def test_calls_may_come_from_many_threads(client, running):
    texts = [str(n).encode() for n in range(50)]
    with client.connect(f"demo@127.0.0.1:{running.port}") as device, ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda text: echo(device, text), texts)) == texts


def test_errors_of_the_device_are_raised(client, running):
    with client.connect(f"demo@127.0.0.1:{running.port}") as device, pytest.raises(RefusedError) as caught:
        device.request(struct.pack(">I", QUERY_REFUSE))
    assert caught.value.code == 9


def test_a_closed_connection_says_so(client, running):
    device = client.connect(f"demo@127.0.0.1:{running.port}")
    device.close()
    assert not device.is_open
    with pytest.raises(StateError):
        echo(device, b"")


def test_a_connection_that_died_says_so_to_every_later_call(client, running, monkeypatch):
    for name in ("PERIOD_MS", "RETRY_MIN_MS", "RETRY_MAX_MS", "SILENCE_MAX_MS"):
        monkeypatch.setattr(f"homeport.client.session.steering.{name}", 20)
    device = client.connect(f"demo@127.0.0.1:{running.port}")
    running.device.closed = True
    for _ in range(2):
        with pytest.raises(DeviceOffline):
            echo(device, b"anybody?")
    assert not device.is_open


def test_a_client_that_is_not_open_says_so(me):
    client = Client(me)
    with pytest.raises(StateError):
        client.discover()
    client.close()


def test_closing_the_client_closes_its_connections_and_its_thread(me, running):
    before = threading.active_count()
    with Client(me) as client:
        client.connect(f"demo@127.0.0.1:{running.port}")
    assert running.device.closed
    assert threading.active_count() == before


@pytest.mark.parametrize(
    ("target", "path"),
    [("", "auto"), ("@host", "auto"), ("demo@", "auto"), ("demo@host:x", "auto"), ("demo@host:70000", "auto"),
     ("a" * 41, "auto"), ("demo", "sideways"), ("demo@127.0.0.1", "relay"), ("demo@no-such-host.invalid", "auto")],
)  # fmt: skip
def test_what_cannot_be_a_target_is_a_configuration_error(client, target, path):
    with pytest.raises(ConfigError):
        client.connect(target, path)


def test_a_device_that_is_not_there_is_not_found(client):
    with pytest.raises(ConnectFailed) as caught:
        client.connect("other", "local")
    assert caught.value.attempts[0][0] == "local"


def test_nobody_at_the_address_is_said_after_five_seconds(me, monkeypatch):
    monkeypatch.setattr("homeport.client.session.clear.GIVE_UP_MS", 100)
    monkeypatch.setattr("homeport.client.session.clear.RETRY_MS", 50)
    with Client(me) as client, pytest.raises(HomeportError, match="does not answer"):
        client.connect("demo@127.0.0.1:9")
