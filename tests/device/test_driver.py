"""The loop that drives a stack: nothing that goes wrong in it ends the device."""

import unittest

from homeport_core.ticks import PERIOD
from homeport_device import log
from homeport_device.attach import IDLE
from homeport_device.driver import Driver


class Stack:
    def __init__(self):
        self.calls = []
        self.deadline_ms = None
        self.error = None
        self.state = IDLE

    def note(self, *call):
        self.calls.append(call)
        if self.error:
            raise self.error

    def start(self, now_ms):
        self.note("start", now_ms)

    def datagram(self, now_ms, socket, data, endpoint):
        self.note("datagram", now_ms, socket, data, endpoint)

    def drained(self, now_ms):
        self.note("drained", now_ms)

    def timeout(self, now_ms):
        self.note("timeout", now_ms)

    def resolved(self, now_ms, addresses):
        self.note("resolved", now_ms, addresses)


class Port:
    def __init__(self, now_ms):
        self.time_ms = now_ms
        self.armed = []

    def now_ms(self):
        return self.time_ms

    def arm(self, delay_ms):
        self.armed.append(delay_ms)


class DriverCase(unittest.TestCase):
    """Each test runs twice, the second time with the clock about to wrap."""

    def both(self, check):
        for now_ms in (1000, PERIOD - 5):
            with self.subTest(now_ms=now_ms):
                self.lines = []
                real = log.line
                log.line = lambda *words: self.lines.append(words)
                try:
                    stack, port = Stack(), Port(now_ms)
                    settled = []
                    driver = Driver(stack, port, settled.append)
                    check(driver, stack, port, settled)
                finally:
                    log.line = real

    def test_the_timer_is_set_when_something_is_due_sooner_and_only_then(self):
        def check(driver, stack, port, settled):
            driver.start()
            self.assertEqual(port.armed, [])
            stack.deadline_ms = (port.time_ms + 70) % PERIOD
            driver.datagram(0, b"x", b"endpnt")
            driver.datagram(0, b"y", b"endpnt")
            stack.deadline_ms = (port.time_ms + 90) % PERIOD
            driver.datagram(0, b"z", b"endpnt")
            self.assertEqual(port.armed, [70])
            stack.deadline_ms = (port.time_ms + 30) % PERIOD
            driver.datagram(0, b"z", b"endpnt")
            stack.deadline_ms = None
            driver.resolved(None)
            self.assertEqual(port.armed, [70, 30, None])

        self.both(check)

    def test_what_is_due_later_than_the_timer_is_armed_when_that_finds_nothing(self):
        def check(driver, stack, port, settled):
            stack.deadline_ms = (port.time_ms + 70) % PERIOD
            driver.start()
            stack.deadline_ms = (port.time_ms + 90) % PERIOD
            driver.datagram(0, b"y", b"endpnt")
            port.time_ms = (port.time_ms + 70) % PERIOD
            driver.timeout()
            self.assertEqual(port.armed, [70, 20])

        self.both(check)

    def test_datagrams_that_arrive_together_are_settled_once(self):
        def check(driver, stack, port, settled):
            driver.part(0, b"x", b"endpnt")
            self.assertTrue(stack.holds_streams)
            driver.part(1, b"y", b"endpnt")
            self.assertEqual((settled, port.armed), ([], []))
            stack.deadline_ms = (port.time_ms + 70) % PERIOD
            driver.drained()
            self.assertFalse(stack.holds_streams)
            self.assertEqual([call[0] for call in stack.calls], ["datagram", "datagram", "drained"])
            self.assertEqual((len(settled), port.armed), (1, [70]))

        self.both(check)

    def test_a_failure_among_them_is_one_line_and_the_others_are_worked_on(self):
        def check(driver, stack, port, settled):
            stack.error = MemoryError()
            driver.part(0, b"x", b"endpnt")
            stack.error = None
            driver.part(0, b"y", b"endpnt")
            driver.drained()
            self.assertEqual((len(self.lines), driver.failures, len(settled)), (1, 1, 1))

        self.both(check)

    def test_a_deadline_that_stays_is_armed_again_after_it_was_due(self):
        def check(driver, stack, port, settled):
            stack.deadline_ms = port.time_ms
            driver.start()
            driver.timeout()
            self.assertEqual(port.armed, [0, 0])

        self.both(check)

    def test_a_failure_is_one_line_and_the_device_goes_on(self):
        def check(driver, stack, port, settled):
            stack.error = ValueError("broken\n")
            driver.datagram(0, b"x", b"endpnt")
            stack.error = None
            driver.datagram(0, b"y", b"endpnt")
            self.assertEqual((len(self.lines), driver.failures), (1, 1))
            self.assertNotIn("\n", " ".join(str(word) for word in self.lines[0]))
            self.assertEqual(len(settled), 1)

        self.both(check)

    def test_a_step_that_always_fails_does_not_run_in_a_circle(self):
        def check(driver, stack, port, settled):
            stack.error = MemoryError()
            stack.deadline_ms = port.time_ms
            driver.timeout()
            self.assertEqual(port.armed, [1000])

        self.both(check)


if __name__ == "__main__":
    unittest.main()
