"""Streams of a client's session in virtual time: opened, sealed, moved to other paths, and what ends them."""

import pytest
from homeport.client.session.clear import ClearOpening
from homeport.client.session.events import Closed, PathChanged, StreamChanged
from homeport.client.session.paths import Path, PathKind
from homeport.client.session.psk import PskOpening
from homeport.client.session.states import State
from homeport.client.session.streams import SEND_MAX, TOO_LARGE, limits_on
from homeport.errors import DeviceOffline, FullError, StateError
from homeport_core import ticks
from homeport_core.packet import Packet, PacketWriter, encode
from homeport_core.spec import PACKET_MAX, PL_SACK, PL_WINDOW, PT_DATA, TAG_STREAM_FIRST, TAG_STREAM_LAST
from homeport_core.stream import ABORTED, CLOSED, ENDED, OPENED
from homeport_core.stream_wire import NEWS
from homeport_core.streams import StreamLimits, Streams
from reference_stream import PASS_MS, ReferencePeer
from session_world import (
    CLIENT,
    DEVICE_GLOBAL,
    DEVICE_ID,
    DEVICE_LOCAL,
    GSP,
    KEY_ID,
    PSK,
    STRANGER,
    FakeDevice,
    World,
)
from stream_ends import ReferenceSide
from stream_frames import Wire

LOOPBACK = bytes((127, 0, 0, 1, 0x15, 0xC2))
CLIENT_ELSEWHERE = bytes((192, 168, 9, 9, 0x9C, 0x40))
PATIENCE_MS = 60_000


class EchoDevice(FakeDevice):
    """A device that gives back what comes on its streams, and closes when the client has."""

    def __init__(self, limits=None):
        super().__init__(careful=True)
        self.streams = Streams(bytes, limits or StreamLimits(receive_window=64, send_window=64), False)
        self.world = None
        self.refuses = False
        self.taken = []

    def _data(self, packet, raw, source):
        if packet.tag is None or not TAG_STREAM_FIRST <= packet.tag <= TAG_STREAM_LAST:
            return super()._data(packet, raw, source)
        if self.refuses:
            return []
        off, n = self.context.open_in_place(packet)
        result = self.streams.take(self.world.ticks(), packet, off, n)
        if result == NEWS:
            self.peer = source
        self.taken.append((n, result))
        return self.packets()

    def packets(self):
        """What the streams want to send, as a device sends it: from no client NSI, and no answer to anything."""
        now = self.world.ticks()
        while (stream := self.streams.next_changed()) is not None:
            changes = stream.take_changes()
            data = stream.read(min(stream.readable, stream.writable))
            if data:
                stream.write(now, data)
            if stream.at_eof:
                stream.close(now)
            if changes & (CLOSED | ABORTED):
                stream.release()
        out = []
        while self.streams.poll(now):
            writer = PacketWriter(bytearray(0xFFFF))
            writer.begin(PT_DATA, self.nsi, tag=self.streams.tag)
            writer.add(PL_WINDOW, self.streams.window)
            if self.streams.sack:
                writer.add(PL_SACK, self.streams.sack)
            writer.seal(self.context, self.streams.data, self._iv())
            out.append(writer.bytes())
        return out


class ReferenceDevice(FakeDevice):
    """A device with the reference's streams, whose application is an echo that closes when the client has."""

    def __init__(self, **options):
        super().__init__()
        self.world = self.peer = self.peers = None
        self._options = options
        self._echoes = {}
        self.next_ms = None

    def _data(self, packet, raw, source):
        if packet.tag is None or not TAG_STREAM_FIRST <= packet.tag <= TAG_STREAM_LAST:
            return super()._data(packet, raw, source)
        self.peer = source
        if self.peers is None:
            wire = Wire(self.context, int.from_bytes(self.nsi, "big"))
            self.peers = ReferencePeer(wire, **self._options)
        self.peers.take(self.world.now, raw)
        self.next_ms = self.next_ms or self.world.now + PASS_MS
        return self.packets()

    def packets(self):
        """The application's turn, and what is to be sent."""
        for stream in self.peers.opened:
            self._echoes[ReferenceSide(None, stream)] = bytearray()
        self.peers.opened.clear()
        for side, unsent in self._echoes.items():
            while unsent or not side.at_eof:
                unsent.extend(b"" if unsent else side.read(self.world.now))
                taken = side.write(self.world.now, bytes(unsent))
                del unsent[:taken]
                if not taken:
                    break
            if side.at_eof and not unsent:
                side.close(self.world.now)
        return self.peers.taken()


