"""`homeport tunnel DEVICE PORT:HOST:PORT …`: local TCP ports that lead to hosts as the device sees them."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Coroutine
from typing import Annotated, Any

import typer

from homeport.cli.connecting import TIMEOUT_S, ConnectLimit, Path, PathOption
from homeport.cli.connecting import Target as DeviceTarget
from homeport.cli.context import settings_of
from homeport.cli.tunnel_view import View, open_view
from homeport.client.client import Client
from homeport.client.device import Device
from homeport.client.streams.forward import LOOPBACK, Forwarder, Target
from homeport.client.streams.opener import tunnel_command
from homeport.client.streams.standing import Standing
from homeport.errors import ConfigError, Timeout
from homeport.wire import printable

_REFRESH_S = 0.5
_TEXT_MAX = 80
_FORMS = "PORT:HOST:PORT, PORT:PORT for the device itself, or BIND:PORT:HOST:PORT"

Forwards = Annotated[
    list[str],
    typer.Argument(metavar="FORWARD", help=f"What to forward: {_FORMS}. Local port 0 takes any free one."),
]


def tunnel(
    ctx: typer.Context,
    device: DeviceTarget,
    forwards: Forwards,
    path: Path = PathOption.AUTO,
    timeout_s: ConnectLimit = TIMEOUT_S,
) -> None:
    """Forward local TCP ports through a device, until Ctrl-C.

    For example 8022:192.168.1.10:22, and then: ssh -p 8022 localhost. When the connection to the device is lost, it
    is made again, and new TCP connections go through.
    """
    targets = [parse_forward(text) for text in forwards]
    settings = settings_of(ctx)
    profile = settings.open_profile()
    view = open_view(settings.json)

    async def work() -> None:
        async with Client(profile, settings.home) as client:

            async def connect() -> Device:
                return await client.connect(device, path.value)

            standing = Standing(connect, view.tell)
            forwarder = Forwarder(standing, view.tell)
            is_open = False
            try:
                for target in targets:
                    await forwarder.bind(target)  # a mistake is found before anything is sent
                await _connect(standing, device, timeout_s)
                is_open = True
                await forwarder.serve()
                await _watch(view, standing, forwarder)
            finally:
                await forwarder.close()
                await standing.close()
                if is_open:
                    view.close(forwarder.traffic)

    asyncio.run(_until_signalled(work()))


async def _connect(standing: Standing, device: str, timeout_s: float) -> None:
    try:
        async with asyncio.timeout(timeout_s):
            await standing.start()
    except TimeoutError as error:
        raise Timeout(f"{device[:80]}: no connection within {timeout_s:g} s") from error


async def _watch(view: View, standing: Standing, forwarder: Forwarder) -> None:
    while True:
        view.show(standing.current, forwarder.connections, forwarder.traffic)
        await asyncio.sleep(_REFRESH_S)


async def _until_signalled(work: Coroutine[Any, Any, None]) -> None:
    """Run `work` until it fails or somebody ends it, which is how it is meant to end."""
    task = asyncio.create_task(work)
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await task


def parse_forward(text: str) -> Target:
    """Read one FORWARD. Raises BadParameter that says what was expected."""
    parts = text.split(":")
    bind, host = LOOPBACK, LOOPBACK
    if len(parts) == 4:
        bind, local_port, host, port = parts
    elif len(parts) == 3:
        local_port, host, port = parts
    elif len(parts) == 2:
        local_port, port = parts
    else:
        raise typer.BadParameter(f"{printable(text)!r} is not {_FORMS}")
    target = Target(host, _port(text, port, 1), _port(text, local_port, 0), bind)
    try:
        tunnel_command(target.host, target.port)
    except ConfigError as error:
        raise typer.BadParameter(f"{printable(text, _TEXT_MAX)!r}: {error}") from error
    return target


def _port(text: str, port: str, least: int) -> int:
    if not port.isascii() or not port.isdigit() or not least <= int(port) <= 0xFFFF:
        raise typer.BadParameter(f"{printable(text)!r}: {printable(port)!r} is no port; expected {least} to 65535")
    return int(port)
