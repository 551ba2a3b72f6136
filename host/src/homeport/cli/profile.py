"""`homeport profile`: the identities of this client."""

from __future__ import annotations

from typing import Annotated

import typer

from homeport.cli.context import ask_password, settings_of
from homeport.cli.output import emit
from homeport.client.profile import (
    MIN_KEY_BITS,
    Profile,
    ProfileSummary,
    check_name,
    describe_profile,
    list_profiles,
    remove_profile,
)
from homeport.fingerprint import format_fingerprint

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Identities of this client.")

Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the profile.")]


@app.command()
def create(
    ctx: typer.Context,
    name: Name,
    no_password: Annotated[bool, typer.Option("--no-password", help="Keep the private key unencrypted.")] = False,
    basestation: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="The basestation's gate (port 5568 unless given).")
    ] = None,
    pin: Annotated[
        str | None,
        typer.Option(metavar="FINGERPRINT", help="The gate's fingerprint, as 'homeport basestation init' prints it."),
    ] = None,
    key_bits: Annotated[int, typer.Option(help="Size of the RSA key.")] = MIN_KEY_BITS,
) -> None:
    """Create a profile: an RSA key and a self-signed certificate.

    With --require-end-to-end it is required of all connections of this profile.
    """
    check_name(name)
    password = None if no_password else ask_password(f"Password for profile {name}: ", confirm=True)
    settings = settings_of(ctx)
    home = settings.home
    Profile.create(home, name, password, basestation, pin, key_bits, settings.require_end_to_end)
    summary = describe_profile(home, name)
    emit(ctx, _document(summary), [f"created profile {name}", *_lines(summary)])


@app.command()
def show(ctx: typer.Context, name: Name) -> None:
    """Show a profile: its fingerprint and its basestation."""
    summary = describe_profile(settings_of(ctx).home, name)
    emit(ctx, _document(summary), _lines(summary))


@app.command("list")
def list_(ctx: typer.Context) -> None:
    """List the profiles."""
    home = settings_of(ctx).home
    summaries = [describe_profile(home, name) for name in list_profiles(home)]
    lines = [f"{item.name:<20} {format_fingerprint(item.fingerprint)}" for item in summaries]
    emit(ctx, {"profiles": [_document(item) for item in summaries]}, lines or [f"no profiles in {home}"])


@app.command()
def remove(
    ctx: typer.Context,
    name: Name,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Delete a profile and its private key, for good."""
    if not yes:
        typer.confirm(f"Delete profile {name} and its private key for good?", abort=True, err=True)
    remove_profile(settings_of(ctx).home, name)
    emit(ctx, {"removed": name}, [f"removed profile {name}"])


def _document(summary: ProfileSummary) -> dict[str, object]:
    return {
        "name": summary.name,
        "fingerprint": format_fingerprint(summary.fingerprint),
        "basestation": summary.settings.basestation,
        "pin": format_fingerprint(summary.settings.pin) if summary.settings.pin else None,
        "encrypted": summary.encrypted,
        "require_end_to_end": summary.settings.require_end_to_end,
        "end_to_end_keys": summary.keyed_devices,
    }


def _lines(summary: ProfileSummary) -> list[str]:
    settings = summary.settings
    return [
        f"fingerprint  {format_fingerprint(summary.fingerprint)}",
        f"basestation  {settings.basestation or '(none)'}",
        f"pin          {format_fingerprint(settings.pin) if settings.pin else '(none)'}",
        f"private key  {'encrypted' if summary.encrypted else 'not encrypted'}",
        f"end-to-end   {'required of all connections' if settings.require_end_to_end else 'where there is a key'}",
        f"keys         {', '.join(summary.keyed_devices) or '(none)'}",
    ]
