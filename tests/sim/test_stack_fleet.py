"""Real device stacks against the real controller and GSP, in virtual time, over a network that loses, repeats, reorders
and rebinds. Every random choice comes from the seed that a failure names; clocks start anywhere, also below the
wrap."""

import random

import pytest
from device_bench import FakeApp
from gsp_peers import GSP_ADDRESS, make_rng, opened
from homeport.basestation.events import Connected
from homeport.basestation.gsp.dispatch import Gsp
from homeport.basestation.gsp.settings import GspSettings
from homeport.wire import address, endpoint
from homeport_core import ticks
from homeport_core.crypto import AesContext
from homeport_core.spec import FL_RESPONSE
from homeport_device.attach import ATTACHED
from homeport_device.config import Config
from homeport_device.output import LOCAL, REMOTE
from homeport_device.stack import Stack
from test_gsp_fleet import CONTROLLER_ADDRESS, World

SEEDS = (11, 12, 13)
PSK = b"\x07" * 16


class StackDevice:
    """One stack with a port into the simulated network; `address` is its NAT's mapping."""

    def __init__(self, number, network, rng):
        self.device_id = b"dev%d.example.net" % number
        self.network = network
        self.address = (f"198.51.100.{number + 1}", 1024)
        self.offset_ms = rng.choice((0, rng.randrange(ticks.PERIOD), ticks.PERIOD - rng.randrange(60_000)))
        self.app = FakeApp()
        config = Config(self.device_id.decode(), PSK, controllers=(endpoint(CONTROLLER_ADDRESS),))
        self.stack = Stack(config, make_rng(1_000 + number), self, self.app)
        self.starts_ms = rng.randrange(3_000)
        self.violations = []

    def now(self):
        return ticks.add(self.offset_ms, self.network.now_ms)

    # The port

    def send(self, socket, to, buf, n):
        if socket == LOCAL:
            self.violations.append("local packet")
        self.network.send(bytes(buf[:n]), self.address, address(to))

    def resolve(self, name):
        self.violations.append("look-up")

    def reopen(self):
        self.rebind()

    def local_endpoint(self):
        return bytes(6)

    # The network

    def rebind(self):
        self.address = (self.address[0], 1024 + (self.address[1] - 1023) % 60_000)

    def arrive(self, data, source):
        self.stack.datagram(self.now(), REMOTE, data, endpoint(source))

    def tick(self):
        if self.network.now_ms < self.starts_ms:
            return
        if self.starts_ms >= 0:
            self.stack.start(self.now())
            self.starts_ms = -1
        due_ms = self.stack.deadline_ms
        if due_ms is not None and ticks.diff(self.now(), due_ms) >= 0:
            self.stack.timeout(self.now())


class StackWorld(World):
    def __init__(self, seed, count):
        super().__init__(seed, 0)
        rng = random.Random(seed)
        self.devices = [StackDevice(number, self.network, rng) for number in range(count)]
        for device in self.devices:
            self.inventory.provision(device.device_id)

    def _check(self):
        for device in self.devices:
            assert not device.violations, (self.seed, device.violations)

    def settled(self):
        for device in self.devices:
            attachment = self.gsp.attachment(device.device_id)
            if device.stack.state != ATTACHED or attachment is None or attachment.address != device.address:
                return False
        return True

    def connect_all(self):
        for device in self.devices:
            self.connect(device)
        self.run(12_000)
        outcomes, self.outcomes = self.outcomes, []
        assert not self.waiting, self.seed
        return [event for event in outcomes if isinstance(event, Connected)]

    def ask(self, event, seq, plaintext=b"\x00\x00\x00\x01ping"):
        client = self.clients[event.nsi]
        self.network.send(client.data(plaintext, seq=seq), client.address, GSP_ADDRESS)

    def heard(self, event):
        """Plaintexts of what reached the client, sealed packets only."""
        client = self.clients[event.nsi]
        packets = [opened(data) for data in self.answers[client.address]]
        self.answers[client.address].clear()
        keys = AesContext(client.key, True)
        sealed = [packet for packet in packets if packet.crypto_off >= 0]
        assert all(packet.flags & FL_RESPONSE for packet in sealed)
        return [keys.open(packet) for packet in sealed]


@pytest.mark.parametrize("seed", SEEDS)
def test_all_attach_at_the_first_try_over_a_good_network(seed):
    world = StackWorld(seed, 20)
    world.run(8_000)
    assert world.settled(), seed
    world.run(200_000)
    assert (world.settled(), world.attaches, world.losses) == (True, 20, 0), seed


@pytest.mark.parametrize("seed", SEEDS)
def test_all_attach_in_spite_of_loss_repetition_and_reordering(seed):
    world = StackWorld(seed, 15)
    world.network.loss = 0.3
    world.run(200_000)
    world.network.loss = 0.0
    world.run(200_000)
    assert world.settled(), seed


@pytest.mark.parametrize("seed", SEEDS)
def test_all_come_back_after_their_nat_rebound(seed):
    world = StackWorld(seed, 10)
    world.run(8_000)
    for device in world.devices[::2]:
        device.rebind()
    world.run(90_000)
    assert world.settled(), seed


@pytest.mark.parametrize("seed", SEEDS)
def test_all_come_back_after_the_gsp_lost_its_memory(seed):
    world = StackWorld(seed, 10)
    world.run(8_000)
    world.gsp = Gsp(GspSettings(), world.inventory, make_rng(seed + 100))
    world.run(90_000)
    assert world.settled(), seed


@pytest.mark.parametrize("seed", SEEDS)
def test_connections_outlive_the_attachment_they_were_made_under(seed):
    world = StackWorld(seed, 6)
    world.run(8_000)
    connected = world.connect_all()
    assert len(connected) == 6, seed
    world.keep_alive([event.nsi for event in connected])
    world.run(1_000)
    for device in world.devices:
        device.stack.attach.renew(device.now())
    for _ in range(3):
        world.run(5_000)
        world.keep_alive([event.nsi for event in connected])
    world.run(1_000)
    assert (world.settled(), world.attaches) == (True, 12), seed
    for event in connected:
        world.heard(event)
        world.ask(event, 7)
    world.run(1_000)
    for event in connected:
        assert world.heard(event) == [b"ping"], seed


@pytest.mark.parametrize("seed", SEEDS)
def test_no_request_is_run_twice_however_often_it_arrives(seed):
    world = StackWorld(seed, 4)
    world.run(8_000)
    connected = world.connect_all()
    world.keep_alive([event.nsi for event in connected])
    world.run(1_000)
    world.network.loss = 0.4
    for number in range(20):
        for event in connected:
            client = world.clients[event.nsi]
            octets = client.data(b"\x00\x00\x00\x02", seq=number)
            for _ in range(12):
                world.network.send(octets, client.address, GSP_ADDRESS)
        world.run(400)
    world.run(1_000)
    assert len(connected) == 4, seed
    for device in world.devices:
        assert 18 <= device.app.runs <= 20, seed


@pytest.mark.parametrize("seed", SEEDS)
def test_a_device_switched_off_falls_silent_and_comes_back_when_switched_on(seed):
    world = StackWorld(seed, 6)
    world.run(8_000)
    quiet = world.devices[:3]
    for device in quiet:
        device.app.remote = False
    world.run(1_000)
    sent = []
    for device in quiet:
        device.send = lambda socket, to, buf, n: sent.append(to)
    world.run(120_000)
    assert (sent, world.gsp.attached) == ([], 3), seed
    for device in quiet:
        del device.send
        device.app.remote = True
    world.run(5_000)
    assert world.settled(), seed
