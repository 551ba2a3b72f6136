"""The gateway on real sockets: packets out of octets, limits, hostile peers, pairs. Time is the test's."""

import asyncio
import contextlib

import pytest
from gsp_peers import Device, make_gsp
from homeport.basestation.carrier import TCP, Carrier
from homeport.basestation.controller import Controller
from homeport.basestation.events import CarrierDone, CarrierRefused, CarriersJoined, DeviceAttached, DeviceLost
from homeport.basestation.gateway.delimiter import LENGTH_MAX, Delimiter
from homeport.basestation.gateway.link import IDLE_MS, OPENING_MS, STALLED_MS, UNUSED_MS
from homeport.basestation.gateway.listener import Gateway, GatewaySettings
from homeport.basestation.gsp.settings import ControllerSettings, RateLimit
from homeport.basestation.udp import UdpEndpoint
from homeport.tcp import listen
from homeport.wire import endpoint
from homeport_core.errors import MalformedError
from homeport_core.packet import encode
from homeport_core.spec import PT_DATA, PT_U_ALIVE, PT_U_INVITE
from hypothesis import given
from hypothesis import strategies as st

ID = b"dev1.example.net"
UNLIMITED = RateLimit(100_000, 100_000.0)


# Delimiting


def packet(size, fill=0):
    return bytes([fill]) * 14 + size.to_bytes(2, "big") + bytes([fill]) * (size - 16)


@given(st.lists(st.integers(16, LENGTH_MAX), max_size=8), st.lists(st.integers(1, 3000), min_size=1))
def test_packets_come_out_as_they_went_in_however_they_are_cut(sizes, cuts):
    stream = b"".join(packet(size, index) for index, size in enumerate(sizes))
    delimiter, out = Delimiter(), []
    while stream:
        n = cuts.pop(0) if cuts else len(stream)
        delimiter.add(stream[:n])
        stream = stream[n:]
        while (found := delimiter.next()) is not None:
            out.append(found)
    assert out == [packet(size, index) for index, size in enumerate(sizes)]
    assert delimiter.rest() == b""


@pytest.mark.parametrize("size", [0, 15, LENGTH_MAX + 1, 0xFFFF])
def test_a_length_that_no_packet_has_is_an_error_as_soon_as_it_is_known(size):
    delimiter = Delimiter()
    delimiter.add(bytes(14) + size.to_bytes(2, "big"))
    with pytest.raises(MalformedError):
        delimiter.next()


def test_what_waits_is_less_than_a_packet_however_much_came():
    delimiter = Delimiter()
    delimiter.add(packet(100) * 1000 + packet(100)[:50])
    while delimiter.next() is not None:
        pass
    assert delimiter.rest() == packet(100)[:50]


def test_the_rest_is_what_was_not_taken():
    delimiter = Delimiter()
    delimiter.add(packet(20) + b"rest")
    delimiter.next()
    assert delimiter.rest() == b"rest"
    assert delimiter.next() is None


# The listener


