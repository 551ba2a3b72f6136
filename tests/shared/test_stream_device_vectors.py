"""Every stimulus of the vectors against our device side: our answers are the reference's, octet for octet, but where
its behaviour is a defect (specification, streams 7.1). Those places are in `DIFFERENCES`, each with its reason.
"""

import unittest

import vector_files as vectors
from homeport_core.crypto import AesContext
from homeport_core.stream_limits import StreamLimits
from stream_by_hand import End, Seen, packet
from vector_files import unhex

VECTORS = vectors.load("vectors-stream.json")
CASES = {entry["name"]: entry for entry in VECTORS["device_stimulus_response"]}

# The device's window in the cases that do not have the library's default of 4.
WINDOWS = {
    "half-close": 20,
    "simultaneous-close": 20,
    "window-update-counts-as-dup-ack": 20,
    "sack-order-and-limit": 20,
    "lost-handshake-ack-recovery": 20,
}

# What the reference acknowledges or sends at its next timer pass, we send at once.
AT_ONCE = "at once, not at the next timer pass"
# (case, step): (what we send instead, why)
DIFFERENCES = {
    ("data-in-handshake-ack-is-dropped", 2): (
        [Seen("ACK", 30, 12, 3, data=b"")],
        "data in the packet that completes the handshake is kept (7.1 row 3)",
    ),
    ("data-in-handshake-ack-is-dropped", 4): (
        [Seen("ACK", 30, 12, 4)],
        "so its repetition, after it was read, is a duplicate",
    ),
    ("lost-handshake-ack-recovery", 3): ([Seen("ACK", 30, 12, 19)], "the same"),
    ("lost-handshake-ack-recovery", 4): ([Seen("ACK", 30, 13, 18)], "the same"),
    ("lost-handshake-ack-recovery", 5): ([Seen("ACK", 30, 13, 18)], "the same"),
    ("fin-with-unread-data-never-acked", 1): (
        [Seen("ACK", 30, 13, 3)],
        "a FIN is acknowledged whether or not the data before it was read (7.1 row 4)",
    ),
    ("fin-with-unread-data-never-acked", 4): ([Seen("ACK", 30, 13, 4)], "and so is a FIN that is repeated (2.5)"),
    ("fin-with-unread-data-never-acked", 5): ([Seen("ACK", 30, 13, 4)], "the window is never one too high"),
    ("fin-with-unread-data-never-acked", 6): ([Seen("FIN", 30, 13)], "our FIN, at once, acknowledges the peer's"),
    ("fin-with-unread-data-never-acked", 7): ([], "it left already"),
    ("fin-with-unread-data-never-acked", 9): ([Seen("RST", 31, 13)], "and so does the reset of the late repetition"),
    ("window-update-counts-as-dup-ack", 3): ([], "an opening window is no duplicate acknowledgment (7.1 row 8)"),
    ("zero-window-and-probe", 6): (
        [Seen("ACK", 30, 15, 2)],
        "a window of less than two segments is said to open again, until the peer shows it knows (3.6)",
    ),
    ("half-close", 0): ([Seen("ACK", 30, 12, 20)], "a FIN is acknowledged at once, and does not wait for data"),
    ("simultaneous-close", 2): ([Seen("ACK", 31, 12, 20)], "the same"),
    ("simultaneous-close", 3): ([], "it left already"),
    ("simultaneous-close", 4): ([], "TIME_WAIT lasts, to answer what is repeated (7.1 row 5)"),
}
# (case, step): the state that ours has instead, for the same reasons.
STATES = {("simultaneous-close", 4): "TIME_WAIT"}
# What the application reads instead.
READS = {
    ("data-in-handshake-ack-is-dropped", 3): b"hello",
    ("data-in-handshake-ack-is-dropped", 5): b"",
}


