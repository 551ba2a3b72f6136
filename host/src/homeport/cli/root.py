"""The root command: global options anywhere on the line, and every error as one line and an exit code."""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from collections.abc import Sequence
from typing import Any, ClassVar, NoReturn

import typer
import typer.main
from typer.core import TyperGroup

from homeport.cli.output import MAX_TEXT_LEN, ExitCode, print_error, report_error
from homeport.errors import HomeportError
from homeport.wire import printable

_FLAGS = ("--json", "--require-end-to-end")
_OPTIONS = ("--home", "--profile")
TRACEBACK_VARIABLE = "HOMEPORT_TRACEBACK"

# Typer does not export the class of its usage errors; it is the parent of the one that it exports.
_UsageError: Any = typer.BadParameter.__mro__[1]


def hoist(args: Sequence[str], flags: tuple[str, ...], options: tuple[str, ...]) -> list[str]:
    """Move a group's options, `flags` and those with a value, to the front, where the group takes them.

    So `call D q --json` means the same as `--json call D q`. What follows `--` stays where it is.
    """
    front: list[str] = []
    rest: list[str] = []
    pending = list(args)
    while pending:
        arg = pending.pop(0)
        if arg == "--":
            rest += [arg, *pending]
            break
        if arg in flags or arg.startswith(tuple(f"{name}=" for name in options)):
            front.append(arg)
        elif arg in options:
            front += [arg, *pending[:1]]
            del pending[:1]
        else:
            rest.append(arg)
    return front + rest


class RootGroup(TyperGroup):
    """The group of all commands; `deferred` ones (name: module with an `app`) are imported when they are asked for."""

    deferred: ClassVar[dict[str, str]] = {}

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names of all commands, in the order in which the help shows them."""
        return [*super().list_commands(ctx), *(name for name in self.deferred if name not in self.commands)]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return the command of this name, or None."""
        if cmd_name in self.deferred and cmd_name not in self.commands:
            command = typer.main.get_command(importlib.import_module(self.deferred[cmd_name]).app)
            self.add_command(command, cmd_name)
            command.name = cmd_name
        return super().get_command(ctx, cmd_name)

    def main(self, args: Sequence[str] | None = None, *rest: Any, **extra: Any) -> NoReturn:
        """Run the command line `args` (default: of this process) and leave with its exit code."""
        line = hoist(sys.argv[1:] if args is None else args, _FLAGS, _OPTIONS)
        extra["standalone_mode"] = False  # errors come here, not to typer's own printer
        sys.exit(self._run(line, rest, extra))

    def _run(self, line: list[str], rest: tuple[Any, ...], extra: dict[str, Any]) -> int:
        as_json = "--json" in line
        try:
            result = super().main(line, *rest, **extra)
        except HomeportError as error:
            return report_error(error, as_json)
        except _UsageError as error:
            return _report_usage(error, as_json)
        except OSError as error:
            return report_error(HomeportError(str(error)), as_json)
        except (KeyboardInterrupt, typer.Abort):
            print_error({"error": "Interrupted", "reason": "interrupted"}, as_json)
            return ExitCode.INTERRUPTED
        except Exception as error:
            if os.environ.get(TRACEBACK_VARIABLE):
                raise
            return _report_bug(error, as_json)
        return result if isinstance(result, int) else ExitCode.DONE


def _report_bug(error: Exception, as_json: bool) -> int:
    where = traceback.extract_tb(error.__traceback__)[-1]
    document = {
        "error": type(error).__name__,
        "reason": printable(f"unexpected {type(error).__name__} in {where.name}: {error}", MAX_TEXT_LEN),
        "next_step": f"please report it, with what {TRACEBACK_VARIABLE}=1 shows",
        "exit_code": int(ExitCode.UNEXPECTED),
    }
    print_error(document, as_json)
    return ExitCode.UNEXPECTED


def _report_usage(error: Any, as_json: bool) -> int:
    message = error.format_message()
    if message.startswith("Usage: "):  # a group without a command: the message is the help text
        print(message, file=sys.stderr)
        return ExitCode.USAGE
    command = error.ctx.command_path if error.ctx is not None else "homeport"
    document = {
        "error": "UsageError",
        "reason": printable(message.rstrip("."), MAX_TEXT_LEN),
        "next_step": f"see '{command} --help'",
        "exit_code": int(ExitCode.USAGE),
    }
    print_error(document, as_json)
    return ExitCode.USAGE
