"""From a command to an open device and back: the one place where the command line runs an event loop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from enum import StrEnum
from typing import Annotated, TypeVar

import typer

from homeport.cli.context import settings_of
from homeport.client.client import Client
from homeport.client.device import Device
from homeport.client.queries.interface import Interface
from homeport.errors import Timeout

T = TypeVar("T")

TIMEOUT_S = 30.0


class PathOption(StrEnum):
    """Which way to go to the device."""

    AUTO = "auto"
    LOCAL = "local"
    DIRECT = "direct"
    RELAY = "relay"
    TLS = "tls"


Target = Annotated[str, typer.Argument(metavar="DEVICE", help="ID, or ID@HOST:PORT on the local network.")]
Path = Annotated[PathOption, typer.Option("--path", help="The way to the device; auto takes the best that works.")]
TimeLimit = Annotated[float, typer.Option("--timeout", metavar="SECONDS", min=0.1, max=3600, help="For all of it.")]
ConnectLimit = Annotated[float, typer.Option("--timeout", metavar="SECONDS", min=0.1, max=3600, help="For connecting.")]


def with_client(
    ctx: typer.Context, target: str, action: Callable[[Client], Awaitable[T]], timeout_s: float = TIMEOUT_S
) -> T:
    """Do `action` with a client of the chosen profile; raise what it raises, Timeout (which names `target`)."""
    settings = settings_of(ctx)
    profile = settings.open_profile()

    async def work() -> T:
        try:
            async with asyncio.timeout(timeout_s), Client(profile, settings.home) as client:
                return await action(client)
        except TimeoutError as error:
            raise Timeout(f"{target[:80]}: no answer within {timeout_s:g} s") from error

    return asyncio.run(work())


def with_device(
    ctx: typer.Context,
    target: str,
    action: Callable[[Device], Awaitable[T]],
    path: PathOption = PathOption.AUTO,
    timeout_s: float = TIMEOUT_S,
    interface: Interface | None = None,
) -> tuple[T, int]:
    """Connect to a device with the chosen profile, do `action`, and close; raise what the client raises, Timeout.

    Returns the action's result and how many milliseconds it took, connecting included.
    """

    async def work(client: Client) -> tuple[T, int]:
        started = time.monotonic()
        async with await client.connect(target, path.value, interface=interface) as device:
            return await action(device), round((time.monotonic() - started) * 1000)

    return with_client(ctx, target, work, timeout_s)