class World:
    """A gateway in front of a controller and a session server, on a free port of loopback."""

    def __init__(self, **settings):
        self.now_ms = 0
        self.events = []
        self.logged = []
        self.gsp, inventory = make_gsp(ID, source=UNLIMITED, device=UNLIMITED)
        self.inventory = inventory
        gsps = (endpoint(("192.0.2.1", 5565)),)
        self.controller = Controller(ControllerSettings(gsps, source=UNLIMITED), inventory)
        ends = [UdpEndpoint(machine, self.heard, self.clock) for machine in (self.controller, self.gsp)]
        self.udp = ends[1]
        limits = {"source": UNLIMITED, **settings}
        self.gateway = Gateway(*ends, self, self.clock, self.log, GatewaySettings(**limits))
        for end in ends:
            end.open(("127.0.0.1", 0))
            end.carriers[TCP] = self.gateway.send
        self.ends = ends
        self.peers = []

    async def start(self, host="127.0.0.1"):
        listener = listen((host, 0))
        self.address = (host, listener.getsockname()[1])
        await self.gateway.start(listener, sweep_s=None)
        return self

    async def stop(self):
        for peer in self.peers:
            peer.writer.close()
        await self.gateway.close()
        for end in self.ends:
            end.close()

    def clock(self):
        return self.now_ms

    def log(self, event, **facts):
        self.logged.append((event, facts))

    def heard(self, event):
        self.events.append(event)
        match event:
            case CarriersJoined():
                self.gateway.joined(event.device, event.client)
            case CarrierRefused():
                self.gateway.refused(event.carrier, event.reason)
            case CarrierDone():
                self.gateway.done(event.carrier)

    def in_use(self, carrier):
        return self.gsp.in_use(carrier)

    def carrier_lost(self, carrier):
        self.gsp.carrier_lost(self.now_ms, carrier)

    def told(self, kind):
        return [event for event in self.events if isinstance(event, kind)]

    async def connect(self):
        peer = Peer(*await asyncio.open_connection(*self.address))
        self.peers.append(peer)
        await self.settled()
        return peer

    async def settled(self):
        """Let everything that is in the sockets arrive."""
        for _ in range(20):
            await asyncio.sleep(0)
        await asyncio.sleep(0.02)

    async def later(self, ms):
        self.now_ms += ms
        self.gateway.sweep(self.now_ms)
        self.udp.wake()
        await self.settled()


class Peer:
    """One TCP connection to the gateway."""

    def __init__(self, reader, writer):
        self.reader = reader
        self.writer = writer
        self.carrier = Carrier(TCP, 0, writer.get_extra_info("sockname"))

    def send(self, octets):
        self.writer.write(octets)

    async def receive(self):
        head = await asyncio.wait_for(self.reader.readexactly(16), 10)
        return head + await asyncio.wait_for(self.reader.readexactly(int.from_bytes(head[14:], "big") - 16), 10)

    async def is_closed(self):
        """Wait until the gateway closes; what it still sent is thrown away."""
        with contextlib.suppress(ConnectionError):
            await asyncio.wait_for(self.reader.read(), 10)
        return True

    @property
    def is_open(self):
        return not self.reader.at_eof()


@pytest.fixture
async def world():
    world = await World().start()
    yield world
    await world.stop()


async def attached(world, seed=2):
    """A device attached over TCP: (device, peer), its first keep-alive answered."""
    peer = await world.connect()
    device = Device(address=peer.carrier, seed=seed)
    peer.send(device.invite(controller=True))
    assert (await peer.receive())[8] == PT_U_INVITE
    peer.send(device.invite())
    for _ in range(2):
        for answer in device.take(await peer.receive()):
            peer.send(answer)
    await world.settled()
    return device, peer


async def test_a_device_attaches_over_one_connection_to_controller_and_session_server(world):
    device, peer = await attached(world)
    (event,) = world.told(DeviceAttached)
    assert (event.device_id, event.address.remote) == (ID, peer.carrier.remote)
    assert world.gsp.counters.alive_answers == 1
    assert world.controller.counters.answered == 1


async def test_packets_may_come_in_pieces_and_together(world):
    peer = await world.connect()
    device = Device(address=peer.carrier)
    octets = device.invite(controller=True) + device.invite()
    for off in range(0, len(octets), 7):
        peer.send(octets[off : off + 7])
        await asyncio.sleep(0)
    assert (await peer.receive())[8] == PT_U_INVITE
    assert device.take(await peer.receive())


async def test_a_device_that_closes_is_lost_after_the_grace(world):
    _, peer = await attached(world)
    peer.writer.close()
    await world.settled()
    assert not world.told(DeviceLost)
    await world.later(5_000)
    assert [event.reason for event in world.told(DeviceLost)] == ["connection closed"]


async def test_an_attached_device_stays_for_as_long_as_it_answers(world):
    device, peer = await attached(world)
    for _ in range(30):
        await world.later(10_000)
        for answer in device.take(await peer.receive()):
            peer.send(answer)
        await world.settled()
    assert peer.is_open
    assert not world.told(DeviceLost)


