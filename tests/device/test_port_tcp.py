"""What a stack may rely on of any port's TCP channels, over loopback with real sockets."""

import asyncio
import socket
import unittest

from homeport_core.compat import MICROPYTHON
from homeport_device.port import Port

LOOPBACK = b"\x7f\x00\x00\x01"
PATIENCE_MS = 5000
QUIET_MS = 60
MEGABYTE = 1 << 20


class Driver:
    """Calls straight through, and keeps what went wrong."""

    def __init__(self, port):
        self._port = port

    def start(self):
        pass

    def drained(self):
        """No datagrams come here."""

    def call(self, function, *arguments):
        function(self._port.now_ms(), *arguments)


class Owner:
    """Notes what a channel reports; `on_…` may act upon it."""

    def __init__(self):
        self.events = []
        self.received = b""
        self.buf = bytearray(700)
        self.on_writable = None

    def tcp_ready(self, now_ms, channel):
        self.events.append("ready")

    def tcp_failed(self, now_ms, channel):
        self.events.append("failed")

    def tcp_readable(self, now_ms, channel):
        n = channel.receive_into(self.buf)
        if n < 0:
            self.events.append("end")
            channel.watch(False, False)
        else:
            self.received += bytes(self.buf[:n])

    def tcp_writable(self, now_ms, channel):
        self.events.append("writable")
        self.on_writable(channel)


class Listener:
    """A server's socket that tests take connections from."""

    def __init__(self):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.port = self._bind()
        self.socket.listen(4)
        self.socket.setblocking(False)

    def _bind(self):
        if not MICROPYTHON:
            self.socket.bind(("127.0.0.1", 0))
            return self.socket.getsockname()[1]
        for port in range(41000, 42000):
            try:
                self.socket.bind(socket.getaddrinfo("127.0.0.1", port)[0][-1])
                return port
            except OSError:
                continue
        raise OSError("no free port")

    @property
    def endpoint(self):
        return LOOPBACK + self.port.to_bytes(2, "big")

    def accept(self):
        """A connection, or None when none is there."""
        try:
            accepted = self.socket.accept()[0]
        except OSError:
            return None
        accepted.setblocking(False)
        return accepted


def receive(accepted, n=65536):
    """What has arrived: octets, b"" at the end, None for nothing yet."""
    try:
        return accepted.recv(n)
    except OSError as error:
        if error.errno == 11:
            return None
        raise


