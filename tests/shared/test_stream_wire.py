"""WINDOW and SACK on the wire: every packet of the stream vectors, and the tables of the specification."""

import unittest

import vector_files as vectors
from homeport_core import stream_wire
from homeport_core.crypto import AesContext, NullContext
from homeport_core.packet import Packet
from homeport_core.spec import PL_SACK, PL_WINDOW, PT_DATA
from homeport_core.stream_limits import StreamLimits
from homeport_core.stream_memory import Memory
from homeport_core.stream_receiver import Receiver
from stream_by_hand import End, Seen, packet, zeros
from vector_files import unhex

VECTORS = vectors.load("vectors-stream.json")
SYN_FIELDS = ("options", "rx_seg", "rx_win", "tx_seg", "tx_win", "max_retrans", "timeout_ms")


def all_packets() -> list:
    """Every stream packet of the vectors."""
    found = list(VECTORS["packets"])
    for entry in VECTORS["transcripts"]:
        found += entry["steps"]
    for entry in VECTORS["device_stimulus_response"]:
        for step in entry["steps"]:
            for name in ("stimulus", "rx"):
                if step.get(name):
                    found.append(step[name])
            found += step.get("responses", []) + step.get("tx", [])
    return [entry for entry in found if entry.get("hex") and entry.get("window")]


def opened(octets: bytes, is_from_device: bool) -> "tuple[Packet, bytes]":
    """The packet and its plaintext."""
    material = unhex(VECTORS["conventions"]["key96"])
    got = Packet()
    got.decode_from(bytearray(octets))
    code = got.buf[got.crypto_off] << 8 | got.buf[got.crypto_off + 1]
    context = NullContext() if code == 0x000A else AesContext(material, is_from_device)
    return got, context.open(got)


class TestVectors(unittest.TestCase):
    def test_every_window_and_sack_reads_as_the_vectors_say(self):
        entries = all_packets()
        self.assertTrue(len(entries) > 150, len(entries))
        for entry in entries:
            with self.subTest(entry["hex"][:80]):
                got = Packet()
                got.decode_from(bytearray(unhex(entry["hex"])))
                window = stream_wire.Window()
                at = got.find(PL_WINDOW)
                self.assertTrue(window.read(got.buf, at, got.found_len))
                said = entry["window"]
                self.assertEqual(
                    (window.flags, window.version, window.initiator, window.responder, window.seq, window.ack),
                    (
                        said["flags"],
                        said["version"],
                        said["id_initiator"],
                        said["id_responder"],
                        said["seq"],
                        said["ack"],
                    ),
                )
                self.assertEqual(window.size, said.get("adv_window", -1))
                if said["flags"] & 0x80:
                    block = (
                        window.options,
                        window.receive_len,
                        window.receive_window,
                        window.transmit_len,
                        window.transmit_window,
                        window.retries,
                        window.timeout_ms,
                    )
                    self.assertEqual(block, tuple([said[field] for field in SYN_FIELDS]))
                ranges = []
                at = got.find(PL_SACK)
                if at >= 0:
                    self.assertTrue(stream_wire.read_sack(got.buf, at, got.found_len, ranges))
                flat = [number for pair in entry.get("sack") or () for number in pair]
                self.assertEqual(ranges, flat)

    def test_every_window_is_built_as_the_vectors_have_it(self):
        for entry in all_packets():
            if entry.get("malformed"):
                continue
            said = entry["window"]
            with self.subTest(entry["hex"][:80]):
                out = stream_wire.Outgoing()
                ids = (said["id_initiator"], said["id_responder"])
                if said["flags"] == stream_wire.ACK:
                    out.put_ack(0x1000, ids[0], ids[1], said["seq"], said["ack"], said["adv_window"])
                else:
                    out.put_head(said["flags"], 0x1000, ids[0], ids[1], said["seq"], said["ack"])
                    if said["flags"] & 0x80:
                        out.put_syn_block(*[said[field] for field in SYN_FIELDS])
                got = Packet()
                got.decode_from(unhex(entry["hex"]))
                self.assertEqual(bytes(out.window), got.get(PL_WINDOW))

    def test_the_references_malformed_reset_is_understood(self):
        entries = [entry for entry in VECTORS["packets"] if entry.get("malformed")]
        self.assertEqual(len(entries), 2)
        for entry in entries:
            with self.subTest(entry["id"]):
                got, data = opened(unhex(entry["hex"]), True)
                window = stream_wire.Window()
                self.assertTrue(window.read(got.buf, got.find(PL_WINDOW), got.found_len))
                self.assertEqual((window.flags, window.seq, window.ack, data), (stream_wire.RST, 600, 501, b""))

    def test_our_reset_of_an_unknown_stream_is_the_well_formed_one(self):
        entry = [entry for entry in VECTORS["packets"] if entry["id"] == "rst-correct-aes"][0]
        end = End(False, context=AesContext(unhex(VECTORS["conventions"]["key96"]), False))
        end.iv = bytes(range(16))
        tag = entry["header"]["tag"]
        asking = End(True, context=AesContext(unhex(VECTORS["conventions"]["key96"]), True))
        asking.streams.put_ack(tag, 7, 3, 500, 600, 4)
        writer = asking._writer
        writer.begin(PT_DATA, b"\x11\x22\x33\x44", tag=tag)
        writer.add(PL_WINDOW, asking.streams.window)
        writer.seal(asking.context, b"", bytes(16))
        end.give(writer.bytes())
        self.assertEqual([unhex(entry["hex"])], end.datagrams())


