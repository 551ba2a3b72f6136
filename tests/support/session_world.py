"""A world for client sessions: virtual time, a network that loses, repeats and reorders by a seed, and devices.

`FakeDevice` behaves as the reference device does (it runs repeated requests again, its random numbers are zero); with
`careful=True` as ours. It is written with the core alone.
"""

import heapq
import random
import struct

from homeport.client.session.events import Answered, Closed, Failed, Opened, PathChanged
from homeport.client.session.introduced import IntroducedOpening, Introduction
from homeport.client.session.paths import GATE_ENDPOINT, PathKind
from homeport.client.session.session import Session
from homeport.client.session.states import State
from homeport_core.crypto import AesContext, NullContext, key_material
from homeport_core.packet import Packet, encode
from homeport_core.payloads import build_capability, build_notify, parse_ipx
from homeport_core.spec import (
    FEATURE_REMEMBERS,
    FL_EXCEPTION,
    FL_RESPONSE,
    FRAMING_CLOSE,
    FRAMING_FEATURES,
    FRAMING_KEEP_ALIVE,
    NOTIFY_MICRO_ACK,
    NOTIFY_OK,
    PL_CAPABILITY,
    PL_EP,
    PL_IPX,
    PL_NONCE,
    PL_NOTIFY,
    PL_RANDOM,
    PLF_PAYLOADS,
    PT_DATA,
    PT_U_CONNECT,
    PT_U_CONNECT_PSK,
    PT_U_VERIFY_PSK,
    SUITE_AES,
    TAG_FRAMING,
)

CLIENT = bytes((192, 168, 1, 20, 0x9C, 0x40))
DEVICE_LOCAL = bytes((192, 168, 1, 30, 0x15, 0xC2))
DEVICE_PRIVATE = bytes((192, 168, 1, 30, 0xC3, 0x50))
DEVICE_GLOBAL = bytes((198, 51, 100, 5, 0xC3, 0x50))
GSP = bytes((192, 0, 2, 11, 0x15, 0xBD))
STRANGER = bytes((203, 0, 113, 99, 0x04, 0xD2))
NSI = b"\x7a\x01\x02\x03"
MATERIAL = bytes(range(96))
DEVICE_ID = "dev1.example.net"
PSK = bytes(range(16))
KEY_ID = bytes(range(0x40, 0x50))

QUERY_ECHO, QUERY_COUNT, QUERY_REFUSE, QUERY_LATER = 1, 2, 3, 4


