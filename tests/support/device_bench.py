"""A device stack on a bench, for both interpreters: fake port and application, a clock, and what stands opposite it
(controller, GSP, client), written with the core alone. Nothing happens unless a test says so."""

from homeport_core import ticks
from homeport_core.crypto import AesContext, NullContext, key_material
from homeport_core.packet import Packet, encode
from homeport_core.payloads import build_fp, build_id, build_ipx, parse_notify
from homeport_core.spec import (
    ENDPOINT_ZERO,
    FL_RESPONSE,
    FP_SHA256,
    ID_MAIL,
    IPX_CP_ASYNC,
    IPX_NO_RENDEZVOUS,
    PL_CP_ID,
    PL_EP,
    PL_FP,
    PL_IPX,
    PL_NONCE,
    PL_NOTIFY,
    PL_TIME,
    PT_DATA,
    PT_U_ALIVE,
    PT_U_ATTACH,
    PT_U_CONNECT,
    PT_U_INVITE,
    TAG_FRAMING,
)
from homeport_device.config import Config
from homeport_device.output import LOCAL, REMOTE
from homeport_device.stack import Stack

DEVICE_ID = "dev1.example.net"
KEY = bytes(range(16))
CONTROLLER = b"\xc0\x00\x02\x0a\x15\xbe"  # 192.0.2.10:5566
GSP = b"\xc0\x00\x02\x0b\x15\xbd"  # 192.0.2.11:5565
OWN = b"\xc6\x33\x64\x05\xc3\x50"  # 198.51.100.5:50000, as the basestation sees the device
CLIENT = b"\xcb\x00\x71\x07\xea\x60"  # 203.0.113.7:60000
LAN_CLIENT = b"\xc0\xa8\x01\x14\x9c\x40"  # 192.168.1.20:40000
STRANGER = b"\xcb\x00\x71\x63\x04\xd2"  # 203.0.113.99:1234
FINGERPRINT = bytes(range(0x10, 0x20))
GSP_NSI = b"\x00\x00\x12\x67"
NSI = b"\x7a\x01\x02\x03"
IV = bytes(range(0xF0, 0x100))
NONCE_GSP = bytes([0x11]) * 32
SEED_GSP = bytes([0x22]) * 32
MATERIAL = bytes(range(96))
# Tests of time start here once more: the clock wraps while they run.
BELOW_WRAP_MS = ticks.PERIOD - 1500


