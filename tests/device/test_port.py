"""What a stack may rely on of any port, tried on the port of the interpreter that runs this, over loopback."""

import asyncio
import unittest

from homeport_core.errors import ConfigError
from homeport_core.ticks import PERIOD, diff
from homeport_device.output import EXTRA_MAX, LOCAL, REMOTE
from homeport_device.port import Port
from homeport_device.randomness import require_random

LOOPBACK = b"\x7f\x00\x00\x01"
# How long a thing that happens at once on loopback may take, and how long to wait for what must not happen.
PATIENCE_MS = 3000
QUIET_MS = 60


class Driver:
    """Notes what the port reports."""

    def __init__(self):
        self.events = []
        self.on_datagram = None
        self.on_timeout = None

    def start(self):
        self.events.append("start")

    def datagram(self, socket, data, endpoint):
        self.events.append((socket, bytes(data), endpoint))
        if self.on_datagram:
            self.on_datagram(bytes(data))

    part = datagram

    def drained(self):
        """The end of a burst."""

    def timeout(self):
        self.events.append("timeout")
        if self.on_timeout:
            self.on_timeout()

    def resolved(self, addresses):
        self.events.append(("resolved", addresses))


async def pause(delay_ms):
    await asyncio.sleep(delay_ms / 1000)


