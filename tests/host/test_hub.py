"""The hub on real sockets: who gets which datagram, when timers fire, and what a bad network does to it."""

import asyncio
import errno
import socket

import pytest
from homeport import wire
from homeport.client.network.broadcast import is_own_address, local_host_towards, search_endpoints
from homeport.client.network.early import KEPT_MAX, KEPT_MS, Early
from homeport.client.network.hub import Hub
from homeport.client.network.outbox import WAITING_MAX
from homeport.client.session.paths import GATE_ENDPOINT
from homeport.errors import InternalError, StateError
from homeport_core.packet import encode
from homeport_core.spec import PL_EP, PT_U_CONNECT


class FakeMachine:
    """Takes notes. `out` is sent at the next step, `deadline_ms` is whatever a test sets."""

    def __init__(self, *nsis):
        self.nsis = nsis
        self.deadline_ms = None
        self.out = []
        self.events = []
        self.received = []
        self.arrived = asyncio.Event()
        self.timeouts = 0

    def start(self, now_ms):
        self.started_at_ms = now_ms

    def datagram(self, now_ms, data, source):
        self.received.append((data, source))
        self.events.append(data)
        self.arrived.set()

    def timeout(self, now_ms):
        self.timeouts += 1
        self.deadline_ms = None
        self.arrived.set()

    def datagrams(self):
        out, self.out = self.out, []
        return out

    def next_event(self):
        return self.events.pop(0) if self.events else None


@pytest.fixture
async def hub():
    hub = Hub()
    hub.open("127.0.0.1")
    yield hub
    hub.close()


@pytest.fixture
def peer():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.setblocking(False)
        yield sock


def added(hub, *nsis):
    machine = FakeMachine(*nsis)
    machine.told = []
    hub.add(machine, machine.told.append)
    return machine


async def arrival(machine):
    async with asyncio.timeout(5):
        await machine.arrived.wait()


CP, SP, OTHER = b"\x81\0\0\1", b"\x82\0\0\2", b"\x83\0\0\3"
NSI = b"\0\0\0\xe0"


async def test_a_datagram_goes_to_the_machine_of_its_cp_or_sp(hub, peer):
    first, second = added(hub, CP), added(hub, SP)
    peer.sendto(CP + bytes(12), ("127.0.0.1", hub.port))
    peer.sendto(bytes(4) + SP + bytes(8), ("127.0.0.1", hub.port))
    await arrival(first)
    await arrival(second)
    source = wire.endpoint(peer.getsockname())
    assert first.received == [(CP + bytes(12), source)]
    assert second.received == [(bytes(4) + SP + bytes(8), source)]
    assert (first.told, second.told) == ([CP + bytes(12)], [bytes(4) + SP + bytes(8)])


async def test_two_devices_that_use_the_same_number_are_told_apart_by_where_they_are(hub, peer):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", 0))
        machines = [added(hub, NSI + wire.endpoint(sock.getsockname())) for sock in (peer, other)]
        for sock in (other, peer):
            sock.sendto(bytes(4) + NSI + bytes(8), ("127.0.0.1", hub.port))
        for machine, sock in zip(machines, (peer, other), strict=True):
            await arrival(machine)
            assert machine.received == [(bytes(4) + NSI + bytes(8), wire.endpoint(sock.getsockname()))]


async def test_what_a_burst_brings_is_answered_once(hub, peer):
    machine = added(hub, CP)
    steps = []
    machine.datagrams = lambda: steps.append(len(machine.received)) or []
    for _ in range(5):
        peer.sendto(CP + bytes(12), ("127.0.0.1", hub.port))
    await arrival(machine)
    assert steps == [5]


async def test_a_datagram_of_any_size_is_taken_whole(hub, peer):
    machine = added(hub, CP)
    peer.sendto(CP + bytes(60_000), ("127.0.0.1", hub.port))
    await arrival(machine)
    assert [len(data) for data, _ in machine.received] == [60_004]


async def test_what_the_kernel_has_no_room_for_is_sent_in_order_when_it_has(hub, peer):
    class Full:
        """A socket that is full until told otherwise."""

        room = False

        def __init__(self, sock):
            self.sock = sock

        def fileno(self):
            return self.sock.fileno()

        def sendto(self, data, address):
            if not self.room:
                raise BlockingIOError(errno.EAGAIN, "full")
            self.sock.sendto(data, address)

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        full = Full(sock)
        for n in range(3):
            hub.send(full, bytes((n,)), wire.endpoint(peer.getsockname()))
        full.room = True
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(5):
            assert [await loop.sock_recv(peer, 100) for _ in range(3)] == [b"\0", b"\1", b"\2"]
        assert not hub.drops


async def test_no_more_waits_for_the_kernel_than_there_is_room_for(hub, peer):
    class Full:
        def __init__(self, sock):
            self.fileno = sock.fileno

        def sendto(self, data, address):
            raise BlockingIOError(errno.EAGAIN, "full")

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        full = Full(sock)
        for _ in range(WAITING_MAX + 5):
            hub.send(full, b"x", wire.endpoint(peer.getsockname()))
        hub._outbox.forget(full)
    assert hub.drops["EAGAIN"] == 5