class TestNegotiation(unittest.TestCase):
    def test_a_responder_takes_the_lesser_of_both(self):
        for case in VECTORS["tables"]["negotiation"]["cases"]:
            syn = tuple([case["syn"][field] for field in SYN_FIELDS])
            synack = tuple([case["synack"][field] for field in SYN_FIELDS])
            with self.subTest(str(syn)):
                end = End(False, StreamLimits(receive_window=20, send_window=20))
                end.give(packet("SYN", 10, 0, ids=(7, 0), syn=syn))
                answer = end.datagrams()[0]
                got = Packet()
                got.decode_from(answer)
                window = stream_wire.Window()
                window.read(got.buf, got.find(PL_WINDOW), got.found_len)
                if not syn[1]:
                    # Segments of no size carry nothing: the reference accepts them, we refuse (streams 2.4).
                    self.assertEqual(window.flags, stream_wire.RST)
                    continue
                self.assertEqual(window.flags, stream_wire.SYN_ACK)
                self.assertEqual(
                    (
                        window.options,
                        window.receive_len,
                        window.receive_window,
                        window.transmit_len,
                        window.transmit_window,
                        window.retries,
                        window.timeout_ms,
                    ),
                    synack,
                )

    def test_an_initiator_takes_the_lesser_once_more(self):
        end = End(True)
        stream = end.open()
        end.datagrams()
        end.give(packet("SYN|ACK", 30, 11, ids=(1, 9), syn=(1, 512, 3, 256, 2, 5, 9000)))
        terms = stream.terms
        self.assertEqual((terms.receive_len, terms.receive_window, terms.send_len, terms.send_window), (256, 2, 512, 3))
        self.assertEqual((terms.options, terms.retries, terms.timeout_ms), (1, 5, 1000))

    def test_an_answer_with_segments_of_no_size_fails_the_open_with_a_reset(self):
        end = End(True)
        stream = end.open()
        end.datagrams()
        end.give(packet("SYN|ACK", 30, 11, ids=(1, 9), syn=(3, 0, 4, 1247, 4, 12, 1000)))
        self.assertEqual(end.state, "ABORTED")
        self.assertEqual(stream.reason, "the peer offers segments of no size")
        self.assertEqual([seen.flags for seen in end.said()], ["RST"])


def segment(number):
    """An octet that arrived under this number."""
    window = stream_wire.Window()
    window.seq, window.buf, window.n = number, b"x", 1
    return window


class TestSack(unittest.TestCase):
    def test_the_table_of_the_reference(self):
        table = VECTORS["tables"]["sack_generation"]
        receiver = Receiver(Memory(StreamLimits(receive_window=42)), 224, 1247, 42)
        for number in table["received"]:
            receiver.take(0, segment(number))
        ranges = []
        sack = bytes(receiver.sack())
        self.assertTrue(stream_wire.read_sack(sack, 0, len(sack), ranges))
        self.assertEqual(ranges, [number for pair in table["sack"] for number in pair])

    def test_runs_are_found_whatever_the_order_of_arrival(self):
        for order in ((1, 2, 3, 5), (5, 3, 2, 1), (2, 5, 1, 3), (3, 1, 5, 2)):
            with self.subTest(str(order)):
                receiver = Receiver(Memory(StreamLimits(receive_window=16)), 10, 1247, 16)
                for number in order:
                    receiver.take(0, segment(10 + number))
                ranges = []
                sack = bytes(receiver.sack())
                stream_wire.read_sack(sack, 0, len(sack), ranges)
                self.assertEqual(ranges, [15, 16, 11, 14])

    def test_sizes_that_a_sack_cannot_have_are_refused(self):
        for n in (0, 4, 7, 9, 12, 20):
            with self.subTest(n):
                self.assertFalse(stream_wire.read_sack(bytes(n), 0, n, []))

    def test_no_more_than_four_pairs_are_read(self):
        ranges = []
        self.assertTrue(stream_wire.read_sack(bytes(48), 0, 48, ranges))
        self.assertEqual(len(ranges), 8)


class TestWindow(unittest.TestCase):
    def test_what_is_too_short_for_its_flags_is_refused(self):
        window = stream_wire.Window()
        for flags, least in ((0x10, 16), (0x20, 14), (0x30, 14), (0x50, 14), (0x80, 28), (0x90, 28)):
            for n in (0, 13, least - 1):
                with self.subTest((flags, n)):
                    self.assertFalse(window.read(bytes((flags,)) + bytes(40), 0, n))
            self.assertTrue(window.read(bytes((flags,)) + bytes(40), 0, least))
            self.assertTrue(window.read(bytes((flags,)) + bytes(40), 0, least + 5), "octets behind are ignored")

    def test_flags_that_mean_nothing_are_refused(self):
        window = stream_wire.Window()
        for flags in (0x00, 0x01, 0x40, 0xC0, 0x11, 0xD0):
            with self.subTest(flags):
                self.assertFalse(window.read(bytes((flags,)) + bytes(40), 0, 32))

    def test_numbers_wrap(self):
        self.assertEqual(stream_wire.distance(5, 0xFFFFFFFB), 10)
        self.assertEqual(stream_wire.distance(0xFFFFFFFB, 5), -10)
        self.assertEqual(stream_wire.distance(0, 0x80000000), -0x80000000)

    def test_the_first_tag_and_id_come_from_the_random_source(self):
        end = End(True)
        self.assertEqual(zeros(2), b"\x00\x00")
        stream = end.open()
        self.assertEqual((stream.tag, stream.initiator_id), (0x1000, 1))
        self.assertEqual(end.said()[0], Seen("SYN", 10, 0))


if __name__ == "__main__":
    unittest.main()