class FakeDevice:
    """One device with one connection. `runs` lists every query that it ran."""

    def __init__(self, careful=False):
        self.careful = careful
        self.context = None
        self.nsi = b""
        self.material = None
        self.keys = {KEY_ID: PSK}
        self.runs = []
        self.peer = None
        self.rendezvous = True
        self.answers_keep_alives = True
        self.refuse_with = None
        self.connects = 0
        self.closed = False
        self.acknowledges = True
        self._answered = {}
        self._ivs = random.Random(7)
        self.later = []

    def receive(self, data, source):
        """The datagrams with which it answers."""
        packet = Packet()
        packet.decode_from(bytearray(data))
        if packet.type == PT_DATA:
            return self._data(packet, bytes(data), source)
        if packet.type == PT_U_CONNECT and packet.first == PL_IPX:
            return self._connect(packet)
        if packet.type == PT_U_CONNECT:
            return self._rendezvous(packet, source)
        if packet.type in (PT_U_CONNECT_PSK, PT_U_VERIFY_PSK):
            return self._psk(packet)
        raise AssertionError(f"a client must not send packet type {packet.type}")

    def _iv(self):
        return self._ivs.randbytes(16)

    def _reply(self, packet, payloads=(), plaintext=None, flags=0, **more):
        return encode(
            packet.type, payloads, sp=packet.sp, seq=packet.seq, flags=packet.flags | FL_RESPONSE | flags, cp=packet.cp,
            tag=packet.tag, context=None if plaintext is None else self.context, plaintext=plaintext or b"",
            iv=self._iv(), **more,
        )  # fmt: skip

    def _connect(self, packet):
        self.connects += 1
        code = self.refuse_with or NOTIFY_OK
        self.nsi = parse_ipx(packet.get(PL_IPX)).sp or b"\x00\x00\x01\x04"
        self.context = NullContext()
        capability = build_capability(0x83C, 0xB3C)
        return [self._reply(packet, [(PL_NOTIFY, build_notify(code, self.nsi)), (PL_CAPABILITY, capability)])]

    def _rendezvous(self, packet, source):
        if not self.rendezvous or packet.sp != self.nsi or packet.seq > 1:
            return []
        payloads = [(PL_EP, source), (PL_EP, packet.get(PL_EP))]
        return [encode(PT_U_CONNECT, payloads, sp=self.nsi, seq=packet.seq + 1)]

    def _psk(self, packet):
        secret = bytes(range(32)) if self.careful else bytes(32)
        if packet.type == PT_U_CONNECT_PSK:
            if packet.flags & FL_EXCEPTION:
                self.closed = True
                return []
            if self.refuse_with is not None:
                return [self._psk_error(packet, self.refuse_with)]
            self.handshake = AesContext(key_material(DEVICE_ID.encode(), self.keys[KEY_ID]), False)
            self.handshake.verify(packet)
            self.nsi = b"\x00\x00\x00\xe0"
            self.client_nonce = packet.get(PL_NONCE)
            plaintext = tlv(PL_RANDOM, secret) + tlv(PL_NONCE, self.client_nonce)
            capability = build_capability(0x960, 0x960, (SUITE_AES,))
            return [encode(
                packet.type, [(PL_CAPABILITY, capability), (PL_NONCE, secret)], sp=self.nsi, flags=FL_RESPONSE,
                cp=packet.cp, context=self.handshake, plaintext=plaintext, iv=self._iv(), crypto_flags=PLF_PAYLOADS,
            )]  # fmt: skip
        inner = self.handshake.open(packet)
        client_random, repeated = inner[4:36], inner[40:72]
        assert repeated == secret
        self.context = AesContext(key_material(self.client_nonce + secret, client_random + secret), False)
        return [self._reply(packet, [(PL_NOTIFY, build_notify(NOTIFY_OK))])]

    def _psk_error(self, packet, code):
        payloads = [(PL_NOTIFY, build_notify(code))]
        return encode(packet.type, payloads, sp=b"\0\0\0\xdd", flags=FL_RESPONSE | FL_EXCEPTION, cp=packet.cp)

    def _data(self, packet, raw, source):
        if self.context is None or packet.sp != self.nsi or self.closed:
            return []
        plaintext = self.context.open(packet)
        self.peer = source
        if packet.tag == TAG_FRAMING:
            return self._framing(packet, plaintext)
        if self.careful and raw in self._answered:
            return [self._ack(packet), *self._answered[raw]]
        query = struct.unpack(">I", plaintext[:4])[0]
        self.runs.append(query)
        if query == QUERY_LATER:
            self.later.append((packet, source))
            answers = []
        elif query == QUERY_REFUSE:
            answers = [self._reply(packet, plaintext=struct.pack(">I", 9), flags=FL_EXCEPTION)]
        elif query == QUERY_COUNT:
            answers = [self._reply(packet, plaintext=struct.pack(">I", len(self.runs)))]
        else:
            answers = [self._reply(packet, plaintext=plaintext[4:])]
        self._answered[raw] = answers
        return [self._ack(packet), *answers] if self.acknowledges else answers

    def _ack(self, packet):
        return self._reply(packet, [(PL_NOTIFY, build_notify(NOTIFY_MICRO_ACK))])

    def finish_later(self):
        """The answers to the requests that were put off: (datagram, to)."""
        done = [(self._reply(packet, plaintext=b"done"), source) for packet, source in self.later]
        self.later.clear()
        return done

    def _framing(self, packet, plaintext):
        command = struct.unpack(">I", plaintext[:4])[0]
        if command == FRAMING_KEEP_ALIVE and self.answers_keep_alives:
            return [self._reply(packet, plaintext=plaintext[:8])]
        if command == FRAMING_FEATURES and self.careful:
            return [self._reply(packet, plaintext=plaintext[:4] + FEATURE_REMEMBERS.to_bytes(4))]
        if command == FRAMING_CLOSE:
            self.closed = True
            return [self._reply(packet, plaintext=plaintext[:4])]
        return []


def tlv(kind, data):
    """One payload with its header."""
    return struct.pack(">BBH", kind, 0, len(data) + 4) + data


