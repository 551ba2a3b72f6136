"""The example firmware, as a command line and an environment for a process of its own.

The key travels in the environment, never in the argument list, which every user of the machine can read.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from homeport_core.spec import PORT_CONTROLLER, PORT_LOCAL, PSK_LEN

from homeport.cli.context import LABEL_VARIABLE
from homeport.client.home import check_device_id
from homeport.client.keys import Psk
from homeport.client.profile import split_address
from homeport.errors import ConfigError

KEY_VARIABLE = "HOMEPORT_DEVICE_KEY"

_EXAMPLES_PACKAGE = "homeport_examples"


class Runtime(StrEnum):
    """What runs the firmware."""

    MICROPYTHON = "micropython"
    CPYTHON = "cpython"


@dataclass(frozen=True)
class Device:
    """One device to run. Raises ConfigError for an id, key or address that cannot be."""

    device_id: str
    key: str
    state: Path
    controller: str | None = None
    local_port: int = PORT_LOCAL
    label_secret: str | None = None

    def __post_init__(self) -> None:
        check_device_id(self.device_id)
        if not re.fullmatch(rf"[0-9a-fA-F]{{{2 * PSK_LEN}}}", self.key):
            raise ConfigError(f"not a device key: expected {2 * PSK_LEN} hex digits, got {len(self.key)} characters")
        if self.label_secret is not None:
            Psk.of_label(self.label_secret)
        if self.controller is not None:
            host, _ = split_address(self.controller, PORT_CONTROLLER)
            if ":" in host:
                raise ConfigError(f"--controller: {host} is IPv6; devices speak IPv4")

    def arguments(self) -> list[str]:
        """Return the options by which the firmware is configured."""
        options = ["--id", self.device_id.lower(), "--local-port", str(self.local_port), "--state", str(self.state)]
        if self.controller is not None:
            host, port = split_address(self.controller, PORT_CONTROLLER)
            options += ["--controller", f"{host}:{port}"]
        return options

    def environment(self) -> dict[str, str]:
        """Return the environment variables by which it gets its secrets."""
        label = {} if self.label_secret is None else {LABEL_VARIABLE: self.label_secret}
        return {KEY_VARIABLE: self.key} | label


def examples() -> list[str]:
    """Return the names of the example applications."""
    return sorted(path.stem for path in _directory().glob("*.py") if not path.stem.startswith("_"))


def choose_runtime(wanted: Runtime | None) -> Runtime:
    """Return the runtime to use: MicroPython where it is installed, unless told otherwise; raise ConfigError."""
    if wanted is Runtime.CPYTHON:
        return wanted
    if _micropython() is not None:
        return Runtime.MICROPYTHON
    if wanted is Runtime.MICROPYTHON:
        raise ConfigError("MicroPython is not installed here: use --runtime cpython")
    return Runtime.CPYTHON


def command(app: str, runtime: Runtime, arguments: Sequence[str] = ()) -> list[str]:
    """Return the command line that runs an example; raise ConfigError when there is no such example or runtime."""
    if app not in examples():
        raise ConfigError(f"no example {app[:40]!r}: there are {', '.join(examples())}")
    program = _micropython() if runtime is Runtime.MICROPYTHON else sys.executable
    if program is None:
        raise ConfigError("MicroPython is not installed here: use --runtime cpython")
    return [program, str(_directory() / f"{app}.py"), *arguments]


def runtime_environment(runtime: Runtime) -> dict[str, str]:
    """Return the variables that let the runtime find the firmware's packages."""
    if runtime is Runtime.MICROPYTHON:
        # This variable replaces the whole search path, so the frozen modules have to be named too.
        return {"MICROPYPATH": f"{_directory().parent}:.frozen"}
    return {}


def _directory() -> Path:
    """The examples' directory, found without running them: they are not for this process."""
    found = importlib.util.find_spec(_EXAMPLES_PACKAGE)
    if found is None or not found.submodule_search_locations:
        raise ConfigError("the example firmware is not installed here: it comes with homeport-device")
    return Path(found.submodule_search_locations[0])


def _micropython() -> str | None:
    beside = Path(sys.executable).with_name("micropython")
    return str(beside) if os.access(beside, os.X_OK) else shutil.which("micropython")
