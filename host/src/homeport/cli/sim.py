"""`homeport sim` runs an example device, `homeport interface` prints its query file."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer
from homeport_core.spec import PORT_LOCAL

from homeport.cli import firmware
from homeport.cli.context import LABEL_VARIABLE
from homeport.cli.firmware import Runtime
from homeport.cli.output import emit
from homeport.cli.sim_board import run_board
from homeport.client.queries.interface import Interface
from homeport.errors import ConfigError
from homeport.files import make_private_directory
from homeport.wire import printable

_INTERFACE_TIMEOUT_S = 20

App = Annotated[str, typer.Argument(metavar="APP", help="An example of firmware/examples, such as heat_pump.")]
RuntimeOption = Annotated[
    Runtime | None, typer.Option("--runtime", help="Default: MicroPython, or CPython where it is not installed.")
]


def sim(
    app: App,
    device_id: Annotated[str | None, typer.Option("--id", metavar="ID", help="The device's id.")] = None,
    key: Annotated[
        str | None,
        typer.Option(
            metavar="HEX", envvar=firmware.KEY_VARIABLE, help="Its key: 32 hex digits, as 'homeport device add' prints."
        ),
    ] = None,
    board: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Simulate a board whose flash, pins and networks are in DIR; its records say who it is, so the other "
            "options but --local-port and --runtime do not apply. It starts again when it resets.",
        ),
    ] = None,
    controller: Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT", help="The basestation's controller; default: what DNS says for the id."),
    ] = None,
    local_port: Annotated[
        int | None, typer.Option(metavar="N", min=1, max=65535, help="UDP port on the local network; default 5570.")
    ] = None,
    state: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where the device keeps its state; default var/devices/ID.")
    ] = None,
    label_secret: Annotated[
        str | None,
        typer.Option(metavar="HEX", envvar=LABEL_VARIABLE, help="The secret on its label, for pairing: 32 hex digits."),
    ] = None,
    runtime: RuntimeOption = None,
    options: Annotated[
        list[str] | None, typer.Argument(metavar="[-- OPTION…]", help="More options of the firmware; see -- --help.")
    ] = None,
) -> None:
    """Run an example device, until it is interrupted."""
    if board is not None:
        chosen = _chosen(runtime)
        make_private_directory(board)
        where = ["--board", str(board), *(["--local-port", str(local_port)] if local_port else [])]
        command = firmware.command(app, chosen, [*where, *(options or [])])
        raise typer.Exit(run_board(command, os.environ | firmware.runtime_environment(chosen)))
    if device_id is None or key is None:
        raise ConfigError("a simulated device needs --id and --key; a simulated board needs --board")
    directory = (state or Path("var") / "devices" / device_id).absolute()
    device = firmware.Device(device_id, key, directory, controller, local_port or PORT_LOCAL, label_secret or None)
    chosen = _chosen(runtime)
    command = firmware.command(app, chosen, [*device.arguments(), *(options or [])])
    make_private_directory(directory)
    # The device takes this process's place, so that signals and the exit code are its own.
    os.execve(command[0], command, os.environ | firmware.runtime_environment(chosen) | device.environment())


def interface(ctx: typer.Context, app: App, runtime: RuntimeOption = None) -> None:
    """Print an example's query file (unabto_queries.xml), for 'homeport call --interface'."""
    chosen = _chosen(runtime)
    environment = os.environ | firmware.runtime_environment(chosen)
    command = firmware.command(app, chosen, ["--interface"])
    try:
        done = subprocess.run(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_INTERFACE_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ConfigError(f"cannot run {app}: {error}") from error
    if done.returncode != 0:
        last_line = done.stderr.decode("utf-8", "replace").strip().rpartition("\n")[2]
        raise ConfigError(f"{app} does not print its interface: {printable(last_line, 200)}")
    Interface.parse(done.stdout)
    xml = done.stdout.decode()
    emit(ctx, {"app": app, "xml": xml}, [xml.rstrip("\n")])


def _chosen(wanted: Runtime | None) -> Runtime:
    runtime = firmware.choose_runtime(wanted)
    if wanted is None and runtime is Runtime.CPYTHON:
        print("MicroPython is not installed here: running on CPython", file=sys.stderr)
    return runtime
