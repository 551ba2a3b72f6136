"""Looking after sessions while this machine moves: who is told what, and what a search begins with."""

import asyncio

import pytest
from homeport import wire
from homeport.client import roaming
from homeport.client.network.surroundings import Place
from homeport.client.roaming import Roaming
from homeport.client.session.paths import GATE_ENDPOINT, Path, PathKind
from homeport.client.session.states import State
from homeport.errors import GateError
from homeport_core.spec import NAT_SYMMETRIC, NAT_UNKNOWN

DEVICE = wire.endpoint(("198.51.100.5", 50000))
PRIVATE = wire.endpoint(("192.168.1.20", 40000))
PUBLIC = wire.endpoint(("203.0.113.7", 60000))
RELAYED = Path(PathKind.RELAY, wire.endpoint(("192.0.2.11", 5565)))
DIRECT = Path(PathKind.DIRECT, DEVICE)


class NotedSearching:
    device_global = DEVICE
    device_nat = NAT_UNKNOWN


class NotedOpening:
    cp, sp = b"\x01" * 4, b"\x02" * 4

    def __init__(self):
        self.searching = NotedSearching()


class NotedSession:
    """Takes notes of what it is told."""

    def __init__(self, path=RELAYED):
        self.path = path
        self.state = State.OPEN
        self.opening = NotedOpening()
        self.moves = 0
        self.searches = []

    def moved(self, now_ms):
        self.moves += 1

    def search(self, now_ms, private, public, nat_type):
        self.searches.append((private, public, nat_type))


class NotedHub:
    port = 40000

    def __init__(self):
        self.flushed = []
        self.left = []
        self.opened = 0

    def flush(self, session):
        self.flushed.append(session)

    def call(self, session, method, *args):
        method(*args)
        self.flush(session)

    def close_extra_of(self, session):
        self.left.append(session)

    def close_unused(self, session):
        pass

    def open_extra(self, session):
        self.opened += 1
        return self.opened

    def send(self, sock, data, endpoint):
        assert endpoint == DEVICE


class NotedSurroundings:
    def __init__(self, place):
        self.place = place
        self.forgotten = 0

    def forget(self, older_than_s=0.0):
        self.forgotten += 1

    async def find(self, hello, round_trip_s):
        return self.place


class Link:
    round_trip_s = 0.01

    def __init__(self, error=None):
        self.error = error
        self.checks = 0

    def check(self):
        self.checks += 1

    async def hello(self):
        if self.error is not None:
            raise self.error
        return "hello"


class Part:
    """A Roaming and what stands around it; `host` is our address towards anything."""

    def __init__(self, monkeypatch):
        self.host = "192.168.1.20"
        self.hub = NotedHub()
        self.surroundings = NotedSurroundings(Place(PRIVATE, PUBLIC, b"token", NAT_UNKNOWN))
        self.link = Link()
        self.roaming = Roaming(self.hub, self.surroundings, lambda: self.link)
        self.asked = []
        monkeypatch.setattr(roaming, "local_host_towards", self._towards)

    def _towards(self, endpoint):
        self.asked.append(endpoint)
        return self.host

    def look(self, session, *hosts):
        """What the watch does each second, with our address as given."""
        self.roaming._sessions.setdefault(session, None)
        for self.host in hosts:
            self.roaming._look_at(session)

    async def search(self, session):
        self.roaming.search(session)
        await asyncio.sleep(0.01)


@pytest.fixture
async def part(monkeypatch):
    made = Part(monkeypatch)
    yield made
    await made.roaming.close()


async def test_a_session_is_told_of_another_address_and_its_packets_go_out(part):
    session = NotedSession()
    part.look(session, "192.168.1.20", "192.168.1.20", "10.0.0.7", "10.0.0.7")
    assert (session.moves, part.hub.flushed) == (1, [session])
    assert (part.surroundings.forgotten, part.link.checks) == (1, 1)


async def test_a_moment_without_any_network_is_no_move(part):
    session = NotedSession()
    part.look(session, "192.168.1.20", None, "192.168.1.20")
    assert session.moves == 0
    part.look(session, None, "10.0.0.7")
    assert session.moves == 1


async def test_another_path_over_another_interface_is_no_move(part):
    session = NotedSession()
    part.look(session, "192.168.1.20")
    session.path = DIRECT
    part.look(session, "10.0.0.7")
    assert session.moves == 0


async def test_sessions_without_a_path_are_left_alone(part):
    session = NotedSession(None)
    part.look(session, "192.168.1.20", "10.0.0.7")
    assert (session.moves, part.asked) == (0, [])


async def test_the_gate_is_no_address_to_look_towards(part):
    part.look(NotedSession(Path(PathKind.TLS, GATE_ENDPOINT)), "192.168.1.20")
    assert part.asked != [GATE_ENDPOINT]


async def test_the_watch_sees_a_move_and_ends_with_the_last_session(part, monkeypatch):
    monkeypatch.setattr(roaming, "WATCH_S", 0.001)
    session = NotedSession()
    part.roaming.add(session)
    async with asyncio.timeout(5):
        while RELAYED.endpoint not in part.asked:
            await asyncio.sleep(0.001)
        part.host = "10.0.0.7"
        while not session.moves:
            await asyncio.sleep(0.001)
        part.roaming.discard(session)
        await part.roaming._watch


async def test_a_search_begins_with_our_place_as_it_is_now(part):
    session = NotedSession()
    await part.search(session)
    assert session.searches == [(PRIVATE, PUBLIC, NAT_UNKNOWN)]
    assert (part.surroundings.forgotten, part.hub.left, part.hub.flushed) == (1, [session], [session])


async def test_without_the_basestation_a_search_begins_with_what_we_know_ourselves(part):
    part.link = Link(GateError("gone", "closed"))
    session = NotedSession()
    await part.search(session)
    assert session.searches == [(PRIVATE, None, NAT_UNKNOWN)]


async def test_sockets_of_a_direct_path_in_use_are_kept(part):
    await part.search(NotedSession(DIRECT))
    assert part.hub.left == []


@pytest.mark.parametrize(("own", "device", "crowd"), [(7, 0, True), (7, 7, False), (0, 0, False), (0, 7, False)])
async def test_many_sockets_search_where_our_nat_alone_is_symmetric(part, own, device, crowd):
    assert NAT_SYMMETRIC == 7
    part.surroundings.place = Place(PRIVATE, PUBLIC, b"token", own)
    session = NotedSession()
    session.opening.searching.device_nat = device
    await part.search(session)
    assert (part.hub.opened > 0) == crowd
