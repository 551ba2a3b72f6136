"""How commands answer: text for people, one JSON object for scripts; errors as one line and an exit code.

Whatever came from a peer is made printable and cut before it reaches the terminal (design, section 6, rule 7).
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from enum import IntEnum
from typing import Any

import typer

from homeport.cli.context import settings_of
from homeport.errors import (
    BoardError,
    ConfigError,
    ConnectFailed,
    DeviceOffline,
    GateError,
    HomeportError,
    NotEndToEnd,
    NotPaired,
    RefusedError,
    StorageError,
    StreamError,
    Timeout,
)
from homeport.wire import printable

MAX_TEXT_LEN = 400  # of one line


class ExitCode(IntEnum):
    """What a script can tell from the exit code; shown by `homeport --help`."""

    DONE = 0
    UNEXPECTED = 1
    USAGE = 2
    CONFIG = 3
    UNREACHABLE = 4
    REFUSED = 5
    BASESTATION = 6
    TIMEOUT = 7
    INTERRUPTED = 130


EXIT_CODE_HELP = (
    "Exit codes: 0 done; 1 unexpected failure; 2 wrong usage; 3 profile, file, port or setting not usable; "
    "4 device or board not found, offline or not reachable; 5 refused by the device or not paired; "
    "6 basestation not reachable or not the pinned one; 7 no answer in time; 130 interrupted."
)

# The exit code of an error, and what to try next where the reason alone does not say it.
_MEANINGS: tuple[tuple[type[HomeportError], ExitCode, str | None], ...] = (
    (DeviceOffline, ExitCode.UNREACHABLE, "is it switched on, and has its owner left remote access on?"),
    (ConnectFailed, ExitCode.UNREACHABLE, "'homeport discover' shows what answers on this network"),
    (GateError, ExitCode.BASESTATION, "'homeport profile show NAME' shows the address and pin in use"),
    (BoardError, ExitCode.UNREACHABLE, None),
    (NotPaired, ExitCode.REFUSED, "'homeport pair DEVICE' on its own network, or ask its owner for access"),
    (NotEndToEnd, ExitCode.REFUSED, None),
    (RefusedError, ExitCode.REFUSED, None),
    (StreamError, ExitCode.REFUSED, None),
    (Timeout, ExitCode.TIMEOUT, "try again, or give more time with --timeout"),
    (ConfigError, ExitCode.CONFIG, None),
    (StorageError, ExitCode.CONFIG, None),
)


def emit(ctx: typer.Context, document: dict[str, Any], lines: Iterable[str]) -> None:
    """Print the result: `document` as one JSON object with --json, else `lines` for people."""
    if settings_of(ctx).json:
        typer.echo(json.dumps(document))
        return
    for line in lines:
        typer.echo(line)


def progress(ctx: typer.Context, line: str) -> None:
    """Tell a person what is going on, on stderr; nothing with --json."""
    if not settings_of(ctx).json:
        typer.echo(line, err=True)


def value_lines(values: dict[str, Any], indent: str = "") -> list[str]:
    """Return decoded parameters as aligned lines; lists are indented below their name."""
    width = max((len(name) for name in values), default=0)
    lines = []
    for name, value in values.items():
        if isinstance(value, list):
            lines.append(f"{indent}{printable(name)}: {len(value)}")
            for element in value:
                lines += value_lines(element, indent + "  - ")
        else:
            lines.append(f"{indent}{printable(name):<{width}}  {printable(str(value), MAX_TEXT_LEN)}")
    return lines


def report_error(error: HomeportError, as_json: bool) -> ExitCode:
    """Print an error as one line (or one JSON object) on stderr and return its exit code."""
    code, next_step = ExitCode.UNEXPECTED, None
    for kind, code_of_kind, step in _MEANINGS:
        if isinstance(error, kind):
            code, next_step = code_of_kind, step
            break
    document: dict[str, Any] = {
        "error": type(error).__name__,
        "reason": printable(str(error), MAX_TEXT_LEN),
        "next_step": getattr(error, "next_step", None) or next_step,
        "exit_code": int(code),
    }
    for name in ("code", "event", "cause", "attempts"):
        if hasattr(error, name):
            document[name] = getattr(error, name)
    print_error(document, as_json)
    return code


def print_error(document: dict[str, Any], as_json: bool) -> None:
    """Print what went wrong on stderr; `reason` and, if there is one, `next_step` make the line for people."""
    if as_json:
        line = json.dumps(document)
    else:
        next_step = document.get("next_step")
        line = f"error: {document['reason']}" + (f"; {next_step}" if next_step else "")
    print(line, file=sys.stderr)
