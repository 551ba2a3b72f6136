"""The client's home directory: profiles, and the interface files of known devices.

HOME/profiles/NAME/          one directory a profile (profile.py)
HOME/interfaces/ID.xml       the query file last used for a device
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import platformdirs

from homeport.client.queries.interface import MAX_XML_LEN, Interface, InterfaceError
from homeport.errors import ConfigError, StorageError
from homeport.files import make_private_directory, read_bounded, write_private

HOME_VARIABLE = "HOMEPORT_HOME"

# Core 2.1, and the id becomes a file name: no separator can be part of it.
_DEVICE_ID = re.compile(r"[a-z0-9.-]{1,40}")


def client_home(chosen: Path | None = None) -> Path:
    """Return the home directory: the one chosen, else $HOMEPORT_HOME, else the platform's place for user data."""
    if chosen is not None:
        return chosen
    from_environment = os.environ.get(HOME_VARIABLE)
    return Path(from_environment) if from_environment else platformdirs.user_data_path("homeport")


def check_device_id(text: str) -> str:
    """Return `text` in lower case if it can be a device id (specification, core 2.1); raise ConfigError."""
    device_id = text.lower()
    if not _DEVICE_ID.fullmatch(device_id):
        raise ConfigError(f"not a device id: {text[:64]!r}; expected 1 to 40 of a-z, 0-9, '-' and '.'", text[:64])
    return device_id


def cached_interface(home: Path, device_id: str) -> Interface | None:
    """Return what the query file kept for this device describes, or None; raise StorageError when it is damaged."""
    path = _interface_path(home, device_id)
    if not path.exists():
        return None
    try:
        return Interface.parse(read_bounded(path, MAX_XML_LEN))
    except InterfaceError as error:
        raise StorageError(f"{path} is damaged ({error}): delete it, or replace it by --interface FILE.xml") from error


def cache_interface(home: Path, device_id: str, xml: bytes) -> None:
    """Keep a query file for later calls to this device."""
    path = _interface_path(home, device_id)
    make_private_directory(path.parent)
    write_private(path, xml)


def _interface_path(home: Path, device_id: str) -> Path:
    return home / "interfaces" / f"{check_device_id(device_id)}.xml"
