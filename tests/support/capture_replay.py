"""Plays the recorded part of controller, GSP and clients against our device stack, and compares what it answers.

The stack gets the random numbers that the recorded device drew: nonces, seeds and the first local NSI are taken from
its packets, and each sealed packet gets the IV of the recorded packet it should equal. Time is the recording's.
"""

import device_bench
import vector_files
from homeport_core import ticks
from homeport_core.errors import MalformedError
from homeport_core.packet import Packet
from homeport_core.payloads import parse_items, parse_notify
from homeport_core.spec import (
    FL_RESPONSE,
    IV_LEN,
    LEGACY_LIMIT,
    LOCAL_NSI_MAX,
    NONCE_LEN,
    PL_CONNECTION_INFO,
    PL_NONCE,
    PL_NOTIFY,
    PL_STATS,
    PT_STATS,
    PT_U_ATTACH,
    PT_U_CONNECT,
    PT_U_CONNECT_PSK,
    PT_U_INVITE,
    STATS_ATTACH_FAIL,
    SUITE_AES,
)
from homeport_device.output import LOCAL, REMOTE
from homeport_device.stack import Stack
from stream_bench import FakeChannel

# The recorded device looks at its timers every 10 to 20 ms, and its clock is not the recorder's.
LATE_MS = 150
EARLY_MS = 50
ABSENT = "absent"
OTHER = "other"
TCP = "tcp"
AGAIN = "again"  # a packet that we sent before, in place of a new one
STREAMS_SEED_LEN = 4


def endpoint(text):
    host, _, port = text.rpartition(":")
    return bytes(int(part) for part in host.split(".")) + int(port).to_bytes(2, "big")


def untrimmed(records):
    """A recording up to where its middle was left out."""
    for i, record in enumerate(records):
        if "trimmed" in record:
            return records[:i]
    return records


class Entry:
    """One recorded datagram."""

    def __init__(self, index, record):
        self.index = index
        self.at_ms = int(record["t"] * 1000)
        self.from_device = record["dir"] == "d2p"
        self.is_tcp = record.get("via") == "tcp"
        self.device = endpoint(record["src"] if self.from_device else record["dst"])
        self.peer = endpoint(record["dst"] if self.from_device else record["src"])
        self.data = bytes.fromhex(record["hex"])
        self.payloads = record["decoded"].get("payloads", [])
        self.packet = Packet()
        try:
            self.packet.decode_from(self.data)
        except MalformedError:
            self.packet = None  # the legacy protocol

    @property
    def iv(self):
        """Of a packet under the AES suite, else empty."""
        off = -1 if self.packet is None else self.packet.crypto_off
        if off < 0 or self.data[off : off + 2] != SUITE_CODE:
            return b""
        return self.data[off + 2 : off + 2 + IV_LEN]

    def plaintext(self):
        """As the recording's own decoder found it."""
        for payload in self.payloads:
            if payload["p"] == "CRYPTO":
                return bytes.fromhex(payload["plain"])
        return b""

    @property
    def duration_ms(self):
        """How old the recorded device said the connection was, or None."""
        if self.packet is None or self.packet.type != PT_STATS or self.packet.get(PL_STATS)[0] == STATS_ATTACH_FAIL:
            return None
        items = dict(parse_items(self.packet.get(PL_CONNECTION_INFO)))
        return int.from_bytes(items[2], "big")


SUITE_CODE = SUITE_AES.to_bytes(2, "big")


