"""`homeport tunnel` between real processes: a TCP connection through it outlives every change of the path, and what it
carries arrives unchanged."""

import pytest
from homeport.client.keys import Psk
from nat_world import Nat
from tunnelled import Tunnelled


class Ends:
    """A gateway and a client behind port-restricted NATs, and a tunnel between them."""

    def __init__(self, parts, psk=None, options=()):
        self.world = parts.world
        self.there, self.here = (parts.world.home(Nat.PORT_RESTRICTED) for _ in range(2))
        self.client_host = self.here.host()
        self._device_host = self.there.host()
        device = parts.device(self._device_host, "--allow-all-ports", app="tunnel_gateway", psk=psk)
        device.wait_until_attached()
        self._begin = lambda: Tunnelled(parts, self.client_host, self._device_host, device, *options)
        self.tunnelled = None

    def open(self):
        """Start the tunnel and a connection through it."""
        self.tunnelled = self._begin()
        return self.tunnelled.open()

    def cut(self):
        """Keep the homes from reaching each other directly."""
        ends = (self.here.public, self.there.public)
        self.world.cut(*(f"ip saddr {one} ip daddr {two}" for one, two in (ends, ends[::-1])))

    def change_address(self):
        """The client's host gets another address, and its router forgets everything."""
        old, new = self.here.address_of(1), self.here.address_of(9)
        self.client_host.ip(f"addr del {old}/28 dev lan0")
        self.client_host.ip(f"addr add {new}/28 brd + dev lan0")
        self.client_host.ip(f"route replace default via {self.here.address_of(0)}")
        self.here.forget_mappings()

    def check(self):
        """Nothing was lost, repeated or altered, and the tunnel never had to connect again."""
        sent, heard = self.tunnelled.finish()
        assert heard == sent
        assert [event["event"] for event in self.tunnelled.events if event["event"] in ("lost", "refused")] == []


@pytest.fixture
def ends(parts):
    """Make them."""
    made = []

    def make(**options):
        made.append(Ends(parts, **options))
        return made[-1]

    yield make
    parts.world.cut()
    for one in made:
        if one.tunnelled is not None:
            one.tunnelled.close()


def test_a_transfer_goes_on_when_the_relay_gives_way_to_the_direct_path(ends):
    between = ends()
    between.cut()
    assert between.open() == "relay"
    between.world.cut()
    between.tunnelled.until_path("direct")
    between.check()


def test_a_transfer_goes_on_when_the_clients_address_changes(ends):
    between = ends()
    between.open()
    between.tunnelled.until_path("direct")
    between.change_address()
    between.tunnelled.progress()
    between.check()


def test_a_transfer_goes_on_over_tls_when_udp_dies(ends):
    between = ends()
    between.open()
    between.world.cut(
        f"ip protocol udp ip saddr {between.here.public}", f"ip protocol udp ip daddr {between.here.public}"
    )
    between.tunnelled.until_path("tls")
    between.check()


def test_a_transfer_under_an_end_to_end_key_goes_on_when_the_clients_address_changes(ends):
    between = ends(psk=Psk.draw(), options=("--require-end-to-end",))
    between.open()
    between.change_address()
    between.tunnelled.progress()
    between.check()
