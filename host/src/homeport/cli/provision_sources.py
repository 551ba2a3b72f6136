"""Where `homeport provision` gets its secrets and lists from: files, the environment, the terminal. Never arguments."""

from __future__ import annotations

import contextlib
import getpass
import os
import secrets
import sys
from collections.abc import Iterator, Sequence
from enum import StrEnum
from pathlib import Path

from homeport_core.spec import PSK_LEN

from homeport.cli.context import LABEL_VARIABLE, ask_label_secret
from homeport.cli.firmware import KEY_VARIABLE
from homeport.errors import ConfigError, HomeportError
from homeport.files import read_bounded
from homeport.provisioning.users import factory_users, parse_owner, read_users

WIFI_VARIABLE = "HOMEPORT_WIFI_PASSWORD"
_FILE_MAX = 1024


class LabelSecret(StrEnum):
    """Where the secret on a label comes from, when neither a file nor the environment has it."""

    NEW = "new"
    ASK = "ask"
    NONE = "none"


def read_key(file: Path | None, directory: Path | None) -> bytes:
    """The device's key: of a file, the environment or the terminal; a new one for a basestation's directory. Raises
    ConfigError, which does not repeat it; StorageError."""
    if directory is not None:
        if file is not None:
            raise ConfigError("--dir draws a key of its own: leave --key-file away")
        return secrets.token_bytes(PSK_LEN)
    text = _read_text(file) if file is not None else os.environ.get(KEY_VARIABLE) or _ask("The device's key: ", "key")
    try:
        key = bytes.fromhex(text)
    except ValueError:
        key = b""
    if len(key) != PSK_LEN:
        length = len(text.strip())
        raise ConfigError(f"key: expected {2 * PSK_LEN} hex digits, got {length} characters")
    return key


def read_label_secret(wanted: LabelSecret, file: Path | None, device_id: str) -> bytes | None:
    """The secret on the label, None for a device without one. Raises ConfigError, StorageError."""
    if wanted is LabelSecret.NONE:
        return None
    if file is not None or wanted is LabelSecret.ASK or os.environ.get(LABEL_VARIABLE):
        return ask_label_secret(file, device_id).key
    return secrets.token_bytes(PSK_LEN)


def read_networks(ssids: Sequence[str], file: Path | None) -> list[tuple[str, str]]:
    """The Wi-Fi networks with their passwords; an empty password is that of an open network. Raises ConfigError,
    StorageError."""
    from_environment = os.environ.get(WIFI_VARIABLE)
    if file is not None:
        passwords = _read_text(file, strip=False).splitlines()
        if len(passwords) != len(ssids):
            raise ConfigError(f"{file} has {len(passwords)} lines: expected a password for each of {len(ssids)} --wifi")
    elif from_environment is not None and len(ssids) == 1:
        passwords = [from_environment]
    else:
        passwords = [_ask(f"Password of Wi-Fi network {ssid!r} (none: open): ", "Wi-Fi password") for ssid in ssids]
    return list(zip(ssids, passwords, strict=True))


def read_factory_users(texts: Sequence[str]) -> bytes:
    """A list of users out of one file, or of owners by their fingerprints. Raises ConfigError, StorageError."""
    if len(texts) == 1 and Path(texts[0]).is_file():
        return read_users(Path(texts[0]))
    return factory_users([parse_owner(text) for text in texts])


@contextlib.contextmanager
def registered(directory: Path | None, device_id: str, key: bytes | None, replace: bool) -> Iterator[None]:
    """Tell the basestation in `directory` of the device and its key, before the board is written. When that fails the
    error says what stands. Raises ConfigError, StorageError."""
    if directory is None or key is None:
        yield
        return
    # The database library alone takes longer to import than all else here.
    from homeport.cli.device import open_inventory

    with open_inventory(directory) as inventory:
        if replace and any(device.id == device_id for device in inventory.list()):
            inventory.rotate_key(device_id, key)
        else:
            inventory.add(device_id, key)
    try:
        yield
    except (HomeportError, OSError, KeyboardInterrupt) as error:
        reason = str(error) or "interrupted"
        raise ConfigError(
            f"{reason}. The basestation in {directory} knows {device_id} by a key that may not be in the board: "
            "run the command again with --replace"
        ) from error


def _ask(prompt: str, what: str) -> str:
    if not sys.stdin.isatty():
        raise ConfigError(
            f"a {what} is needed: run in a terminal, or give it in a file or the environment (see --help)"
        )
    return getpass.getpass(prompt)


def _read_text(file: Path, strip: bool = True) -> str:
    try:
        text = read_bounded(file, _FILE_MAX).decode()
    except UnicodeError:
        raise ConfigError(f"{file} is not text") from None
    return text.strip() if strip else text