class TcpCase(unittest.TestCase):
    def setUp(self):
        self.port = Port()
        self.port.open(0)
        self.addCleanup(self.port.close)
        self.listener = Listener()
        self.addCleanup(self.listener.socket.close)
        self.owner = Owner()
        self.failure = None

    def run_with(self, script):
        def ended(result, error):
            self.failure = error
            self.port.stop()

        self.port.run(Driver(self.port), [(script, ended)])
        if self.failure:
            raise self.failure

    async def until(self, found):
        for _ in range(PATIENCE_MS // 2):
            value = found()
            if value:
                return value
            await asyncio.sleep(0.002)
        raise AssertionError("did not happen; seen: %r" % (self.owner.events,))

    async def connected(self):
        """A ready channel and the accepted socket at its other end."""
        channel = self.port.connect_tcp(self.listener.endpoint, self.owner)
        self.assertEqual(self.owner.events, [])
        await self.until(lambda: "ready" in self.owner.events)
        return channel, await self.until(self.listener.accept)


class Connecting(TcpCase):
    def test_a_listener_is_reached(self):
        async def script():
            channel, accepted = await self.connected()
            channel.close()
            accepted.close()

        self.run_with(script)
        self.assertEqual(self.owner.events, ["ready"])

    def test_nobody_listening_is_a_failure_and_nothing_else(self):
        self.listener.socket.close()

        async def script():
            channel = self.port.connect_tcp(self.listener.endpoint, self.owner)
            await self.until(lambda: self.owner.events)
            channel.close()
            await asyncio.sleep(QUIET_MS / 1000)

        self.run_with(script)
        self.assertEqual(self.owner.events, ["failed"])

    def test_an_address_that_cannot_be_reached_is_a_failure(self):
        async def script():
            channel = self.port.connect_tcp(b"\xff\xff\xff\xff\x00\x09", self.owner)
            await self.until(lambda: self.owner.events)
            channel.close()

        self.run_with(script)
        self.assertEqual(self.owner.events, ["failed"])

    def test_a_channel_closed_while_it_connects_says_no_more(self):
        async def script():
            self.port.connect_tcp(self.listener.endpoint, self.owner).close()
            await asyncio.sleep(QUIET_MS / 1000)

        self.run_with(script)
        self.assertEqual(self.owner.events, [])


class Octets(TcpCase):
    def test_they_go_both_ways(self):
        async def script():
            channel, accepted = await self.connected()
            channel.watch(True, False)
            accepted.send(b"to the device")
            await self.until(lambda: self.owner.received == b"to the device")
            self.assertEqual(channel.send(memoryview(b"from the deviceX")[:15]), 15)
            self.assertEqual(await self.until(lambda: receive(accepted)), b"from the device")
            channel.close()
            accepted.close()

        self.run_with(script)

    def test_nothing_is_reported_that_is_not_watched_for(self):
        async def script():
            channel, accepted = await self.connected()
            accepted.send(b"x")
            await asyncio.sleep(QUIET_MS / 1000)
            self.assertEqual(self.owner.events, ["ready"])
            self.assertEqual(self.owner.received, b"")
            channel.watch(True, False)
            await self.until(lambda: self.owner.received == b"x")
            channel.watch(False, False)
            accepted.send(b"y")
            await asyncio.sleep(QUIET_MS / 1000)
            self.assertEqual(self.owner.received, b"x")
            channel.close()
            accepted.close()

        self.run_with(script)

    def test_receiving_where_nothing_is_takes_nothing(self):
        async def script():
            channel, accepted = await self.connected()
            self.assertEqual(channel.receive_into(self.owner.buf), 0)
            channel.close()
            accepted.close()

        self.run_with(script)

    def test_the_end_comes_behind_the_last_octet(self):
        async def script():
            channel, accepted = await self.connected()
            accepted.send(b"last")
            accepted.close()
            channel.watch(True, False)
            await self.until(lambda: "end" in self.owner.events)
            channel.close()

        self.run_with(script)
        self.assertEqual(self.owner.received, b"last")

    def test_a_full_socket_takes_nothing_and_tells_when_there_is_room(self):
        got = []

        async def script():
            channel, accepted = await self.connected()
            data = bytes(range(256)) * 64
            sent = 0
            while True:
                n = channel.send(data)
                if n == 0:
                    break
                sent += n
            self.assertGreater(sent, len(data))
            self.owner.on_writable = lambda channel: channel.watch(False, False)
            channel.watch(False, True)
            await asyncio.sleep(QUIET_MS / 1000)
            self.assertEqual(self.owner.events, ["ready"])
            while sum(got) < sent:
                got.append(len(await self.until(lambda: receive(accepted))))
            await self.until(lambda: "writable" in self.owner.events)
            channel.close()
            accepted.close()

        self.run_with(script)
        self.assertEqual(self.owner.events, ["ready", "writable"])

    def test_sending_to_a_peer_that_is_gone_says_broken(self):
        async def script():
            channel, accepted = await self.connected()
            accepted.close()
            await self.until(lambda: channel.send(b"x") < 0)
            channel.close()

        self.run_with(script)

    def test_a_closed_direction_ends_at_the_peer_where_the_platform_can(self):
        async def script():
            channel, accepted = await self.connected()
            self.assertEqual(channel.shutdown(), not MICROPYTHON)
            if channel.shutdown():
                self.assertEqual(await self.until(lambda: receive(accepted) == b""), True)
                accepted.send(b"still heard")
                channel.watch(True, False)
                await self.until(lambda: self.owner.received == b"still heard")
            channel.close()
            accepted.close()

        self.run_with(script)

    def test_closing_ends_both_directions_and_may_be_repeated(self):
        async def script():
            channel, accepted = await self.connected()
            channel.watch(True, True)
            self.owner.on_writable = lambda channel: None
            channel.close()
            channel.close()
            self.assertEqual(await self.until(lambda: receive(accepted) == b""), True)
            accepted.close()

        self.run_with(script)

    def test_a_channel_may_be_closed_by_what_it_reports(self):
        async def script():
            channel, accepted = await self.connected()
            self.owner.on_writable = lambda channel: channel.close()
            channel.watch(True, True)
            await self.until(lambda: "writable" in self.owner.events)
            await asyncio.sleep(QUIET_MS / 1000)
            accepted.close()

        self.run_with(script)
        self.assertEqual(self.owner.events, ["ready", "writable"])


class Names(TcpCase):
    def looked_up(self, name):
        answers = []

        async def script():
            self.port.look_up(name, lambda now_ms, addresses: answers.append(addresses))
            await self.until(lambda: answers)

        self.run_with(script)
        return answers[0]

    def test_an_address_is_its_own_answer(self):
        self.assertEqual(self.looked_up("192.0.2.7"), [b"\xc0\x00\x02\x07"])

    def test_a_name_is_looked_up(self):
        self.assertIn(LOOPBACK, self.looked_up("localhost"))

    def test_an_impossible_name_is_answered_with_nothing(self):
        self.assertTrue(not self.looked_up("a" * 64 + ".invalid"))


if __name__ == "__main__":
    unittest.main()