class StreamWorld(World):
    """A World whose device has streams."""

    def __init__(self, device=None, **network):
        super().__init__(device=device or EchoDevice(), **network)
        self.device.world = self

        self.address = CLIENT  # what the client has at the moment

    def post(self, data, source, to):
        super().post(data, self.address if source == CLIENT else source, to)

    def _arrive(self, to, data, source):
        if to == self.address:
            super()._arrive(CLIENT, data, source)
        elif to != CLIENT:
            super()._arrive(to, data, source)

    def ticks(self):
        return self.now % ticks.PERIOD

    def device_deadline(self):
        if isinstance(self.device, ReferenceDevice):
            return self.device.next_ms
        deadline = self.device.streams.deadline_ms
        return None if deadline is None else self.now + max(1, ticks.diff(deadline, self.ticks()))

    def device_timeout(self):
        if isinstance(self.device, ReferenceDevice):
            self.device.next_ms = self.now + PASS_MS
            self.device.peers.tick(self.now)
        else:
            self.device.streams.timeout(self.ticks())
        for data in self.device.packets():
            if self.device.peer == GSP:
                self.post(data, GSP, CLIENT)
            else:
                self.post(data, self.session.path.endpoint, self.device.peer)

    def open(self):
        """A stream, open."""
        stream = self.session.open_stream(self.now)
        self.until(lambda: self.changes(stream) & OPENED)
        return stream

    def changes(self, stream):
        """All that was told of it."""
        bits = 0
        for event in self.events:
            if isinstance(event, StreamChanged) and event.stream is stream:
                bits |= event.changes
        return bits

    def exchange(self, stream, data):
        """Write all, close, and return all that comes back."""
        rest, heard = data, bytearray()

        def turn():
            nonlocal rest
            rest = rest[stream.write(self.ticks(), rest) :] if rest else rest
            if not rest:
                stream.close(self.ticks())
            heard.extend(stream.read())
            self.session.wake_streams(self.now)
            return stream.at_eof

        self.until(turn, PATIENCE_MS)
        return bytes(heard)


@pytest.fixture(params=["clear", "psk", "direct", "relay"])
def any_world(request):
    """A session on every kind of connection."""
    world = StreamWorld()
    if request.param == "clear":
        world.connect(ClearOpening(DEVICE_LOCAL, "me", None, world.rng))
    elif request.param == "psk":
        world.connect(PskOpening(DEVICE_LOCAL, DEVICE_ID, "me", None, KEY_ID, PSK, world.rng))
    else:
        world.introduce(PathKind(request.param))
    world.until_open()
    return world


@pytest.fixture
def world():
    world = StreamWorld()
    world.introduce(PathKind.DIRECT, PathKind.RELAY)
    world.until(lambda: world.session.path is not None and world.session.path.kind is PathKind.DIRECT)
    return world


DATA = bytes(range(256)) * 400


def test_what_is_sent_comes_back_and_the_close_is_told(any_world):
    stream = any_world.open()
    assert any_world.exchange(stream, DATA) == DATA
    any_world.until(lambda: any_world.changes(stream) & CLOSED)
    assert any_world.changes(stream) & (ENDED | ABORTED) == ENDED


@pytest.mark.parametrize("seed", range(5))
def test_over_a_bad_network_nothing_is_lost_or_repeated(seed):
    world = StreamWorld(seed=seed, loss=0.1, duplicates=0.1, jitter_ms=40)
    world.introduce(PathKind.RELAY)
    world.until_open()
    assert world.exchange(world.open(), DATA) == DATA, seed


@pytest.mark.parametrize("loss", [0.0, 0.05])
def test_a_reference_device_echoes_over_any_network(loss):
    world = StreamWorld(ReferenceDevice(), seed=3, loss=loss)
    world.introduce(PathKind.RELAY)
    world.until_open()
    assert world.exchange(world.open(), DATA) == DATA


def test_the_malformed_refusal_of_a_reference_device_is_understood():
    world = StreamWorld(ReferenceDevice(streams=1))
    world.introduce(PathKind.RELAY)
    world.until_open()
    world.open()
    second = world.session.open_stream(world.now)
    world.until(lambda: world.changes(second) & ABORTED)
    assert second.reason == "refused by the peer"


def test_many_streams_at_once_keep_their_octets_apart(world):
    streams = [world.open() for _ in range(4)]
    for n, stream in enumerate(streams):
        assert stream.write(world.ticks(), bytes((n,)) * 1_000) == 1_000
    world.session.wake_streams(world.now)
    world.run(1_000)
    assert [stream.read() for stream in streams] == [bytes((n,)) * 1_000 for n in range(4)]


def test_before_the_connection_is_open_there_are_no_streams():
    world = StreamWorld()
    world.introduce(PathKind.RELAY)
    with pytest.raises(StateError):
        world.session.open_stream(world.now)


