"""An HTTP proxy that knows CONNECT and nothing else, on real sockets.

As a program: `connect_proxy.py HOST:PORT [USER:PASSWORD [NAME=ADDRESS …]]`; it says its port when it is ready.
"""

import asyncio
import base64
import contextlib
import re
import sys

_REQUEST = re.compile(rb"CONNECT (?:\[([0-9a-f:]+)\]|([^:\s]+)):([0-9]+) HTTP/1\.1\r\n")


class ConnectProxy:
    """`hosts` replaces names by addresses, `user` ("name:password") is asked for, `answer` is said instead of
    connecting (b"" for nothing at all). `asked` lists the targets."""

    def __init__(self, hosts=None, user=None, answer=None):
        self.hosts = hosts or {}
        self.user = user
        self.answer = answer
        self.asked = []
        self.heads = []
        self._tasks = set()

    async def __aenter__(self):
        await self.listen("127.0.0.1", 0)
        return self

    async def __aexit__(self, *_):
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def listen(self, host, port):
        self._server = await asyncio.start_server(self._serve, host, port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _serve(self, reader, writer):
        task = asyncio.current_task()
        self._tasks.add(task)
        try:
            await self._connect(reader, writer)
        except (OSError, asyncio.IncompleteReadError):
            pass  # either end went away
        finally:
            writer.close()
            self._tasks.discard(task)

    async def _connect(self, reader, writer):
        head = await reader.readuntil(b"\r\n\r\n")
        self.heads.append(head)
        ipv6, name, port = _REQUEST.match(head).groups()
        host = (ipv6 or name).decode()
        self.asked.append((host, int(port)))
        if self.answer is not None:
            writer.write(self.answer)
            await reader.read()
        elif not self._is_known(head):
            writer.write(b'HTTP/1.1 407 Who?\r\nProxy-Authenticate: Basic realm="office"\r\n\r\n')
        else:
            far_reader, far_writer = await asyncio.open_connection(self.hosts.get(host, host), int(port))
            writer.write(b"HTTP/1.1 200 Connection established\r\nVia: 1.1 office\r\n\r\n")
            await asyncio.gather(_pump(reader, far_writer), _pump(far_reader, writer))

    def _is_known(self, head):
        wanted = b"Proxy-Authorization: Basic " + base64.b64encode((self.user or "").encode()) + b"\r\n"
        return self.user is None or wanted in head


async def _pump(reader, writer):
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


async def _main(where, user=None, *hosts):
    host, _, port = where.rpartition(":")
    proxy = ConnectProxy(dict(pair.split("=") for pair in hosts), user)
    await proxy.listen(host.strip("[]"), int(port))
    print(f"ready {proxy.port}", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_main(*sys.argv[1:]))
