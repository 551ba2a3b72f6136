"""`homeport device`: which devices the basestation knows. Works on its directory, while it runs or not."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from homeport.basestation.carrier import TCP
from homeport.basestation.directory import Directory
from homeport.basestation.inventory.inventory import Device, Inventory, parse_device_key
from homeport.cli.output import emit

app = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, add_completion=False, help="The devices that the basestation knows."
)

Id = Annotated[str, typer.Argument(metavar="ID", help="The device's id.")]
Dir = Annotated[Path, typer.Option("--dir", metavar="DIR", help="The basestation's directory.")]
Key = Annotated[str | None, typer.Option(metavar="HEX", help="The key (32 hex digits) instead of a new random one.")]
_DIR = Path("var")


@app.command()
def add(ctx: typer.Context, device_id: Id, key: Key = None, directory: Dir = _DIR) -> None:
    """Register a device and print its key, which is not shown again."""
    given = None if key is None else parse_device_key(key)
    with open_inventory(directory) as inventory:
        _show_key(ctx, device_id, inventory.add(device_id, given), "added")


@app.command("rotate-key")
def rotate_key(ctx: typer.Context, device_id: Id, key: Key = None, directory: Dir = _DIR) -> None:
    """Give a device another key; it is offline until it has that, too."""
    given = None if key is None else parse_device_key(key)
    with open_inventory(directory) as inventory:
        _show_key(ctx, device_id, inventory.rotate_key(device_id, given), "has a new key")


@app.command("list")
def list_(ctx: typer.Context, directory: Dir = _DIR) -> None:
    """List the devices."""
    with open_inventory(directory) as inventory:
        devices = inventory.list()
    running = Directory(directory).running()
    width = max((len(device.id) for device in devices), default=0)
    lines = [f"{device.id:<{width}}  {_state(device, running)}" for device in devices]
    emit(ctx, {"devices": [_document(device, running) for device in devices]}, lines or ["no devices"])


@app.command()
def show(ctx: typer.Context, device_id: Id, directory: Dir = _DIR) -> None:
    """Show a device: whether it is attached, and why it was last turned away."""
    with open_inventory(directory) as inventory:
        device = inventory.show(device_id)
    running = Directory(directory).running()
    lines = [f"{device.id}: {_state(device, running)}"]
    for label, at_s, detail in (
        ("added", device.created_at_s, None),
        ("key set", device.key_changed_at_s, None),
        ("last attached", device.attached_at_s, device.endpoint and f"from {device.endpoint}"),
        ("last lost", device.lost_at_s, None),
        ("last refusal", device.refused_at_s, device.refusal),
    ):
        if at_s is not None:
            lines.append(f"  {label}: {_time(at_s)}{f', {detail}' if detail else ''}")
    emit(ctx, _document(device, running), lines)


@app.command()
def enable(ctx: typer.Context, device_id: Id, directory: Dir = _DIR) -> None:
    """Let a device attach again, which a running one does within about a minute."""
    _enable(ctx, device_id, directory, True)


@app.command()
def disable(ctx: typer.Context, device_id: Id, directory: Dir = _DIR) -> None:
    """Let a device attach no longer; an attachment ends within about a second."""
    _enable(ctx, device_id, directory, False)


@app.command()
def remove(ctx: typer.Context, device_id: Id, directory: Dir = _DIR) -> None:
    """Forget a device and its key."""
    with open_inventory(directory) as inventory:
        inventory.remove(device_id)
    emit(ctx, {"id": device_id, "removed": True}, [f"device {device_id} removed"])


def _enable(ctx: typer.Context, device_id: str, directory: Path, enabled: bool) -> None:
    with open_inventory(directory) as inventory:
        inventory.set_enabled(device_id, enabled)
    emit(ctx, {"id": device_id, "enabled": enabled}, [f"device {device_id} {'enabled' if enabled else 'disabled'}"])


@contextlib.contextmanager
def open_inventory(root: Path) -> Iterator[Inventory]:
    """The devices of the basestation in this directory. Raises ConfigError, StorageError."""
    directory = Directory(root)
    directory.check()
    inventory = Inventory(directory.database, directory.sealer())
    try:
        yield inventory
    finally:
        inventory.close()


def _show_key(ctx: typer.Context, device_id: str, key: bytes, what: str) -> None:
    lines = [f"device {device_id} {what}", f"key {key.hex()}", "put it into the device now: it is not shown again"]
    emit(ctx, {"id": device_id, "key": key.hex()}, lines)


def _document(device: Device, running: bool) -> dict[str, Any]:
    return {**dataclasses.asdict(device), "attached": device.attached and device.enabled and running}


def _state(device: Device, running: bool) -> str:
    if not device.enabled:
        return "disabled"
    if device.attached and device.attached_at_s is not None:
        since = f"since {_time(device.attached_at_s)}"
        way = " over TCP" if (device.endpoint or "").startswith(f"{TCP} ") else ""
        return f"attached{way} {since}{'' if running else ', until the basestation stopped'}"
    if device.attached_at_s is None and device.refusal is None:
        return "never seen"
    return f"not attached; last refusal: {device.refusal}" if device.refusal else "not attached"


def _time(at_s: int) -> str:
    return f"{datetime.datetime.fromtimestamp(at_s, datetime.UTC):%Y-%m-%d %H:%M:%S} UTC"