def test_a_stream_goes_on_when_the_path_changes_under_it():
    world = StreamWorld()
    world.introduce(PathKind.DIRECT, PathKind.RELAY)
    world.until(lambda: world.session.path is not None and world.session.path.kind is PathKind.DIRECT)
    stream = world.open()
    stream.write(world.ticks(), DATA[:50_000])
    world.session.wake_streams(world.now)
    world.run(30)
    world.unreachable.add(DEVICE_GLOBAL)
    world.unreachable.update(world.endpoints)
    world.until(lambda: any(isinstance(e, PathChanged) and e.path.kind is PathKind.RELAY for e in world.events))
    assert world.exchange(stream, DATA[50_000:]) == DATA


def test_a_stream_goes_on_when_our_own_address_changes(world):
    stream = world.open()
    stream.write(world.ticks(), DATA[:50_000])
    world.session.wake_streams(world.now)
    world.run(25)
    world.address = CLIENT_ELSEWHERE
    assert world.exchange(stream, DATA[50_000:]) == DATA
    assert world.device.peer == CLIENT_ELSEWHERE
    assert world.session.path.kind is PathKind.DIRECT


def test_a_silent_path_is_doubted_when_a_stream_gets_no_answer(world):
    stream = world.open()
    world.run(2_000)
    world.unreachable.update(world.endpoints)
    world.relay_works = False
    stream.write(world.ticks(), b"anybody?")
    world.session.wake_streams(world.now)
    began = world.now
    world.until(lambda: world.session.state is State.LOST)
    assert world.now - began < 5_000


def test_stream_packets_are_signs_of_life(world):
    stream = world.open()
    world.device.answers_keep_alives = False
    for _ in range(30):
        stream.write(world.ticks(), b"tick")
        world.session.wake_streams(world.now)
        world.run(1_000)
        assert stream.read() == b"tick"
    assert world.session.state is State.OPEN


def test_a_stream_packet_sent_again_by_a_stranger_is_no_sign_of_life(world):
    recorded = []
    stream = world.open()
    packets = world.device.packets
    world.device.packets = lambda: recorded.extend(packets()) or recorded[-1:]
    stream.write(world.ticks(), b"x")
    world.session.wake_streams(world.now)
    world.run(1_000)
    assert recorded
    world.unreachable.update(world.endpoints)
    world.relay_works = False
    for _ in range(60):
        for data in recorded:
            world.inject(data, STRANGER)
        world.run(500)
    assert isinstance(world.error, DeviceOffline)


def test_when_the_connection_dies_each_stream_is_told_before_the_end(world):
    streams = [world.open(), world.open()]
    world.unreachable.update(world.endpoints)
    world.relay_works = False
    world.until(lambda: world.session.state is State.CLOSED)
    world.run(0)
    assert [bool(world.changes(stream) & ABORTED) for stream in streams] == [True, True]
    assert isinstance(world.events[-1], Closed)


def test_closing_the_session_aborts_its_streams(world):
    stream = world.open()
    world.close()
    world.until(lambda: world.session.state is State.CLOSED)
    assert world.changes(stream) & ABORTED


def test_a_busy_device_is_told_from_a_silent_one():
    world = StreamWorld(EchoDevice(StreamLimits(streams=1)))
    world.introduce(PathKind.RELAY)
    world.until_open()
    world.open()
    second = world.session.open_stream(world.now)
    world.until(lambda: world.changes(second) & ABORTED)
    assert second.reason == "refused by the peer"
    world.device.refuses = True
    third = world.session.open_stream(world.now)
    world.until(lambda: world.changes(third) & ABORTED)
    assert third.reason == "the peer does not answer"


def test_there_is_an_end_to_how_many_streams_a_session_opens(world):
    with pytest.raises(FullError):
        for _ in range(1_000):
            world.session.open_stream(world.now)


def test_no_more_packets_leave_in_one_go_than_others_can_wait_for():
    world = StreamWorld(EchoDevice(StreamLimits(receive_window=512, send_window=512)))
    world.introduce(PathKind.RELAY)
    world.until_open()
    streams = [world.open() for _ in range(4)]
    for stream in streams:
        stream.write(world.ticks(), DATA)
    sent = []
    for _ in range(2_000):
        world.session.wake_streams(world.now)
        world.session.timeout(world.now)
        burst = world.session.datagrams()
        sent.append(len(burst))
        for data, to in burst:
            world.post(data, CLIENT, to)
        world.run(1)
    assert 1 < max(sent) <= SEND_MAX + 2


