"""What every command knows: where the client's state is, which profile, and how to answer."""

from __future__ import annotations

import getpass
import os
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path

import typer

from homeport.client.home import client_home
from homeport.client.keys import Psk
from homeport.client.profile import Profile, list_profiles
from homeport.errors import ConfigError
from homeport.files import read_bounded

PASSWORD_VARIABLE = "HOMEPORT_PASSWORD"
PROFILE_VARIABLE = "HOMEPORT_PROFILE"
LABEL_VARIABLE = "HOMEPORT_LABEL_SECRET"
_SECRET_FILE_MAX_LEN = 256


@dataclass
class Settings:
    """The global options of one invocation."""

    home: Path = field(default_factory=client_home)
    profile: str | None = None
    json: bool = False
    require_end_to_end: bool = False

    def profile_name(self) -> str:
        """Return the profile to use: the one chosen, else the only one there is; raise ConfigError."""
        chosen = self.profile or os.environ.get(PROFILE_VARIABLE)
        if chosen:
            return chosen
        names = list_profiles(self.home)
        if not names:
            raise ConfigError(f"no profile in {self.home}: create one with 'homeport profile create NAME'")
        if len(names) > 1:
            raise ConfigError(f"several profiles ({', '.join(names[:10])}): choose one with --profile NAME")
        return names[0]

    def open_profile(self) -> Profile:
        """Open the profile to use, asking for its password if it has one; raise ConfigError or StorageError."""
        name = self.profile_name()
        profile = Profile.load(self.home, name, lambda: ask_password(f"Password of profile {name}: "))
        return replace(profile, require_end_to_end=True) if self.require_end_to_end else profile


def settings_of(ctx: typer.Context) -> Settings:
    """Return the global options of the invocation that `ctx` belongs to."""
    settings = ctx.find_root().obj
    return settings if isinstance(settings, Settings) else Settings()


def ask_password(prompt: str, confirm: bool = False) -> str:
    """Return the password from $HOMEPORT_PASSWORD or the terminal; raise ConfigError when there is neither."""
    from_environment = os.environ.get(PASSWORD_VARIABLE)
    if from_environment:
        return from_environment
    if not sys.stdin.isatty():
        raise ConfigError(f"a password is needed: run in a terminal, or set {PASSWORD_VARIABLE}")
    password = getpass.getpass(prompt)
    if confirm and getpass.getpass("The same again: ") != password:
        raise ConfigError("the two passwords differ: nothing was created")
    return password


def ask_label_secret(file: Path | None = None, device_id: str | None = None) -> Psk:
    """Return the secret on a device's label: from `file`, else from $HOMEPORT_LABEL_SECRET or the terminal.

    It may be typed, or the whole text that a camera read, which has to be of `device_id`. Raises ConfigError,
    StorageError.
    """
    if file is not None:
        return Psk.of_label(read_bounded(file, _SECRET_FILE_MAX_LEN).decode("ascii", "replace"), device_id)
    text = os.environ.get(LABEL_VARIABLE)
    if not text:
        if not sys.stdin.isatty():
            raise ConfigError(f"the label's secret is needed: run in a terminal, or set {LABEL_VARIABLE}")
        text = getpass.getpass("Secret on the device's label: ")
    return Psk.of_label(text, device_id)
