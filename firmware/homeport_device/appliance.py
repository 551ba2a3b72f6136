"""A board as a device for years: what runs beside its stack, and what becomes of failures.

One task takes the steps of all parts: the radio, the person at the device, the first set-up, the watchdog. A part that
raises costs that step and one event, never the others. The application's tasks are begun anew when they fail, later
each time. What cannot be mended here (no memory again and again, a start that fails) ends in a reset.
"""

import asyncio
import gc

from homeport_core.compat import const
from homeport_core.errors import HomeportError

from homeport_device import log
from homeport_device.panel import Panel
from homeport_device.watchdog import Pulses

# The steps of the parts: as often as a button wants to be looked at.
STEP_MS = const(20)
# The watchdog's bound: what the shortest-lived one (rp2) has, less some. Storing the list of users takes a second.
WATCHDOG_MS = const(8000)
# How long the stack's timer may be late, and a handler may keep its request.
_LATE_MS = const(30000)
# Until a failed start is tried again.
_START_AGAIN_S = const(60)
# A failed task of the application begins anew after 1 s, 2 s, … 64 s.
_TASK_DOUBLINGS = const(6)
# So many steps in a row without memory: nothing here will free any.
_MEMORY_FAILURES = const(20)
_CAUSES = ("unknown", "power on", "reset pin", "watchdog", "software", "brownout")


def run(device: object) -> None:
    """`Device.run` on a board."""
    appliance = Appliance(device)
    try:
        appliance.start()
    except (HomeportError, OSError, MemoryError) as error:
        log.event(log.FAULT, "cannot start:", type(error).__name__, log.printable(error))
        asyncio.run(asyncio.sleep(_START_AGAIN_S))
        appliance.hardware.reset()
    device.serve(appliance.tasks())


class Appliance:
    """What is around one device."""

    def __init__(self, device: object) -> None:
        self.device = device
        self.hardware = device.config.hardware
        self.parts = []  # each has step(now_ms)
        self.station = None
        self._dog = None
        self._pulses = Pulses()
        self._memory_failures = 0

    def start(self) -> None:
        """Make the device and its parts. Raises HomeportError and OSError."""
        device, hardware = self.device, self.hardware
        log.event(log.START, "started:", _CAUSES[hardware.reset_cause()])
        device.start()
        now_ms = device.stack.port.now_ms()
        wifi = hardware.wifi()
        if wifi is not None:
            self._start_radio(now_ms, wifi)
        self.parts.append(Panel(now_ms, device, hardware, self.reset_to_factory))

    def tasks(self) -> list:
        """The async functions to run beside the stack."""
        return [self._live] + [self._kept_alive(function) for function in self.device.tasks]

    def reset_to_factory(self) -> None:
        """Give the users and the Wi-Fi back to the factory's state. Raises StorageError."""
        from homeport_device.factory_reset import factory_reset

        factory_reset(self.device.config.store)

    def _start_radio(self, now_ms: int, wifi: object) -> None:
        from homeport_device.station import Station

        device = self.device
        self.station = Station(wifi, device.driver, device.stack, device.stack.rng)
        wifi.start(device.config.device_id.split(".")[0])
        self.station.configure(now_ms, device.config.networks)
        self.parts.append(self.station)
        if not device.config.networks:
            from homeport_device.setup_server import SetupServer

            server = SetupServer(now_ms, device, wifi, self._set_up)
            self.parts.append(server)
            device.tasks.append(server.open)

    def _set_up(self, now_ms: int) -> None:
        """The set-up network is closed: go on with what came of it."""
        self.parts = [part for part in self.parts if type(part).__name__ != "SetupServer"]
        self.station.configure(now_ms, self.device.config.networks)

    async def _live(self) -> None:
        """Take the steps, for ever."""
        self._dog = self.hardware.watchdog(WATCHDOG_MS)
        while True:
            await asyncio.sleep(STEP_MS / 1000)
            now_ms = self.device.stack.port.now_ms()
            for part in self.parts:
                self._step(part, now_ms)
            self._feed(now_ms)

    def _step(self, part: object, now_ms: int) -> None:
        try:
            part.step(now_ms)
        except MemoryError:
            self._short_of_memory()
        except Exception as error:
            log.event(log.FAULT, type(part).__name__, "failed:", type(error).__name__, log.printable(error))
        else:
            self._memory_failures = 0

    def _short_of_memory(self) -> None:
        gc.collect()
        self._memory_failures += 1
        if self._memory_failures == _MEMORY_FAILURES:
            log.event(log.FAULT, "out of memory: reset")
            self.hardware.reset()

    def _feed(self, now_ms: int) -> None:
        hung = self._pulses.overdue(now_ms)
        if hung is not None:
            log.event(log.FAULT, "no life from", hung)
        elif self._dog is not None:
            self._dog.feed()

    def _kept_alive(self, function: object) -> object:
        """An application's task that begins anew when it fails."""

        async def run() -> None:
            failures = 0
            while True:
                try:
                    await function()
                    return
                except Exception as error:
                    log.event(log.FAULT, "task failed:", type(error).__name__, log.printable(error))
                await asyncio.sleep(1 << min(failures, _TASK_DOUBLINGS))
                failures += 1

        return run
