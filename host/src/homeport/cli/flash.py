"""`homeport flash`: MicroPython and an application onto a board, with nothing erased that was not said before."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from homeport.boards.board import Board
from homeport.boards.descriptors import load_board
from homeport.boards.flashing import Flashing, Wishes
from homeport.boards.image import MICROPYTHON, Image
from homeport.boards.image_folder import load_image
from homeport.boards.plan import Step
from homeport.cli.context import settings_of
from homeport.cli.output import ExitCode, emit, print_error, progress
from homeport.errors import BoardError, ConfigError
from homeport.files import read_bounded

_FIRMWARE_MAX = 64 * 1024 * 1024
_BAUD = 460_800

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
def flash(
    ctx: typer.Context,
    board: Annotated[str, typer.Option(metavar="NAME", help="Such as esp32, esp32_s3, esp32_c3, pico_w, pico2_w.")],
    port: Annotated[
        str | None, typer.Option(metavar="PORT", help="The board's serial port; default: the only one.")
    ] = None,
    drive: Annotated[
        Path | None, typer.Option(metavar="DIR", help="The USB drive of a Pico whose BOOTSEL button was held.")
    ] = None,
    firmware: Annotated[
        Path | None, typer.Option(metavar="FILE", help="MicroPython's own file for the board (.bin, .uf2).")
    ] = None,
    image: Annotated[
        Path | None, typer.Option(metavar="DIR", help="What 'make firmware' made; default: build/firmware/BOARD.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be done; write nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    erase_records: Annotated[
        bool | None,
        typer.Option(
            "--erase-records/--keep-records", help="The device's identity, settings and users; default: keep them."
        ),
    ] = None,
    baud: Annotated[int, typer.Option(metavar="N", min=9600, max=4_000_000, help="Speed for an ESP32.")] = _BAUD,
) -> None:
    """Write MicroPython and an application onto a board, and compare its flash with what was written.

    Everything is checked before anything is erased.
    """
    kind = load_board(board)
    if kind.kind is None:
        raise ConfigError(f"board {board} is not flashed: see boards/{board}/README.md for how it runs the firmware")
    if kind.platform == "esp32" and drive is not None:
        raise ConfigError("--drive is for boards with a USB drive, an ESP32 has a --port")
    if kind.platform == "rp2" and port is not None and firmware is not None:
        raise ConfigError("--firmware goes onto a Pico by its USB drive: hold BOOTSEL, and --drive DIR without --port")
    wishes = Wishes(str(firmware or f"the image's {MICROPYTHON}"), erase_records, dry_run)
    work = Flashing(
        _image(kind, image, firmware),
        wishes,
        ask=lambda steps: _ask(ctx, steps, dry_run, yes),
        note=lambda line: progress(ctx, line),
    )
    try:
        if kind.platform == "esp32":
            work.esp32(port, baud)
        elif port is not None:
            work.files(port)
        else:
            work.drive(drive)
    except KeyboardInterrupt:
        reason = f"interrupted: {work.state()}"
        code = ExitCode.INTERRUPTED
        print_error({"error": "Interrupted", "reason": reason, "exit_code": int(code)}, settings_of(ctx).json)
        raise typer.Exit(code) from None
    except BoardError as error:
        raise BoardError(f"{error}: {work.state()}", next_step=error.next_step) from None
    document = {"board": board, "steps": [step.document() for step in work.steps], "written": work.is_done}
    emit(ctx, document, [] if dry_run else [work.state()])


def _image(board: Board, folder: Path | None, firmware: Path | None) -> Image:
    found = load_image(folder or Path("build/firmware") / board.name, board)
    return found if firmware is None else found.with_part(MICROPYTHON, read_bounded(firmware, _FIRMWARE_MAX))


def _ask(ctx: typer.Context, steps: Sequence[Step], dry_run: bool, yes: bool) -> bool:
    """Show the plan to a person; whether to go on."""
    as_json = settings_of(ctx).json
    for step in () if as_json else steps:
        typer.echo(step.line(), err=not dry_run)
    if dry_run or yes:
        return yes
    if as_json or not sys.stdin.isatty():
        raise ConfigError("there is nobody to ask whether to erase this: --yes says so, --dry-run shows the plan")
    typer.echo("Go on? [y/N] ", nl=False, err=True)  # typer's own question would leave a blank on stdout
    return sys.stdin.readline().strip().lower() in ("y", "yes")