class World:
    """A client session at CLIENT and a device behind `endpoints`; GSP relays between them.

    `loss`, `duplicates` are probabilities and `jitter_ms` the most that a datagram is late, all by `seed`.
    """

    def __init__(self, device=None, seed=0, loss=0.0, duplicates=0.0, jitter_ms=0, latency_ms=10):
        self.device = device or FakeDevice()
        self.random = random.Random(seed)
        self.loss, self.duplicates, self.jitter_ms, self.latency_ms = loss, duplicates, jitter_ms, latency_ms
        self.now = 1_000_000
        self.endpoints = {DEVICE_LOCAL, DEVICE_PRIVATE, DEVICE_GLOBAL}
        self.unreachable = set()
        self.delays = {}  # what datagrams from an endpoint take longer, in ms
        self.mute = set()  # endpoints that hear us, but are not heard
        self.relay_works = True
        self.relay_bound = False
        self.tls_works = True
        self.session = None
        self.events = []
        self.sent = []  # what the session sent: (time, datagram, endpoint)
        self._queue = []
        self._order = 0

    def rng(self, n):
        """Random octets for the session, by the seed."""
        return self.random.randbytes(n)

    def connect(self, opening):
        """Start a session; returns it."""
        self.session = Session(opening, self.rng)
        self.session.start(self.now)
        self._collect()
        return self.session

    def introduce(self, *kinds, private=DEVICE_PRIVATE, global_=DEVICE_GLOBAL, nat=0, has_udp=True):
        """Start an introduced session."""
        self.device.context = AesContext(MATERIAL, False)
        self.device.nsi = NSI
        kinds = frozenset(kinds or (PathKind.DIRECT, PathKind.RELAY))
        introduction = Introduction(NSI, MATERIAL, GSP, private, global_, nat)
        return self.connect(IntroducedOpening(introduction, kinds, self.rng, has_udp))

    def request(self, query, params=b"", timeout_ms=10_000, **more):
        """Ask the device; returns the request id."""
        request_id = self.session.request(self.now, struct.pack(">I", query) + params, timeout_ms, **more)
        self._collect()
        return request_id

    def close(self):
        """Close the session."""
        self.session.close(self.now)
        self._collect()

    def inject(self, data, source):
        """Deliver a datagram to the session at once."""
        self.session.datagram(self.now, data, source)
        self._collect()

    def run(self, duration_ms):
        """Let time pass."""
        end = self.now + duration_ms
        while True:
            arrival = self._queue[0][0] if self._queue else None
            device = self.device_deadline()
            due = [time for time in (arrival, device, self.session.deadline_ms) if time is not None]
            if not due or min(due) > end:
                break
            self.now = max(self.now, min(due))
            if arrival is not None and arrival <= self.now:
                _, _, to, data, source = heapq.heappop(self._queue)
                self._arrive(to, data, source)
            elif device is not None and device <= self.now:
                self.device_timeout()
            else:
                self.session.timeout(self.now)
                deadline = self.session.deadline_ms
                assert deadline is None or deadline > self.now, "the session's deadline does not move"
            self._collect()
        self.now = end

    def device_deadline(self):
        """When the device wants to act of its own accord; a FakeDevice never does."""
        return

    def device_timeout(self):
        """Let it."""

    def until(self, condition, limit_ms=60_000):
        """Let time pass until `condition()`; fails after `limit_ms`."""
        end = self.now + limit_ms
        while not condition():
            assert self.now < end, f"not within {limit_ms} ms; events: {self.events}"
            self.run(10)

    def until_open(self):
        """Let time pass until the session is open or has failed; returns the path's kind or the error."""
        self.until(lambda: self.session.state in (State.OPEN, State.CLOSED))
        opened = [event.path.kind for event in self.events if isinstance(event, Opened | PathChanged)]
        return opened[-1] if opened else self.error

    def until_settled(self):
        """Let time pass until the session is open and has had the time to find a better path; returns its kind."""
        self.until_open()
        self.run(200)
        assert self.session.state is State.OPEN, self.events
        return self.session.path.kind

    @property
    def paths(self):
        """The kinds of all paths that the session has told of, in order."""
        return [event.path.kind for event in self.events if isinstance(event, Opened | PathChanged)]

    @property
    def error(self):
        """What the session closed with."""
        return next(event.error for event in self.events if isinstance(event, Closed))

    def outcome(self, request_id):
        """The payload or the error of a request, or None."""
        for event in self.events:
            if isinstance(event, Answered) and event.request_id == request_id:
                return event.payload
            if isinstance(event, Failed) and event.request_id == request_id:
                return event.error
        return None

    def post(self, data, source, to):
        """Put a datagram on the network."""
        if to in self.unreachable or source in self.unreachable or source in self.mute:
            return
        if self.random.random() < self.loss:
            return
        for _ in range(1 + (self.random.random() < self.duplicates)):
            delay = (
                self.latency_ms
                + self.delays.get(source, 0)
                + (self.random.randrange(self.jitter_ms) if self.jitter_ms else 0)
            )
            self._order += 1
            heapq.heappush(self._queue, (self.now + delay, self._order, to, data, source))

    def _collect(self):
        for data, to in self.session.datagrams():
            self.sent.append((self.now, data, to))
            self.post(data, CLIENT, to)
        while (event := self.session.next_event()) is not None:
            self.events.append(event)

    def _arrive(self, to, data, source):
        if to == CLIENT:
            self.session.datagram(self.now, data, source)
        elif to == GSP:
            self._relay(data, source)
        elif to == GATE_ENDPOINT:
            if self.tls_works:
                for answer in self.device.receive(data, GSP):
                    self.post(answer, GATE_ENDPOINT, CLIENT)
        elif to in self.endpoints:
            for answer in self.device.receive(data, source):
                self.post(answer, to, source)

    def _relay(self, data, source):
        if not self.relay_works:
            return
        if source == CLIENT:
            self.relay_bound = self.relay_bound or data[11] & 0x40 != 0  # a keep-alive has a tag
            if self.relay_bound:
                for answer in self.device.receive(data, GSP):
                    self.post(answer, GSP, CLIENT)
