"""The model of the reference's streams, which other tests play against, is itself what the reference was seen to do:
its answers and transcripts equal the recorded ones octet for octet."""

import random

import pytest
import vector_files
from homeport_core.crypto import AesContext, NullContext
from reference_stream import PASS_MS, ReferencePeer
from reference_stream_states import State
from stream_ends import Reader, ReferenceEnd, ReferenceSide, Writer
from stream_frames import BOTH, Block, Frame, Wire
from stream_link import Link, World

VECTORS = vector_files.load("vectors-stream.json")
STIMULI = {entry["name"]: entry["steps"] for entry in VECTORS["device_stimulus_response"]}
TRANSCRIPTS = {entry["name"]: entry["steps"] for entry in VECTORS["transcripts"]}
KEY = bytes.fromhex(VECTORS["conventions"]["key96"])
STEP_MS = 7  # the recorded machine's look at its timers
DELAY_MS = 20
# Scenarios that begin with an established stream: (segments of both windows, options)
BEGUN = {
    "fin-with-unread-data-never-acked": (4, BOTH),
    "zero-window-and-probe": (4, BOTH),
    "half-close": (20, BOTH),
    "simultaneous-close": (20, BOTH),
    "window-update-counts-as-dup-ack": (20, BOTH),
    "sack-order-and-limit": (20, BOTH),
    "wsrf-off": (4, 0),
    "fin-gate-probe": (4, BOTH),
}
WINDOWS = {"lost-handshake-ack-recovery": 20}


class Device:
    """The model as device, in the recorded machine's steps."""

    def __init__(self, window=4, context=None):
        self.peer = ReferencePeer(Wire(context or NullContext()), Block(rx_win=window, tx_win=window))
        self.now_ms = 0

    def begin(self, options):
        wire = self.peer.wire
        block = Block(options, rx_seg=1400, rx_win=50, tx_seg=1400, tx_win=50)
        self.peer.take(0, wire.encode(Frame(0x1000, 0x80, 7, 0, 10, 0, block=block)))
        self.advance(STEP_MS)
        self.peer.take(self.now_ms, wire.encode(Frame(0x1000, 0x10, 7, 1, 11, 30, 50)))
        self.now_ms = self.peer.now_ms = 10
        self.stream.last_sent_ms = 10
        self.peer.taken()

    @property
    def stream(self):
        return self.peer.streams[0x1000]

    def advance(self, ms):
        end = self.now_ms + ms
        while self.now_ms + STEP_MS <= end:
            self.now_ms += STEP_MS
            self.peer.tick(self.now_ms)

    def step(self, step):
        """Do it; returns what it answers."""
        if "rx" in step:
            self.peer.take(self.now_ms, bytes.fromhex(step["rx"]["hex"]))
        elif "advance_ms" in step:
            self.advance(step["advance_ms"])
        elif "app_read" in step:
            data, hint = self.stream.read(self.now_ms)
            recorded = step["app_read"]
            expected = recorded["data"]
            assert (data, hint) == (expected.encode(), recorded["hint"])
        elif "app_write" in step:
            pattern = b"hello" if step["app_write"]["n"] == 5 else b"0123456789" * 130
            assert self.stream.write(pattern[: step["app_write"]["n"]]) == step["app_write"]["n"]
        else:
            assert "app_close" in step, step
            self.stream.close()
        return self.peer.taken()


@pytest.mark.parametrize("name", [name for name in STIMULI if name != "independent-client-aes"])
def test_answers_a_stimulus_as_recorded(name):
    window, options = BEGUN.get(name, (WINDOWS.get(name, 4), None))
    device = Device(window)
    if options is not None:
        device.begin(options)
    for number, step in enumerate(STIMULI[name]):
        answers = device.step(step)
        assert [answer.hex() for answer in answers] == [sent["hex"] for sent in step.get("tx", ())], (name, number)
        assert device.stream.state.name == step["state"], (name, number)


def test_answers_an_independent_client_as_recorded():
    device = Device(4, AesContext(KEY, False))
    for step in STIMULI["independent-client-aes"]:
        device.peer.take(device.now_ms, bytes.fromhex(step["stimulus"]["hex"]))
        device.advance(STEP_MS)
        if device.stream.state >= State.ESTABLISHED:
            device.stream.read(device.now_ms)
        assert [answer.hex() for answer in device.peer.taken()] == [sent["hex"] for sent in step["responses"]]
        assert device.stream.state.name == step["device_state_after"]


