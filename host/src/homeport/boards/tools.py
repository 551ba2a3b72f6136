"""The tools for boards, which only they need: an extra of the distribution, imported when they are used."""

from __future__ import annotations

import importlib
from typing import Any

from homeport.errors import ConfigError

_PROJECTS = {"littlefs": "littlefs-python", "serial": "pyserial"}


def tool(name: str) -> Any:
    """The module of that name. Raises ConfigError that says how to install it."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name.partition(".")[0]:
            raise
        project = _PROJECTS.get(error.name, error.name)
        raise ConfigError(f"{project} is not installed here: pip install 'homeport[boards]'") from None
