"""Facts that a session reports (`Session.next_event`), in the order in which they happened."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from homeport_core.errors import HomeportError

from homeport.client.session.paths import Path

if TYPE_CHECKING:
    from homeport_core.streams import Stream


@dataclass(frozen=True)
class Opened:
    """The device has answered on `path`; requests flow from now on."""

    path: Path


@dataclass(frozen=True)
class PathChanged:
    """The connection lives on, on another path."""

    path: Path


@dataclass(frozen=True)
class SearchWanted:
    """It is time to look for a direct path again: find out our endpoints, and call `Session.search`."""


@dataclass(frozen=True)
class Answered:
    """The device answered the request `request_id` (from `Session.request`) with these parameters."""

    request_id: int
    payload: bytes


@dataclass(frozen=True)
class Failed:
    """The request `request_id` came to nothing: RefusedError (exception of the device), Timeout or the end."""

    request_id: int
    error: HomeportError


@dataclass(frozen=True)
class StreamChanged:
    """Something happened to a stream: `changes` are the bits OPENED … ABORTED of `homeport_core.stream`."""

    stream: Stream
    changes: int


@dataclass(frozen=True)
class Closed:
    """The session is over; `error` is None when it was we who closed it. Always the last event."""

    error: HomeportError | None


Event = Opened | PathChanged | SearchWanted | Answered | Failed | StreamChanged | Closed
