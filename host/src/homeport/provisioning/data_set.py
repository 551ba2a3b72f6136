"""All that is to be written into a board, made and checked as a whole before anything is written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from homeport_core.provisioning import (
    NUMBERS,
    SWITCHES,
    TEXTS,
    check_config,
    check_id,
    check_secrets,
    check_setting,
    dump,
)
from homeport_core.record import CONFIG, FACTORY, SECRETS, USERS, check_length

from homeport.errors import ConfigError

MISSING = "missing"
DAMAGED = "damaged"

_SWITCH_VALUES = {"on": True, "off": False}


@dataclass(frozen=True)
class DataSet:
    """The payloads of the records to write, by kind; a record that is not there stays as it is on the board."""

    device_id: str
    payloads: dict[str, bytes] = field(repr=False)


@dataclass(frozen=True)
class Identity:
    """Who the device is. `key` is shared with the basestation, `label_secret` with whoever holds the device."""

    key: bytes = field(repr=False)
    label_secret: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Wishes:
    """The settings of a device; what is not given stays the application's own."""

    controllers: Sequence[str] = ()
    name: str | None = None
    networks: Sequence[tuple[str, str]] = field(default=(), repr=False)
    master_switch: bool | None = None
    settings: Sequence[str] = ()  # NAME=VALUE

    def document(self) -> dict[str, object]:
        """As the record `config`. Raises ConfigError for a setting that is none."""
        found: dict[str, object] = {}
        if self.controllers:
            found["controller"] = list(self.controllers)
        if self.name is not None:
            found["name"] = self.name
        if self.networks:
            found["wifi"] = [list(network) for network in self.networks]
        if self.master_switch is not None:
            found["master_switch"] = self.master_switch
        if self.settings:
            found["settings"] = parse_settings(self.settings)
        return found


def assemble(
    device_id: str,
    identity: Identity | None = None,
    wishes: Wishes | None = None,
    users: bytes | None = None,
    factory: bytes | None = None,
) -> DataSet:
    """Check all that is given, and put it into its records. Raises ConfigError that names what is wrong."""
    check_id(device_id)
    payloads: dict[str, bytes] = {}
    if identity is not None:
        secrets: dict[str, object] = {"id": device_id, "key": identity.key.hex()}
        if identity.label_secret is not None:
            secrets["label_secret"] = identity.label_secret.hex()
        check_secrets(secrets)
        payloads[SECRETS] = dump(secrets)
    config = wishes.document() if wishes is not None else {}
    check_config(config)
    if config:
        payloads[CONFIG] = dump(config)
    for kind, payload in ((USERS, users), (FACTORY, factory)):
        if payload is not None:
            payloads[kind] = payload
    for kind, payload in payloads.items():
        check_length(kind, len(payload))
    if not payloads:
        raise ConfigError("there is nothing to write")
    return DataSet(device_id, payloads)


def check_replacement(device_id: str | None, states: Mapping[str, str], data: DataSet, replace: bool) -> None:
    """Raise ConfigError when writing `data` would replace what nobody asked to be replaced. `device_id` and `states`
    (by record) are what is there."""
    if SECRETS not in data.payloads and device_id != data.device_id:
        there = f"it is {device_id}" if device_id else "it has no identity that can be read"
        raise ConfigError(f"this is not {data.device_id}: {there}; give a key instead of --keep-key")
    if replace:
        return
    for kind, what in ((SECRETS, f"the identity of {device_id or 'a device'}"), (CONFIG, "settings")):
        if kind in data.payloads and states[kind] != MISSING:
            raise ConfigError(f"it has {what} already: nothing was written; --replace replaces it")


def parse_settings(texts: Sequence[str]) -> dict[str, object]:
    """`NAME=VALUE` as settings; switches are on or off. Raises ConfigError."""
    found: dict[str, object] = {}
    for text in texts:
        name, separator, value = text.partition("=")
        name = name.replace("-", "_")
        if not separator:
            raise ConfigError(f"a setting is NAME=VALUE, not {text[:60]!r}")
        if name in found:
            raise ConfigError(f"setting {name[:60]} is given twice")
        found[name] = _value(name, value)
        check_setting(name, found[name])
    return found


def _value(name: str, text: str) -> object:
    if name in SWITCHES:
        if text not in _SWITCH_VALUES:
            raise ConfigError(f"setting {name} must be on or off, not {text[:20]!r}")
        return _SWITCH_VALUES[text]
    if name in NUMBERS:
        return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else text
    if name not in TEXTS:
        known = ", ".join(sorted([*SWITCHES, *NUMBERS, *TEXTS]))
        raise ConfigError(f"no such setting: {name[:60]!r}; there are {known}")
    return text
