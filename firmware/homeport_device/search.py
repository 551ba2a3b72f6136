"""What only few searches for a client need (specification, core 5.5; docs/extensions.md): another one later, many ports
where the client's NAT is symmetric, and many sockets where our own is. Imported when the first connection needs it.

Each extra socket has a public port of its own that nobody knows. The client, told that our NAT is symmetric, tries many
ports of our address; the more of them are ours, the sooner it meets one.
"""

from homeport_core import ticks
from homeport_core.compat import const
from homeport_core.errors import MalformedError
from homeport_core.spec import ENDPOINT_LEN, IPX_NAT_MASK, NAT_SYMMETRIC, SEARCH_LEN

_PERIOD_MS = const(20)
_NEAR_PORTS = const(100)
_PORT_MIN = const(1024)
_SERIES_START = const(4567)
_SERIES_FACTOR = const(13)


def search_again(stack: object, now_ms: int, connection: object, message: bytes) -> bytes:
    """The client of an introduced connection is elsewhere, or lost the direct path.

    `message` has its endpoints and NAT type, the answer ours. Raises MalformedError.
    """
    if len(message) != SEARCH_LEN:
        raise MalformedError("a request to search has 13 octets", len(message))
    private, global_ = message[:ENDPOINT_LEN], message[ENDPOINT_LEN : 2 * ENDPOINT_LEN]
    search = connection.rendezvous
    if search.again(now_ms, private, global_, message[-1] & IPX_NAT_MASK):
        if stack.config.many_ports:
            search.try_ports()
        try_sockets(stack, now_ms, search)
    attach = stack.attach
    return stack.port.local_endpoint() + attach.seen_as + bytes((attach.nat_type,))


def try_sockets(stack: object, now_ms: int, search: object) -> None:
    """Ask from many sockets as well, where our NAT is symmetric and the client's is not."""
    if stack.config.many_sockets and stack.attach.nat_type == NAT_SYMMETRIC and search.client_nat != NAT_SYMMETRIC:
        search.crowd = search.crowd or Crowd(stack.port)
        search.crowd.next_ms = now_ms


class Ports:
    """The ports to try around `base`: first its neighbours, then a series without end."""

    __slots__ = ("_base", "_x", "tried")

    def __init__(self, base: int) -> None:
        self._base = base
        self._x = _SERIES_START
        self.tried = 0

    def next(self) -> int:
        """The next port to try."""
        n = self.tried
        self.tried += 1
        if n < _NEAR_PORTS:
            step = -(n - 1) // 2 - 1 if n & 1 else n // 2 + 1
            port = (self._base + step) & 0xFFFF
            if port >= _PORT_MIN:
                return port
        while True:
            self._x = self._x * _SERIES_FACTOR & 0xFFFF
            if self._x >= _PORT_MIN:
                return self._x


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
