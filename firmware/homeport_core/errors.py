"""Errors of every layer. Host code adds its own below the same root (design, section 7).

`reason` is a short text that names what was wrong, without secrets; `detail` is what helps a developer
(an offset, a size). MicroPython has no `raise … from`, so a cause is kept in `detail`.
"""


class HomeportError(Exception):
    """Root of all errors raised on purpose."""

    def __init__(self, reason: str = "", detail: object = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.detail = detail

    def __str__(self) -> str:
        return self.reason or type(self).__name__


class ProtocolError(HomeportError):
    """The peer's bytes are wrong: count, drop, do not answer."""


class MalformedError(ProtocolError):
    """Does not parse; `detail` is the offset in the packet or payload where it went wrong."""


class AuthError(ProtocolError):
    """MAC, padding or replay: one error for all of them, so that a peer learns nothing."""


class VersionError(ProtocolError):
    """The peer speaks a version that we do not."""


class RefusedError(HomeportError):
    """The peer said no; `code` is its NOTIFY or AER code."""

    def __init__(self, reason: str = "", code: int = 0, detail: object = None) -> None:
        super().__init__(reason, detail)
        self.code = code


class StateError(HomeportError):
    """Called at the wrong time: a bug on our side."""


class Timeout(HomeportError):
    """Nothing came within the time that the call was given."""


class FullError(HomeportError):
    """A fixed-size table, buffer or packet has no room left."""


class StorageError(HomeportError):
    """Flash, file system or database did not keep what it was given."""


class ConfigError(HomeportError):
    """A setting is missing or not acceptable."""
