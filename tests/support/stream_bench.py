"""A device with stream services on a bench, for both interpreters: `device_bench` with a client that opens streams, and
TCP connections that tests hold in their hands."""

from device_bench import CLIENT, MATERIAL, NSI, Bench, Rng, decode
from homeport_core import ticks
from homeport_core.crypto import AesContext
from homeport_core.packet import PacketWriter
from homeport_core.spec import PL_SACK, PL_WINDOW, PT_DATA, TAG_STREAM_FIRST, TAG_STREAM_LAST
from homeport_core.stream_limits import StreamLimits
from homeport_core.stream_states import CLOSED, TIME_WAIT
from homeport_core.streams import Streams
from homeport_device.output import REMOTE
from homeport_device.services import Services

ROUNDS = 2000
ENDED = (CLOSED, TIME_WAIT)


class FakeChannel:
    """A channel in the hands of a test: `sent` is what the device sent, `put` gives it something to receive."""

    def __init__(self, endpoint, owner):
        self.endpoint = endpoint
        self.owner = owner
        self.sent = b""
        self.room = 1 << 30  # how much more it takes
        self.waiting = b""
        self.has_ended = False
        self.is_broken = False
        self.readable = self.writable = False
        self.is_shut = False
        self.is_open = True
        self.was_reset = False  # by its other end
        self.is_reset = False  # by the device
        self.can_half_close = True

    def send(self, buf):
        if self.is_broken:
            return -1
        n = min(len(buf), self.room)
        self.sent += bytes(buf[:n])
        self.room -= n
        return n

    def receive_into(self, buf):
        n = min(len(buf), len(self.waiting))
        if n == 0:
            return -2 if self.was_reset else -1 if self.has_ended else 0
        buf[:n] = self.waiting[:n]
        self.waiting = self.waiting[n:]
        return n

    def shutdown(self):
        self.is_shut = True
        return self.can_half_close

    def watch(self, readable, writable):
        self.readable = readable
        self.writable = writable

    def close(self, reset=False):
        self.is_open = self.readable = self.writable = False
        self.is_reset = reset


class Target:
    """The port's part that services use. `channels` are the connections begun, `names` the look-ups."""

    def __init__(self, port):
        self._port = port
        self.channels = []
        self.names = []
        self.has_sockets = True
        port.connect_tcp = self.connect_tcp
        port.look_up = self.look_up
        port.open_serial = self.open_serial

    def connect_tcp(self, endpoint, owner):
        if not self.has_sockets:
            raise OSError(24)
        self.channels.append(FakeChannel(endpoint, owner))
        return self.channels[-1]

    def look_up(self, name, answer):
        self.names.append((name, answer))

    def open_serial(self, path, owner):
        if not self.has_sockets:
            raise OSError(2)
        self.channels.append(FakeChannel(path, owner))
        return self.channels[-1]


class Peer:
    """A client's end: its streams, sealed and opened as the stack does on the other side."""

    def __init__(self, bench, nsi=NSI, material=MATERIAL, source=CLIENT, **limits):
        self.bench = bench
        self.nsi = nsi
        self.source = source
        self.keys = AesContext(material, True)
        limits = dict({"streams": 64, "send_window": 16, "receive_window": 16}, **limits)
        self.streams = Streams(bench.client_rng, StreamLimits(**limits), True)
        self.lost = None  # a function of (to device, packet) that says which packets never arrive
        self._writer = PacketWriter(bytearray(66000))
        self._count = 0

    def packets(self):
        """What the client has to send now, sealed."""
        out = []
        while self.streams.poll(self.bench.now_ms):
            writer = self._writer
            writer.begin(PT_DATA, self.nsi, tag=self.streams.tag)
            writer.add(PL_WINDOW, self.streams.window)
            if len(self.streams.sack):
                writer.add(PL_SACK, self.streams.sack)
            self._count += 1
            writer.seal(self.keys, self.streams.data, b"peer" + self._count.to_bytes(12, "big"))
            out.append(writer.bytes())
        return out

    def receive(self, octets):
        """One packet of the device's; any other than a stream packet is passed over."""
        packet = decode(octets)
        if packet.sp != self.nsi or packet.tag is None or not TAG_STREAM_FIRST <= packet.tag <= TAG_STREAM_LAST:
            return
        off, n = self.keys.open_in_place(packet)
        self.streams.take(self.bench.now_ms, packet, off, n)


