"""What `homeport provision` and its relatives work on: a board at a serial port, or an image of its flash."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import typer

from homeport.boards.descriptors import load_board
from homeport.boards.serial_port import choose_port
from homeport.cli.context import settings_of
from homeport.cli.output import ExitCode, print_error, progress
from homeport.errors import BoardError, ConfigError
from homeport.provisioning.board import Facts, SerialTarget, check_board
from homeport.provisioning.image import ImageTarget, open_image
from homeport.provisioning.label import TERMINAL, Label, as_text, write_label
from homeport.provisioning.serial_line import open_line

_INTERRUPTED = "interrupted: each record of the board is the old or the new one; run the command again, with --replace"
_LIFE_S = 20.0  # until a device says what it is; joining a network takes a while

Id = Annotated[str, typer.Argument(metavar="DEVICE", help="The device's id, which is also its name in DNS.")]
Port = Annotated[str | None, typer.Option(metavar="PORT", help="The board's serial port; default: the only one.")]
ImageFile = Annotated[Path | None, typer.Option(metavar="FILE", help="In place of a board: what 'make firmware' made.")]
BoardName = Annotated[str | None, typer.Option(metavar="BOARD", help="Refuse a board, or an image, of another kind.")]
LabelFiles = Annotated[
    list[str] | None, typer.Option("--label", metavar="FILE", help="Write a label: .svg, .png, or '-': the terminal.")
]
LabelSecretFile = Annotated[Path | None, typer.Option(metavar="FILE", help="The label's secret, in a file.")]
Name = Annotated[str | None, typer.Option(metavar="TEXT", help="What people see; at most 49 octets.")]
Replace = Annotated[bool, typer.Option("--replace", help="Replace what is there already: secrets, settings, files.")]

Target = SerialTarget | ImageTarget


def check_target(port: str | None, image: Path | None) -> None:
    """Raise ConfigError when there is nothing at `port`, before somebody is asked for secrets."""
    if image is None:
        choose_port(port)
    elif port is not None:
        raise ConfigError("either --port or --image")


@contextlib.contextmanager
def open_target(ctx: typer.Context, port: str | None, image: Path | None, board: str | None) -> Iterator[Target]:
    """What is to be provisioned; after an error a board goes on as it was. Raises ConfigError."""
    check_target(port, image)
    if image is not None:
        yield open_image(image, board)
        return
    target = SerialTarget(lambda: open_line(port))
    try:
        yield target
    except KeyboardInterrupt:
        target.abandon()
        print_error({"error": "Interrupted", "reason": _INTERRUPTED}, settings_of(ctx).json)
        raise typer.Exit(ExitCode.INTERRUPTED) from None
    except BaseException:
        target.abandon()
        raise
    finally:
        target.close()


def find_out(ctx: typer.Context, target: Target, board: str | None) -> Facts:
    """What it is; ConfigError when it is another board than `board`."""
    facts = target.open()
    progress(ctx, f"found {facts}")
    if board is not None:
        check_board(facts, load_board(board))
    return facts


def begin_life(ctx: typer.Context, target: Target) -> str | None:
    """Start a board again; what it says that it is. All is written: whatever happens now, what was drawn for the board
    still has to be told."""
    if isinstance(target, ImageTarget):
        return None
    try:
        progress(ctx, "the board starts again")
        return target.restart(_LIFE_S)
    except BoardError as error:
        progress(ctx, f"{error}: what was written stays")
    except KeyboardInterrupt:
        progress(ctx, "not waited for")
    return None


def write_labels(ctx: typer.Context, shown: Label, paths: Sequence[str]) -> None:
    """Write a label to files, or show it. Raises ConfigError, StorageError."""
    for path in paths:
        if path != TERMINAL:
            write_label(shown, path)
            progress(ctx, f"label written to {path}")
        elif not settings_of(ctx).json:
            typer.echo(as_text(shown))
