"""All errors of the host side: the core's, and those that only a host can meet (design, section 7)."""

from homeport_core.errors import (
    AuthError,
    ConfigError,
    FullError,
    HomeportError,
    MalformedError,
    ProtocolError,
    RefusedError,
    StateError,
    StorageError,
    Timeout,
    VersionError,
)


class DeviceOffline(HomeportError):
    """The device is not attached to the basestation, or does not answer."""


class NotPaired(HomeportError):
    """The device does not know this client."""


class GateError(HomeportError):
    """The basestation's gate could not be reached, or did not accept us."""


class ConnectFailed(HomeportError):
    """No path led to the device; `attempts` lists (path, why)."""

    def __init__(self, reason: str, attempts: list[tuple[str, str]]) -> None:
        super().__init__(reason, attempts)
        self.attempts = attempts


__all__ = [
    "AuthError",
    "ConfigError",
    "ConnectFailed",
    "DeviceOffline",
    "FullError",
    "GateError",
    "HomeportError",
    "MalformedError",
    "NotPaired",
    "ProtocolError",
    "RefusedError",
    "StateError",
    "StorageError",
    "Timeout",
    "VersionError",
]
