"""What forwards tell whoever watches them, in the order in which it happened."""

from __future__ import annotations

from dataclasses import dataclass

from homeport.client.session.paths import PathKind
from homeport.errors import HomeportError


@dataclass(frozen=True)
class Connected:
    """There is a connection to the device; `again` when there was one before."""

    path: PathKind
    connect_ms: int
    again: bool


@dataclass(frozen=True)
class Moved:
    """The connection goes another way from now on; what runs over it goes on."""

    path: PathKind


@dataclass(frozen=True)
class Lost:
    """The connection is gone, and all TCP connections over it; new ones will connect again."""

    error: HomeportError


@dataclass(frozen=True)
class NotYet:
    """Connecting again did not work; it is tried again in `retry_s` seconds, or when somebody wants it."""

    error: HomeportError
    retry_s: float


@dataclass(frozen=True)
class Listening:
    """Connections to `bind`:`local_port` are forwarded to `host`:`port`, as the device sees them."""

    bind: str
    local_port: int
    host: str
    port: int


@dataclass(frozen=True)
class Refused:
    """One TCP connection to `local_port` could not be forwarded, or was cut off."""

    local_port: int
    error: HomeportError


News = Connected | Moved | Lost | NotYet | Listening | Refused
