"""The UDP adapter with real sockets on loopback: it feeds, sends, reports, and keeps one timer."""

import asyncio
import socket

import pytest
from gsp_peers import FINGERPRINT, Device, make_gsp
from homeport.basestation.events import Connected, DeviceAttached, DeviceLost
from homeport.basestation.gsp.connect import ConnectRequest
from homeport.basestation.udp import BATCH, UdpEndpoint, monotonic_ms
from homeport_core.errors import ConfigError

LOOPBACK = ("127.0.0.1", 0)


class Peer:
    """A device on a socket of its own, answering what comes."""

    def __init__(self, gsp_address):
        self.loop = asyncio.get_running_loop()
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.setblocking(False)
        self.sock.bind(LOOPBACK)
        self.gsp_address = gsp_address
        self.device = Device(address=self.sock.getsockname())

    async def exchange(self):
        """Wait for one packet and answer it."""
        data = await asyncio.wait_for(self.loop.sock_recv(self.sock, 2048), 5)
        for answer in self.device.take(data):
            await self.loop.sock_sendto(self.sock, answer, self.gsp_address)
        return data

    async def attach(self):
        await self.loop.sock_sendto(self.sock, self.device.invite(), self.gsp_address)
        await self.exchange()
        await self.exchange()


class Opened:
    """A GSP behind the adapter, its events in a queue."""

    def __init__(self, **settings):
        self.gsp, _ = make_gsp(Device().device_id, **settings)
        self.events = asyncio.Queue()
        self.endpoint = UdpEndpoint(self.gsp, self.events.put_nowait)

    def __enter__(self):
        self.address = self.endpoint.open(LOOPBACK)
        self.peer = Peer(self.address)
        return self

    def __exit__(self, *_):
        self.endpoint.close()
        self.peer.sock.close()

    async def event(self, kind):
        while not isinstance(event := await asyncio.wait_for(self.events.get(), 5), kind):
            pass
        return event


async def test_a_device_attaches_and_the_event_is_handed_on():
    with Opened() as opened:
        await opened.peer.attach()
        event = await opened.event(DeviceAttached)
        assert event.address == opened.peer.device.address


async def test_a_call_on_the_machine_goes_out_when_the_adapter_is_woken():
    with Opened() as opened:
        await opened.peer.attach()
        opened.gsp.connect(monotonic_ms(), ConnectRequest(opened.peer.device.device_id, FINGERPRINT))
        opened.endpoint.wake()
        await opened.peer.exchange()
        event = await opened.event(Connected)
        assert opened.peer.device.connections == {event.nsi: event.key_material}


async def test_the_timer_fires_without_any_traffic():
    with Opened(alive_lost_rounds=1, alive_retries_ms=(), alive_period_ms=200) as opened:
        await opened.peer.attach()
        assert (await opened.event(DeviceLost)).reason == "silent"


async def test_more_than_a_batch_is_read_over_several_turns():
    with Opened() as opened:
        for _ in range(3 * BATCH):
            opened.peer.sock.sendto(b"rubbish", opened.address)
        await opened.peer.attach()
        assert opened.gsp.counters.drop_malformed == 3 * BATCH


async def test_a_port_that_is_taken_is_a_configuration_error_that_names_it():
    with Opened() as opened:
        other = UdpEndpoint(opened.gsp, lambda event: None)
        with pytest.raises(ConfigError, match=f"127.0.0.1:{opened.address[1]} is already in use"):
            other.open(opened.address)
        other.close()


async def test_an_address_of_another_host_is_a_configuration_error_that_names_it():
    gsp, _ = make_gsp()
    endpoint = UdpEndpoint(gsp, lambda event: None)
    with pytest.raises(ConfigError, match=r"192\.0\.2\.1:1 cannot be used"):
        endpoint.open(("192.0.2.1", 1))


async def test_what_cannot_be_sent_is_counted_and_does_not_stop_it():
    with Opened() as opened:
        opened.endpoint._send(((bytes(70_000), opened.peer.device.address), (b"x", ("0.0.0.0", 0))))
        assert opened.endpoint.socket_errors == 2
        await opened.peer.attach()
        await opened.event(DeviceAttached)


async def test_a_closed_endpoint_sends_nothing_and_frees_its_port():
    with Opened() as opened:
        await opened.peer.attach()
        opened.endpoint.close()
        opened.endpoint.wake()
        opened.endpoint.close()
        again = UdpEndpoint(opened.gsp, lambda event: None)
        assert again.open(opened.address) == opened.address
        again.close()
