"""`homeport acl DEVICE …`: who may use a device, and how (specification, application 1)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from enum import StrEnum
from typing import Annotated, Any, TypeVar

import typer
from typer.core import TyperGroup

from homeport.cli.calls import user_document
from homeport.cli.connecting import TIMEOUT_S, Path, PathOption, Target, TimeLimit, with_device
from homeport.cli.output import emit
from homeport.cli.root import hoist
from homeport.client.acl import (
    PERMISSION_ADMIN,
    PERMISSION_LOCAL,
    PERMISSION_REMOTE,
    SYSTEM_LOCAL,
    AclSettings,
    User,
)
from homeport.client.device import Device
from homeport.client.pairing import remove_user
from homeport.fingerprint import format_fingerprint, parse_fingerprint

T = TypeVar("T")


class AclGroup(TyperGroup):
    """Takes its options after the command too: `acl DEVICE list --path relay`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        return super().parse_args(ctx, hoist(args, (), ("--path", "--timeout")))


app = typer.Typer(cls=AclGroup, no_args_is_help=True, rich_markup_mode=None, help="Who may use a device, and how.")

Fingerprint = Annotated[
    str, typer.Argument(metavar="FINGERPRINT", help="The user's fingerprint, as 'homeport profile show' prints it.")
]
Local = Annotated[bool, typer.Option("--local", help="Use on the local network.")]
Remote = Annotated[bool, typer.Option("--remote", help="Use through the internet (the default).")]
Admin = Annotated[bool, typer.Option("--admin", help="Management of users and settings.")]


class Switch(StrEnum):
    """A setting's position."""

    ON = "on"
    OFF = "off"


@app.callback()
def chosen_device(
    ctx: typer.Context, device: Target, path: Path = PathOption.AUTO, timeout_s: TimeLimit = TIMEOUT_S
) -> None:
    """Manage who may use DEVICE."""
    ctx.meta["homeport.acl"] = (device, path, timeout_s)


@app.command("list")
def list_(ctx: typer.Context) -> None:
    """List the users."""
    users = _run(ctx, lambda device: device.users())
    emit(ctx, {"users": [user_document(user) for user in users]}, [_line(user) for user in users] or ["no users"])


@app.command()
def add(
    ctx: typer.Context,
    fingerprint: Fingerprint,
    name: Annotated[str, typer.Option(metavar="TEXT", help="What the device calls this user.")] = "",
) -> None:
    """Add a user, with the permissions that newly paired users get."""
    key = parse_fingerprint(fingerprint)
    _show(ctx, _run(ctx, lambda device: device.add_user(key, name)))


@app.command()
def remove(ctx: typer.Context, fingerprint: Fingerprint) -> None:
    """Remove a user."""
    key = parse_fingerprint(fingerprint)
    _run(ctx, lambda device: remove_user(device, key))
    emit(ctx, {"removed": format_fingerprint(key)}, [f"removed {format_fingerprint(key)}"])


@app.command()
def allow(
    ctx: typer.Context, fingerprint: Fingerprint, local: Local = False, remote: Remote = False, admin: Admin = False
) -> None:
    """Give a user more permissions; without an option, remote use."""
    key, bits = parse_fingerprint(fingerprint), _bits(local, remote, admin)
    _show(ctx, _run(ctx, lambda device: device.allow(key, bits)))


@app.command()
def deny(
    ctx: typer.Context, fingerprint: Fingerprint, local: Local = False, remote: Remote = False, admin: Admin = False
) -> None:
    """Take permissions from a user; without an option, remote use."""
    key, bits = parse_fingerprint(fingerprint), _bits(local, remote, admin)
    _show(ctx, _run(ctx, lambda device: device.deny(key, bits)))


@app.command()
def settings(
    ctx: typer.Context,
    pairing: Annotated[Switch | None, typer.Option(help="Open for pairing.")] = None,
    remote: Annotated[Switch | None, typer.Option(help="Use through the internet at all: the master switch.")] = None,
    local: Annotated[Switch | None, typer.Option(help="Use on the local network at all.")] = None,
    new_user_remote: Annotated[Switch | None, typer.Option(help="Remote use for users who pair from now on.")] = None,
) -> None:
    """Show the device's settings, or change those given."""
    changes = {"pairing": pairing, "remote": remote, "local": local, "new_users_remote": new_user_remote}
    given = {name: switch is Switch.ON for name, switch in changes.items() if switch is not None}

    def work(device: Device) -> Awaitable[AclSettings]:
        return device.change_settings(**given) if given else device.settings()

    result = _run(ctx, work)
    document = {
        "pairing": result.pairing,
        "remote": result.remote,
        "local": bool(result.permissions & SYSTEM_LOCAL),
        "new_user_remote": bool(result.default_user_permissions & PERMISSION_REMOTE),
    }
    emit(ctx, document, [f"{name.replace('_', '-'):<16} {'on' if on else 'off'}" for name, on in document.items()])


def _run(ctx: typer.Context, action: Callable[[Device], Awaitable[T]]) -> T:
    device, path, timeout_s = ctx.meta["homeport.acl"]
    return with_device(ctx, device, action, path, timeout_s)[0]


def _bits(local: bool, remote: bool, admin: bool) -> int:
    if not (local or remote or admin):
        remote = True
    return local * PERMISSION_LOCAL | remote * PERMISSION_REMOTE | admin * PERMISSION_ADMIN


def _show(ctx: typer.Context, user: User) -> None:
    emit(ctx, user_document(user), [_line(user)])


def _line(user: User) -> str:
    names = {PERMISSION_LOCAL: "local", PERMISSION_REMOTE: "remote", PERMISSION_ADMIN: "admin"}
    granted = ", ".join(text for bit, text in names.items() if user.permissions & bit) or "nothing"
    document = user_document(user)
    return f"{document['fingerprint']}  {document['name']:<20}  {granted}"
