"""Datagrams as binary messages at the gate, over real TLS, with a real session server behind it: whose they may be,
where they go, and what a client that does not read, floods or guesses gets for it."""

import asyncio
import os
import socket

import pytest
from gate_peers import GateClient, certificate, client_tls, rsa_key
from gsp_peers import Client, Device, attach, drain, exchange, make_gsp
from homeport.basestation.carrier import GATE
from homeport.basestation.events import Connected, ConnectRefused
from homeport.basestation.gate.admission import Gate
from homeport.basestation.gate.link import BACKLOG_MAX, STALLED_MS
from homeport.basestation.gate.tls import server_context
from homeport.basestation.switchboard import GspSwitchboard
from homeport.basestation.udp import monotonic_ms
from homeport.gate_messages import DATAGRAM_MAX
from homeport.tcp import listen
from homeport.wire import endpoint
from homeport_core.spec import PT_DATA
from wsproto.events import BytesMessage, TextMessage

GSP = endpoint(("127.0.0.1", 5565))


class Lines:
    """In the place of the session server's UDP socket: the machine's packets go to carriers, and to a list."""

    def __init__(self, gsp, on_event):
        self.gsp = gsp
        self.on_event = on_event
        self.carriers = {}
        self.sent = []

    def receive(self, data, peer):
        self.send(self.gsp.datagram(monotonic_ms(), data, peer))

    def wake(self):
        self.send(self.gsp.timeout(monotonic_ms()))

    def send(self, datagrams):
        for data, peer in datagrams:
            if hasattr(peer, "kind"):
                self.carriers[peer.kind](peer.number, data)
            else:
                self.sent.append((data, peer))
        for event in drain(self.gsp):
            self.on_event(event)


class Bench:
    """A gate, a session server, and one device that is attached to it."""

    async def start(self):
        self.device = Device()
        self.gsp, _ = make_gsp(self.device.device_id)
        exchange(self.gsp, self.device, attach(self.gsp, self.device, monotonic_ms()), monotonic_ms())
        self.lines = Lines(self.gsp, self.on_event)
        key = rsa_key()
        tls = server_context(key, [certificate(key)])
        switchboard = GspSwitchboard(self.gsp, self.lines, GSP, GSP)
        self.offset_ms = 0
        self.gate = Gate(tls, switchboard, lambda: monotonic_ms() + self.offset_ms, os.urandom, lambda *_, **__: None)
        self.lines.carriers[GATE] = self.gate.send_datagram
        listener = listen(("127.0.0.1", 0))
        self.address = listener.getsockname()
        await self.gate.start(listener, sweep_s=None)

    def on_event(self, event):
        if isinstance(event, Connected):
            self.gate.connected(event)
        elif isinstance(event, ConnectRefused):
            self.gate.refused(event)

    async def client(self, tls=None):
        return await GateClient.greeted(self.address, tls)

    async def connected(self, gate):
        """A connection of the client at `gate` to the device, and its end of it."""
        device = self.device.device_id.decode()
        fields = {"client_id": "", "private": None, "probe": None, "nat_type": 0, "rendezvous": False}
        await gate.send({"type": "connect", "id": 1, "device": device, **fields})
        while not self.lines.sent:
            await asyncio.sleep(0)
        asked, self.lines.sent = self.lines.sent, []
        self.lines.send(exchange(self.gsp, self.device, asked, monotonic_ms()))
        message = await gate.message()
        return Client(bytes.fromhex(message["nsi"]), bytes.fromhex(message["key"]))

    async def bound(self, gate):
        """The same, with its keep-alive sent through the gate."""
        client = await self.connected(gate)
        await gate.send_binary(client.keep_alive())
        await self.relayed(1)
        return client

    async def relayed(self, n):
        """The next `n` datagrams that reached the device."""
        async with asyncio.timeout(10):
            while len(self.lines.sent) < n:
                await asyncio.sleep(0)
        got, self.lines.sent = self.lines.sent[:n], self.lines.sent[n:]
        return [data for data, peer in got if peer == self.device.address]

    async def counted(self, name):
        """Until the gate has counted that."""
        async with asyncio.timeout(10):
            while not self.gate.counters[name]:
                await asyncio.sleep(0)

    def from_device(self, client, text=b"answer", seq=1):
        """Let the device send; returns the packet."""
        data = self.device.data(client.nsi, text, seq)
        self.lines.receive(data, self.device.address)
        return data