class Pair:
    """The model at both ends of the recorded link; what each sends is compared with what was recorded."""

    def __init__(self, steps, client, device):
        self.steps = [step for step in steps if "window" in step]
        self.peers = {"client": client, "device": device}
        self.now_ms = 0
        self.underway = []
        self.sent = 0
        self.to_write = {"client": b"", "device": b""}

    def collect(self, name):
        for datagram in self.peers[name].taken():
            step = self.steps[self.sent]
            assert (step["t_ms"], step["from"], step["hex"]) == (self.now_ms, name, datagram.hex()), self.sent
            self.sent += 1
            if not step["lost"]:
                self.underway.append((self.now_ms + DELAY_MS, name, datagram))

    def application(self, name):
        """It reads all there is, and writes what it still has."""
        for stream in self.peers[name].streams.values():
            while stream.state >= State.ESTABLISHED and stream.read(self.now_ms)[0]:
                pass
            taken = stream.write(self.to_write[name])
            self.to_write[name] = self.to_write[name][taken:]

    def event(self, name, action=None):
        if action is not None:
            action(self)
        self.application(name)
        self.collect(name)

    def run(self, actions, end_ms):
        """`actions`: {time: (who, what it does)}; they happen before the look at the timers."""
        for self.now_ms in range(end_ms + 1):
            while self.underway and self.underway[0][0] == self.now_ms:
                _, source, datagram = self.underway.pop(0)
                name = "device" if source == "client" else "client"
                self.peers[name].take(self.now_ms, datagram)
                self.collect(name)
                self.peers[name].tick(self.now_ms)
                self.event(name)
            if self.now_ms in actions:
                name, action = actions[self.now_ms]
                self.event(name, action)
            if self.now_ms % STEP_MS == 0:
                for name, peer in self.peers.items():
                    peer.tick(self.now_ms)
                    self.event(name)


def opens(window):
    def action(pair):
        pair.peers["client"].open()

    return action


def writes(name, data):
    def action(pair):
        pair.to_write[name] = data

    return name, action


def closes(name):
    return name, lambda pair: next(iter(pair.peers[name].streams.values())).close()


def plaintext(name, source):
    return b"".join(
        bytes.fromhex(step["plaintext_hex"])
        for step in TRANSCRIPTS[name]
        if step["from"] == source and step.get("plaintext_hex")
    )


def pair_of(name, client, device, null=True):
    contexts = (NullContext(), NullContext()) if null else (AesContext(KEY, True), AesContext(KEY, False))
    pair = Pair(
        TRANSCRIPTS[name],
        ReferencePeer(Wire(contexts[0]), client),
        ReferencePeer(Wire(contexts[1]), device),
    )
    pair.peers["client"].open()
    return pair


@pytest.mark.parametrize("name", ["lifecycle-aes", "lifecycle-null"])
def test_lives_as_recorded(name):
    pair = pair_of(name, Block(rx_win=8, tx_win=8), Block(), null=name.endswith("null"))
    command, body = plaintext(name, "client")[:30], plaintext(name, "client")[30:]
    actions = {
        105: writes("client", command),
        161: writes("device", plaintext(name, "device")),
        224: writes("client", body),
        2786: closes("client"),
        2842: closes("device"),
    }
    pair.run(actions, 3000)
    assert pair.sent == len(pair.steps)
    assert [stream.state for peer in pair.peers.values() for stream in peer.streams.values()] == [State.CLOSED] * 2


def test_finds_losses_as_recorded():
    name = "loss-sack-fast-retransmit"
    pair = pair_of(name, Block(rx_seg=20, rx_win=32, tx_seg=20, tx_win=32), Block(rx_win=100, tx_win=100))
    pair.run({105: writes("device", bytes(n % 256 for n in range(300)))}, 300)
    assert pair.sent == len(pair.steps)


def test_backs_off_as_recorded():
    name = "rto-backoff"
    pair = pair_of(name, Block(rx_win=32, tx_win=32), Block(rx_win=100, tx_win=100))
    pair.run({203: writes("device", b"lost until t=3500")}, 5000)
    assert pair.sent == len(pair.steps)


def times_of(device, duration_ms, step_ms):
    """When it sends, over some silence."""
    times = []
    for now_ms in range(device.now_ms + step_ms, duration_ms, step_ms):
        device.peer.tick(now_ms)
        times += [now_ms] * len(device.peer.taken())
    return times


