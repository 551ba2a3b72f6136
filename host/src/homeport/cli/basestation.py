"""`homeport basestation`: set up a basestation and run it."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Annotated

import typer

from homeport.basestation.config import load_config
from homeport.basestation.directory import Directory
from homeport.cli.context import settings_of
from homeport.cli.output import emit
from homeport.fingerprint import format_fingerprint
from homeport.wire import address_text

app = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, add_completion=False, help="Set up a basestation and run it."
)

Root = Annotated[Path, typer.Argument(metavar="DIR", help="The basestation's directory.")]
Where = Annotated[str | None, typer.Option(metavar="HOST:PORT", help="Listen here instead (port 0: any free one).")]


@app.command()
def init(ctx: typer.Context, directory: Root = Path("var")) -> None:
    """Create a basestation's directory: settings, database, master key, and the gate's key and certificate.

    What exists already is never replaced. Back up master.key and basestation.db together.
    """
    files = Directory(directory)
    created = files.initialise()
    config = load_config(files.settings)
    pin = format_fingerprint(files.pin())
    emit(
        ctx,
        {"directory": str(directory), "created": created, "pin": pin},
        [
            f"basestation {'created' if created else 'exists already'} in {directory}",
            f"pin {pin}",
            f"listens on UDP {address_text(config.controller)} (controller) and {address_text(config.gsp)} (gsp), "
            f"TCP {address_text(config.gateway_or_default)} (gateway) and {address_text(config.gate)} (gate)",
            f"next: homeport device add ID --dir {directory}; homeport basestation run {directory}",
        ],
    )


@app.command()
def run(
    ctx: typer.Context,
    directory: Root = Path("var"),
    controller: Where = None,
    gsp: Where = None,
    gateway: Where = None,
    gate: Where = None,
    admin: Where = None,
    public: Annotated[
        str | None,
        typer.Option(metavar="HOST", help="Address or name under which devices and clients reach this machine."),
    ] = None,
) -> None:
    """Run the basestation until Ctrl-C. Logs to stderr, one JSON object a line.

    Defaults are in DIR/basestation.toml. When everything is open, says on stdout where (with --json: one object).
    """
    from homeport.basestation.log import JsonLog
    from homeport.basestation.server import Ready
    from homeport.basestation.server import run as run_server

    files = Directory(directory)
    files.check()
    config = load_config(files.settings).override(
        {"controller": controller, "gsp": gsp, "gateway": gateway, "gate": gate, "admin": admin, "public": public}
    )
    as_json = settings_of(ctx).json

    def announce(ready: Ready) -> None:
        document = ready.document()
        if as_json:
            typer.echo(json.dumps({"event": "ready", **document}))
        else:
            typer.echo("basestation ready: " + ", ".join(f"{name} {value}" for name, value in document.items()))

    asyncio.run(run_server(files, config, JsonLog(), announce))