class StreamBench(Bench):
    """`services` as given by `offer(services)`. `run` lets packets go to and fro until all is quiet."""

    def __init__(self, offer, start_ms=1000, **settings):
        settings.setdefault("stream_segment", 1247)
        settings.setdefault("stream_window", 8)
        super().__init__(start_ms, **settings)
        self.target = Target(self.port)
        self.app.service_allowed = lambda connection, allow: self.app.allow
        self.services = Services(self.app)
        offer(self.services)
        self.services.start(self.stack)
        self.client_rng = Rng()
        self.peers = []

    def peer(self, **arguments):
        """A connected client."""
        peer = Peer(self, **arguments)
        self.peers.append(peer)
        return peer

    def run(self):
        """Packets go both ways until there are none. Time stands still."""
        for _ in range(ROUNDS):
            moved = False
            for peer in self.peers:
                for octets in peer.packets():
                    moved = True
                    if not (peer.lost and peer.lost(True, octets)):
                        self.stack.datagram(self.now_ms, REMOTE, octets, peer.source)
            for _, _, octets in self.port.take():
                moved = True
                for peer in self.peers:
                    if not (peer.lost and peer.lost(False, octets)):
                        peer.receive(octets)
            if not moved:
                return
        raise RuntimeError("the streams are never quiet")

    def pass_time(self, delta_ms):
        """Let time pass for both ends, from deadline to deadline."""
        end_ms = ticks.add(self.now_ms, delta_ms)
        self.run()
        while True:
            machines = [self.stack] + [peer.streams for peer in self.peers]
            due = [m.deadline_ms for m in machines if m.deadline_ms is not None]
            wait_ms = min([ticks.diff(end_ms, self.now_ms)] + [ticks.diff(d, self.now_ms) for d in due])
            self.now_ms = ticks.add(self.now_ms, max(wait_ms, 0))
            for peer in self.peers:
                peer.streams.timeout(self.now_ms)
            self.stack.timeout(self.now_ms)
            self.run()
            if ticks.diff(end_ms, self.now_ms) <= 0:
                return

    def opened(self, line=b"", peer=None):
        """A new stream of the (first) client, with its command sent."""
        peer = peer or self.peers[0]
        stream = peer.streams.open(self.now_ms)
        self.run()
        if line:
            stream.write(self.now_ms, line)
            self.run()
        return stream

    def read(self, stream, delta_ms=1500):
        """What comes in that time, read as it comes."""
        got = b""
        for _ in range(10):
            self.pass_time(delta_ms // 10)
            got += stream.read()
        self.pass_time(delta_ms // 10)
        return got

    def refused(self, stream):
        """Whether the device closes without an octet, when the client closes too."""
        got = self.read(stream)
        is_closed = stream.at_eof
        stream.close(self.now_ms)
        self.read(stream)
        return is_closed and not got and stream.state in ENDED

    def tell(self, channel, what):
        """The port reports `ready`, `failed`, `readable` or `writable` of a channel."""
        getattr(channel.owner, "tcp_" + what)(self.now_ms, channel)
        self.run()

    def put(self, channel, octets):
        """The target sends: it is read as far as the device wants."""
        channel.waiting += octets
        while channel.readable and channel.waiting:
            self.tell(channel, "readable")

    def end(self, channel):
        """The target ends its direction."""
        channel.has_ended = True
        if channel.readable:
            self.tell(channel, "readable")
