"""Many sockets behind a symmetric NAT (specification, core 5.5).

Each has a public port of its own that nobody knows. The client, told that our NAT is symmetric, tries many ports of our
address; the more of them are ours, the sooner it meets one.
"""

from homeport_core import ticks
from homeport_core.compat import const

_PERIOD_MS = const(20)


class Crowd:
    """The extra sockets of one connection. `next_ms` is when to grow, None when there is no room for more."""

    __slots__ = ("_port", "_sockets", "next_ms", "opened")

    def __init__(self, port: object) -> None:
        self._port = port
        self._sockets = []
        self.next_ms = None
        self.opened = 0

    def __len__(self) -> int:
        return len(self._sockets)

    def start(self, now_ms: int) -> None:
        """Grow from now on."""
        self.next_ms = now_ms

    def grow(self, now_ms: int) -> int:
        """Another socket, 0 when the port has none."""
        socket = self._port.open_extra()
        if not socket:
            self.next_ms = None
            return 0
        self._sockets.append(socket)
        self.opened += 1
        self.next_ms = ticks.add(now_ms, _PERIOD_MS)
        return socket

    def shrink(self, kept: int) -> None:
        """Grow no more, and close all sockets but `kept`."""
        self.next_ms = None
        if self._sockets and self._sockets != [kept]:
            for socket in self._sockets:
                if socket != kept:
                    self._port.close_extra(socket)
            self._sockets = [socket for socket in self._sockets if socket == kept]
