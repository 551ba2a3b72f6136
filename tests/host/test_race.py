"""Local and remote at once: which connection is kept, and what is said when there is none."""

import asyncio

import pytest
from homeport.client import race
from homeport.client.device import Device
from homeport.client.race import first_of, not_found
from homeport.errors import ConfigError, ConnectFailed, DeviceOffline, GateError, NotPaired


class FakeDevice(Device):
    """A connection that only knows whether it is encrypted, and whether it was closed."""

    def __init__(self, private):
        self._private = private
        self.closed = False

    @property
    def is_private(self):
        return self._private

    async def close(self):
        self.closed = True


class Attempt:
    """An attempt that ends when the test says so."""

    def __init__(self):
        self.end = asyncio.get_running_loop().create_future()
        self.cancelled = False

    async def __call__(self):
        try:
            return await self.end
        except asyncio.CancelledError:
            self.cancelled = True
            raise


class Race:
    """Both attempts, and `first_of` them."""

    def __init__(self):
        self.local, self.remote = Attempt(), Attempt()
        self.result = asyncio.create_task(first_of(self.local(), self.remote()))


async def turns():
    """Let everything run that can."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_a_remote_connection_that_is_first_wins_and_the_local_attempt_is_given_up():
    run = Race()
    device = FakeDevice(True)
    await turns()
    run.remote.end.set_result(device)
    assert await run.result is device
    assert run.local.cancelled


async def test_an_encrypted_local_connection_that_is_first_wins():
    run = Race()
    device = FakeDevice(True)
    await turns()
    run.local.end.set_result(device)
    assert await run.result is device
    assert run.remote.cancelled


async def test_a_clear_local_connection_waits_for_an_encrypted_one_and_is_closed():
    run = Race()
    clear, encrypted = FakeDevice(False), FakeDevice(True)
    run.local.end.set_result(clear)
    await turns()
    assert not run.result.done()
    run.remote.end.set_result(encrypted)
    assert await run.result is encrypted
    assert clear.closed


async def test_a_clear_local_connection_is_taken_at_once_when_the_basestation_cannot_help():
    run = Race()
    clear = FakeDevice(False)
    run.remote.end.set_exception(GateError("down", "refused"))
    run.local.end.set_result(clear)
    assert await run.result is clear
    assert not clear.closed


async def test_a_clear_local_connection_is_taken_when_the_encrypted_one_takes_too_long(monkeypatch):
    monkeypatch.setattr(race, "CLEAR_WAIT_S", 0)
    run = Race()
    clear = FakeDevice(False)
    await turns()
    run.local.end.set_result(clear)
    assert await run.result is clear
    assert run.remote.cancelled


async def test_each_attempt_is_waited_for_when_the_other_failed():
    for fails, works in (("local", "remote"), ("remote", "local")):
        run = Race()
        device = FakeDevice(False)
        getattr(run, fails).end.set_exception(DeviceOffline("no"))
        await turns()
        assert not run.result.done()
        getattr(run, works).end.set_result(device)
        assert await run.result is device


@pytest.mark.parametrize("error", [DeviceOffline("offline"), GateError("down", "refused"), NotPaired("who?")])
async def test_when_the_device_is_not_on_the_lan_the_remote_reason_is_told(error):
    run = Race()
    run.local.end.set_exception(not_found("demo"))
    run.remote.end.set_exception(error)
    with pytest.raises(type(error)) as caught:
        await run.result
    assert caught.value is error


async def test_otherwise_both_reasons_are_told():
    run = Race()
    run.local.end.set_exception(not_found("demo"))
    run.remote.end.set_exception(ConfigError("no basestation"))
    with pytest.raises(ConnectFailed) as caught:
        await run.result
    assert [path for path, _ in caught.value.attempts] == ["local", "remote"]
    assert "no basestation" in str(caught.value)
    assert "ID@HOST:PORT" in caught.value.next_step


async def test_giving_up_cancels_both():
    run = Race()
    await turns()
    run.result.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run.result
    assert run.local.cancelled and run.remote.cancelled


async def test_a_programming_error_is_not_hidden():
    run = Race()
    run.local.end.set_exception(ZeroDivisionError())
    run.remote.end.set_exception(DeviceOffline("offline"))
    with pytest.raises(ZeroDivisionError):
        await run.result
