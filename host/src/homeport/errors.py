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


class _Advised(HomeportError):
    """An error that can say what to try next."""

    def __init__(self, reason: str = "", detail: object = None, next_step: str | None = None) -> None:
        super().__init__(reason, detail)
        self.next_step = next_step


class DeviceOffline(_Advised):
    """The device is not attached to the basestation, or does not answer; `detail` is the notify code, if any."""


class NotPaired(_Advised):
    """The device does not know this client."""


class NotEndToEnd(_Advised):
    """The connection would not be end to end, and has to be; `detail` is the notify code, if the device gave one."""


class GateError(_Advised):
    """The basestation's gate could not be reached, or did not accept us.

    `cause` is one of refused, timeout, proxy, tls, pin, protocol, closed.
    """

    def __init__(self, reason: str, cause: str, next_step: str | None = None) -> None:
        super().__init__(reason, cause, next_step)
        self.cause = cause


class ConnectFailed(_Advised):
    """No path led to the device; `attempts` lists (path, why)."""

    def __init__(self, reason: str, attempts: list[tuple[str, str]], next_step: str | None = None) -> None:
        super().__init__(reason, attempts, next_step)
        self.attempts = attempts


class BoardError(_Advised):
    """A board at a serial port is not there, is not what was expected, or did not do what it was told."""


class InternalError(HomeportError):
    """This program is wrong, not what it met: the connection that it happened on has ended, others go on."""


class StreamError(_Advised, ConnectionError):
    """A stream could not be opened, or was cut off.

    `cause` is one of busy (the device has no slot for it), silent (it has no streams, or they do not reach it),
    unknown (it does not offer what was asked for), refused (it does, but not to us), reset.
    """

    def __init__(self, reason: str, cause: str, next_step: str | None = None) -> None:
        super().__init__(reason, cause, next_step)
        self.cause = cause


__all__ = [
    "AuthError",
    "BoardError",
    "ConfigError",
    "ConnectFailed",
    "DeviceOffline",
    "FullError",
    "GateError",
    "HomeportError",
    "InternalError",
    "MalformedError",
    "NotEndToEnd",
    "NotPaired",
    "ProtocolError",
    "RefusedError",
    "StateError",
    "StorageError",
    "StreamError",
    "Timeout",
    "VersionError",
]
