"""`basestation.toml`: which addresses the basestation listens on, and under which name it is reached."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from homeport.errors import ConfigError
from homeport.files import read_bounded
from homeport.wire import Address, parse_address

_FILE_MAX = 64 * 1024
_PUBLIC_MAX = 253  # a DNS name
_IPV4_ONLY = ("controller", "gsp")

TEMPLATE = """\
# Homeport basestation. Every line shows its default; remove the '#' to change it.

# The IPv4 address, or a name that resolves to it, under which devices and clients reach this machine. Needed when it
# is behind a NAT or in a container. Default: the address that each of them has reached.
#public = "basestation.example.org"

#controller = "0.0.0.0:5566"   # UDP, where devices ask first
#gsp = "0.0.0.0:5565"          # UDP, session server: registration and relay
#gateway = "0.0.0.0:5566"      # TCP, for devices whose UDP is blocked; default: the controller's address and number
#gate = "0.0.0.0:5568"         # TCP, where clients ask for devices; "[::]:5568" for IPv6 and IPv4
#admin = "127.0.0.1:5580"      # TCP, /metrics and /healthz; has no log-in, keep it private
"""


@dataclass(frozen=True, slots=True)
class Config:
    """Settings of a basestation. Addresses are (host, port) to listen on; port 0: any free one."""

    controller: Address = ("0.0.0.0", 5566)
    gsp: Address = ("0.0.0.0", 5565)
    gateway: Address | None = None
    gate: Address = ("0.0.0.0", 5568)
    admin: Address = ("127.0.0.1", 5580)
    public: str | None = None

    @property
    def gateway_or_default(self) -> Address:
        """Where the gateway listens: devices without UDP look for it at the controller's address and port number."""
        return self.gateway or self.controller

    def override(self, options: Mapping[str, str | None]) -> Config:
        """Return these settings with `options` (texts, None: as it is) in their place; raise ConfigError."""
        given = {name: text for name, text in options.items() if text is not None}
        return replace(self, **{name: _setting(name, text) for name, text in given.items()})


_NAMES = [field.name for field in fields(Config)]


def load_config(path: Path) -> Config:
    """Read a `basestation.toml`; raise StorageError (unreadable) or ConfigError (wrong, naming the setting)."""
    try:
        document = tomllib.loads(read_bounded(path, _FILE_MAX).decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not TOML: {error}") from None
    values = {}
    for name, value in document.items():
        if name not in _NAMES:
            close = difflib.get_close_matches(name, _NAMES, n=1)
            hint = f"did you mean '{close[0]}'?" if close else f"known are {', '.join(_NAMES)}"
            raise ConfigError(f"{path}: unknown setting '{name}'; {hint}")
        try:
            values[name] = _setting(name, value)
        except ConfigError as error:
            raise ConfigError(f"{path}: {error}") from None
    return Config(**values)


def _setting(name: str, value: Any) -> Any:
    if name == "public":
        if type(value) is not str or not 0 < len(value) <= _PUBLIC_MAX or ":" in value or not value.isprintable():
            raise ConfigError("public: expected an IPv4 address or a DNS name, without a port")
        return value
    try:
        if type(value) is not str:
            raise ValueError(f"{value!r} is not text")
        host, port = parse_address(value)
        if name in _IPV4_ONLY and ":" in host:
            raise ValueError(f"{host} is IPv6, and the devices' protocol is IPv4")
        return host, port
    except ValueError as error:
        raise ConfigError(f'{name}: {error}; expected for example "0.0.0.0:5566"') from None
