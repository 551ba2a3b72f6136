"""A fleet of devices and clients against one GSP, in virtual time, over a network that loses, repeats, reorders and
rebinds. Every random choice comes from the seed that a failure names."""

import heapq
import random

import pytest
from gsp_peers import FINGERPRINT, GSP_ADDRESS, Client, Device, Inventory, make_rng, opened
from homeport.basestation.controller import Controller
from homeport.basestation.events import Connected, ConnectRefused, DeviceAttached, DeviceLost
from homeport.basestation.gsp.connect import ConnectRequest
from homeport.basestation.gsp.dispatch import Gsp
from homeport.basestation.gsp.settings import ControllerSettings, GspSettings
from homeport.wire import address, endpoint
from homeport_core.payloads import parse_ipx
from homeport_core.spec import FL_RESPONSE, PL_IPX, PT_DATA, PT_U_ALIVE, PT_U_ATTACH, PT_U_INVITE

CONTROLLER_ADDRESS = ("192.0.2.1", 5566)
SEEDS = (1, 2, 3)
INVITE_MS = (4_000, 8_000, 16_000, 32_000)
POLL_MS = 13_000
POLLS = 5


class Network:
    """Carries datagrams with delay; while `loss` is not 0 it also loses and repeats them."""

    def __init__(self, rng):
        self.rng = rng
        self.loss = 0.0
        self.now_ms = 0
        self._queue = []
        self._count = 0

    def send(self, data, source, destination):
        copies = 0 if self.rng.random() < self.loss else 1 + (self.rng.random() < self.loss / 2)
        for _ in range(copies):
            self._count += 1
            at_ms = self.now_ms + self.rng.randrange(5, 400 if self.loss else 60)
            heapq.heappush(self._queue, (at_ms, self._count, data, source, destination))

    def arrived(self):
        while self._queue and self._queue[0][0] <= self.now_ms:
            yield heapq.heappop(self._queue)[2:]


class FleetDevice(Device):
    """A device with the reference's timers (core 4.2). `address` is its NAT's mapping."""

    def __init__(self, number, network):
        super().__init__(b"dev%d.example.net" % number, address=(f"198.51.100.{number + 1}", 1024), seed=number)
        self.network = network
        self.asked = []
        self.idle(network.rng.randrange(3_000))

    def idle(self, wait_ms):
        """Begin anew: fresh nonce, fresh port."""
        self.restart()
        self.rebind()
        self.state = "controller"
        self.attempt = 0
        self.due_ms = self.network.now_ms + wait_ms

    def rebind(self):
        self.address = (self.address[0], 1024 + (self.address[1] - 1023) % 60_000)

    def arrive(self, data, source):
        packet = opened(data)
        if packet.type == PT_U_INVITE and self.state == "controller" and packet.flags == FL_RESPONSE:
            self.gsp = address(parse_ipx(packet.get(PL_IPX)).private)
            self.state, self.attempt, self.due_ms = "gsp", 0, self.network.now_ms
        elif packet.type == PT_DATA and packet.sp in self.connections:
            self.asked.append(data)
            self.send(self.data(packet.sp, b"echo of %d" % packet.seq, packet.seq))
        elif packet.type != PT_U_ATTACH or self.state == "gsp":
            if packet.type == PT_U_ALIVE and packet.sp == self.nsi:
                self.attempt, self.due_ms = 0, self.network.now_ms + POLL_MS
            answers = self.take(data)
            if packet.type == PT_U_ATTACH and answers:
                self.state, self.attempt, self.due_ms = "attached", 0, self.network.now_ms + POLL_MS
            for answer in answers:
                self.send(answer)

    def send(self, data, to=GSP_ADDRESS):
        self.network.send(data, self.address, to)

    def tick(self):
        if self.network.now_ms < self.due_ms:
            return
        if self.state == "controller":
            self.send(self.invite(controller=True), CONTROLLER_ADDRESS)
            self.due_ms = self.network.now_ms + 2_000
        elif self.state == "gsp":
            self.send(self.invite(), self.gsp)
            self.due_ms = self.network.now_ms + INVITE_MS[min(self.attempt, 3)]
        else:
            self.send(self.poll())
            self.due_ms = self.network.now_ms + POLL_MS
        self.attempt += 1
        if self.attempt > (POLLS if self.state == "attached" else 6):
            self.idle(0 if self.state == "attached" else 2_000)


