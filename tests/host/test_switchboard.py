"""How the gate reaches the session server in the same process, and which address of ours each peer is told."""

import asyncio

import pytest
from homeport.basestation.gsp.connect import ConnectRequest
from homeport.basestation.switchboard import GspSwitchboard, fill_address, reached_at
from homeport.gate_messages import Connect
from homeport.wire import endpoint

ZERO = bytes(6)
PRIVATE = endpoint(("192.168.1.9", 50000))
PUBLIC = endpoint(("203.0.113.9", 50001))


class NotedGsp:
    """A session server that knows one probe, and remembers what it was asked."""

    def __init__(self):
        self.requests = []
        self.hung_up = []

    def probed(self, probe_id, token):
        return PUBLIC if (probe_id, token) == (b"probe id", b"token 01") else None

    def connect(self, now_ms, request):
        self.requests.append(request)
        return 77

    def disconnect(self, nsi):
        self.hung_up.append(nsi)


class NotedUdp:
    def __init__(self):
        self.woken = 0

    def wake(self):
        self.woken += 1


@pytest.fixture
def gsp():
    return NotedGsp()


@pytest.fixture
def udp():
    return NotedUdp()


@pytest.fixture
def switchboard(gsp, udp):
    return GspSwitchboard(gsp, udp, endpoint(("0.0.0.0", 5565)), endpoint(("0.0.0.0", 5566)))


async def test_an_introduction_carries_what_was_proven_and_probed(switchboard, gsp):
    request = Connect(1, "dev1", "my phone", PRIVATE, b"token 01", 7, False)
    assert switchboard.introduce(b"f" * 16, b"probe id", request) == 77
    assert gsp.requests == [ConnectRequest(b"dev1", b"f" * 16, "my phone", PRIVATE, PUBLIC, 7, False)]


@pytest.mark.parametrize("token", [None, b"token 02"])
async def test_a_client_without_a_probe_of_its_own_has_no_public_endpoint(switchboard, gsp, token):
    switchboard.introduce(b"f" * 16, b"probe id", Connect(1, "dev1", "", None, token, 0, True))
    assert (gsp.requests[0].private, gsp.requests[0].global_) == (ZERO, ZERO)


async def test_the_session_server_is_woken_but_not_before_the_id_is_known(switchboard, udp):
    switchboard.introduce(b"f" * 16, b"probe id", Connect(1, "dev1", "", None, None, 0, True))
    assert udp.woken == 0
    await asyncio.sleep(0)
    assert udp.woken == 1


async def test_hanging_up_wakes_it_too(switchboard, gsp, udp):
    switchboard.hang_up(b"nsi!")
    await asyncio.sleep(0)
    assert (gsp.hung_up, udp.woken) == ([b"nsi!"], 1)


def test_a_client_is_told_the_address_it_has_reached(switchboard):
    assert switchboard.relay_endpoint("192.168.1.2") == endpoint(("192.168.1.2", 5565))
    assert switchboard.second_probe_endpoint("192.168.1.2") == endpoint(("192.168.1.2", 5566))
    assert switchboard.second_probe_endpoint("192.168.1.2") == endpoint(("192.168.1.2", 5566))


def test_a_public_address_is_told_to_everybody():
    assert fill_address(PUBLIC, "192.168.1.2") == PUBLIC


def test_loopback_is_reached_at_loopback():
    assert reached_at("127.0.0.1") == "127.0.0.1"


def test_an_address_without_route_has_no_answer():
    assert reached_at("255.255.255.255") == "0.0.0.0"
