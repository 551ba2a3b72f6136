"""TCP for one connection, through a gateway that the introduction named (specification, core 5.9).

The device connects while the rendezvous goes on, says which connection it means, and waits: the client chooses TCP by
sending its first DATA through it. UDP that comes first, or later, ends TCP. What the gateway promises when it answers,
that nothing is lost and that silence means nothing, holds for as long as TCP is the way.
"""

from homeport_core.compat import const
from homeport_core.errors import MalformedError
from homeport_core.packet import Packet
from homeport_core.payloads import parse_gw
from homeport_core.spec import (
    GW_KEEP_ALIVE,
    GW_RELIABLE,
    NSI_LEN,
    PL_NONCE,
    PT_DATA,
    PT_GW_CONN_U,
)

from homeport_device.connection import CONNECTED, PATH_LOST
from homeport_device.tcp_link import TcpLink

_TYPE_OFF = const(8)
_FLAGS_OFF = const(1)
_NONCE_MIN = const(2)
_TCP = const(0)  # kind of connection (core 2.3)


def begin(stack: object, connection: object, cp: bytes, offer: bytes) -> None:
    """Go to the gateway that GW names, `offer` its data, if it names one and there is a socket: other ways go on."""
    try:
        connection.fallback = TcpFallback(stack, connection, cp, parse_gw(offer))
    except (MalformedError, OSError):
        connection.fallback = None


class TcpFallback:
    """`used` tells whether requests or streams came this way, `keeps_alive` whether silence ends the connection."""

    def __init__(self, stack: object, connection: object, cp: bytes, gateway: object) -> None:
        """`gateway` is what GW says, `cp` the client's NSI in the introduction. Raises OSError without a socket."""
        self.used = False
        self.keeps_alive = True
        self._stack = stack
        self._connection = connection
        self._cp = cp
        self._id = gateway.gateway_id
        self._answered = False
        self._reliable = False
        self.link = TcpLink(stack, gateway.endpoint, self)

    def choose(self) -> None:
        """The client's data came this way."""
        self._connection.is_reliable = self._reliable

    def close(self) -> None:
        """Not needed, or no longer."""
        self._connection.is_reliable = False
        self._connection.fallback = None
        self.link.close()

    # The link

    def link_up(self, now_ms: int, link: TcpLink) -> None:
        """Connected: show the gateway id."""
        connection = self._connection
        writer = self._stack.output.writer
        writer.begin(PT_GW_CONN_U, connection.nsi, cp=self._cp, co=connection.co)
        head = bytes((_TCP, GW_RELIABLE))
        writer.add(PL_NONCE, head + self._cp + connection.nsi + connection.co + self._id)
        self._stack.output.send(link, link.endpoint)

    def link_down(self, now_ms: int, link: TcpLink) -> None:
        """Not connected, or no longer: there is no second attempt."""
        self.close()
        stack, connection = self._stack, self._connection
        if connection.socket is not link or connection.state != CONNECTED:
            return  # it was not the way
        if self.used:
            stack.close(now_ms, connection)
            return
        connection.enter(PATH_LOST)
        connection.socket = stack.attach.socket
        connection.peer = stack.attach.gsp
        connection.restart_timer(now_ms)
        stack.app.closed(connection)

    def link_full(self, link: TcpLink) -> None:
        """A packet was lost after all."""
        self._connection.is_reliable = False

    def link_takes(self, now_ms: int, packet: memoryview) -> bool:
        """Data of this connection is for the stack, once the gateway has answered."""
        if packet[NSI_LEN : 2 * NSI_LEN] != self._connection.nsi:
            return False
        if packet[_TYPE_OFF] == PT_GW_CONN_U and not self._answered:
            self._take_answer(packet)
        return self._answered and packet[_TYPE_OFF] == PT_DATA

    def _take_answer(self, octets: memoryview) -> None:
        """The other side is there; what it says of the way is all that counts."""
        packet = Packet()
        try:
            packet.decode_from(bytes(octets))
        except MalformedError:
            return
        nonce = packet.get(PL_NONCE)
        if nonce is None or len(nonce) < _NONCE_MIN:
            return
        flags = nonce[_FLAGS_OFF]
        self._answered = True
        self._reliable = bool(flags & GW_RELIABLE)
        self.keeps_alive = bool(flags & GW_KEEP_ALIVE)