class World:
    """The basestation, its fleet, and clients that ask through the relay."""

    def __init__(self, seed, count):
        self.seed = seed
        self.rng = random.Random(seed)
        self.network = Network(self.rng)
        self.inventory = Inventory()
        self.gsp = Gsp(GspSettings(), self.inventory, make_rng(seed))
        self.controller = Controller(ControllerSettings((endpoint(GSP_ADDRESS),)), self.inventory)
        self.devices = [FleetDevice(number, self.network) for number in range(count)]
        for device in self.devices:
            self.inventory.provision(device.device_id)
        self.clients = {}
        self.answers = {}
        self.waiting = {}
        self.outcomes = []
        self.attaches = self.losses = 0

    def run(self, duration_ms):
        end_ms = self.network.now_ms + duration_ms
        while self.network.now_ms < end_ms:
            self.network.now_ms += 20
            self._deliver()
            for device in self.devices:
                device.tick()
            now_ms = self.network.now_ms
            if self.gsp.deadline_ms is not None and self.gsp.deadline_ms <= now_ms:
                self._send(self.gsp.timeout(now_ms), GSP_ADDRESS)
            self._events()
            self._check()

    def connect(self, device):
        request = ConnectRequest(device.device_id, FINGERPRINT, "client")
        self.waiting[self.gsp.connect(self.network.now_ms, request)] = device

    def _deliver(self):
        now_ms = self.network.now_ms
        for data, source, destination in self.network.arrived():
            if destination == GSP_ADDRESS:
                self._send(self.gsp.datagram(now_ms, data, source), GSP_ADDRESS)
            elif destination == CONTROLLER_ADDRESS:
                self._send(self.controller.datagram(now_ms, data, source), CONTROLLER_ADDRESS)
            elif destination in self.answers:
                self.answers[destination].append(data)
            else:
                for device in self.devices:
                    if device.address == destination:
                        device.arrive(data, source)

    def _send(self, datagrams, source):
        for data, destination in datagrams:
            self.network.send(data, source, destination)

    def _events(self):
        while (event := self.gsp.next_event()) is not None:
            if isinstance(event, Connected | ConnectRefused):
                assert self.waiting.pop(event.connect_id).device_id == event.device_id, self.seed
                self.outcomes.append(event)
            elif isinstance(event, DeviceAttached):
                self.attaches += 1
            elif isinstance(event, DeviceLost):
                self.losses += 1
            if isinstance(event, Connected):
                where = ("203.0.113.1", 2_000 + len(self.clients))
                self.clients[event.nsi] = Client(event.nsi, event.key_material, where, seed=len(self.clients))
                self.answers[where] = []

    def _check(self):
        """What must hold at every moment."""
        for device in self.devices:
            attachment = self.gsp.attachment(device.device_id)
            if attachment is not None and attachment.nsi == device.nsi:
                assert attachment.key == device.key, f"keys differ, seed {self.seed}"
        assert self.gsp.attached <= len(self.devices), self.seed
        assert self.gsp.handshakes <= 6 * len(self.devices), self.seed

    def settled(self):
        """Whether every device is attached, and the GSP agrees on key and place."""
        attachments = [(device, self.gsp.attachment(device.device_id)) for device in self.devices]
        return all(a is not None and (a.nsi, a.key, a.address) == (d.nsi, d.key, d.address) for d, a in attachments)

    def answered(self, nsis):
        """Which of the sessions a device's packet reaches the client of."""
        heard = []
        for nsi in nsis:
            device = next(device for device in self.devices if nsi in device.connections)
            self.run(500)
            before = len(self.answers[self.clients[nsi].address])
            device.send(device.data(nsi))
            self.run(500)
            heard += [nsi] * (len(self.answers[self.clients[nsi].address]) - before)
        return heard

    def keep_alive(self, nsis):
        for nsi in nsis:
            client = self.clients[nsi]
            self.network.send(client.keep_alive(), client.address, GSP_ADDRESS)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_fleet_attaches_at_the_first_try_over_a_good_network(seed):
    world = World(seed, 40)
    world.run(8_000)
    assert world.settled(), seed
    assert world.attaches == 40, seed
    world.run(120_000)
    assert (world.settled(), world.attaches, world.losses) == (True, 40, 0), seed


