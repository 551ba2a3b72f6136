"""A link with a round trip time, in user space: forwarders for TCP and UDP on the running event loop."""

import asyncio
import socket

from homeport_core.spec import PT_U_INVITE

_READ_LEN = 65_535


class SlowLink:
    """Forwards what comes to an address to another one, half a round trip later each way.

    Devices are let through at once: they are told by the invite that a flow begins with.
    """

    def __init__(self, rtt_s):
        self._one_way_s = rtt_s / 2
        self._loop = asyncio.get_running_loop()
        self._sockets = []
        self._servers = []
        self._flows = {}

    async def tcp(self, here, there):
        """Forward connections to `here`. A handshake costs a round trip before anything else can flow."""

        async def accept(reader, writer):
            await asyncio.sleep(2 * self._one_way_s)
            far_reader, far_writer = await asyncio.open_connection(*there)
            await asyncio.gather(self._pump(reader, far_writer), self._pump(far_reader, writer))

        self._servers.append(await asyncio.start_server(accept, *here))

    def udp(self, here, there):
        """Forward datagrams to `here`, and their answers back."""
        near = self._bound(here)

        def arrived():
            data, source = near.recvfrom(_READ_LEN)
            if source not in self._flows:
                delay_s = 0 if data[8] == PT_U_INVITE else self._one_way_s
                self._flows[source] = self._open_flow(near, source, there, delay_s)
            far, delay_s = self._flows[source]
            self._loop.call_later(delay_s, far.send, data)

        self._loop.add_reader(near, arrived)

    async def close(self):
        """End it."""
        for server in self._servers:
            server.close()
        for opened in self._sockets:
            self._loop.remove_reader(opened)
            opened.close()

    def _open_flow(self, near, source, there, delay_s):
        far = self._bound(("127.0.0.1", 0))
        far.connect(there)
        self._loop.add_reader(far, lambda: self._loop.call_later(delay_s, near.sendto, far.recv(_READ_LEN), source))
        return far, delay_s

    def _bound(self, where):
        made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        made.setblocking(False)
        made.bind(where)
        self._sockets.append(made)
        return made

    async def _pump(self, reader, writer):
        try:
            while data := await reader.read(_READ_LEN):
                self._loop.call_later(self._one_way_s, writer.write, data)
        except OSError:
            return
        finally:
            self._loop.call_later(self._one_way_s, writer.close)
