"""`homeport`: everything from one command."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import homeport
from homeport.cli import acl, calls, events, keys, netcheck, profile, sim, stream, tunnel
from homeport.cli.context import Settings
from homeport.cli.output import EXIT_CODE_HELP
from homeport.cli.root import RootGroup
from homeport.client.home import HOME_VARIABLE, client_home

app = typer.Typer(
    cls=RootGroup,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_completion=False,
    help="Remote access to small devices, hosted by yourself.",
    epilog=EXIT_CODE_HELP,
)
app.add_typer(profile.app, name="profile")
app.add_typer(acl.app, name="acl")
app.add_typer(keys.app, name="key")
app.command()(calls.discover)
app.command()(calls.pair)
app.command()(calls.call)
app.command()(calls.status)
app.command()(events.events)
app.command()(netcheck.netcheck)
app.command()(tunnel.tunnel)
app.command()(stream.stream)
app.command()(sim.sim)
app.command()(sim.interface)
# The database library alone takes longer to import than a call takes.
RootGroup.deferred = {
    "basestation": "homeport.cli.basestation",
    "device": "homeport.cli.device",
    "provision": "homeport.cli.provision",
    "label": "homeport.cli.label",
    "board-users": "homeport.cli.board_users",
    "demo": "homeport.cli.demo",
    "flash": "homeport.cli.flash",
}


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"homeport {homeport.__version__}")
        raise typer.Exit


@app.callback()
def global_options(
    ctx: typer.Context,
    home: Annotated[
        Path | None, typer.Option(metavar="DIR", envvar=HOME_VARIABLE, help="The client's state.", show_default=False)
    ] = None,
    profile_name: Annotated[
        str | None, typer.Option("--profile", metavar="NAME", help="The profile to use, if there are several.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Answer with one JSON object; errors too, on stderr.")] = False,
    require_end_to_end: Annotated[
        bool,
        typer.Option("--require-end-to-end", help="Refuse connections that the basestation, or anybody, could read."),
    ] = False,
    version: Annotated[bool, typer.Option("--version", callback=_show_version, is_eager=True)] = False,
) -> None:
    """Options that every command takes, before or after its name."""
    ctx.obj = Settings(client_home(home), profile_name, json, require_end_to_end)
