"""A board as a device for years: what runs beside its stack, and what becomes of failures.

One task takes the steps of all parts: the radio, the panel with button and light, the first set-up. A part that raises
costs that step and one event, and rests for a second; the others go on. The application's tasks begin anew when they
fail, later each time. What cannot be mended here ends in a reset: no memory for five seconds, a start that fails,
a loop that ended, and whatever starves the watchdog.
"""

import asyncio
import gc

from homeport_core import ticks
from homeport_core.compat import MICROPYTHON, const
from homeport_core.errors import ConfigError

from homeport_device import log
from homeport_device.device import forget
from homeport_device.panel import Panel
from homeport_device.watchdog import WATCHDOG_MS, Vigil

# As often as a button wants to be looked at.
STEP_MS = const(20)
_REST_MS = const(1000)
# So many rounds in a row without memory: nothing here will free any.
_MEMORY_FAILURES = const(250)
# Until a failed start is tried again.
_START_AGAIN_MS = const(60000)
# A failed task of the application begins anew after 1 s, 2 s, … 64 s; one that ran for so long counts as mended.
_TASK_DOUBLINGS = const(6)
_TASK_MENDED_MS = const(600000)
# What nobody needs once the device is set up.
_SETUP_MODULES = (
    "homeport_core.provisioning",
    "homeport_device.provisioned",
    "homeport_device.setup",
    "homeport_device.setup_dns",
    "homeport_device.setup_http",
    "homeport_device.setup_page",
    "homeport_device.setup_server",
)
_CAUSES = ("unknown", "power on", "reset pin", "watchdog", "software", "brownout")
# Whether this runs from ROMFS, where it takes little memory.
_CODE = ", code in place" if __file__.startswith("/rom/") else ""


def run(device: object) -> None:
    """`Device.run` on a board."""
    appliance = Appliance(device)
    try:
        appliance.start()
    except Exception as error:
        _begin_anew(device, "cannot start:", error, _START_AGAIN_MS)
    try:
        device.serve(appliance.tasks())
    except Exception as error:
        _begin_anew(device, "run loop ended:", error, 0)


def _begin_anew(device: object, what: str, error: object, after_ms: int) -> None:
    """Reset, whatever else fails on the way there; Ctrl-C gets the prompt instead, to mend what has failed."""
    is_wanted = True
    try:
        gc.collect()
        log.event(log.FAULT, what, type(error).__name__, log.printable(error))
        asyncio.run(_sleep_ms(after_ms))
    except KeyboardInterrupt:
        is_wanted = False
        raise
    finally:
        if is_wanted:
            device.config.hardware.reset()


class Appliance:
    """What is around one device."""

    def __init__(self, device: object) -> None:
        self._device = device
        self._hardware = device.config.hardware
        self._parts = []  # [part, when it may go on after a failure, or None]; a part has step(now_ms)
        self._station = None
        self._dog = None
        self._vigil = Vigil()
        self._hung = ""
        self._memory_failures = 0

    def start(self) -> None:
        """Make the device and its parts. Raises what stands in the way."""
        device, hardware = self._device, self._hardware
        log.event(log.START, "started:", _CAUSES[hardware.reset_cause()] + _CODE)
        self._start_device()
        now_ms = device.stack.port.now_ms()
        wifi = hardware.wifi()
        if wifi is not None:
            self._start_radio(now_ms, wifi)
        self._add(Panel(now_ms, device, hardware, self._reset_to_factory))

    def tasks(self) -> list:
        """The async functions to run beside the stack."""
        return [self._live] + [self._kept_alive(function) for function in self._device.tasks]

    def round(self, now_ms: int) -> None:
        """One step of each part; then the watchdog is fed, unless something hangs."""
        for entry in self._parts:
            if entry[1] is None or ticks.diff(now_ms, entry[1]) >= 0:
                self._step(now_ms, entry)
        stack = self._device.stack
        pending = self._device.pending
        hung = self._vigil.hung(now_ms, stack.deadline_ms, pending[0][0] if pending else None)
        if hung and hung != self._hung:
            log.event(log.FAULT, "no life from " + hung)
        self._hung = hung
        if self._dog is not None and not hung:
            self._dog.feed()

    # Parts

    def _add(self, part: object) -> None:
        self._parts.append([part, None])

    def _start_device(self) -> None:
        """With settings that do not fit the application, or its memory, the set-up page is better than a reset."""
        device = self._device
        try:
            device.start()
            return
        except (ConfigError, MemoryError) as error:
            if not device.config.overridden:
                raise
            log.event(log.FAULT, "config does not suit:", type(error).__name__, log.printable(error))
        device.config.drop_settings()
        gc.collect()
        device.start()

    def _start_radio(self, now_ms: int, wifi: object) -> None:
        from homeport_device.station import Station

        device = self._device
        self._station = Station(now_ms, wifi, device)
        self._station.configure(now_ms, device.config.networks)
        self._add(self._station)
        if not device.config.networks:
            from homeport_device.setup_server import SetupServer

            server = SetupServer(now_ms, device, wifi, self._set_up)
            self._add(server)
            device.tasks.append(server.open)

    def _set_up(self, now_ms: int, server: object) -> None:
        """The set-up network is closed: go on with what came of it."""
        self._parts = [entry for entry in self._parts if entry[0] is not server]
        self._station.configure(now_ms, self._device.config.networks, True)
        forget(_SETUP_MODULES)

    def _reset_to_factory(self) -> None:
        """Give users and Wi-Fi back to the factory's state. Raises StorageError."""
        from homeport_device.factory_reset import factory_reset

        factory_reset(self._device.config.store)

    # Failures

    def _step(self, now_ms: int, entry: list) -> None:
        entry[1] = None
        try:
            entry[0].step(now_ms)
        except MemoryError:
            raise
        except Exception as error:
            entry[1] = ticks.add(now_ms, _REST_MS)
            log.event(log.FAULT, type(entry[0]).__name__, "failed:", type(error).__name__, log.printable(error))

    async def _live(self) -> None:
        """Round after round. Should this task end, the watchdog says so."""
        self._dog = self._hardware.watchdog(WATCHDOG_MS)
        while True:
            try:
                await _sleep_ms(STEP_MS)
                self.round(self._device.stack.port.now_ms())
                self._memory_failures = 0
            except MemoryError:
                self._short_of_memory()

    def _short_of_memory(self) -> None:
        gc.collect()
        self._memory_failures += 1
        if self._memory_failures == 1:
            log.event(log.FAULT, "out of memory")
        elif self._memory_failures == _MEMORY_FAILURES:
            log.event(log.FAULT, "still out of memory: starting anew")
            self._hardware.reset()

    def _kept_alive(self, function: object) -> object:
        """A task that begins anew when it fails."""
        now = self._device.stack.port.now_ms

        async def run() -> None:
            failures = 0
            while True:
                began_ms = now()
                try:
                    await function()
                    return
                except Exception as error:
                    log.event(log.FAULT, "task failed:", type(error).__name__, log.printable(error))
                if ticks.diff(now(), began_ms) > _TASK_MENDED_MS:
                    failures = 0
                await asyncio.sleep(1 << min(failures, _TASK_DOUBLINGS))
                failures += 1

        return run


async def _sleep_ms(delay_ms: int) -> None:
    if MICROPYTHON:
        await asyncio.sleep_ms(delay_ms)
    else:
        await asyncio.sleep(delay_ms / 1000)