def test_timers_run_as_observed():
    observed = VECTORS["tables"]["timers_observed_ms"]
    device = Device()
    device.peer.take(0, device.peer.wire.encode(Frame(0x1000, 0x80, 7, 0, 10, 0, block=Block())))
    assert times_of(device, 60_000, STEP_MS) == observed["synack_sends"]
    assert not device.peer.streams
    device = Device()
    device.begin(BOTH)
    device.stream.close()
    assert times_of(device, 60_000, STEP_MS)[:13] == observed["fin_sends"]
    assert device.stream.state is State.CLOSED


def test_a_silent_peer_ends_as_observed():
    observed = VECTORS["tables"]["timers_observed_ms"]
    device = Device()
    device.begin(BOTH)
    device.stream.sender.edge = 1000
    device.stream.write(b"lost")
    device.peer.taken()
    device.stream.idle_acks = 100
    assert times_of(device, 150_000, PASS_MS) == [
        *observed["data_retransmissions_after_write_at_20"],
        observed["data_abort_rst"],
    ]


@pytest.mark.parametrize("case", VECTORS["tables"]["negotiation"]["cases"], ids=lambda case: str(case["syn"]["rx_win"]))
def test_negotiates_as_recorded(case):
    device = Device(20)
    device.peer.take(0, device.peer.wire.encode(Frame(0x1000, 0x80, 7, 0, 10, 0, block=Block(**case["syn"]))))
    device.advance(STEP_MS)
    assert device.peer.wire.decode(device.peer.taken()[0]).block == Block(**case["synack"])


def test_a_half_open_stream_that_ends_leaks_its_slot():
    device = Device()
    for number, flags in enumerate((0x50, 0x20)):
        tag = 0x1000 + number
        wire = device.peer.wire
        device.peer.take(0, wire.encode(Frame(tag, 0x80, 7, 0, 10, 0, block=Block())))
        device.peer.take(0, wire.encode(Frame(tag, flags, 7, 1 + number, 11, 30)))
    device.advance(20_000)
    assert device.peer.lost_slots == 2


def test_the_recorded_packets_go_through_the_codec_unchanged():
    contexts = {"client": AesContext(KEY, True), "device": AesContext(KEY, False)}
    seen = 0
    for entry in VECTORS["packets"]:
        if "window" not in entry or entry["header"]["flags"] & 0x80:
            continue
        is_null = entry["crypto"]["code"] == "0x000a"
        reader = Wire(NullContext() if is_null else AesContext(KEY, entry["from"] != "client"))
        writer = Wire(NullContext() if is_null else contexts[entry["from"]])
        writer.cp = entry["header"]["nsi_cp"]
        octets = bytes.fromhex(entry["hex"])
        frame = reader.decode(octets)
        assert frame.data.hex() == entry["plaintext_hex"]
        assert frame.malformed == bool(entry.get("malformed"))
        assert writer.encode(frame) == octets, entry["id"]
        seen += 1
    assert seen >= 10


# Goodput of the reference that was measured (streams 7.4): window, round trip, Mbit/s.
MEASURED = ((4, 2, 15.0), (4, 10, 3.0), (20, 10, 18.7), (20, 100, 1.9), (100, 40, 21.8), (100, 100, 8.8))


def goodput(window, rtt_ms, data, loss=0.0, seed=1):
    """Mbit/s from one model to another."""
    limits = Block(rx_win=window, tx_win=window)
    left, right = (ReferenceEnd(ReferencePeer(Wire(), limits)) for _ in range(2))
    world = World(left, right, Link(seed, rtt_ms / 2, loss=loss), Link(seed + 99, rtt_ms / 2, loss=loss))
    world.applications["left"].append(Writer(ReferenceSide(left, left.peer.open()), data))
    world.until(lambda: right.peer.opened)
    reader = Reader(ReferenceSide(right, right.peer.opened[0]), data)
    world.applications["right"].append(reader)
    world.until(lambda: reader.at == len(data))
    return len(data) * 8 / world.now_ms / 1000


@pytest.mark.parametrize(("window", "rtt_ms", "measured"), MEASURED)
def test_is_as_fast_as_measured(window, rtt_ms, measured):
    data = random.Random(window).randbytes(30_000 * window)
    assert 0.8 * measured < goodput(window, rtt_ms, data) < 1.1 * measured


def test_is_as_slow_under_loss_as_measured():
    data = random.Random(1).randbytes(1_000_000)
    medians = {loss: sorted(goodput(100, 50, data, loss, seed) for seed in range(5))[2] for loss in (0.01, 0.05, 0.10)}
    assert 1.3 < medians[0.01] < 11.9
    assert 0.7 < medians[0.05] < 1.3
    assert 0.5 < medians[0.10] < 0.8