@pytest.fixture
async def bench():
    made = Bench()
    await made.start()
    yield made
    await made.gate.close()


async def datagram(gate):
    """The next binary message."""
    event = await gate.event()
    assert isinstance(event, BytesMessage), event
    assert event.message_finished
    return bytes(event.data)


async def test_hello_says_that_datagrams_are_carried(bench):
    gate = await bench.client()
    assert gate.hello["datagrams"] is True
    await gate.close()


async def test_datagrams_go_to_the_device_and_back_as_they_are(bench):
    gate = await bench.client()
    client = await bench.connected(gate)
    keep_alive, request = client.keep_alive(), client.data(b"request")
    await gate.send_binary(keep_alive)
    await gate.send_binary(request)
    assert await bench.relayed(2) == [keep_alive, request]
    answer = bench.from_device(client)
    assert await datagram(gate) == answer
    await gate.close()


async def test_many_datagrams_of_one_turn_come_in_order(bench):
    gate = await bench.client()
    client = await bench.bound(gate)
    sent = [bench.from_device(client, b"x" * 900, seq) for seq in range(60)]
    assert [await datagram(gate) for _ in sent] == sent
    await gate.close()


async def test_nothing_but_a_keep_alive_binds(bench):
    gate = await bench.client()
    client = await bench.connected(gate)
    await gate.send_binary(client.data(b"request"))
    await gate.send_binary(client.keep_alive())
    assert len(await bench.relayed(1)) == 1
    assert bench.gsp.counters.drop_source == 1
    await gate.close()


async def test_the_client_moves_to_the_gate_and_back_with_its_keep_alives(bench):
    gate = await bench.client()
    client = await bench.connected(gate)
    bench.lines.receive(client.keep_alive(), client.address)
    bench.from_device(client)
    assert bench.lines.sent[-1][1] == client.address
    bench.lines.sent.clear()
    await gate.send_binary(client.keep_alive())
    await bench.relayed(1)
    over_gate = bench.from_device(client, seq=2)
    assert await datagram(gate) == over_gate
    bench.lines.receive(client.keep_alive(), client.address)
    bench.from_device(client, seq=3)
    assert bench.lines.sent[-1][1] == client.address
    await gate.close()


async def test_an_old_keep_alive_moves_nobody(bench):
    gate = await bench.client()
    client = await bench.connected(gate)
    replayed = client.keep_alive()
    bench.lines.receive(replayed, client.address)
    bench.lines.sent.clear()
    await gate.send_binary(replayed)
    await gate.send_binary(client.keep_alive())
    assert len(await bench.relayed(1)) == 1
    assert bench.gsp.counters.drop_replayed == 1
    await gate.close()


async def test_a_stranger_who_knows_nsi_and_key_of_a_connection_gets_nowhere(bench):
    gate, stranger = await bench.client(), await bench.client(client_tls(rsa_key(2056)))
    client = await bench.bound(gate)
    await stranger.send_binary(client.keep_alive())
    await bench.counted("datagrams_stray")
    assert bench.lines.sent == []
    answer = bench.from_device(client)
    assert await datagram(gate) == answer
    await gate.close()
    await stranger.close()