@pytest.mark.parametrize("seed", SEEDS)
def test_a_fleet_attaches_in_spite_of_loss_repetition_and_reordering(seed):
    world = World(seed, 30)
    world.network.loss = 0.3
    world.run(150_000)
    world.network.loss = 0.0
    world.run(200_000)
    assert world.settled(), seed


@pytest.mark.parametrize("seed", SEEDS)
def test_devices_whose_nat_rebinds_come_back_by_themselves(seed):
    world = World(seed, 20)
    world.run(8_000)
    for device in world.devices[::2]:
        device.rebind()
    world.run(8_000)
    assert not world.settled(), seed
    world.run(90_000)
    assert world.settled(), seed
    assert world.attaches == 30, seed


@pytest.mark.parametrize("seed", SEEDS)
def test_every_connect_has_one_outcome_and_answers_reach_the_client_that_asked(seed):
    world = World(seed, 10)
    world.run(8_000)
    world.network.loss = 0.2
    for _ in range(3):
        for device in world.devices:
            world.connect(device)
    world.run(12_000)
    assert not world.waiting, seed
    assert len(world.outcomes) == 30, seed
    connected = [event.nsi for event in world.outcomes if isinstance(event, Connected)]
    assert len(set(connected)) == len(connected) > 20, seed

    world.network.loss = 0.0
    world.keep_alive(connected)
    world.run(1_000)
    for number, nsi in enumerate(connected):
        client = world.clients[nsi]
        world.answers[client.address].clear()
        world.network.send(client.data(b"question", seq=1_000 + number), client.address, GSP_ADDRESS)
    world.run(1_000)
    for number, nsi in enumerate(connected):
        client = world.clients[nsi]
        (answer,) = world.answers[client.address]
        assert (opened(answer).sp, opened(answer).seq) == (nsi, 1_000 + number), seed


@pytest.mark.parametrize("seed", SEEDS)
def test_clients_are_relayed_while_they_keep_alive_and_again_when_they_come_back(seed):
    world = World(seed, 6)
    world.run(8_000)
    for device in world.devices:
        world.connect(device)
    world.run(3_000)
    nsis = [event.nsi for event in world.outcomes]
    world.keep_alive(nsis)
    for _ in range(12):
        world.keep_alive(nsis[::2])
        world.run(5_000)
    assert world.answered(nsis) == nsis[::2], seed
    world.keep_alive(nsis)
    assert world.answered(nsis) == nsis, seed


@pytest.mark.parametrize("seed", SEEDS)
def test_a_restart_costs_no_device_its_attachment(seed):
    world = World(seed, 30)
    world.run(8_000)
    rows = world.gsp.snapshot()
    world.run(10_000)
    world.gsp = Gsp(GspSettings(), world.inventory, make_rng(seed + 100))
    assert world.gsp.restore(world.network.now_ms, rows) == 30, seed
    world.run(100_000)
    assert world.settled(), seed
    assert (world.attaches, world.losses) == (30, 0), seed
    for device in world.devices:
        world.connect(device)
    world.run(3_000)
    assert all(isinstance(event, Connected) for event in world.outcomes), seed


@pytest.mark.parametrize("seed", SEEDS)
def test_a_restart_without_memory_is_survived_too(seed):
    world = World(seed, 15)
    world.run(8_000)
    world.gsp = Gsp(GspSettings(), world.inventory, make_rng(seed + 100))
    world.run(60_000)
    assert world.gsp.attached == 0, seed
    world.run(30_000)
    assert world.settled(), seed