async def test_what_belongs_to_nobody_goes_to_those_without_an_nsi(hub, peer):
    known, loose = added(hub, CP), added(hub)
    peer.sendto(OTHER + bytes(12), ("127.0.0.1", hub.port))
    await arrival(loose)
    assert known.received == []


async def test_what_nobody_wants_is_counted(hub, peer):
    added(hub, CP)
    peer.sendto(b"x", ("127.0.0.1", hub.port))
    async with asyncio.timeout(5):
        while not hub.drops["unknown"]:
            await asyncio.sleep(0)


def rendezvous(sp, seq=0):
    return encode(PT_U_CONNECT, [(PL_EP, bytes(6))], sp=sp, seq=seq)


async def test_a_rendezvous_that_came_before_its_session_is_given_to_it(hub, peer):
    """A reference device may send no second one: our first packet through the relay ends its search."""
    discovery = added(hub)
    for sp in (SP, OTHER):
        peer.sendto(rendezvous(sp), ("127.0.0.1", hub.port))
    async with asyncio.timeout(5):
        while len(discovery.received) < 2:
            await asyncio.sleep(0)
    late = added(hub, CP, SP)
    assert late.received == [(rendezvous(SP), wire.endpoint(peer.getsockname()))]
    assert late.started_at_ms is not None
    assert added(hub, CP, SP).received == []


def test_early_packets_are_kept_for_a_time_only_and_few_of_them():
    early = Early()
    early.keep(0, rendezvous(SP), GATE_ENDPOINT)
    assert early.take(KEPT_MS + 1, (SP,)) == []
    for number in range(KEPT_MAX + 1):
        early.keep(0, rendezvous(SP, number), GATE_ENDPOINT)
    assert [data for data, _ in early.take(KEPT_MS, (SP,))] == [rendezvous(SP, n) for n in range(1, KEPT_MAX + 1)]


@pytest.mark.parametrize("packet", [b"x", rendezvous(SP)[:15], rendezvous(SP) + bytes(64), SP + SP + bytes(12)])
def test_nothing_but_rendezvous_is_kept(packet):
    early = Early()
    early.keep(0, packet, GATE_ENDPOINT)
    assert early.take(0, (SP,)) == []


async def test_new_nsis_of_a_machine_are_followed(hub, peer):
    machine = added(hub, CP)
    machine.nsis = (OTHER,)
    hub.flush(machine)
    peer.sendto(CP + bytes(12), ("127.0.0.1", hub.port))
    peer.sendto(OTHER + bytes(12), ("127.0.0.1", hub.port))
    await arrival(machine)
    assert [data for data, _ in machine.received] == [OTHER + bytes(12)]


async def test_a_removed_machine_gets_nothing(hub, peer):
    removed, loose = added(hub, CP), added(hub)
    hub.remove(removed)
    hub.remove(removed)
    peer.sendto(CP + bytes(12), ("127.0.0.1", hub.port))
    await arrival(loose)
    assert removed.received == []


async def test_what_a_machine_says_is_sent(hub, peer):
    machine = added(hub)
    machine.out = [(b"hello", wire.endpoint(peer.getsockname()))]
    hub.flush(machine)
    async with asyncio.timeout(5):
        assert await asyncio.get_running_loop().sock_recv(peer, 100) == b"hello"


async def test_what_goes_to_a_carried_endpoint_goes_to_its_carrier_and_to_no_socket(hub, peer):
    carried = []
    hub.carry(wire.endpoint(peer.getsockname()), carried.append)
    machine = added(hub)
    machine.out = [(b"hello", wire.endpoint(peer.getsockname()))]
    hub.flush(machine)
    assert carried == [b"hello"]
    with pytest.raises(BlockingIOError):
        peer.recv(100)


async def test_what_a_carrier_brings_goes_to_the_machine_of_its_nsi_as_from_the_carried_endpoint(hub):
    machine = added(hub, CP)
    machine.out = []
    hub.deliver([CP + bytes(12)], GATE_ENDPOINT)
    assert machine.received == [(CP + bytes(12), GATE_ENDPOINT)]
    assert machine.told == [CP + bytes(12)]


async def test_what_a_carrier_brings_for_nobody_is_offered_to_nobody(hub):
    loose = added(hub)
    hub.deliver([OTHER + bytes(12)], GATE_ENDPOINT)
    assert loose.received == []
    assert hub.drops["unknown"] == 1


class BrokenMachine(FakeMachine):
    """Fails where it is told to."""

    def __init__(self, where):
        super().__init__(CP)
        self.where = where
        self.told = []

    def datagram(self, now_ms, data, source):
        self._fail("datagram")
        super().datagram(now_ms, data, source)

    def timeout(self, now_ms):
        self._fail("timeout")

    def start(self, now_ms):
        self._fail("start")
        super().start(now_ms)

    def datagrams(self):
        self._fail("datagrams")
        return super().datagrams()

    @property
    def deadline_ms(self):
        if self.where == "timeout":
            return 0
        self._fail("deadline")
        return None

    @deadline_ms.setter
    def deadline_ms(self, value):
        pass

    def broken(self, error):
        return error

    def _fail(self, where):
        if where == self.where:
            raise KeyError("a value that is nobody's business")