class PortCase(unittest.TestCase):
    def setUp(self):
        self.port = Port()
        self.local = LOOPBACK + self.port.open(0).to_bytes(2, "big")
        self.driver = Driver()
        self.failure = None
        self.addCleanup(self.port.close)

    def run_with(self, script):
        """Run the port with an async script beside it; ends with the script."""

        def ended(result, error):
            self.failure = error
            self.port.stop()

        self.port.run(self.driver, [(script, ended)])
        if self.failure:
            raise self.failure

    async def until(self, found):
        """Wait until `found()`, in short steps."""
        for _ in range(PATIENCE_MS // 5):
            if found():
                return
            await pause(5)
        raise AssertionError("did not happen; seen: %r" % (self.driver.events,))

    def datagrams(self):
        return [event for event in self.driver.events if isinstance(event, tuple) and event[0] in (LOCAL, REMOTE)]

    def remote(self):
        return LOOPBACK + self.port.local_endpoint()[4:]


class Datagrams(PortCase):
    def test_each_socket_sends_from_its_own_endpoint_and_receives(self):
        async def script():
            self.port.send(LOCAL, self.remote(), b"to remoteXX", 9)
            self.port.send(REMOTE, self.local, bytearray(b"to local"), 8)
            await self.until(lambda: len(self.datagrams()) == 2)

        self.run_with(script)
        self.assertEqual(self.driver.events[0], "start")
        self.assertIn((REMOTE, b"to remote", self.local), self.datagrams())
        self.assertIn((LOCAL, b"to local", self.remote()), self.datagrams())

    def test_a_datagram_longer_than_any_packet_cannot_pass_for_a_packet(self):
        for claimed in (0, 400, 1368, 1500, 0xFFFF):
            with self.subTest(claimed=claimed):
                self.run_once(bytes(14) + claimed.to_bytes(2, "big") + bytes(2984))
                self.assertNotEqual(len(self.datagrams()[0][1]), claimed)
                self.assertLessEqual(len(self.datagrams()[0][1]), 1501)

    def run_once(self, data):
        """Start afresh and let one datagram arrive."""

        async def script():
            self.port.send(REMOTE, self.local, data, len(data))
            await self.until(self.datagrams)

        self.port.close()
        self.setUp()
        self.run_with(script)

    def test_datagrams_of_every_size_arrive_whole_and_in_order(self):
        sizes = [1, 15, 16, 100, 319, 320, 321, 500, 1368, 1500, 7]

        async def script():
            for size in sizes:
                data = (bytes(14) + size.to_bytes(2, "big") + bytes(range(250)) * 6)[:size]
                self.port.send(REMOTE, self.local, data, size)
            await self.until(lambda: len(self.datagrams()) == len(sizes))

        self.run_with(script)
        self.assertEqual([len(event[1]) for event in self.datagrams()], sizes)

    def test_many_at_once_all_arrive(self):
        async def script():
            for number in range(100):
                self.port.send(REMOTE, self.local, bytes((number,)), 1)
            await self.until(lambda: len(self.datagrams()) == 100)

        self.run_with(script)
        self.assertEqual([event[1][0] for event in self.datagrams()], list(range(100)))

    def test_what_cannot_be_sent_is_counted(self):
        self.port.send(LOCAL, self.remote(), bytes(70000), 70000)
        self.assertEqual(self.port.unsent, 1)


class Sockets(PortCase):
    def test_an_occupied_port_is_named(self):
        other = Port()
        number = self.local[4] << 8 | self.local[5]
        with self.assertRaises(ConfigError) as context:
            other.open(number)
        self.assertIn(str(number), str(context.exception))
        other.close()

    def test_reopening_gives_a_new_endpoint_that_works(self):
        async def script():
            self.port.reopen()
            self.port.send(LOCAL, self.remote(), b"x", 1)
            await self.until(self.datagrams)

        before = self.remote()
        self.run_with(script)
        self.assertNotEqual(self.remote(), before)
        self.assertEqual(self.datagrams(), [(REMOTE, b"x", self.local)])

    def test_the_socket_may_be_reopened_while_one_of_its_datagrams_is_worked_on(self):
        async def script():
            self.driver.on_datagram = lambda data: self.port.reopen() if data == b"1" else None
            self.port.send(LOCAL, self.remote(), b"1", 1)
            await self.until(self.datagrams)
            self.port.send(LOCAL, self.remote(), b"2", 1)
            await self.until(lambda: len(self.datagrams()) == 2)

        self.run_with(script)

    def test_the_socket_may_be_reopened_by_the_timer(self):
        async def script():
            self.driver.on_timeout = self.port.reopen
            self.port.arm(0)
            await self.until(lambda: "timeout" in self.driver.events)
            self.port.send(LOCAL, self.remote(), b"x", 1)
            await self.until(self.datagrams)

        self.run_with(script)


class Extra(PortCase):
    def test_each_has_an_endpoint_of_its_own_and_hears(self):
        async def script():
            first, second = self.port.open_extra(), self.port.open_extra()
            self.assertNotIn(first, (0, LOCAL, REMOTE, second))
            for socket in (first, second):
                self.port.send(socket, self.local, b"ask", 3)
            await self.until(lambda: len(self.datagrams()) == 2)
            ends = [endpoint for _, _, endpoint in self.datagrams()]
            self.port.send(LOCAL, ends[0], b"answer", 6)
            await self.until(lambda: len(self.driver.events) == 4)
            self.assertIn(self.driver.events[-1], [(first, b"answer", self.local), (second, b"answer", self.local)])

        self.run_with(script)

    def test_their_number_is_bounded_and_closed_ones_make_room(self):
        async def script():
            opened = []
            while True:
                socket = self.port.open_extra()
                if not socket:
                    break
                opened.append(socket)
            self.assertTrue(1 <= len(opened) <= EXTRA_MAX)
            self.assertEqual(len(set(opened)), len(opened))
            self.port.close_extra(opened[3])
            self.assertEqual(self.port.open_extra(), opened[3])
            for socket in opened:
                self.port.close_extra(socket)

        self.run_with(script)

    def test_one_may_be_closed_while_its_datagram_is_worked_on(self):
        async def script():
            socket = self.port.open_extra()
            self.driver.on_datagram = lambda data: self.port.close_extra(socket) if data == b"close me" else None
            self.port.send(socket, self.local, b"hello", 5)
            await self.until(self.datagrams)
            self.port.send(LOCAL, self.datagrams()[0][2], b"close me", 8)
            await self.until(lambda: len(self.driver.events) == 3)
            await pause(QUIET_MS)
            self.assertNotEqual(self.port.open_extra(), 0)

        self.run_with(script)

    def test_those_left_are_closed_with_the_port(self):
        async def script():
            self.port.open_extra()

        self.run_with(script)


class Timer(PortCase):
    def test_it_is_due_once(self):
        async def script():
            self.port.arm(1)
            await self.until(lambda: "timeout" in self.driver.events)
            await pause(QUIET_MS)

        self.run_with(script)
        self.assertEqual(self.driver.events.count("timeout"), 1)

    def test_a_new_time_replaces_the_old_one(self):
        async def script():
            self.port.arm(100000)
            self.port.arm(1)
            await self.until(lambda: "timeout" in self.driver.events)
            self.port.arm(1)
            self.port.arm(None)
            await pause(QUIET_MS)

        self.run_with(script)
        self.assertEqual(self.driver.events.count("timeout"), 1)

    def test_it_may_be_armed_again_when_it_is_due(self):
        async def script():
            self.driver.on_timeout = lambda: self.port.arm(1)
            self.port.arm(1)
            await self.until(lambda: self.driver.events.count("timeout") >= 3)

        self.run_with(script)

    def test_the_clock_goes_forward_within_its_period(self):
        first = self.port.now_ms()
        second = self.port.now_ms()
        self.assertTrue(0 <= first < PERIOD and 0 <= second < PERIOD)
        self.assertGreaterEqual(diff(second, first), 0)


class Names(PortCase):
    def resolved(self, name):
        async def script():
            self.port.resolve(name)
            await self.until(lambda: len(self.driver.events) == 2)

        self.run_with(script)
        return self.driver.events[1][1]

    def test_an_address_is_its_own_answer(self):
        self.assertEqual(self.resolved("192.0.2.7"), [b"\xc0\x00\x02\x07"])

    def test_a_name_is_looked_up(self):
        self.assertIn(LOOPBACK, self.resolved("localhost"))

    def test_an_impossible_name_is_answered_with_nothing(self):
        self.assertTrue(not self.resolved("a" * 64 + ".invalid"))


class Tasks(PortCase):
    def test_results_and_failures_are_reported(self):
        ended = []

        async def good():
            await pause(1)
            return 5

        async def bad():
            raise ValueError("x")

        async def script():
            for coroutine in (good(), bad()):
                self.port.start_task(coroutine, lambda result, error: ended.append((result, type(error))))
            await self.until(lambda: len(ended) == 2)

        self.run_with(script)
        self.assertIn((5, type(None)), ended)
        self.assertIn((None, ValueError), ended)

    def test_a_cancelled_task_reports_nothing(self):
        ended = []

        async def script():
            task = self.port.start_task(pause(20), lambda result, error: ended.append(result))
            await pause(1)
            task.cancel()
            await pause(QUIET_MS)

        self.run_with(script)
        self.assertEqual(ended, [])


class Randomness(PortCase):
    def test_octets_differ_and_have_the_size_asked_for(self):
        require_random()
        self.assertEqual([len(self.port.random(n)) for n in (0, 1, 16, 96)], [0, 1, 16, 96])
        self.assertNotEqual(self.port.random(16), self.port.random(16))


if __name__ == "__main__":
    unittest.main()
