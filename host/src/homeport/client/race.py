"""Connecting over the local network and through the basestation at once, and what to say when neither works."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from homeport.client.device import Device
from homeport.errors import ConfigError, ConnectFailed, HomeportError

# How long a clear local connection waits for an encrypted one that is on its way: nobody on the LAN should be able to
# pull a query into the clear just by answering first.
CLEAR_WAIT_S = 1.0


class NotFound(ConnectFailed):
    """Nobody on the local network answered to this device id."""


def not_found(device_id: str) -> NotFound:
    """The error for an id that nobody on the local network answers to."""
    why = "nobody on the local network answered to this id"
    return NotFound(
        f"{device_id} was not found: {why}",
        [("local", why)],
        "check that the device is on this network, or give its address as ID@HOST:PORT",
    )


async def first_of(local: Coroutine[Any, Any, Device], remote: Coroutine[Any, Any, Device]) -> Device:
    """The first encrypted connection, or a clear local one when no encrypted one comes in time; closes the other."""
    local_task, remote_task = asyncio.create_task(local), asyncio.create_task(remote)
    losers = [local_task, remote_task]
    try:
        await asyncio.wait(losers, return_when=asyncio.FIRST_COMPLETED)
        if _failed(local_task):
            await asyncio.wait([remote_task])
        elif _failed(remote_task):
            await asyncio.wait([local_task])
        elif _succeeded(local_task) and not local_task.result().is_private:
            await asyncio.wait([remote_task], timeout=CLEAR_WAIT_S)
        for winner in (remote_task, local_task):
            if _succeeded(winner):
                losers.remove(winner)
                return winner.result()
        raise _neither(local_task.exception(), remote_task.exception())
    finally:
        await asyncio.gather(*(_discard(task) for task in losers))


def _succeeded(task: asyncio.Task[Device]) -> bool:
    return task.done() and not task.cancelled() and task.exception() is None


def _failed(task: asyncio.Task[Device]) -> bool:
    return task.done() and not _succeeded(task)


async def _discard(task: asyncio.Task[Device]) -> None:
    if not task.done():
        task.cancel()
    (result,) = await asyncio.gather(task, return_exceptions=True)
    if isinstance(result, Device):
        await result.close()


def _neither(local: BaseException | None, remote: BaseException | None) -> BaseException:
    """What to raise when both ways failed: the more telling one alone when the device is just not around."""
    for error in (local, remote):
        if not isinstance(error, HomeportError):
            return error or ConnectFailed("connecting was cancelled", [])
    if isinstance(local, NotFound) and remote is not None and not isinstance(remote, ConfigError):
        return remote
    attempts = [("local", str(local)), ("remote", str(remote))]
    next_step = getattr(remote, "next_step", None) or getattr(local, "next_step", None)
    return ConnectFailed("; ".join(f"{path}: {why}" for path, why in attempts), attempts, next_step)