class Replay:
    """One recording against one stack. `differences` are {index: ABSENT, OTHER or AGAIN}."""

    def __init__(self, name, config, app, differences, start_ms=1000):
        capture = vector_files.load("captures/" + name + ".json")
        self.entries = [Entry(i, record) for i, record in enumerate(untrimmed(capture["datagrams"]))]
        self.differences = differences
        self.local_port = config.local_port
        self.recorded_peers = {entry.peer for entry in self.entries}
        self.start_ms = start_ms
        self.now_ms = start_ms
        self.secrets = self.find_secrets()
        self.queues = {}
        self.matched = set()
        self.born_ms = {}
        self.channel = None
        self.app = app
        self.stack = Stack(config, self.rng, self, app)
        app.stack = self.stack
        if app.services.are_any:
            app.services.start(self.stack)
        self.mismatches = []

    # What the recorded device drew

    def find_secrets(self):
        """Nonces, seeds and random numbers of 32 octets in the order they were drawn."""
        found = []
        for entry in self.entries:
            packet = entry.packet
            if not entry.from_device or packet is None:
                continue
            if packet.type == PT_U_INVITE and packet.find(PL_NONCE) >= 0:
                if packet.get(PL_NONCE) not in found:
                    found.append(packet.get(PL_NONCE))
            elif packet.type == PT_U_ATTACH:
                found.append(entry.plaintext()[NONCE_LEN:])
            elif packet.type == PT_U_CONNECT_PSK and packet.find(PL_NONCE) >= 0:
                found.append(packet.get(PL_NONCE))
                found.append(entry.plaintext()[4 : 4 + NONCE_LEN])
        return found

    def first_local_nsi(self):
        for entry in self.entries:
            packet = entry.packet
            if entry.from_device and packet is not None and entry.device[4:] == self.local_port.to_bytes(2, "big"):
                if packet.type == PT_U_CONNECT:
                    return int.from_bytes(parse_notify(packet.get(PL_NOTIFY))[1], "big")
                if packet.type == PT_U_CONNECT_PSK:
                    return int.from_bytes(packet.sp, "big")
        return LEGACY_LIMIT

    def rng(self, n):
        if n == 2:
            return ((self.first_local_nsi() - LEGACY_LIMIT) % (LOCAL_NSI_MAX - LEGACY_LIMIT + 1)).to_bytes(2, "big")
        if n == NONCE_LEN:
            return self.secrets.pop(0) if self.secrets else bytes(NONCE_LEN)
        if n == STREAMS_SEED_LEN:
            return bytes(n)  # the first stream has the number 1
        return self.next_iv()

    def next_iv(self):
        """Of the next recorded packet that is sealed and is to have a counterpart that it has not got yet."""
        taken = self.matched | {index for index, what in self.differences.items() if what != OTHER}
        for entry in self.entries:
            if entry.from_device and entry.iv and entry.index not in taken:
                self.matched.add(entry.index)
                return entry.iv
        return bytes(IV_LEN)

    # The port

    def send(self, socket, to, buf, n):
        """Packets to endpoints that were not recorded vanish, as they did in the recording."""
        if to in self.recorded_peers:
            self.queues.setdefault((socket, to), []).append(bytes(buf[:n]))

    def resolve(self, name):
        raise AssertionError("the recorded device had its controller's address")

    def receive_up_to(self, size):
        """Recorded datagrams are as large as they are."""

    def reopen(self):
        """A new source port: that of the next recorded datagram."""

    def local_endpoint(self):
        return self.own_endpoint

    def connect_tcp(self, to, owner):
        """To a gateway, which is there when it first has something to say; targets of tunnels do not answer before the
        recorded parts end."""
        if not any(entry.is_tcp and entry.peer == to for entry in self.entries):
            return FakeChannel(to, owner)
        self.channel = device_bench.FakeChannel(to, owner)
        return self.channel

    # The run

    def at(self, ms):
        self.now_ms = ticks.add(self.start_ms, ms)

    def run(self):
        """Play it all; returns [(index or "extra", recorded or None, ours or None)] of what was not expected."""
        self.own_endpoint = self.find_own_endpoint()
        self.stack.start(self.now_ms)
        for entry in self.entries:
            if entry.from_device:
                self.expect(entry)
            else:
                self.deliver(entry)
        for (_, to), queue in self.queues.items():
            for octets in queue:
                self.mismatches.append(("extra", to, octets))
        return self.mismatches

    def find_own_endpoint(self):
        """What the recorded device said in its U_ATTACH response, byte for byte."""
        for entry in self.entries:
            if entry.from_device and entry.packet is not None and entry.packet.type == PT_U_ATTACH:
                for payload in entry.payloads:
                    if payload["p"] == "IPX":
                        return bytes.fromhex(payload["hex"])[:6]
        return bytes(6)

    def socket_of(self, entry):
        if entry.is_tcp:
            return TCP
        return LOCAL if entry.device[4:] == self.local_port.to_bytes(2, "big") else REMOTE

    def deliver(self, entry):
        self.at(entry.at_ms)
        if entry.packet is not None and entry.packet.type == PT_U_CONNECT and not entry.packet.flags & FL_RESPONSE:
            self.born_ms[self.nsi_in(entry)] = entry.at_ms
        if entry.is_tcp:
            self.channel.arriving += entry.data
            self.channel.owner.tcp_readable(self.now_ms, self.channel)
            self.take_tcp()
            return
        self.stack.datagram(self.now_ms, self.socket_of(entry), entry.data, entry.peer)

    def nsi_in(self, entry):
        for payload in entry.payloads:
            if payload["p"] == "IPX" and "sp_nsi" in payload:
                return payload["sp_nsi"].to_bytes(4, "big")
        return b""

    def take_tcp(self):
        """What the stack has sent to the gateway."""
        for packet in self.channel.take():
            self.queues.setdefault((TCP, self.channel.endpoint), []).append(packet)

    def expect(self, entry):
        if entry.is_tcp and self.channel.watched == (False, False):
            self.at(entry.at_ms)
            self.channel.owner.tcp_ready(self.now_ms, self.channel)
            self.take_tcp()
        queue = self.queues.setdefault((self.socket_of(entry), entry.peer), [])
        if self.differences.get(entry.index) == ABSENT:
            return
        if not queue:
            self.let_time_pass(entry)
        if not queue:
            self.app.finish(self.now_ms)
        ours = queue.pop(0) if queue else None
        if (ours == entry.data) == (entry.index in self.differences):
            self.mismatches.append((entry.index, entry.data, ours))

    def let_time_pass(self, entry):
        """Something is due on its own: check that it is due now, and let it happen."""
        at_ms = entry.at_ms
        if entry.duration_ms is not None and entry.packet.sp in self.born_ms:
            at_ms = self.born_ms[entry.packet.sp] + entry.duration_ms
        self.at(at_ms)
        due_ms = self.stack.deadline_ms
        if due_ms is not None:
            late_ms = ticks.diff(self.now_ms, due_ms)
            if -EARLY_MS <= late_ms < 0:
                self.now_ms = due_ms
            elif not 0 <= late_ms <= LATE_MS and not self.app.busy():
                self.mismatches.append((entry.index, "due %d ms ago" % late_ms, None))
        self.stack.timeout(self.now_ms)
        # A new attachment begins in one step of the recorded device's, in two of ours.
        if self.stack.deadline_ms == self.now_ms:
            self.stack.timeout(self.now_ms)
