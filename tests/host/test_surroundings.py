"""The client's place on the network, from what two ports of a basestation say; the NAT is in how they see us."""

import asyncio
import socket

import pytest
from homeport import wire
from homeport.basestation.counters import GspCounters
from homeport.basestation.gsp.probe import Probes
from homeport.basestation.gsp.settings import GspSettings
from homeport.client.network import probe, surroundings
from homeport.client.network.hub import Hub
from homeport.client.network.surroundings import NOWHERE, Surroundings
from homeport.gate_messages import Hello
from homeport_core.packet import Packet
from homeport_core.spec import NAT_SYMMETRIC, NAT_UNKNOWN

PROBE_ID, KEY = b"probe id", bytes(range(96))
PUBLIC = ("198.51.100.7", 40000)
OTHER_PORT = ("198.51.100.7", 40001)
NAT_OPEN = 2


class Port:
    """A port of the basestation that answers probes as if they came from `seen_as` (None: from where they do)."""

    def __init__(self, probes, seen_as):
        self._probes = probes
        self._seen_as = seen_as
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.setblocking(False)
        self.endpoint = wire.endpoint(self._socket.getsockname())
        self.probed = 0
        asyncio.get_running_loop().add_reader(self._socket, self._answer)

    def close(self):
        asyncio.get_running_loop().remove_reader(self._socket)
        self._socket.close()

    def _answer(self):
        data, source = self._socket.recvfrom(2048)
        self.probed += 1
        packet = Packet()
        packet.decode_from(data)
        for answer, _ in self._probes.answer(0, packet, self._seen_as or source):
            self._socket.sendto(answer, source)


@pytest.fixture
async def place():
    """Find our place, where the two ports see us as told; returns (place, the ports, the basestation's probes)."""
    opened = []

    async def find(first, second, times=1, gsp=None):
        probes = Probes(GspSettings(), bytes, GspCounters())
        probes.add(PROBE_ID, KEY)
        ports = [Port(probes, seen_as) for seen_as in (first, second)]
        hub = Hub()
        hub.open("127.0.0.1")
        ours = Surroundings(hub)
        opened.append((ports, hub, ours))
        hello = Hello(1, bytes(16), "test", gsp or ports[0].endpoint, PROBE_ID, KEY, ports[1].endpoint)
        found = await asyncio.gather(*(ours.find(hello) for _ in range(times)))
        return found, ports, probes

    yield find
    for ports, hub, ours in opened:
        await ours.close()
        hub.close()
        for port in ports:
            port.close()


async def test_a_nat_that_shows_both_ports_the_same_endpoint_is_not_symmetric(place):
    (found,), _, _ = await place(PUBLIC, PUBLIC)
    assert (found.public, found.nat_type) == (wire.endpoint(PUBLIC), NAT_UNKNOWN)


async def test_a_nat_that_shows_each_port_another_endpoint_is_symmetric(place):
    (found,), _, _ = await place(PUBLIC, OTHER_PORT)
    assert (found.public, found.nat_type) == (wire.endpoint(PUBLIC), NAT_SYMMETRIC)


async def test_without_a_nat_the_public_endpoint_is_our_own(place):
    (found,), _, _ = await place(None, None)
    assert found.private == found.public
    assert found.nat_type == NAT_OPEN


async def test_the_basestation_knows_the_endpoint_by_our_token(place):
    (found,), _, probes = await place(PUBLIC, OTHER_PORT)
    assert probes.source(PROBE_ID, found.token) == wire.endpoint(PUBLIC)


async def test_connections_made_together_share_one_answer(place):
    found, ports, _ = await place(PUBLIC, PUBLIC, times=20)
    assert len(set(found)) == 1
    assert [port.probed for port in ports] == [1, 1]


@pytest.fixture
def silent():
    """An endpoint that answers nothing."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        yield wire.endpoint(sock.getsockname())


async def test_without_an_answer_only_our_private_endpoint_is_known_and_nobody_waits_for_the_probe_to_give_up(
    place, silent, monkeypatch
):
    monkeypatch.setattr(surroundings, "PATIENCE_MIN_S", 0)
    monkeypatch.setattr(probe, "GIVE_UP_MS", 3_600_000)
    (found,), _, _ = await place(None, None, gsp=silent)
    assert (found.public, found.token, found.nat_type) == (None, None, NAT_UNKNOWN)
    assert found.private[:4] == bytes((127, 0, 0, 1))


async def test_a_basestation_without_an_ipv4_address_is_not_probed(place):
    (found,), ports, _ = await place(None, None, gsp=bytes((0, 0, 0, 0, 21, 189)))
    assert found == NOWHERE
    assert ports[1].probed == 0
