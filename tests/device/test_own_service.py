"""An application's own stream service: an async function with a stream to read and write, on the port's real loop."""

import asyncio
import unittest

from homeport_device import log
from homeport_device.own_service import OwnService
from homeport_device.port import Port
from homeport_device.queries import GUEST
from stream_bench import StreamBench

PATIENCE = 500


class OwnCase(unittest.TestCase):
    def setUp(self):
        self.heard = []
        self.bench = StreamBench(lambda services: services.add(b"own", OwnService("own", GUEST, self.handle)))
        self.bench.connected()
        self.peer = self.bench.peer()
        self.port = Port()
        self.port.open(0)
        self.addCleanup(self.port.close)
        self.failure = None
        # The bench keeps packets and time; tasks run on the real port.
        self.bench.services.port = self
        self.handler = None

    def start_task(self, coroutine, done):
        return self.port.start_task(coroutine, done)

    def call(self, function, *arguments):
        function(self.bench.now_ms, *arguments)

    async def handle(self, stream, arguments):
        await self.handler(stream, arguments)

    def run_with(self, handler, script):
        self.handler = handler

        def ended(result, error):
            self.failure = error
            self.port.stop()

        class Idle:
            def start(self):
                pass

        self.port.run(Idle(), [(script, ended)])
        if self.failure:
            raise self.failure

    async def settle(self):
        """Let tasks and packets run until nothing changes any more."""
        for _ in range(10):
            self.bench.pass_time(20)
            await asyncio.sleep(0)


class Own(OwnCase):
    def test_it_reads_and_writes_and_its_return_closes(self):
        async def handler(stream, arguments):
            await stream.write(b"hello " + arguments + b", ")
            await stream.write(await stream.read())

        async def script():
            stream = self.bench.opened(b"own world\nyou")
            await self.settle()
            got = self.bench.read(stream)
            await self.settle()
            got += self.bench.read(stream)
            self.assertEqual((got, stream.at_eof), (b"hello world, you", True))

        self.run_with(handler, script)

    def test_a_read_waits_for_octets_and_is_empty_at_the_end(self):
        async def handler(stream, arguments):
            while True:
                data = await stream.read(4)
                self.heard.append(data)
                if not data:
                    return

        async def script():
            stream = self.bench.opened(b"own\n")
            await self.settle()
            self.assertEqual(self.heard, [])
            stream.write(self.bench.now_ms, b"abcdef")
            await self.settle()
            stream.close(self.bench.now_ms)
            await self.settle()
            await self.settle()
            self.assertEqual(self.heard, [b"abcd", b"ef", b""])

        self.run_with(handler, script)

    def test_a_write_waits_for_a_client_that_does_not_read(self):
        async def handler(stream, arguments):
            await stream.write(bytes(100000))
            self.heard.append("written")

        async def script():
            stream = self.bench.opened(b"own\n")
            await self.settle()
            self.assertEqual(self.heard, [])
            got = 0
            for _ in range(PATIENCE):
                await self.settle()
                got += len(stream.read())
                if got == 100000:
                    break
            await self.settle()
            self.assertEqual((got, self.heard), (100000, ["written"]))

        self.run_with(handler, script)

    def test_it_is_cancelled_when_the_stream_is_lost(self):
        async def handler(stream, arguments):
            try:
                await stream.read()
            except asyncio.CancelledError:
                self.heard.append("cancelled")
                raise

        async def script():
            stream = self.bench.opened(b"own\n")
            await self.settle()
            stream.abort(self.bench.now_ms)
            await self.settle()
            self.assertEqual(self.heard, ["cancelled"])

        self.run_with(handler, script)

    def test_its_failure_costs_a_line_and_closes_the_stream(self):
        lines = []
        real = log.line
        log.line = lambda *words: lines.append(words)

        async def handler(stream, arguments):
            raise ValueError("broken")

        async def script():
            stream = self.bench.opened(b"own\n")
            await self.settle()
            self.assertEqual(self.bench.read(stream), b"")
            self.assertTrue(stream.at_eof)

        try:
            self.run_with(handler, script)
        finally:
            log.line = real
        self.assertEqual(len(lines), 1)
        self.assertIn("broken", lines[0])


if __name__ == "__main__":
    unittest.main()