@pytest.mark.parametrize("where", ["start", "datagram", "timeout", "datagrams", "deadline"])
async def test_a_defect_in_a_machine_ends_that_machine_alone_and_is_said_once(hub, peer, caplog, where):
    broken, other = BrokenMachine(where), added(hub, OTHER)
    hub.add(broken, broken.told.append)
    for _ in range(2):
        peer.sendto(CP + bytes(12), ("127.0.0.1", hub.port))
    peer.sendto(OTHER + bytes(12), ("127.0.0.1", hub.port))
    await arrival(other)
    async with asyncio.timeout(5):
        while not [told for told in broken.told if isinstance(told, InternalError)]:
            await asyncio.sleep(0)
    (error,) = [told for told in broken.told if isinstance(told, InternalError)]
    assert "KeyError" in str(error)
    (record,) = caplog.records
    assert "KeyError" in record.getMessage()
    assert "nobody's business" not in caplog.text + str(error)


async def test_a_machine_that_broke_has_its_other_sockets_closed(hub, peer):
    broken = BrokenMachine("datagram")
    hub.add(broken, broken.told.append)
    extra = hub.open_extra(broken)
    peer.sendto(CP + bytes(12), ("127.0.0.1", extra.getsockname()[1]))
    async with asyncio.timeout(5):
        while not broken.told:
            await asyncio.sleep(0)
    assert extra.fileno() == -1


async def test_a_defect_while_another_calls_it_is_the_machines_end_too(hub):
    broken = BrokenMachine("search")
    hub.add(broken, broken.told.append)
    hub.call(broken, broken._fail, "search")
    assert [type(told) for told in broken.told] == [InternalError]


async def test_a_listener_that_fails_is_logged_and_told_the_next_event(hub, peer, caplog):
    told = []

    def listen(event):
        told.append(event)
        raise ValueError("a listener")

    machine = FakeMachine(CP)
    hub.add(machine, listen)
    machine.events += ["one", "two"]
    hub.flush(machine)
    assert told == ["one", "two"]
    assert len(caplog.records) == 2


async def test_a_carrier_that_fails_loses_datagrams_is_logged_once_and_the_machine_goes_on(hub, peer, caplog):
    def fail(data):
        raise RuntimeError("a carrier")

    hub.carry(GATE_ENDPOINT, fail)
    machine = added(hub)
    machine.out = [(b"x", GATE_ENDPOINT)] * 2 + [(b"hello", wire.endpoint(peer.getsockname()))]
    hub.flush(machine)
    async with asyncio.timeout(5):
        assert await asyncio.get_running_loop().sock_recv(peer, 100) == b"hello"
    assert hub.drops["carrier"] == 2
    assert len(caplog.records) == 1


async def test_a_timer_fires_when_it_is_due(hub):
    machine = added(hub)
    machine.deadline_ms = machine.started_at_ms
    hub.flush(machine)
    await arrival(machine)
    assert machine.timeouts == 1


async def test_many_datagrams_are_taken_in_one_go(hub, peer):
    machine = added(hub, CP)
    for n in range(50):
        peer.sendto(CP + bytes((n,)), ("127.0.0.1", hub.port))
    await arrival(machine)
    assert len(machine.received) == 50


@pytest.mark.parametrize("number", [errno.ENETUNREACH, errno.ECONNREFUSED, errno.EPERM])
async def test_a_send_that_fails_loses_one_datagram_and_nothing_else(hub, monkeypatch, number):
    class Broken:
        def sendto(self, data, address):
            raise OSError(number, "no")

    machine = added(hub)
    real = hub._sock
    hub._sock = Broken()
    machine.out = [(b"x", bytes((127, 0, 0, 1, 1, 1)))]
    hub.flush(machine)
    hub._sock = real
    assert hub.drops[errno.errorcode[number]] == 1


async def test_after_closing_nothing_is_sent_and_the_port_is_gone():
    hub = Hub()
    hub.open("127.0.0.1")
    machine = added(hub)
    hub.close()
    hub.close()
    machine.out = [(b"x", bytes((127, 0, 0, 1, 1, 1)))]
    hub.flush(machine)
    with pytest.raises(StateError):
        _ = hub.port


def test_devices_are_looked_for_by_broadcast_and_on_this_host():
    addresses = [wire.address(endpoint) for endpoint in search_endpoints(5570)]
    assert addresses[0] == ("255.255.255.255", 5570)
    assert addresses[-1] == ("127.0.0.1", 5570)
    assert len(addresses) == len(set(addresses))


def test_an_address_of_this_machine_is_told_from_others():
    assert is_own_address(bytes((127, 0, 0, 1, 1, 1)))
    assert not is_own_address(bytes((192, 0, 2, 1, 1, 1)))


def test_our_own_address_towards_this_host_is_this_host():
    assert local_host_towards(bytes((127, 0, 0, 1, 1, 1))) == "127.0.0.1"
