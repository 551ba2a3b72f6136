"""How a device is and what befell it, for owners: query 10020 and the time by hearsay (docs/boards.md, "Events").

Loaded only by devices that keep events (setting `event_ring`).
"""

import asyncio
import gc

from homeport_core.compat import const
from homeport_core.errors import StorageError
from homeport_core.rpc import RAW, UINT8, UINT16, UINT32
from homeport_core.spec import PL_TIME

from homeport_device import log
from homeport_device.event_ring import EventRing
from homeport_device.queries import OWNER
from homeport_device.time_hint import TimeHint

QUERY_ID = const(10020)
_RESULT = (
    ("uptime", UINT32),
    ("unix_time", UINT32),
    ("reset_cause", UINT8),
    ("faults", UINT16),
    ("free_memory", UINT32),
    ("users_written", UINT32),
    ("first", UINT32),
    ("events", (("uptime", UINT32), ("kind", UINT8), ("text", RAW))),
    ("next", UINT32),
)
# Octets of a response without its events, and of an event without its text.
_FRAME_LEN = const(29)
_EVENT_LEN = const(7)
_STEP_S = const(1)


def declare(device: object) -> object:
    """Add the query to a device, and keep its events from now on."""
    return Health(device)


class Health:
    """Of one device. Made before the device starts, so that nothing escapes it."""

    def __init__(self, device: object) -> None:
        self._device = device
        self.ring = EventRing(device.config.event_ring)
        self._hint = TimeHint()
        self._weak = []  # records of which that has been told
        log.keep_events(self.ring)
        device.query(QUERY_ID, "get_device_events.json", params=(("start", UINT32),), result=_RESULT, allow=OWNER)(
            self._answer
        )
        device.task(self._watch)

    def hear(self, now_ms: int, packet: object) -> None:
        """A sign of life of the basestation came, with a TIME payload or without."""
        self.ring.step(now_ms)
        self._hint.take(self.ring.uptime_s, packet.get(PL_TIME))

    def time_hint(self) -> int | None:
        """Unix time in seconds as the basestation tells it, None before it did."""
        return self._hint.unix_s(self.ring.uptime_s)

    def _users_written(self) -> int:
        """How often the list of users was written to flash; 0 where that cannot be told."""
        store = self._device.config.store
        try:
            return store.writes("users") if store else 0
        except StorageError:
            return 0

    async def _watch(self) -> None:
        stack = self._device.stack
        stack.clock = self
        while True:
            self.ring.step(stack.port.now_ms())
            self._look_at_flash()
            await asyncio.sleep(_STEP_S)

    def _look_at_flash(self) -> None:
        """Tell of each record that has lost one of its two slots: the next fault there may be one too many."""
        store = self._device.config.store
        for kind in store.weak if store else ():
            if kind not in self._weak:
                self._weak.append(kind)
                log.event(log.STORAGE, "half of the flash for", kind, "is worn out")

    def _answer(self, request: object, start: int) -> tuple:
        ring, config = self.ring, self._device.config
        first = min(max(start, ring.oldest), ring.added)
        events = []
        free = config.response_max - _FRAME_LEN
        for number in range(first, ring.added):
            event = ring.get(number)
            free -= _EVENT_LEN + len(event[2])
            if free < 0:
                break
            events.append(event)
        following = first + len(events)
        return (
            ring.uptime_s,
            self.time_hint() or 0,
            config.hardware.reset_cause() if config.hardware else 0,
            ring.faults,
            gc.mem_free() if hasattr(gc, "mem_free") else 0,
            self._users_written(),
            first,
            events,
            following if following < ring.added else 0,
        )
