"""Many sockets for one session: how they are opened, whose packets they take, and which of them stay."""

import asyncio
import errno
import socket

import pytest
from homeport import wire
from homeport.client.network import crowd
from homeport.client.network.crowd import Crowd
from homeport.client.network.hub import Hub

NSI, OTHER_NSI = b"\x80\x00\x00\x01", b"\x80\x00\x00\x02"
DEVICE = wire.endpoint(("192.0.2.1", 40000))
ASK = b"are you there?"


class NotedMachine:
    """Has an NSI and takes notes; `out` is sent at the next step."""

    deadline_ms = None

    def __init__(self, nsi):
        self.nsis = (nsi,)
        self.received = []
        self.out = []
        self.arrived = asyncio.Event()

    def start(self, now_ms):
        pass

    def datagram(self, now_ms, data, source):
        self.received.append((data, source))
        self.arrived.set()

    def timeout(self, now_ms):
        pass

    def datagrams(self):
        out, self.out = self.out, []
        return out

    def next_event(self):
        return None


class CountingHub:
    """Opens sockets as long as there are files."""

    def __init__(self, files):
        self.files = files
        self.opened = 0
        self.sent = []
        self.closed_for = []

    def open_extra(self, machine):
        if self.opened == self.files:
            raise OSError(errno.EMFILE, "too many open files")
        self.opened += 1
        return self.opened

    def send(self, sock, data, endpoint):
        self.sent.append((sock, data, endpoint))

    def close_unused(self, machine):
        self.closed_for.append(machine)


@pytest.fixture
async def hub():
    hub = Hub()
    hub.open("127.0.0.1")
    yield hub
    hub.close()


@pytest.fixture
def machine(hub):
    made = NotedMachine(NSI)
    hub.add(made, lambda event: None)
    return made


@pytest.fixture
def peer():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.settimeout(5)
        yield sock


@pytest.fixture
def quick(monkeypatch):
    """A crowd in a hurry."""
    monkeypatch.setattr(crowd, "PERIOD_MS", 1)
    monkeypatch.setattr(crowd, "DURATION_MS", 300)
    monkeypatch.setattr(crowd, "REPEAT_MS", 1000)


async def heard_on(extra, machine, peer):
    """The peer's packet arrives on an extra socket."""
    peer.sendto(NSI + b"hello", extra.getsockname())
    await asyncio.wait_for(machine.arrived.wait(), 5)


async def test_a_machine_answers_from_the_socket_it_was_heard_on(hub, machine, peer):
    hub.open_extra(machine)
    extra = hub.open_extra(machine)
    await heard_on(extra, machine, peer)
    machine.out.append((b"answer", wire.endpoint(peer.getsockname())))
    hub.flush(machine)
    assert peer.recvfrom(100) == (b"answer", extra.getsockname())


async def test_other_endpoints_are_reached_from_the_common_socket(hub, machine, peer):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as another:
        another.bind(("127.0.0.1", 0))
        another.settimeout(5)
        await heard_on(hub.open_extra(machine), machine, peer)
        machine.out.append((b"question", wire.endpoint(another.getsockname())))
        hub.flush(machine)
        assert another.recvfrom(100) == (b"question", ("127.0.0.1", hub.port))


async def test_an_extra_socket_takes_packets_of_its_machine_only(hub, machine, peer):
    neighbour = NotedMachine(OTHER_NSI)
    hub.add(neighbour, lambda event: None)
    extra = hub.open_extra(machine)
    peer.sendto(OTHER_NSI + b"hello", extra.getsockname())
    await heard_on(extra, machine, peer)
    assert neighbour.received == []


async def test_somebody_who_knows_the_nsi_cannot_make_us_remember_ways_without_end(hub, machine):
    extra = hub.open_extra(machine)
    hub._buffer[:8] = NSI + bytes(4)
    for number in range(200):
        assert hub._targets(0, extra, 8, wire.endpoint(("192.0.2.9", 1024 + number))) == [machine]
    assert len(hub._via) < 100


async def test_sockets_on_which_nobody_was_heard_are_closed(hub, machine, peer):
    unused, used = hub.open_extra(machine), hub.open_extra(machine)
    await heard_on(used, machine, peer)
    hub.close_unused(machine)
    assert (unused.fileno(), used.fileno() >= 0) == (-1, True)


async def test_all_are_closed_when_the_machine_is_elsewhere(hub, machine, peer):
    extra = hub.open_extra(machine)
    await heard_on(extra, machine, peer)
    hub.close_extra_of(machine)
    machine.out.append((b"answer", wire.endpoint(peer.getsockname())))
    hub.flush(machine)
    assert (peer.recvfrom(100)[1][1], extra.fileno()) == (hub.port, -1)


async def test_all_are_closed_with_the_machine(hub, machine, peer):
    extra = hub.open_extra(machine)
    await heard_on(extra, machine, peer)
    hub.remove(machine)
    assert extra.fileno() == -1


async def test_all_are_closed_with_the_hub(hub, machine):
    extra = hub.open_extra(machine)
    hub.close()
    assert extra.fileno() == -1


async def test_a_crowd_grows_to_its_limit_and_every_socket_asks(quick):
    counting = CountingHub(files=1000)
    await Crowd(counting, "session", ASK, DEVICE, lambda: False).run()
    assert counting.opened == crowd.SOCKETS_MAX
    assert counting.sent == [(n + 1, ASK, DEVICE) for n in range(crowd.SOCKETS_MAX)]
    assert counting.closed_for == ["session"]


async def test_a_crowd_makes_do_with_the_files_there_are(quick):
    counting = CountingHub(files=3)
    await Crowd(counting, "session", ASK, DEVICE, lambda: False).run()
    assert counting.opened == 3


async def test_a_crowd_asks_again(quick, monkeypatch):
    monkeypatch.setattr(crowd, "REPEAT_MS", 100)
    counting = CountingHub(files=1)
    await Crowd(counting, "session", ASK, DEVICE, lambda: False).run()
    assert len(counting.sent) == 1 + 2


async def test_a_crowd_goes_home_when_the_path_is_found(quick):
    counting = CountingHub(files=1000)
    await Crowd(counting, "session", ASK, DEVICE, lambda: counting.opened == 5).run()
    assert counting.opened == 5
    assert counting.closed_for == ["session"]
