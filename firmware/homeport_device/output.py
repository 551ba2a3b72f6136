"""The way out: one transmit buffer, one writer, and the only place that hands packets to the port."""

from homeport_core.compat import const
from homeport_core.packet import Context, PacketWriter
from homeport_core.spec import IV_LEN, SUITE_AES

LOCAL = const(0)
REMOTE = const(1)
# Further remote sockets, of connections behind a symmetric NAT (core 5.5).
FIRST_EXTRA = const(2)
EXTRA_MAX = const(250)


class Output:
    """Writes into a buffer kept for life and sends through `port.send(socket, endpoint, buf, n)`.

    While `silent` is set nothing leaves but through the local socket, whoever asks: the master switch
    (design, section 6 rule 5) is enforced here. While `down` is set, without a network, nothing leaves at all.
    """

    __slots__ = ("_complete", "_port", "_rng", "down", "silent", "writer")

    def __init__(self, port: object, rng: object, packet_max: int) -> None:
        self._port = port
        self._rng = rng
        self.silent = True
        self.down = False
        self._complete = b""  # the last endpoint that has address and port
        self.writer = PacketWriter(bytearray(packet_max))

    def seal(self, context: Context, plaintext: bytes | bytearray | memoryview, flags: int = 0) -> int:
        """Close the packet begun in `writer` with a CRYPTO payload under a fresh IV; returns its size."""
        iv = self._rng(IV_LEN) if context.suite == SUITE_AES else b""
        return self.writer.seal(context, plaintext, iv, flags)

    def send(self, socket: object, endpoint: bytes) -> None:
        """Send the packet in `writer`, sealed or not."""
        self.send_copy(socket, endpoint, self.writer.buf, self.writer.finish())

    def send_copy(self, socket: object, endpoint: bytes, buf: bytes | bytearray, n: int) -> None:
        """Send `buf[:n]`, a packet complete already. Endpoints without address or port are skipped."""
        if self.down or self.silent and socket != LOCAL:
            return
        if not isinstance(socket, int):
            socket.send(buf, n)
        elif endpoint is self._complete or (any(endpoint[:4]) and (endpoint[4] or endpoint[5])):
            self._complete = endpoint
            self._port.send(socket, endpoint, buf, n)
