"""What runs beside a board's stack: parts that fail, networks that come and go, tasks that begin anew, the watchdog."""

import asyncio
import unittest

from device_bench import CONTROLLER, Bench
from homeport_core import ticks
from homeport_core.errors import ConfigError
from homeport_device import appliance, log
from homeport_device.appliance import Appliance
from homeport_device.attach import WAIT_BS
from homeport_device.driver import Driver
from homeport_device.hardware_common import IDLE, JOINED, WATCHDOG
from homeport_device.station import Station
from homeport_device.watchdog import LATE_MS

STARTS = (1000, ticks.PERIOD - 1500)
ADDRESS = b"\xc0\xa8\x01\x32"


class Reset(Exception):
    """The board starts anew."""


class Hardware:
    """A board without pins."""

    def __init__(self):
        self.fed = 0

    def watchdog(self, timeout_ms):
        return self

    def feed(self):
        self.fed += 1

    def reset(self):
        raise Reset

    def reset_cause(self):
        return WATCHDOG


class Wifi:
    """A radio that joins at once, unless it is `broken`."""

    def __init__(self):
        self.broken = False
        self.started = self.looks = 0
        self.joined = None
        self.given = ADDRESS
        self.joins = []

    def start(self, hostname):
        if self.broken:
            raise OSError(5)
        self.started += 1
        self.hostname = hostname

    def join(self, ssid, password):
        self.joined = ssid
        self.joins.append(ssid)

    def leave(self):
        self.joined = None

    def status(self):
        self.looks += 1
        return JOINED if self.joined else IDLE

    def address(self):
        return (self.given, b"\xff\xff\xff\x00", bytes(4), bytes(4)) if self.joined else None


class Device:
    """A device around a bench's stack."""

    def __init__(self, bench):
        self.config = bench.config
        self.config.hardware = Hardware()
        self.config.networks = (("home", "password1"),)
        self.config.overridden = ()
        self.stack = bench.stack
        self.stack.port.now_ms = lambda: bench.now_ms
        self.stack.port.arm = lambda delay_ms: None
        self.driver = Driver(bench.stack, bench.stack.port, lambda now_ms: None)
        self.tasks = []
        self.pending = []


class Part:
    """Fails with `error` while there is one."""

    def __init__(self):
        self.error = None
        self.steps = 0

    def step(self, now_ms):
        self.steps += 1
        if self.error:
            raise self.error


class Ring:
    def __init__(self):
        self.texts = []

    def add(self, kind, text):
        self.texts.append(text)


class RoundTest(unittest.TestCase):
    def setUp(self):
        self.ring = Ring()
        log.keep_events(self.ring)

    def tearDown(self):
        log.keep_events(None)

    def appliances(self, *parts):
        for start_ms in STARTS:
            bench = Bench(start_ms)
            made = Appliance(Device(bench))
            made._dog = bench.config.hardware
            for part in parts:
                part.steps = 0
                made._add(part)
            self.ring.texts.clear()
            yield bench, made

    def rounds(self, bench, made, n, apart_ms=20):
        for _ in range(n):
            bench.now_ms = ticks.add(bench.now_ms, apart_ms)
            made.round(bench.now_ms)

    def test_each_round_is_a_step_of_each_part_and_feeds_the_watchdog(self):
        parts = Part(), Part()
        for bench, made in self.appliances(*parts):
            self.rounds(bench, made, 5)
            self.assertEqual(([part.steps for part in parts], bench.config.hardware.fed), ([5, 5], 5))

    def test_a_part_that_fails_rests_for_a_second_and_costs_no_other(self):
        for error in (ValueError("broken"), OSError(5), KeyError("x"), RuntimeError(), AttributeError("y")):
            broken, other = Part(), Part()
            for bench, made in self.appliances(broken, other):
                broken.error = error
                self.rounds(bench, made, 100)
                self.assertEqual((broken.steps, other.steps), (2, 100))
                self.assertEqual(bench.config.hardware.fed, 100)
                self.assertEqual(len(self.ring.texts), 2)
                self.assertTrue(self.ring.texts[0].startswith("Part failed: " + type(error).__name__))
                broken.error = None
                self.rounds(bench, made, 100)
                self.assertTrue(broken.steps > 50)

    def test_the_watchdog_starves_while_the_stacks_timer_is_dead(self):
        for bench, made in self.appliances():
            bench.start()
            self.assertIsNotNone(bench.stack.deadline_ms)
            late = ticks.add(bench.stack.deadline_ms, LATE_MS)
            made.round(late)
            self.assertEqual(bench.config.hardware.fed, 1)
            made.round(ticks.add(late, 1))
            self.assertEqual((bench.config.hardware.fed, self.ring.texts), (1, ["no life from the stack"]))

    def test_the_watchdog_starves_while_a_handler_waits_for_ever(self):
        for bench, made in self.appliances():
            bench.app.remote = False
            made._device.pending.append((object(), None))
            self.rounds(bench, made, 61, 1000)
            self.assertEqual(bench.config.hardware.fed, 61)
            self.rounds(bench, made, 1, 1000)
            self.assertEqual((bench.config.hardware.fed, self.ring.texts), (61, ["no life from a handler"]))
            made._device.pending.clear()
            self.rounds(bench, made, 1)
            self.assertEqual(bench.config.hardware.fed, 62)


