"""What roaming does with the link to the basestation: who goes through it proves itself to a new one first, and a link
whose address is gone is checked at once."""

from types import SimpleNamespace

import pytest
from homeport import wire
from homeport.client import roaming
from homeport.client.roaming import Roaming
from homeport.client.session.paths import GATE_ENDPOINT, Path, PathKind

GSP = wire.endpoint(("192.0.2.11", 5565))


class Noted:
    """A session, a hub, a link: remembers what was done to it."""

    def __init__(self, path=None):
        self.path = path
        self.done = []
        self.opening = SimpleNamespace(searching=object())

    def moved(self, _now_ms):
        self.done.append("moved")

    def flush(self, session):
        session.done.append("flushed")

    def call(self, session, method, *args):
        method(*args)
        self.flush(session)

    def check(self):
        self.done.append("checked")

    def forget(self):
        self.done.append("forgotten")


@pytest.fixture
async def made(monkeypatch):
    """Roaming over noted parts, and a switch for our own address."""
    here = SimpleNamespace(address="192.168.1.2", link=Noted(), surroundings=Noted())
    monkeypatch.setattr(roaming, "local_host_towards", lambda endpoint: here.address)
    here.roaming = Roaming(Noted(), here.surroundings, lambda: here.link)
    yield here
    await here.roaming.close()


def session(kind):
    return Noted(Path(kind, GATE_ENDPOINT if kind is PathKind.TLS else GSP))


async def test_a_new_link_moves_the_sessions_that_go_through_it_and_no_others(made):
    over_tls, over_udp, nowhere = session(PathKind.TLS), session(PathKind.RELAY), Noted()
    for one in (over_tls, over_udp, nowhere):
        made.roaming.add(one)
    made.roaming.link_opened()
    assert (over_tls.done, over_udp.done, nowhere.done) == (["moved", "flushed"], [], [])


async def test_another_address_of_ours_has_the_link_checked_and_the_session_told(made):
    over_tls = session(PathKind.TLS)
    made.roaming.add(over_tls)
    made.address = "192.168.1.10"
    made.roaming._look_at(over_tls)
    assert made.link.done == ["checked"]
    assert made.surroundings.done == ["forgotten"]
    assert over_tls.done == ["moved", "flushed"]


async def test_without_any_network_nobody_is_told_before_there_is_one_again(made):
    over_tls = session(PathKind.TLS)
    made.roaming.add(over_tls)
    made.address = None
    made.roaming._look_at(over_tls)
    assert over_tls.done == []
    made.address = "10.0.0.7"
    made.roaming._look_at(over_tls)
    assert over_tls.done == ["moved", "flushed"]
