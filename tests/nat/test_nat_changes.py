"""What happens to open connections, and to the way home, when the network changes under them."""

import socket

import pytest
from nat_world import Nat
from netns import frames

SWITCHED_ON = {"light_state": 1}
LOST_OF_100 = 10
# A device that gives a silent basestation up after 2 s, not 65.
IMPATIENT = ("--alive-poll-ms", "500", "--alive-polls", "4")
CALLS = 10


def source_ports(watched, address):
    """The UDP ports that packets from `address` came from, as seen on the wire."""
    return {
        int.from_bytes(packet[20:22], "big")
        for packet in frames(watched)[0]
        if packet[12:16] == socket.inet_aton(address) and packet[9] == socket.IPPROTO_UDP
    }


def test_same_lan_is_local_when_asked_for(home, device, client):
    lan, host = home(Nat.PORT_RESTRICTED)
    light = device(host)
    person = client(lan.host())
    assert person.connect(light, "local").get("path") == "local"
    assert person.switch(light, 1).get("result") == SWITCHED_ON


def test_same_lan_without_internet_is_local_by_itself(parts, home, device, client):
    lan, host = home(Nat.PORT_RESTRICTED)
    light = device(host)
    person = client(lan.host())
    parts.world.cut(f"iifname {lan.uplink}")
    try:
        assert person.connect(light).get("path") == "local"
        assert person.switch(light, 1).get("result") == SWITCHED_ON
    finally:
        parts.world.cut()


def test_same_lan_stays_in_the_lan_when_introduced(home, device, client):
    lan, host = home(Nat.SYMMETRIC)
    light = device(host)
    person = client(lan.host())
    assert person.connect(light, "direct").get("path") == "direct"
    with lan.router.watch("wan") as wan:
        assert person.switch(light, 1).get("result") == SWITCHED_ON
        assert not any(frames(wan)), "the query has left the LAN"


def test_client_without_udp_goes_through_the_gate(home, device, client):
    light = device(home(Nat.OPEN)[1])
    person = client(home(Nat.BLOCKED)[1])
    assert person.connect(light).get("path") == "tls"
    assert person.switch(light, 1).get("result") == SWITCHED_ON


def test_client_without_udp_is_told_when_it_insists_on_udp(home, device, client):
    light = device(home(Nat.OPEN)[1])
    answer = client(home(Nat.BLOCKED)[1]).connect(light, "relay")
    assert answer.get("type") == "ConnectFailed", answer
    assert "UDP" in answer["error"] or "relay" in answer["error"], answer


def test_device_without_udp_is_offline(parts, home, client):
    light = parts.device(home(Nat.BLOCKED)[1])
    light.wait_for("ready")
    assert client(home(Nat.OPEN)[1]).connect(light).get("type") == "DeviceOffline"


def test_dead_direct_path_is_replaced_by_the_relay(parts, home, device, client):
    (there, device_host), (here, client_host) = home(Nat.PORT_RESTRICTED), home(Nat.PORT_RESTRICTED)
    light, person = device(device_host), client(client_host)
    assert person.connect_and_settle(light) == "direct"
    parts.world.cut(
        f"ip saddr {here.public} ip daddr {there.public}", f"ip saddr {there.public} ip daddr {here.public}"
    )
    try:
        answer = person.switch(light, 1)
    finally:
        parts.world.cut()
    assert (answer.get("result"), answer.get("path")) == (SWITCHED_ON, "relay"), answer


@pytest.mark.parametrize("path", ["direct", "relay"])
def test_client_with_a_new_public_port_is_followed(home, device, client, path):
    light = device(home(Nat.FULL_CONE)[1])
    here, client_host = home(Nat.PORT_RESTRICTED)
    person = client(client_host)
    assert person.connect(light, path).get("path") == path
    with here.router.watch("wan") as wan:
        assert person.switch(light, 1).get("result") == SWITCHED_ON
        before = source_ports(wan, here.public)
        here.set_nat(Nat.SYMMETRIC)
        answer = person.switch(light, 0)
        after = source_ports(wan, here.public)
    assert (answer.get("result"), answer.get("path")) == ({"light_state": 0}, path), answer
    assert after - before, "the client's public port has not changed: the test shows nothing"


def test_device_with_a_new_public_port_registers_again_and_keeps_its_connections(home, device, client):
    there, device_host = home(Nat.PORT_RESTRICTED)
    light = device(device_host, *IMPATIENT)
    person = client(home(Nat.PORT_RESTRICTED)[1])
    assert person.connect(light, "relay").get("path") == "relay"
    there.set_nat(Nat.SYMMETRIC)
    light.wait_until_attached(times=2)
    answer = person.switch(light, 1)
    assert (answer.get("result"), answer.get("path")) == (SWITCHED_ON, "relay"), answer


def test_queries_survive_loss(parts, home, device, client):
    light, person = device(home(Nat.PORT_RESTRICTED)[1]), client(home(Nat.PORT_RESTRICTED)[1])
    parts.world.lose(LOST_OF_100)
    try:
        assert person.connect(light).get("path") in ("direct", "relay")
        query = {
            "on": light.id,
            "query": "light_read.json",
            "params": {"light_id": 1},
            "retry": "always",
            "timeout_ms": 30_000,
        }
        asked = [person.tell("call", **query) for _ in range(CALLS)]
        answers = [person.answer(number) for number in asked]
    finally:
        parts.world.cut()
    assert [answer.get("result") for answer in answers] == [{"light_state": 0}] * CALLS, answers


def test_restarted_basestation_still_knows_the_device(parts, home, device, client):
    light = device(home(Nat.PORT_RESTRICTED)[1])
    person, newcomer = client(home(Nat.PORT_RESTRICTED)[1]), client(home(Nat.PORT_RESTRICTED)[1])
    assert person.connect_and_settle(light) == "direct"
    parts.stop_basestation()
    assert person.switch(light, 1).get("result") == SWITCHED_ON, "a direct connection needs no basestation"
    parts.start_basestation()
    assert newcomer.connect_and_settle(light) == "direct"
    assert newcomer.switch(light, 1).get("result") == SWITCHED_ON
    assert light.said("attached to") == 1, "the device had to attach again"
    assert person.switch(light, 0).get("result") == {"light_state": 0}
