"""How a device is and what befell it: the last events that it keeps in memory (docs/boards.md, "Events")."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from homeport.client.session.refusals import UNKNOWN_QUERY
from homeport.errors import MalformedError, RefusedError

# By number, as devices send them.
KINDS = ("start", "fault", "network", "basestation", "storage", "person")
RESET_CAUSES = ("unknown", "power on", "reset pin", "watchdog", "software", "brownout")
_MAX_EVENTS = 1_000  # no device keeps so many; one that never ends must not hold us


@dataclass(frozen=True)
class DeviceEvent:
    """One event: when, in seconds since the device's start; what kind, one of KINDS; the device's words."""

    uptime_s: int
    kind: str
    text: str


@dataclass(frozen=True)
class Health:
    """What a device says of itself. Times are seconds; `free_memory` is octets."""

    uptime_s: int
    unix_s: int | None  # the device's idea of the time now, None when nobody has told it
    reset_cause: str  # one of RESET_CAUSES: why it started
    faults: int  # since its start: what raised and should not have
    free_memory: int | None  # None where it cannot tell
    users_written: int  # how often its list of users was written to flash, ever
    lost: int  # events since its start that are not kept any more
    events: list[DeviceEvent] = field(default_factory=list)

    def unix_time_of(self, event: DeviceEvent) -> int | None:
        """When an event happened, as far as the device knows the time."""
        return None if self.unix_s is None else self.unix_s - self.uptime_s + event.uptime_s


class HealthCalls:
    """Mixed into `Device`."""

    async def call(self, query: str, /, **params: Any) -> dict[str, Any]:
        """`Device.call`."""
        raise NotImplementedError

    async def health(self) -> Health:
        """All that the device keeps, for owners; asks for page after page, since one answer holds only a few events.

        Raises what `Device.call` raises, and RefusedError for a device that keeps no events.
        """
        page = await self._page(0)
        health = Health(
            uptime_s=page["uptime"],
            unix_s=page["unix_time"] or None,
            reset_cause=_name(RESET_CAUSES, page["reset_cause"]),
            faults=page["faults"],
            free_memory=page["free_memory"] or None,
            users_written=page["users_written"],
            lost=page["first"],
        )
        while True:
            health.events.extend(
                DeviceEvent(event["uptime"], _name(KINDS, event["kind"]), event["text"]) for event in page["events"]
            )
            if not page["next"]:
                return health
            if page["next"] <= page["first"] or len(health.events) > _MAX_EVENTS:
                raise MalformedError("the device's list of events does not end", page["next"])
            page = await self._page(page["next"])

    async def _page(self, start: int) -> dict[str, Any]:
        try:
            return await self.call("get_device_events.json", start=start)
        except RefusedError as error:
            if error.code not in UNKNOWN_QUERY:
                raise
            raise RefusedError("the device keeps no events: it was started without --event-ring", error.code) from error


def _name(names: tuple[str, ...], number: int) -> str:
    return names[number] if number < len(names) else str(number)