@pytest.mark.parametrize(
    ("kind", "endpoint", "segment"),
    [
        (PathKind.RELAY, GSP, 1247),
        (PathKind.RELAY, LOOPBACK, 1247),
        (PathKind.TLS, LOOPBACK, 1247),
        (PathKind.DIRECT, DEVICE_GLOBAL, 1247),
        (PathKind.LOCAL, DEVICE_LOCAL, 1359),
    ],
)
def test_segments_fit_the_path(kind, endpoint, segment):
    assert limits_on(Path(kind, endpoint)).segment == segment


@pytest.mark.parametrize("kind", [PathKind.LOCAL, PathKind.DIRECT])
def test_within_this_machine_segments_are_as_large_as_datagrams(kind):
    limits = limits_on(Path(kind, LOOPBACK))
    assert limits.segment > 50_000
    assert limits.segment * limits.send_window < 8_000_000


@pytest.mark.parametrize("kind", [PathKind.LOCAL, PathKind.DIRECT])
def test_a_path_to_another_address_of_this_machine_is_within_it(kind):
    assert limits_on(Path(kind, DEVICE_LOCAL), is_own_address=True) is limits_on(Path(kind, LOOPBACK))


def test_a_relay_on_this_machine_leads_out_of_it():
    assert limits_on(Path(PathKind.RELAY, GSP), is_own_address=True).segment == 1247


def world_of_large_segments(endpoint):
    """Connected within one machine."""
    world = StreamWorld(EchoDevice(StreamLimits(segment=65_000, receive_window=64, send_window=64)))
    world.endpoints = {endpoint}
    world.introduce(PathKind.DIRECT, PathKind.RELAY, private=bytes(6), global_=endpoint)
    world.until(lambda: world.session.path is not None and world.session.path.kind is PathKind.DIRECT)
    return world


def test_large_segments_to_an_address_of_our_own_never_take_another_path():
    world = world_of_large_segments(DEVICE_GLOBAL)
    stream = world.session.open_stream(world.now, is_own_address=True)
    world.until(lambda: world.changes(stream) & OPENED)
    world.unreachable.add(DEVICE_GLOBAL)
    stream.write(world.ticks(), bytes(100_000))
    world.session.wake_streams(world.now)
    world.until(lambda: world.changes(stream) & ABORTED)
    assert stream.reason == TOO_LARGE


def test_large_segments_survive_a_path_that_comes_back():
    world = world_of_large_segments(LOOPBACK)
    world.relay_works = False
    stream = world.open()
    world.unreachable.add(LOOPBACK)
    stream.write(world.ticks(), bytes(100_000))
    world.session.wake_streams(world.now)
    world.until(lambda: world.session.state is State.LOST)
    world.unreachable.clear()
    world.until(lambda: world.session.state is State.OPEN)
    assert world.exchange(stream, b"")[:100_000] == bytes(100_000)


def test_large_segments_never_leave_this_machine():
    world = world_of_large_segments(LOOPBACK)
    stream = world.open()
    stream.write(world.ticks(), bytes(100_000))
    world.session.wake_streams(world.now)
    world.run(100)
    assert max(len(data) for _, data, _ in world.sent) > 50_000
    world.sent.clear()
    world.unreachable.add(LOOPBACK)
    stream.write(world.ticks(), bytes(100_000))
    world.session.wake_streams(world.now)
    world.until(lambda: world.changes(stream) & ABORTED)
    world.run(1_000)
    assert max(len(data) for _, data, to in world.sent if to == GSP) <= PACKET_MAX
    assert world.exchange(world.open(), DATA) == DATA


def test_a_forged_stream_packet_changes_nothing(world):
    stream = world.open()
    forged = encode(PT_DATA, [(PL_WINDOW, bytes(16))], sp=world.device.nsi, tag=stream.tag)
    world.inject(forged, world.session.path.endpoint)
    assert world.session.drops["AuthError"] == 1
    assert world.exchange(stream, b"still here") == b"still here"


def test_stream_packets_before_any_stream_was_opened_are_dropped(world):
    packet = encode(
        PT_DATA, [(PL_WINDOW, bytes(16))], sp=world.device.nsi, tag=TAG_STREAM_FIRST, context=world.device.context,
        plaintext=b"x", iv=bytes(16),
    )  # fmt: skip
    world.inject(packet, world.session.path.endpoint)
    assert world.session.drops["tag"] == 1


def test_a_packet_carries_the_connections_nsis():
    world = StreamWorld()
    world.introduce(PathKind.RELAY)
    world.until_open()
    world.sent.clear()
    world.open()
    packet = Packet()
    packet.decode_from(bytearray(world.sent[0][1]))
    assert (packet.sp, packet.cp, packet.seq) == (world.device.nsi, world.session.opening.cp, 0)
    assert TAG_STREAM_FIRST <= packet.tag <= TAG_STREAM_LAST