async def test_the_newest_proof_of_the_key_takes_over_and_the_old_connection_is_left_alone(world):
    _, first = await attached(world)
    device, second = await attached(world, seed=3)
    assert world.gsp.attachment(ID).address.remote == second.carrier.remote
    for _ in range(UNUSED_MS // 10_000):
        assert first.is_open
        await world.later(10_000)
        for answer in device.take(await second.receive()):
            second.send(answer)
        await world.settled()
    assert await first.is_closed()
    assert second.is_open


# Hostile and broken peers


async def end_of(world, peer):
    assert await peer.is_closed()
    await world.settled()
    return world.logged[-1][1]["reason"]


@pytest.mark.parametrize(
    ("octets", "reason"),
    [
        (b"GET / HTTP/1.1\r\nHost: example.org\r\n\r\n", "no packet"),
        (bytes(16), "no packet"),
        (packet(15), "no packet"),
        (packet(LENGTH_MAX + 1), "no packet"),
        (packet(16), "begins with neither"),
        (encode(PT_DATA, sp=b"\1\2\3\4"), "begins with neither"),
        (encode(PT_U_ALIVE, sp=b"\1\2\3\4"), "begins with neither"),
    ],
    ids=["HTTP", "zeros", "too short", "too long", "type 0", "data", "alive"],
)
async def test_octets_that_are_no_beginning_close_their_connection_and_nothing_else(world, octets, reason):
    device, honest = await attached(world)
    peer = await world.connect()
    peer.send(octets)
    assert reason in await end_of(world, peer)
    await world.later(10_000)
    assert device.take(await honest.receive())


async def test_garbage_after_a_good_beginning_closes_too(world):
    device, peer = await attached(world)
    peer.send(b"\xff" * 100)
    assert "no packet" in await end_of(world, peer)


async def test_who_says_nothing_is_closed_in_time(world):
    peer = await world.connect()
    await world.later(OPENING_MS - 1)
    assert peer.is_open
    await world.later(1)
    assert await end_of(world, peer) == "said nothing of use"


async def test_octet_by_octet_is_no_way_to_stay(world):
    peer = await world.connect()
    invite = Device(b"unknown.example.net", address=peer.carrier).invite()
    for second in range(10):
        peer.send(invite[second : second + 1])
        await world.later(1_000)
    assert await end_of(world, peer) == "said nothing of use"


async def test_an_invite_of_an_unknown_device_is_no_beginning(world):
    peer = await world.connect()
    peer.send(Device(b"unknown.example.net", address=peer.carrier).invite())
    await world.later(OPENING_MS)
    assert await end_of(world, peer) == "said nothing of use"


async def test_who_never_attaches_cannot_stay_by_asking(world):
    peer = await world.connect()
    invite = Device(address=peer.carrier).invite()
    for _ in range(UNUSED_MS // 10_000):
        peer.send(invite)
        await world.settled()
        await world.later(10_000)
    assert await end_of(world, peer) == "not used"


async def test_an_attached_device_that_falls_silent_is_closed(world):
    _, peer = await attached(world)
    await world.later(IDLE_MS)
    assert await end_of(world, peer) == "silent"


async def test_a_peer_that_does_not_read_costs_a_bounded_buffer_and_is_cut(world):
    _, peer = await attached(world)
    peer.writer.transport.pause_reading()
    (link,) = world.gateway._links.values()
    for _ in range(10_000):
        world.gateway.send(link.carrier.number, packet(1300))
    assert world.gateway.counters["datagrams_lost"] > 0
    await world.later(0)
    await world.later(STALLED_MS)
    assert world.gateway.connections == 0
    assert world.logged[-1][1]["reason"] == "does not read"


async def test_a_stranger_cannot_fill_the_gateway():
    world = await World(opening_per_source=8, connections_max=32).start()
    try:
        peers = [await asyncio.open_connection(*world.address) for _ in range(200)]
        await world.settled()
        assert world.gateway.connections == 8
        assert world.gateway.counters["limited_opening_source"] == 192
        for _, writer in peers:
            writer.close()
        await world.settled()
        assert world.gateway.connections == 0
        await attached(world)
    finally:
        await world.stop()


@pytest.mark.parametrize(
    ("settings", "limit"),
    [
        ({"connections_max": 2}, "connections"),
        ({"connections_per_source": 2}, "source"),
        ({"opening_max": 2}, "opening"),
        ({"opening_per_source": 2}, "opening_source"),
        ({"source": RateLimit(2, 0.001)}, "rate"),
    ],
    ids=["connections", "source", "opening", "opening_source", "rate"],
)
async def test_each_limit_is_counted_under_its_name(settings, limit):
    world = await World(**settings).start()
    try:
        peers = [await world.connect() for _ in range(3)]
        assert await peers[2].is_closed()
        assert world.gateway.counters[f"limited_{limit}"] == 1
        assert peers[0].is_open
    finally:
        await world.stop()


async def test_a_listener_for_both_takes_ipv4_and_refuses_ipv6_which_the_wire_does_not_have():
    world = await World().start("::")
    try:
        port = world.address[1]
        world.address = ("127.0.0.1", port)
        device, _ = await attached(world)
        assert world.gsp.attachment(ID).address.remote == device.address.remote
        world.address = ("::1", port)
        assert await (await world.connect()).is_closed()
        assert world.gateway.counters["limited_ipv6"] == 1
    finally:
        await world.stop()


async def test_one_source_fills_no_log(world):
    for _ in range(20):
        peer = await world.connect()
        peer.send(bytes(16))
        await peer.is_closed()
    assert len(world.logged) == 3
    assert world.gateway.counters["failed"] == 20


# Pairs


async def pair(world):
    """Two connections that the session server has joined."""
    ends = [await world.connect() for _ in range(2)]
    for end in ends:
        end.send(Device(address=end.carrier).invite(controller=True))
        await end.receive()
    links = list(world.gateway._links.values())[-2:]
    world.gateway.joined(links[0].carrier, links[1].carrier)
    return ends


async def test_a_pair_gets_each_others_octets_whatever_they_are(world):
    device, client = await pair(world)
    device.send(b"\x00 not a packet")
    client.send(packet(100))
    assert await client.reader.readexactly(14) == b"\x00 not a packet"
    assert await device.receive() == packet(100)


async def test_the_end_of_one_side_is_the_end_of_the_other_after_the_last_octet(world):
    device, client = await pair(world)
    device.send(b"last words")
    device.writer.close()
    assert await asyncio.wait_for(client.reader.read(), 10) == b"last words"
    await world.settled()
    assert world.gateway.connections == 0


async def test_a_pair_holds_back_who_writes_faster_than_the_other_reads(world):
    device, client = await pair(world)
    octets = bytes(range(256)) * 4096 * 16

    async def write():
        device.send(octets)
        await device.writer.drain()

    writing = asyncio.create_task(write())
    await asyncio.sleep(0.1)
    waiting = [link._transport.get_write_buffer_size() for link in world.gateway._links.values()]
    assert max(waiting) < 1 << 20
    assert await asyncio.wait_for(client.reader.readexactly(len(octets)), 20) == octets
    await writing


async def test_a_pair_whose_one_end_has_gone_already_is_closed(world):
    peer = await world.connect()
    (link,) = world.gateway._links.values()
    world.gateway.joined(Carrier(TCP, 999, ("127.0.0.1", 1)), link.carrier)
    assert await peer.is_closed()


async def test_a_connection_that_is_done_is_closed_without_a_complaint(world):
    _, peer = await attached(world)
    (link,) = world.gateway._links.values()
    world.gateway.done(link.carrier)
    assert await peer.is_closed()
    assert world.logged == []


async def test_what_is_sent_to_a_connection_that_ended_is_counted_as_lost(world):
    world.gateway.send(999, packet(16))
    assert world.gateway.counters["datagrams_lost"] == 1
