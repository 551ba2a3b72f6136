"""What the user of a device sees of a defect in this program: an error that says so, and nothing that hangs."""

import asyncio
import secrets

import pytest
from homeport import wire
from homeport.client.device import Device
from homeport.client.network.hub import Hub
from homeport.client.session.clear import ClearOpening
from homeport.client.session.session import Session
from homeport.errors import InternalError, StateError


@pytest.fixture
async def hub():
    hub = Hub()
    hub.open("127.0.0.1")
    yield hub
    hub.close()


@pytest.fixture
async def broken(hub, monkeypatch):
    """A device whose session fails at the first answer, and what was said of its end."""
    ends = []
    nowhere = wire.endpoint(("127.0.0.1", hub.port))  # itself: its own request comes back to it
    session = Session(ClearOpening(nowhere, "me", None, secrets.token_bytes), secrets.token_bytes)

    def fail(*args):
        raise IndexError("no such place")

    monkeypatch.setattr(session._intake, "datagram", fail)
    return Device("demo", session, hub, lambda: ends.append("closed")), ends


async def test_who_connects_hears_of_it(broken):
    device, ends = broken
    async with asyncio.timeout(5):
        with pytest.raises(InternalError, match="IndexError"):
            await device.open()
    assert ends == ["closed"]


async def test_who_waits_for_an_answer_hears_of_it(broken):
    device, _ = broken
    opening = asyncio.create_task(device.open())
    async with asyncio.timeout(5):
        with pytest.raises(InternalError):
            await device.request(bytes(4))
        with pytest.raises(InternalError):
            await opening


async def test_closing_does_not_wait_for_what_will_not_come(broken):
    device, ends = broken
    async with asyncio.timeout(5):
        with pytest.raises(InternalError):
            await device.open()
        await device.close()
        assert isinstance(await device.wait_closed(), InternalError)
    assert ends == ["closed"]


async def test_a_session_that_cannot_even_be_closed_is_gone_all_the_same(broken, monkeypatch):
    device, ends = broken
    device._hub.add(device._session, device._on_event)

    def fail(now_ms):
        raise IndexError("no such place")

    monkeypatch.setattr(device._session, "close", fail)
    async with asyncio.timeout(5):
        await device.close()
    assert ends == ["closed"]


async def test_afterwards_nothing_can_be_asked_or_opened(broken):
    device, _ = broken
    async with asyncio.timeout(5):
        with pytest.raises(InternalError):
            await device.open()
        with pytest.raises(InternalError):
            await device.request(bytes(4))
        with pytest.raises(StateError):
            await device.open_stream("echo")