class Replay:
    """One case. What the reference sends from its next timer pass we may send at once, one step earlier."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.steps = CASES[name]["steps"]
        window = WINDOWS.get(name, 4)
        context = None
        if name.endswith("-aes"):
            context = AesContext(unhex(VECTORS["conventions"]["key96"]), False)
        self.end = End(False, StreamLimits(receive_window=window, send_window=window), context=context)
        self.end.iv = bytes(range(16))
        self.early = []
        if "window" not in (self.steps[0].get("rx") or self.steps[0].get("stimulus") or {}) or (
            (self.steps[0].get("rx") or self.steps[0].get("stimulus"))["window"]["flags"] != 0x80
        ):
            options = 2 if name == "wsrf-off" else 3
            self.end.give(packet("SYN", 10, 0, ids=(7, 0), syn=(options, 1400, 50, 1400, 50, 12, 1000)))
            self.end.datagrams()
            self.end.give(packet("ACK", 11, 30))
            assert self.end.state == "ESTABLISHED" and not self.end.datagrams()

    def do(self, step: dict) -> list:
        """Act as the step says; returns the datagrams that follow."""
        end = self.end
        said = step.get("rx") or step.get("stimulus")
        if said:
            if "stimulus" in step and end.stream is not None:
                end.stream.read()  # in this case the recorded application has read what the last step brought
            end.give(unhex(said["hex"]))
        elif "app_read" in step:
            end.got = end.stream.read(len(step["app_read"]["data"]) or -1)
        elif "app_write" in step:
            n = step["app_write"]["n"]
            data = b"hello" if n == 5 else bytes([0x30 + i % 10 for i in range(n)])
            assert end.stream.write(end.now_ms, data) == n
        elif "app_close" in step:
            end.stream.close(end.now_ms)
        return end.advance(step.get("advance_ms", 0))


def early_of(steps: list, index: int) -> list:
    """What the reference sends in the timer pass after a step: we may have sent it in the step."""
    if index + 1 < len(steps) and "advance_ms" in steps[index + 1]:
        return [unhex(entry["hex"]) for entry in steps[index + 1]["tx"]]
    return []


class TestDevice(unittest.TestCase):
    def compare(self, name: str, index: int, replay: Replay, got: list) -> None:
        """Compare what we sent in a step with the vectors, or with the difference that is listed for it."""
        step = replay.steps[index]
        if (name, index) in DIFFERENCES:
            wanted, reason = DIFFERENCES[name, index]
            self.assertEqual([replay.end.look(datagram) for datagram in got], wanted, reason)
            return
        wanted = [unhex(entry["hex"]) for entry in step.get("tx", step.get("responses", []))]
        if got != wanted and not wanted:
            wanted = replay.early = early_of(replay.steps, index)
            self.assertEqual(got, wanted, AT_ONCE)
        elif replay.early:
            self.assertEqual(wanted, replay.early)
            self.assertEqual(got, [])
            replay.early = []
        else:
            self.assertEqual(got, wanted)

    def test_every_answer_is_the_reference_s_or_a_listed_difference(self):
        steps = 0
        for name in sorted(CASES):
            replay = Replay(name)
            for index, step in enumerate(replay.steps):
                with self.subTest("%s, step %d" % (name, index)):
                    self.compare(name, index, replay, replay.do(step))
                    if "app_read" in step:
                        self.assertEqual(replay.end.got, READS.get((name, index), step["app_read"]["data"].encode()))
                    if replay.end.stream is not None:
                        state = step.get("state") or step["device_state_after"]
                        self.assertEqual(replay.end.state, STATES.get((name, index), state))
                steps += 1
        self.assertEqual(steps, sum([len(entry["steps"]) for entry in CASES.values()]))

    def test_every_listed_difference_is_of_a_step_that_there_is(self):
        for name, index in list(DIFFERENCES) + list(STATES) + list(READS):
            self.assertTrue(index < len(CASES[name]["steps"]), name)


class Transcript:
    """A recorded connection with our device side in the place of the reference's: it hears and writes the same."""

    def __init__(self, name: str) -> None:
        self.steps = [entry for entry in VECTORS["transcripts"] if entry["name"] == name][0]["steps"]
        window = 4 if name.startswith("lifecycle") else 32
        context = None
        if name.endswith("-aes"):
            context = AesContext(unhex(VECTORS["conventions"]["key96"]), False)
        self.end = End(False, StreamLimits(receive_window=window, send_window=window), context=context)
        self.end.iv = bytes(range(16))
        self.sent = []
        self.received = b""
        self.written = set()

    def run(self) -> None:
        """Follow the recording; the application writes when the recorded one did, and closes likewise."""
        for step in self.steps:
            if not step.get("window"):
                continue
            self.sent += self.end.advance(int(step["t_ms"]) - self.end.now_ms)
            window = step["window"]
            if step["from"] == "client":
                if not step["lost"]:
                    self.end.give(unhex(step["hex"]))
                    if self.end.stream is not None:
                        self.received += self.end.stream.read()
                    self.sent += self.end.advance(0)
            elif step["plaintext_hex"] and window["seq"] not in self.written:
                self.written.add(window["seq"])
                self.end.stream.write(self.end.now_ms, unhex(step["plaintext_hex"]))
                self.sent += self.end.advance(0)
            elif window["flags"] == 0x50:
                self.end.stream.close(self.end.now_ms)
                self.sent += self.end.advance(0)

    def data(self, source: str) -> bytes:
        """What the recording carries from one end, in order and once."""
        parts = {}
        for step in self.steps:
            if step.get("window") and step["from"] == source and step["plaintext_hex"]:
                parts[step["window"]["seq"]] = unhex(step["plaintext_hex"])
        return b"".join([parts[number] for number in sorted(parts)])


class TestTranscripts(unittest.TestCase):
    def test_a_life_from_open_to_close_is_the_recorded_one(self):
        for name in ("lifecycle-aes", "lifecycle-null"):
            with self.subTest(name):
                play = Transcript(name)
                play.run()
                self.assertEqual(play.received, play.data("client"))
                self.assertEqual(play.end.state, "CLOSED")
                self.assertEqual(play.end.stream.reason, "")
                recorded = [
                    unhex(step["hex"]) for step in play.steps if step.get("window") and step["from"] == "device"
                ]
                missing = [octets for octets in recorded if octets not in play.sent]
                # We acknowledge in the same packet that the application's reading belongs to, so that the window is
                # one larger than the recorded one in the two acknowledgments; all else is octet for octet the same.
                self.assertTrue(len(missing) <= 2, missing)

    def test_recorded_losses_are_repaired_by_sack(self):
        play = Transcript("loss-sack-fast-retransmit")
        play.run()
        seen = [play.end.look(datagram) for datagram in play.sent]
        for number in (33, 35):
            copies = [one for one in seen if one.seq == number and one.data]
            self.assertTrue(len(copies) >= 2, number)
            self.assertTrue(all(one.data == copies[0].data for one in copies))
        self.assertEqual(play.end.stream.sender.flight.una, 45)
        self.assertEqual(play.end.stream.sender.flight.in_flight, 0)

    def test_a_recorded_silence_is_survived(self):
        play = Transcript("rto-backoff")
        play.run()
        seen = [play.end.look(datagram) for datagram in play.sent]
        copies = [one for one in seen if one.seq == 30 and one.data]
        self.assertTrue(4 <= len(copies) <= 8, len(copies))
        self.assertEqual(play.end.state, "ESTABLISHED")
        self.assertEqual(play.end.stream.sender.flight.una, 31)


if __name__ == "__main__":
    unittest.main()
