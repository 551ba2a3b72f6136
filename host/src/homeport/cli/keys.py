"""`homeport key`: the end-to-end keys that a profile shares with devices."""

from __future__ import annotations

from typing import Annotated

import typer

from homeport.cli.connecting import TIMEOUT_S, Path, PathOption, Target, TimeLimit, with_device
from homeport.cli.context import settings_of
from homeport.cli.output import emit
from homeport.client.client import parse_target
from homeport.client.pairing import remove_key, renew_key
from homeport.client.profile import describe_profile
from homeport.errors import ConfigError

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="End-to-end keys, which the basestation lacks.")


@app.command("list")
def list_(ctx: typer.Context) -> None:
    """List the devices that the profile has a key for."""
    settings = settings_of(ctx)
    devices = describe_profile(settings.home, settings.profile_name()).keyed_devices
    emit(ctx, {"devices": devices}, devices or ["no keys"])


@app.command()
def renew(ctx: typer.Context, device: Target, path: Path = PathOption.AUTO, timeout_s: TimeLimit = TIMEOUT_S) -> None:
    """Agree on another key with a device, over a connection under the present one."""
    with_device(ctx, device, renew_key, path, timeout_s)
    emit(ctx, {"renewed": parse_target(device)[0]}, [f"{device}: has another key now"])


@app.command()
def remove(
    ctx: typer.Context,
    device: Target,
    here_only: Annotated[
        bool, typer.Option("--here-only", help="Do not tell the device, which will go on asking for the key.")
    ] = False,
    path: Path = PathOption.AUTO,
    timeout_s: TimeLimit = TIMEOUT_S,
) -> None:
    """Give up a key: the device is told first, and then accepts connections that the basestation could read."""
    device_id = parse_target(device)[0]
    if not here_only:
        with_device(ctx, device, remove_key, path, timeout_s)
    elif not settings_of(ctx).open_profile().keys.remove(device_id):
        raise ConfigError(f"the profile has no key for {device_id}")
    emit(ctx, {"removed": device_id}, [f"{device_id}: the key is removed"])