class NoCollector:
    @staticmethod
    def collect():
        pass


class MemoryTest(unittest.TestCase):
    def test_no_memory_again_and_again_is_a_reset(self):
        ring = Ring()
        log.keep_events(ring)
        bench = Bench()
        made = Appliance(Device(bench))
        part = Part()
        made._add(part)
        part.error = MemoryError()

        async def at_once(delay_ms):
            pass

        slept, appliance._sleep_ms = appliance._sleep_ms, at_once
        collector, appliance.gc = appliance.gc, NoCollector  # 250 times through a test's memory takes long
        try:
            with self.assertRaises(Reset):
                asyncio.run(made._live())
        finally:
            appliance._sleep_ms, appliance.gc = slept, collector
            log.keep_events(None)
        self.assertEqual(part.steps, 250)
        self.assertEqual(ring.texts, ["out of memory", "still out of memory: starting anew"])
        self.assertEqual(bench.config.hardware.fed, 0)


class StartTest(unittest.TestCase):
    def test_a_start_that_fails_is_tried_again_after_a_minute(self):
        ring = Ring()
        log.keep_events(ring)
        self.addCleanup(log.keep_events, None)
        waits = []

        async def noted(delay_ms):
            waits.append(delay_ms)

        slept, appliance._sleep_ms = appliance._sleep_ms, noted
        try:
            for error in (OSError(28), MemoryError(), AttributeError("x")):
                device = Device(Bench())

                def start(error=error):
                    raise error

                device.start = start
                with self.assertRaises(Reset):
                    appliance.run(device)
        finally:
            appliance._sleep_ms = slept
        self.assertEqual(waits, [60000] * 3)
        self.assertEqual(len([text for text in ring.texts if text.startswith("cannot start")]), 3)

    def test_settings_with_which_it_cannot_start_are_dropped_and_no_reset_goes_in_a_circle(self):
        for error in (MemoryError(), ConfigError("stream_segment does not fit packet_max")):
            device = Device(Bench())
            config = device.config
            config.overridden = (("stream_segment", 1247),)
            dropped = []

            def drop(config=config, dropped=dropped):
                config.overridden = ()
                dropped.append(1)

            def start(config=config, error=error):
                if config.overridden:
                    raise error

            config.drop_settings = drop
            device.start = start
            Appliance(device)._start_device()
            self.assertEqual(dropped, [1])

    def test_ctrl_c_while_a_failed_start_waits_gets_the_prompt_and_no_reset(self):
        def interrupt(*arguments):
            raise KeyboardInterrupt

        def fail():
            raise OSError(5)

        device = Device(Bench())
        device.start = fail
        slept, appliance._sleep_ms = appliance._sleep_ms, interrupt
        try:
            with self.assertRaises(KeyboardInterrupt):
                appliance.run(device)
        finally:
            appliance._sleep_ms = slept

    def test_a_start_whose_failure_cannot_even_be_told_is_a_reset_all_the_same(self):
        def fail(*arguments):
            raise MemoryError

        device = Device(Bench())
        device.start = fail
        line, log.line = log.line, fail
        try:
            with self.assertRaises(Reset):
                appliance.run(device)
        finally:
            log.line = line

    def test_a_run_loop_that_ends_by_a_failure_is_a_reset(self):
        def fail(tasks):
            raise ValueError("on purpose")

        device = Device(Bench())
        device.serve = fail
        start, Appliance.start = Appliance.start, lambda self: None
        try:
            with self.assertRaises(Reset):
                appliance.run(device)
        finally:
            Appliance.start = start