class Rng:
    """Octets that never repeat, and the same in each run."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, n: int) -> bytes:
        self.count += 1
        return (self.count.to_bytes(4, "big") * (n // 4 + 1))[:n]


class FakeChannel:
    """A TCP connection: `sent` is what the stack sent, `arriving` what it can receive, `room` what fits the system."""

    def __init__(self, endpoint: bytes, owner: object) -> None:
        self.endpoint = endpoint
        self.owner = owner
        self.sent = b""
        self.arriving = b""
        self.ended = False
        self.room = 1 << 20
        self.is_closed = False
        self.watched = (False, False)

    def watch(self, readable: bool, writable: bool) -> None:
        self.watched = (readable, writable)

    def send(self, buf: bytes) -> int:
        n = min(len(buf), self.room)
        self.sent += bytes(buf[:n])
        self.room -= n
        return n

    def receive_into(self, buf: bytearray) -> int:
        n = min(len(buf), len(self.arriving))
        if n == 0 and self.ended:
            return -1
        buf[:n] = self.arriving[:n]
        self.arriving = self.arriving[n:]
        return n

    def close(self) -> None:
        self.is_closed = True

    def take(self) -> list:
        """The packets that the stack sent, taken out."""
        packets = []
        while len(self.sent) >= 16:
            n = self.sent[14] << 8 | self.sent[15]
            packets.append(self.sent[:n])
            self.sent = self.sent[n:]
        return packets


class FakePort:
    """Keeps what the stack sends: `sent` holds (socket, endpoint, packet)."""

    def __init__(self) -> None:
        self.sent = []
        self.lookups = []
        self.reopened = 0
        self.channels = []
        self.has_tcp = True
        self.extra = []  # numbers of the extra sockets that are open; `opened` counts all there were
        self.extra_max = 250
        self.opened = 0

    def send(self, socket: int, endpoint: bytes, buf: bytes, n: int) -> None:
        self.sent.append((socket, bytes(endpoint), bytes(memoryview(buf)[:n])))

    def connect_tcp(self, endpoint: bytes, owner: object) -> object:
        if not self.has_tcp:
            raise OSError("no socket")
        self.channels.append(FakeChannel(bytes(endpoint), owner))
        return self.channels[-1]

    def resolve(self, name: str) -> None:
        self.lookups.append(name)

    def reopen(self) -> None:
        self.reopened += 1

    def receive_up_to(self, size: int) -> None:
        self.longest = size

    def open_extra(self) -> int:
        if len(self.extra) >= self.extra_max:
            return 0
        self.opened += 1
        self.extra.append(REMOTE + self.opened)
        return self.extra[-1]

    def close_extra(self, socket: int) -> None:
        self.extra.remove(socket)

    def local_endpoint(self) -> bytes:
        return b"\x00\x00\x00\x00\xc3\x50"

    def take(self) -> list:
        sent = self.sent
        self.sent = []
        return sent


class FakeApp:
    """Lets everybody in. Query 1 echoes its parameters, 2 counts, 3 is accepted, 4 turns remote access off."""

    def __init__(self) -> None:
        self.allow = True
        self.remote = True
        self.keys = {}
        self.end_to_end = None
        self.runs = 0
        self.accepted = []
        self.log = []

    def connection_allowed(self, connection: object) -> bool:
        return self.allow

    def psk_for(self, key_id: bytes, client_id: bytes, fingerprint: bytes) -> tuple:
        return self.keys.get(key_id)

    def key_of(self, connection: object) -> tuple:
        return self.end_to_end

    def request(self, request: object, reader: object, writer: object) -> int:
        self.runs += 1
        if request.query_id == 1:
            octets = bytes(reader.buf[reader.off : reader.end])
            writer.buf[writer.off : writer.off + len(octets)] = octets
            writer.off += len(octets)
            return 0
        if request.query_id == 2:
            writer.write_number(5, self.runs)
            return 0
        if request.query_id == 3:
            self.accepted.append(request)
            return -1
        if request.query_id == 4:
            self.remote = False
            return 0
        return 7

    def dropped(self, request: object) -> None:
        self.log.append(("dropped", request.query_id))

    def opened(self, connection: object) -> None:
        self.log.append(("opened", connection.nsi))

    def closed(self, connection: object) -> None:
        self.log.append(("closed", connection.nsi))

    def remote_enabled(self) -> bool:
        return self.remote


def decode(octets: bytes) -> Packet:
    """A packet in a buffer of its own, so that it can be opened in place."""
    packet = Packet()
    packet.decode_from(bytearray(octets), len(octets))
    return packet


class Bench:
    """One stack and its surroundings. `settings` go to Config."""

    def __init__(self, start_ms: int = 1000, **settings: object) -> None:
        if "controllers" not in settings and "controller_host" not in settings:
            settings["controllers"] = (CONTROLLER,)
        self.now_ms = start_ms
        self.elapsed_ms = 0
        self.port = FakePort()
        self.app = FakeApp()
        self.config = Config(settings.pop("device_id", DEVICE_ID), settings.pop("key", KEY), **settings)
        self.stack = Stack(self.config, Rng(), self.port, self.app)
        self.clear = NullContext()
        self.keys = AesContext(MATERIAL, True)  # the client's end of a remote connection
        self.connect_keys = None  # the GSP's end of context C
        self.seq = 100

    # Time

    def start(self) -> None:
        self.stack.start(self.now_ms)
        self.settle()

    def settle(self) -> None:
        """Run what is due now."""
        for _ in range(20):
            due_ms = self.stack.deadline_ms
            if due_ms is None or ticks.diff(due_ms, self.now_ms) > 0:
                return
            self.stack.timeout(self.now_ms)
        raise RuntimeError("the stack is never done")

    def advance(self, delta_ms: int) -> list:
        """Let time pass, from deadline to deadline; returns [(elapsed_ms, (socket, endpoint, packet))], with what was
        sent before and not taken."""
        end_ms = self.elapsed_ms + delta_ms
        seen = [(self.elapsed_ms, sent) for sent in self.port.take()]
        while True:
            due_ms = self.stack.deadline_ms
            wait_ms = end_ms - self.elapsed_ms
            if due_ms is not None:
                wait_ms = min(wait_ms, max(0, ticks.diff(due_ms, self.now_ms)))
            self.elapsed_ms += wait_ms
            self.now_ms = ticks.add(self.now_ms, wait_ms)
            self.settle()
            for sent in self.port.take():
                seen.append((self.elapsed_ms, sent))
            if self.elapsed_ms >= end_ms:
                return seen

    def deliver(self, socket: int, octets: bytes, source: bytes) -> list:
        """Give the stack a datagram; returns what it sends at once."""
        self.stack.datagram(self.now_ms, socket, octets, source)
        return self.port.take()

    # TCP

    def connect(self, channel: FakeChannel = None) -> FakeChannel:
        """The device's TCP connection, the last one unless given, comes about."""
        channel = channel or self.port.channels[-1]
        channel.owner.tcp_ready(self.now_ms, channel)
        return channel

    def receive(self, channel: FakeChannel, octets: bytes) -> list:
        """Octets arrive over TCP; returns the packets that the device sends that way."""
        channel.arriving += octets
        while channel.arriving and not channel.is_closed:
            before = len(channel.arriving)
            channel.owner.tcp_readable(self.now_ms, channel)
            if len(channel.arriving) == before:
                break
        return channel.take()

    def hang_up(self, channel: FakeChannel) -> None:
        """The other end closes TCP."""
        channel.ended = True
        channel.owner.tcp_readable(self.now_ms, channel)

    # The basestation's part

    def direct(self, gsp: bytes = GSP, seen_as: bytes = OWN, source: bytes = CONTROLLER) -> list:
        answer = encode(PT_U_INVITE, ((PL_IPX, build_ipx(gsp, seen_as)),), flags=FL_RESPONSE)
        return self.deliver(REMOTE, answer, source)

    def attach_request(self, nonce: bytes, endpoint: bytes = OWN, key: bytes = KEY, sp: bytes = GSP_NSI) -> bytes:
        context = AesContext(key_material(self.config.device_id.encode(), key), True)
        return encode(
            PT_U_ATTACH,
            ((PL_EP, endpoint), (PL_NONCE, NONCE_GSP)),
            sp=sp,
            seq=1,
            context=context,
            plaintext=nonce + SEED_GSP,
            iv=IV,
        )

    def attach(self) -> None:
        """From boot to attached; leaves `connect_keys`."""
        self.start()
        self.port.take()
        self.finish_attach()

    def finish_attach(self) -> None:
        """From the invite to the controller, sent just now, to attached."""
        invite = decode(self.direct()[0][2])
        nonce = invite.get(PL_NONCE)
        answer = decode(self.deliver(REMOTE, self.attach_request(nonce), GSP)[0][2])
        context = AesContext(key_material(self.config.device_id.encode(), KEY), True)
        seed = context.open(answer)[32:]
        self.connect_keys = AesContext(key_material(NONCE_GSP + nonce, SEED_GSP + seed), True)

    def alive(self, seq: int, sp: bytes = GSP_NSI, source: bytes = GSP) -> list:
        return self.deliver(REMOTE, encode(PT_U_ALIVE, ((PL_TIME, b"\x01\x6b\x02\x3f\xdd"),), sp=sp, seq=seq), source)

    def introduction(
        self,
        nsi: bytes = NSI,
        material: bytes = MATERIAL,
        flags: int = IPX_NO_RENDEZVOUS | IPX_CP_ASYNC,
        private: bytes = ENDPOINT_ZERO,
        global_: bytes = CLIENT,
        keys: AesContext = None,
        seq: int = 7,
    ) -> bytes:
        payloads = (
            (PL_IPX, build_ipx(private, global_, flags, nsi)),
            (PL_CP_ID, build_id(ID_MAIL, b"tester@example.org")),
            (PL_FP, build_fp(FINGERPRINT)),
        )
        return encode(
            PT_U_CONNECT, payloads, sp=GSP_NSI, seq=seq, context=keys or self.connect_keys, plaintext=material, iv=IV
        )

    def introduce(self, **changes: object) -> int:
        """The code in the device's answer, None without one."""
        return notify_code(self.deliver(REMOTE, self.introduction(**changes), GSP))

    # The client's part

    def data(
        self,
        plaintext: bytes,
        nsi: bytes = NSI,
        tag: int = None,
        seq: int = None,
        iv: bytes = None,
        context: object = None,
    ) -> bytes:
        """A DATA packet, each under an IV of its own unless one is given."""
        if seq is None:
            self.seq += 1
            seq = self.seq
        iv = iv or (b"client iv " + self.seq.to_bytes(6, "big"))
        cp = b"\x99\x99\x99\x99"
        return encode(
            PT_DATA, sp=nsi, cp=cp, seq=seq, tag=tag, context=context or self.keys, plaintext=plaintext, iv=iv
        )

    def keep_alive(self, counter: int = 1, **changes: object) -> bytes:
        return self.data(bytes(4) + counter.to_bytes(4, "big"), tag=TAG_FRAMING, **changes)

    def close(self, **changes: object) -> bytes:
        return self.data(b"\x00\x00\x00\x03", tag=TAG_FRAMING, **changes)

    def query(self, query_id: int, parameters: bytes = b"", **changes: object) -> bytes:
        return self.data(query_id.to_bytes(4, "big") + parameters, **changes)

    def connected(self, source: bytes = CLIENT) -> None:
        """Attached, with one remote connection whose path is `source`."""
        self.attach()
        assert self.introduce() == 1
        assert len(self.deliver(REMOTE, self.keep_alive(), source)) == 1

    def local_request(
        self, cp: int = 0x99999999, flags: int = 0xA0, sp: bytes = b"", fingerprint: bytes = None
    ) -> bytes:
        payloads = [(PL_IPX, build_ipx(flags=flags, sp=sp)), (PL_CP_ID, build_id(ID_MAIL, b"local@example.org"))]
        if fingerprint is not None:
            payloads.append((PL_FP, bytes((FP_SHA256,)) + fingerprint))
        return encode(PT_U_CONNECT, payloads, cp=cp.to_bytes(4, "big"))

    def connect_local(self, source: bytes = LAN_CLIENT, **changes: object) -> bytes:
        """The NSI of a new clear connection."""
        sent = self.deliver(LOCAL, self.local_request(**changes), source)
        code, nsi = parse_notify(decode(sent[0][2]).get(PL_NOTIFY))
        assert code == 1, hex(code)
        return nsi


def notify_code(sent: list) -> int:
    """The NOTIFY code of the only packet sent; None when nothing was."""
    if not sent:
        return None
    assert len(sent) == 1, sent
    return parse_notify(decode(sent[0][2]).get(PL_NOTIFY))[0]


def kinds(sent: list) -> list:
    """[(type, flags)] of what was sent."""
    return [(octets[8], octets[11]) for _, _, octets in sent]
