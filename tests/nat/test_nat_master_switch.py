"""The master switch (the system permission REMOTE): while it is off, no packet of the device leaves the LAN.

Watched on all interfaces of the device's machine, so look-ups of names are seen wherever the resolver is.
"""

import ipaddress
import time

import pytest
from nat_world import Nat
from netns import frames, wait_until

LAN = ipaddress.ip_network("192.168.1.0/28")
REMOTE_OFF = 0xA0000000
# A device that is not silent sends invites at once and again after 2 s.
SILENCE_S = 2.5


def _beyond_lan(addresses):
    found = {ipaddress.ip_address(address) for address in addresses}
    return {str(address) for address in found if address not in LAN}


class Scene:
    """A device at home, its owner beside it, and a watch on what the device sends."""

    def __init__(self, parts, **options):
        self.home = parts.world.home(Nat.FULL_CONE)
        host = self.home.host()
        self.watched = host.watch()
        self.device = parts.device(host, **options)
        self.device.wait_for("ready")
        self.owner = parts.client(self.home.host())

    def passed_beyond_lan(self):
        """Since the last call: the addresses beyond the LAN that the device's machine (sent to, heard from)."""
        sent, heard = frames(self.watched)
        return _beyond_lan(packet[16:20] for packet in sent), _beyond_lan(packet[12:16] for packet in heard)

    def sent_beyond_lan(self):
        """Where to the device's machine has sent packets beyond the LAN since the last call."""
        return self.passed_beyond_lan()[0]

    def switch_remote(self, on):
        """The owner, at home, moves the master switch."""
        answer = self.owner.ask("remote", on=self.device.id, enabled=on)
        assert answer.get("remote") == on, answer


@pytest.fixture
def scene(parts):
    """Set a scene; its processes and its watch end with the test."""
    made = []

    def make(**options):
        made.append(Scene(parts, **options))
        return made[-1]

    yield make
    for one in made:
        one.owner.close()
        one.device.close()
        one.watched.close()


@pytest.mark.parametrize("by_name", [False, True], ids=["controller-by-address", "controller-by-name"])
def test_device_with_master_switch_off_sends_nothing_beyond_the_lan(scene, by_name):
    home = scene(by_name=by_name, system=REMOTE_OFF)
    assert home.owner.connect(home.device, "local").get("path") == "local"
    assert home.owner.switch(home.device, 1).get("result") == {"light_state": 1}
    time.sleep(SILENCE_S)
    assert home.sent_beyond_lan() == set()
    home.switch_remote(True)
    wait_until(home.sent_beyond_lan, "a device that is switched on sends something")


def test_device_switched_off_while_in_use_answers_and_falls_silent(parts, scene):
    home = scene()
    home.device.wait_until_attached()
    visitor = parts.client(parts.world.home(Nat.FULL_CONE).host())
    assert visitor.connect_and_settle(home.device) == "direct"
    assert home.owner.connect(home.device, "local").get("path") == "local"
    assert home.sent_beyond_lan(), "the watch sees nothing"

    switched = visitor.ask("remote", on=home.device.id, enabled=False)
    assert switched.get("remote") is False, f"the answer to the switch itself has to get out: {switched}"
    home.sent_beyond_lan()
    knocks = {"query": "light_read.json", "params": {"light_id": 1}, "timeout_ms": 4000}
    knock = visitor.tell("call", on=home.device.id, **knocks)
    time.sleep(SILENCE_S)
    sent, heard = home.passed_beyond_lan()
    assert heard, "nobody knocked"
    assert sent == set(), "a device that is switched off answers"
    assert home.owner.switch(home.device, 1).get("result") == {"light_state": 1}

    home.switch_remote(True)
    home.device.wait_until_attached(times=2)
    assert "error" in visitor.answer(knock), "connections end with the switch"
    visitor.close()