class TaskTest(unittest.TestCase):
    def test_a_task_that_fails_begins_anew_and_one_that_ends_does_not(self):
        made = Appliance(Device(Bench()))
        runs = []

        async def fragile():
            runs.append(1)
            if len(runs) < 3:
                raise ValueError("on purpose")

        waits = []

        async def noted(seconds):
            waits.append(seconds)

        slept, asyncio.sleep = asyncio.sleep, noted
        try:
            asyncio.run(made._kept_alive(fragile)())
        finally:
            asyncio.sleep = slept
        self.assertEqual((len(runs), waits), (3, [1, 2]))


class StationTest(unittest.TestCase):
    def stations(self):
        for start_ms in STARTS:
            self.bench = Bench(start_ms)
            self.wifi = Wifi()
            station = Station(start_ms, self.wifi, Device(self.bench))
            station.configure(start_ms, (("home", "password1"),))
            self.bench.start()
            yield station

    def step(self, station):
        self.bench.now_ms = ticks.add(self.bench.now_ms, 200)
        station.step(self.bench.now_ms)
        self.bench.settle()
        return [endpoint for _, endpoint, _ in self.bench.port.take()]

    def test_the_stack_is_silent_until_the_network_is_there(self):
        for station in self.stations():
            self.assertEqual(self.bench.port.take(), [])
            self.assertEqual(self.step(station), [])
            self.assertEqual((self.wifi.joined, self.wifi.hostname), ("home", "dev1"))
            self.assertEqual(self.step(station), [CONTROLLER])

    def test_it_registers_anew_with_another_address_and_after_a_loss(self):
        for station in self.stations():
            self.step(station), self.step(station)
            self.wifi.given = b"\xc0\xa8\x01\x33"
            self.assertEqual(self.step(station), [CONTROLLER])
            self.wifi.joined = None
            self.assertEqual(self.step(station), [])
            self.assertTrue(self.bench.stack.output.down)
            self.wifi.joined = "home"
            self.assertEqual(self.step(station), [CONTROLLER])

    def test_a_network_where_nobody_answers_is_joined_anew_and_the_stack_tries_at_once(self):
        for station in self.stations():
            self.step(station)
            self.wifi.joins.clear()
            for _ in range(5 * 60 * 5 + 10):
                self.step(station)
            self.assertEqual(self.wifi.joins, ["home"])
            self.assertFalse(self.bench.stack.output.down)
            self.assertEqual(self.bench.stack.state, WAIT_BS)

    def test_a_name_that_is_not_found_is_an_event_and_asked_for_later_and_later(self):
        ring = Ring()
        log.keep_events(ring)
        self.addCleanup(log.keep_events, None)
        for start_ms in STARTS:
            ring.texts.clear()
            self.bench = Bench(start_ms, controller_host="hub.example")
            station = Station(start_ms, Wifi(), Device(self.bench))
            station.configure(start_ms, (("home", "password1"),))
            self.bench.start()
            for _ in range(600):
                self.step(station)
                self.bench.stack.resolved(self.bench.now_ms, None)
            self.assertEqual(ring.texts, ["joined home", "its name is not found"])
            self.assertTrue(4 <= len(self.bench.port.lookups) <= 8, self.bench.port.lookups)

    def test_the_radio_is_looked_at_five_times_a_second(self):
        for station in self.stations():
            for _ in range(100):
                self.bench.now_ms = ticks.add(self.bench.now_ms, 20)
                station.step(self.bench.now_ms)
            self.assertEqual(self.wifi.looks, 10)

    def test_a_radio_that_does_not_start_is_tried_again(self):
        for station in self.stations():
            self.wifi.broken = True
            with self.assertRaises(OSError):
                self.step(station)
            self.wifi.broken = False
            self.step(station)
            self.assertEqual((self.wifi.started, self.wifi.joined), (1, "home"))

    def test_a_network_is_not_left_while_somebody_uses_the_device_there(self):
        for station in self.stations():
            self.step(station), self.step(station)
            self.assertTrue(station._misses_basestation())
            self.bench.connect_local()
            self.assertFalse(station._misses_basestation())

    def test_a_network_is_not_left_with_remote_access_off(self):
        for station in self.stations():
            self.step(station), self.step(station)
            self.bench.app.remote = False
            self.bench.settle()
            self.assertFalse(station._misses_basestation())


if __name__ == "__main__":
    unittest.main()