async def test_who_guesses_nsis_is_sent_away(bench):
    gate = await bench.client()
    for number in range(1_200):
        await gate.send_binary(Client(number.to_bytes(4), bytes(96)).data(b"guess"))
    event = await gate.event()
    assert isinstance(event, TextMessage)
    assert "connections that this client does not have" in event.data
    assert await gate.ended() == 1008
    await gate.close()


async def test_datagrams_before_any_connection_reach_nobody(bench):
    gate = await bench.client()
    await gate.send_binary(Client(b"\x91\0\0\0", bytes(96)).keep_alive())
    await bench.counted("datagrams_stray")
    assert bench.lines.sent == []
    await gate.close()


async def test_when_the_link_is_lost_nothing_is_relayed_to_it_and_the_connection_lives_on(bench):
    gate = await bench.client()
    client = await bench.bound(gate)
    await gate.close()
    async with asyncio.timeout(10):
        while bench.gate.connections:
            await asyncio.sleep(0)
    bench.from_device(client)
    assert bench.gsp.counters.drop_unexpected == 1
    assert bench.gate.counters["datagrams_lost"] == 0
    again = await bench.client()
    await again.send_binary(client.keep_alive())
    await bench.relayed(1)
    answer = bench.from_device(client, seq=2)
    assert await datagram(again) == answer
    await again.close()


async def test_after_the_client_hung_up_its_datagrams_are_strays(bench):
    gate = await bench.client()
    client = await bench.bound(gate)
    await gate.send({"type": "disconnect", "nsi": client.nsi.hex()})
    await gate.send_binary(client.keep_alive())
    await bench.counted("datagrams_stray")
    assert bench.lines.sent == []
    await gate.close()


async def test_what_is_too_large_for_the_client_is_lost_and_its_link_lives_on(bench):
    gate = await bench.client()
    client = await bench.bound(gate)
    sizes = (DATAGRAM_MAX, DATAGRAM_MAX + 1, DATAGRAM_MAX - 1)
    for size in sizes:
        header = bytes(4) + client.nsi + bytes((PT_DATA, 2)) + bytes(4) + size.to_bytes(2)
        bench.lines.receive(header + bytes(size - len(header)), bench.device.address)
    assert [len(await datagram(gate)) for _ in range(2)] == [DATAGRAM_MAX, DATAGRAM_MAX - 1]
    assert bench.gate.counters["datagrams_lost"] == 1
    await gate.close()


async def test_a_client_that_does_not_read_loses_datagrams_and_no_message(bench):
    gate = await bench.client()
    client = await bench.bound(gate)
    gate.writer.transport.pause_reading()
    (link,) = bench.gate.links
    for seq in range(20_000):
        bench.from_device(client, bytes(1000), seq)
        if seq % 16 == 0:
            await asyncio.sleep(0)
        if bench.gate.counters["datagrams_lost"]:
            break
    assert bench.gate.counters["datagrams_lost"]
    assert link.waiting_len < BACKLOG_MAX * 3 // 4
    await gate.send({"type": "ping", "id": 77})
    gate.writer.transport.resume_reading()
    async with asyncio.timeout(10):
        while not isinstance(event := await gate.event(), TextMessage):
            assert isinstance(event, BytesMessage)
    assert '"id":77' in event.data
    await gate.close()


async def test_a_slow_client_that_does_read_is_not_cut(bench):
    gate = await bench.client()
    client = await bench.bound(gate)
    socket_ = gate.writer.get_extra_info("socket")
    socket_.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    (link,) = bench.gate.links
    for _ in range(4):
        gate.writer.transport.pause_reading()
        while not link.waiting_len:
            bench.from_device(client, bytes(1000))
            await asyncio.sleep(0)
        bench.offset_ms += STALLED_MS // 2 + 1
        bench.gate.sweep(bench.gate.now_ms())
        waited_len = link.waiting_len
        gate.writer.transport.resume_reading()
        async with asyncio.timeout(10):
            while link.waiting_len >= waited_len:
                await gate.event()
    assert bench.gate.connections == 1
    await gate.close()
