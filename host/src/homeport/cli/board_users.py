"""`homeport board-users`: the list of users of a board, or of an image, as a file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from homeport_core.record import FACTORY, USERS

from homeport.cli.output import emit
from homeport.cli.provision_target import BoardName, ImageFile, Port, Replace, begin_life, find_out, open_target
from homeport.errors import ConfigError
from homeport.files import write_private
from homeport.provisioning.users import describe_users

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
def board_users(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where the list goes, as the reference keeps it.")],
    port: Port = None,
    image: ImageFile = None,
    board: BoardName = None,
    factory: Annotated[bool, typer.Option("--factory", help="The users after a factory reset.")] = False,
    replace: Replace = False,
) -> None:
    """Export the list of users of a board, or of an image, to a file of version 4; it may hold users' keys."""
    if file.exists() and not replace:
        raise ConfigError(f"{file} is there already: it is not replaced without --replace")
    with open_target(ctx, port, image, board) as target:
        facts = find_out(ctx, target, board)
        payload = target.users(FACTORY if factory else USERS)
        begin_life(ctx, target)
    if payload is None or not describe_users(payload):
        raise ConfigError("there is no list of users in it yet")
    write_private(file, payload)
    count = len(describe_users(payload))
    emit(ctx, {"id": facts.device_id, "users": count, "file": str(file)}, [f"{count} users written to {file}"])
