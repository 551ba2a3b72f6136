"""What `homeport provision` and its relatives work on: a board at a serial port, or an image of its flash."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import typer

from homeport.boards.descriptors import load_board
from homeport.cli.context import settings_of
from homeport.cli.output import progress
from homeport.errors import ConfigError
from homeport.provisioning.board import Facts, SerialTarget
from homeport.provisioning.image import ImageTarget, open_image
from homeport.provisioning.label import TERMINAL, Label, as_text, write_label
from homeport.provisioning.serial_line import open_line

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


@contextlib.contextmanager
def open_target(port: str | None, image: Path | None, board: str | None) -> Iterator[Target]:
    """What is to be provisioned; after an error a board goes on as it was."""
    if image is not None:
        if port is not None:
            raise ConfigError("either --port or --image")
        yield open_image(image, board)
        return
    target = SerialTarget(lambda: open_line(port))
    try:
        yield target
    except BaseException:
        target.abandon()
        raise
    finally:
        target.close()


def find_out(ctx: typer.Context, target: Target, board: str | None) -> Facts:
    """What it is; ConfigError when it is of another platform than `board`."""
    facts = target.open()
    progress(ctx, f"found {facts}")
    if board is not None and load_board(board).platform != facts.platform:
        raise ConfigError(f"this is a board of platform {facts.platform}, not a {board}: nothing was written")
    return facts


def begin_life(ctx: typer.Context, target: Target) -> str | None:
    """Start a board again; what it says that it is."""
    if isinstance(target, ImageTarget):
        return None
    progress(ctx, "the board starts again")
    return target.restart(_LIFE_S)


def write_labels(ctx: typer.Context, shown: Label, paths: Sequence[str]) -> None:
    """Write a label to files, or show it. Raises ConfigError, StorageError."""
    for path in paths:
        if path != TERMINAL:
            write_label(shown, path)
            progress(ctx, f"label written to {path}")
        elif not settings_of(ctx).json:
            typer.echo(as_text(shown))
