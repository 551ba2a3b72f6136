"""One TCP connection of the device that carries packets, back to back (specification, core 1.1).

It stands where the number of a UDP socket stands: packets from it go to `stack.datagram` with the link as their socket,
and `output` sends to it. What does not fit its small buffer is lost, as with UDP, and counted in `lost`.
"""

from homeport_core.compat import const
from homeport_core.spec import HEADER_LEN

_LENGTH_OFF = const(14)
# Packets taken in one wake-up, so that a fast peer cannot hold up timers and sockets.
_BURST = const(32)


class TcpLink:
    """What its owner hears:

    owner.link_up(now_ms, link)         it can be used
    owner.link_down(now_ms, link)       it could not be connected, or has ended
    owner.link_full(link)               a packet was lost, for too much was waiting
    owner.link_takes(now_ms, packet)    a packet came (a memoryview); True when it is for the stack
    """

    def __init__(self, stack: object, endpoint: bytes, owner: object) -> None:
        self.endpoint = endpoint
        self.is_up = False
        self.lost = 0
        self._stack = stack
        self._owner = owner
        self._rx = memoryview(bytearray(stack.packet_max))
        self._rx_len = 0
        self._tx = None  # what the system did not take yet, from the first time that it did not take all
        self._tx_off = self._tx_end = 0
        self._channel = stack.port.connect_tcp(endpoint, self)

    def send(self, buf: bytes | bytearray | memoryview, n: int) -> None:
        """Send the packet `buf[:n]`."""
        if not self.is_up:
            return
        if self._tx_end:
            self._keep(buf, 0, n)
            return
        sent = self._channel.send(memoryview(buf)[:n])
        if 0 <= sent < n:
            self._keep(buf, sent, n)

    def close(self) -> None:
        """Give the connection up; the owner hears nothing of it."""
        self.is_up = False
        self._tx_end = 0
        if self._channel is not None:
            self._channel.close()
            self._channel = None

    # The channel

    def tcp_ready(self, now_ms: int, channel: object) -> None:
        """Connected."""
        self.is_up = True
        channel.watch(True, False)
        self._owner.link_up(now_ms, self)

    def tcp_failed(self, now_ms: int, channel: object) -> None:
        """Not connected."""
        self._end(now_ms)

    def tcp_readable(self, now_ms: int, channel: object) -> None:
        """Octets came, or the end."""
        for _ in range(_BURST):
            n = channel.receive_into(self._rx[self._rx_len : self._size()])
            if n < 0:
                self._end(now_ms)
                return
            self._rx_len += n
            if n == 0:
                return
            if not HEADER_LEN <= self._size() <= len(self._rx):
                self._end(now_ms)
                return
            if self._rx_len >= HEADER_LEN and self._rx_len == self._size():
                self._deliver(now_ms)
                if self._channel is not channel:
                    return

    def tcp_writable(self, now_ms: int, channel: object) -> None:
        """Some of what waits can go."""
        sent = channel.send(memoryview(self._tx)[self._tx_off : self._tx_end])
        if sent > 0:
            self._tx_off += sent
        if sent < 0 or self._tx_off == self._tx_end:  # of a broken connection, reading tells
            self._tx_off = self._tx_end = 0
            channel.watch(True, False)

    # Steps

    def _size(self) -> int:
        """What the packet that arrives says of its size; that of a header while it has not."""
        if self._rx_len < HEADER_LEN:
            return HEADER_LEN
        return self._rx[_LENGTH_OFF] << 8 | self._rx[_LENGTH_OFF + 1]

    def _deliver(self, now_ms: int) -> None:
        packet = self._rx[: self._rx_len]
        self._rx_len = 0
        if self._owner.link_takes(now_ms, packet):
            self._stack.datagram(now_ms, self, packet, self.endpoint)

    def _keep(self, buf: bytes | bytearray | memoryview, off: int, n: int) -> None:
        """Let `buf[off:n]` wait; the rest of a packet that is partly gone always fits."""
        if self._tx is None:
            self._tx = bytearray(2 * len(self._rx))
        if self._tx_off and self._tx_end + n - off > len(self._tx):
            self._tx[: self._tx_end - self._tx_off] = self._tx[self._tx_off : self._tx_end]
            self._tx_end -= self._tx_off
            self._tx_off = 0
        if self._tx_end + n - off > len(self._tx):
            self.lost += 1
            self._owner.link_full(self)
            return
        self._tx[self._tx_end : self._tx_end + n - off] = memoryview(buf)[off:n]
        self._tx_end += n - off
        self._channel.watch(True, True)

    def _end(self, now_ms: int) -> None:
        self.close()
        self._owner.link_down(now_ms, self)
