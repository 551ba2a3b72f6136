"""The reference's tunnel program as far as the network sees it: the reference device with streams and its services.

It takes all of the segment in which a command's newline comes for the command, finds services by the beginning of the
line, reaches IPv4 addresses only, and answers a tunnel with nothing. It begins to search in the moment in which it
accepts a connection, as the captures show, and stops at the first DATA.
"""

import re
import socket
import time

from homeport_core.errors import ProtocolError
from homeport_core.packet import Packet
from homeport_core.payloads import u32
from homeport_core.spec import FRAMING_CLOSE, FRAMING_CLOSE_OLD, PT_DATA, TAG_FRAMING
from reference_device import ReferenceDevice
from reference_stream import FIRST_TAG, LAST_TAG, ReferencePeer
from reference_stream_states import DONE, State
from stream_frames import Block, FreshWire

# A build with streams: 26 + 36 + 20 + 1286 octets (streams 1.6).
RECEIVE_MAX = 1368
COMMAND_MAX = 512
_LIVE = (State.ESTABLISHED, State.CLOSE_WAIT)


class StreamDevice(ReferenceDevice):
    """`window` and `streams` are its build's; `commands` are the lines that came, with whatever came in their segments.

    `framing` collects the framing commands that it got. `reads` tells whether tunnels pass on what they receive.
    """

    receive_max = RECEIVE_MAX

    def __init__(self, *args, window=100, streams=16, **more):
        super().__init__(*args, **more)
        self.limits = Block(rx_win=window, tx_win=window)
        self.streams_max = streams
        self.commands = []
        self.framing = []
        self.reads = True
        self.peers = {}  # by the connection's NSI
        self._services = {}

    def forget_streams(self):
        """Lose all streams without a word, so that their packets are strange."""
        self.wish(lambda: [peer.streams.clear() for peer in self.peers.values()])

    def _datagram(self, sock, data, source):
        super()._datagram(sock, data, source)
        packet = Packet()
        try:
            packet.decode_from(bytearray(data))
            connection = self.connections.get(packet.sp)
            if packet.type != PT_DATA or connection is None or connection.context is None:
                return
            plaintext = connection.context.open(packet)
        except ProtocolError:
            return
        if packet.tag == TAG_FRAMING:
            self._note(connection, u32(plaintext, 0))
        elif packet.tag is not None and FIRST_TAG <= packet.tag <= LAST_TAG and not connection.closed:
            connection.stream_sock = sock
            self._peer(connection).take(_now_ms(), data)
            self._serve(connection)

    def _note(self, connection, command):
        self.framing.append(command)
        if command in (FRAMING_CLOSE, FRAMING_CLOSE_OLD) and connection.nsi in self.peers:
            peer = self.peers.pop(connection.nsi)
            for stream in list(peer.streams.values()):
                if stream.state in _LIVE:
                    stream.abort()
            self._flush(connection, peer)

    def _peer(self, connection):
        if connection.nsi not in self.peers:
            wire = FreshWire(connection.context, sp=u32(connection.nsi, 0))
            self.peers[connection.nsi] = ReferencePeer(wire, self.limits, self.streams_max)
            self.peers[connection.nsi].now_ms = _now_ms()
        return self.peers[connection.nsi]

    def _tick(self, now):
        super()._tick(now)
        for nsi, peer in list(self.peers.items()):
            if nsi not in self.connections:
                del self.peers[nsi]
                continue
            peer.tick(_now_ms())
            self._serve(self.connections[nsi])

    def _serve(self, connection):
        """Let the services work, each a little, then send."""
        peer = self.peers[connection.nsi]
        while peer.opened:
            stream = peer.opened.pop()
            self._services[stream] = Service(self, stream)
        for stream, service in list(self._services.items()):
            if stream.peer is peer and service.step(_now_ms()):
                del self._services[stream]
                peer.release(stream)
        self._flush(connection, peer)

    def _flush(self, connection, peer):
        for datagram in peer.taken():
            assert len(datagram) <= RECEIVE_MAX
            self._send(connection.peer, datagram, connection.stream_sock)


class Service:
    """What one stream is used for: first its command, then an echo or a TCP connection."""

    def __init__(self, device, stream):
        self.device, self.stream = device, stream
        self.command = b""
        self.work = self._read_command
        self.pending = b""  # read from the stream, not passed on yet
        self.tcp = None
        self.stream_ended = self.tcp_ended = self.told = False

    def step(self, now_ms):
        """Go on; True once the stream can be released."""
        self.work(now_ms)
        if self.stream.state not in DONE:
            return False
        if self.tcp is not None:
            self.tcp.close()
        return True

    def _read(self, now_ms):
        """One segment at most."""
        if not self.pending and not self.stream_ended:
            self.pending, hint = self.stream.read(now_ms)
            self.stream_ended = bool(hint)
        return self.pending

    def _read_command(self, now_ms):
        self.command += self._read(now_ms)
        self.pending = b""
        if b"\n" in self.command or len(self.command) > COMMAND_MAX or self.stream_ended:
            self.device.commands.append(self.command)
            self._begin(self.command[:COMMAND_MAX].partition(b"\n")[0].decode("latin-1"))

    def _begin(self, line):
        self.work = self._drain
        if line.startswith("tunnel"):
            host = re.search(r"host=([^ ]*)", line)
            port = re.search(r"port= *(\d+)", line)
            try:
                self.tcp = socket.socket()
                self.tcp.settimeout(1)
                address = socket.inet_aton(host[1] if host else "127.0.0.1")
                self.tcp.connect((socket.inet_ntoa(address), int(port[1]) if port else 22))
                self.tcp.setblocking(False)
                self.work = self._tunnel
            except OSError:
                self.tcp.close()
                self.tcp = None
        elif line.startswith("echo"):
            self.stream.write(b"+\n")
            self.work = self._echo
        if self.work == self._drain:
            self.stream.close()

    def _drain(self, now_ms):
        self._read(now_ms)
        self.pending = b""

    def _echo(self, now_ms):
        if self._read(now_ms):
            self.pending = self.pending[self.stream.write(self.pending) :]
        elif self.stream_ended:
            self.stream.close()
            self.work = self._drain

    def _tunnel(self, now_ms):
        if self.device.reads:
            self._to_tcp(now_ms)
        if not self.tcp_ended and self.stream.sender.can_write(None):
            self._from_tcp()
        if self.stream_ended and self.tcp_ended and not self.pending:
            self.work = self._drain

    def _to_tcp(self, now_ms):
        while self._read(now_ms):
            try:
                self.pending = self.pending[self.tcp.send(self.pending) :]
            except BlockingIOError:
                return
            except OSError:
                self.pending = b""
        if self.stream_ended and not self.told:
            self.told = True
            try:
                self.tcp.shutdown(socket.SHUT_WR)
            except OSError:
                self.tcp_ended = True

    def _from_tcp(self):
        try:
            data = self.tcp.recv(self.stream.config.tx_seg)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data:
            self.stream.write(data)
        else:
            self.tcp_ended = True
            self.stream.close()


def _now_ms():
    return time.monotonic_ns() // 1_000_000
