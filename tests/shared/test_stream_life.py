"""How streams begin and end, each rule and each line of the checklist a test (specification, streams 2, 8, 9)."""

import unittest

from homeport_core import stream_states as states
from homeport_core import ticks
from homeport_core.crypto import AesContext
from homeport_core.errors import ConfigError, FullError, StateError
from homeport_core.stream import ABORTED, CLOSED, ENDED, OPENED, READABLE
from homeport_core.stream_wire import IGNORED, NEWS, OLD
from homeport_core.streams import REFUSED, REPEATED, STRANGE, FixedPool, StreamLimits, Streams
from stream_by_hand import End, Pair, Seen, packet, zeros

SYN = packet("SYN", 10, 0, ids=(7, 0))
GREETING = packet("ACK", 11, 30)
LIMITS = {"receive_window": 4, "send_window": 4}


def accepted(limits: StreamLimits = None, t0: int = 0, window: int = 50) -> End:
    """A device with one stream, established by hand: ids (7, 1), client from 11, device from 30."""
    end = End(False, StreamLimits(**LIMITS) if limits is None else limits, t0)
    end.give(SYN)
    end.datagrams()
    end.give(packet("ACK", 11, 30, window))
    assert end.state == "ESTABLISHED" and not end.datagrams()
    return end


def flags(said: list) -> list:
    """The flags of packets taken apart."""
    return [seen.flags for seen in said]


class TestOpening(unittest.TestCase):
    def test_an_opening_takes_three_packets_and_the_greeting_is_bare(self):
        pair = Pair()
        pair.establish()
        said = [(name, seen) for _, name, seen in pair.log[:3]]
        self.assertEqual(
            said,
            [("client", Seen("SYN", 10, 0)), ("device", Seen("SYN|ACK", 30, 11)), ("client", Seen("ACK", 11, 30, 256))],
        )
        self.assertEqual(pair.client.state, "ESTABLISHED")
        self.assertEqual((pair.client.changes, pair.device.changes), (OPENED, OPENED))

    def test_the_greeting_leaves_once_more_before_the_first_data(self):
        pair = Pair()
        pair.establish()
        pair.client.stream.write(pair.client.now_ms, b"hello")
        said = [pair.client.look(datagram) for datagram in pair.client.datagrams()]
        self.assertEqual(said, [Seen("ACK", 11, 30, 256), Seen("ACK", 11, 30, 256, data=b"hello")])
        pair.client.stream.write(pair.client.now_ms, b"again")
        self.assertEqual(len(pair.client.datagrams()), 1)

    def test_an_acknowledgment_of_the_syn_ack_by_number_is_refused(self):
        end = End(False)
        end.give(SYN)
        end.datagrams()
        self.assertEqual(end.give(packet("ACK", 11, 31)), IGNORED)
        self.assertEqual(end.give(packet("ACK", 12, 30)), IGNORED)
        self.assertTrue(end.stream is None)
        self.assertEqual(end.give(GREETING), NEWS)
        self.assertEqual(end.state, "ESTABLISHED")

    def test_the_acceptance_is_told_once(self):
        end = accepted()
        self.assertEqual(end.changes, OPENED)
        end.changes = 0
        self.assertEqual(end.give(GREETING), OLD)
        self.assertEqual(end.changes, 0)

    def test_data_in_the_packet_that_completes_the_handshake_is_kept(self):
        end = End(False)
        end.give(SYN)
        end.datagrams()
        end.give(packet("ACK", 11, 30, data=b"early"))
        self.assertEqual(end.stream.read(), b"early")

    def test_a_repeated_syn_is_answered_at_once(self):
        end = End(False)
        end.give(SYN)
        first = end.datagrams()
        self.assertEqual(end.give(SYN), OLD)
        self.assertEqual(end.datagrams(), first)

    def test_a_repeated_syn_ack_is_greeted_again_with_the_numbers_of_the_first_time(self):
        pair = Pair()
        pair.establish()
        client = pair.client
        client.stream.write(client.now_ms, b"hello")
        client.datagrams()
        client.give(packet("SYN|ACK", 30, 11, ids=(1, 1)))
        said = client.said()
        self.assertEqual(said[0], Seen("ACK", 11, 30, 256))
        self.assertEqual(said[-1].data, b"hello")
        self.assertEqual(said[-1].seq, 11)

    def test_a_late_syn_ack_means_nothing_once_the_peer_has_acknowledged_data(self):
        pair = Pair()
        pair.establish()
        pair.client.stream.write(pair.client.now_ms, b"hello")
        pair.run(200)
        pair.client.datagrams()
        self.assertEqual(pair.client.give(packet("SYN|ACK", 30, 11, ids=(1, 1))), IGNORED)
        self.assertEqual(pair.client.datagrams(), [])

    def test_a_lost_greeting_is_healed_by_the_data_that_follows(self):
        pair = Pair()
        lost = []

        def loses(name: str, seen: Seen) -> bool:
            if name == "client" and seen.flags == "ACK" and not seen.data and len(lost) < 2:
                lost.append(seen)
                return True
            return False

        pair.loses = loses
        stream = pair.client.open()
        self.assertTrue(pair.run(100, lambda: pair.client.state == "ESTABLISHED"))
        stream.write(pair.client.now_ms, b"hello")
        self.assertTrue(pair.run(500, lambda: pair.device.stream is not None and pair.device.stream.readable == 5))
        self.assertEqual(len(lost), 2)

    def test_an_unanswered_syn_is_sent_thirteen_times_and_then_the_open_fails(self):
        end = End(True)
        stream = end.open()
        self.assertEqual(flags(end.said(20000)), ["SYN"] * 13)
        self.assertEqual((end.state, stream.reason), ("ABORTED", "the peer does not answer"))
        self.assertEqual(end.changes, ABORTED)

    def test_an_unanswered_syn_ack_is_sent_thirteen_times_and_the_slot_is_freed_without_a_word(self):
        end = End(False, StreamLimits(streams=1))
        end.give(SYN)
        self.assertEqual(flags(end.said(20000)), ["SYN|ACK"] * 13)
        self.assertTrue(end.stream is None)
        end.give(packet("SYN", 10, 0, ids=(8, 0), tag=0x1001))
        self.assertEqual(flags(end.said()), ["SYN|ACK"])

    def test_a_half_open_stream_that_is_closed_or_reset_frees_its_slot(self):
        for last in (packet("FIN", 11, 30), packet("RST", 11, 30)):
            end = End(False, StreamLimits(streams=1))
            end.give(SYN)
            end.datagrams()
            self.assertEqual(end.give(last), NEWS)
            self.assertEqual(end.datagrams(), [])
            end.give(packet("SYN", 10, 0, ids=(8, 0), tag=0x1001))
            self.assertEqual(flags(end.said()), ["SYN|ACK"])
            self.assertTrue(end.stream is None)

    def test_a_reset_refuses_an_open_whatever_the_responder_calls_itself(self):
        for responder in (0, 2):
            end = End(True)
            stream = end.open()
            end.datagrams()
            self.assertEqual(end.give(packet("RST", 30, 11, ids=(2, responder))), IGNORED)
            self.assertEqual(end.give(packet("RST", 30, 11, ids=(1, responder))), NEWS)
            self.assertEqual((end.state, stream.reason), ("ABORTED", "refused by the peer"))

    def test_an_open_that_is_given_up_is_cancelled_by_silence(self):
        end = End(True)
        stream = end.open()
        end.datagrams()
        stream.close(end.now_ms)
        end.give(packet("SYN|ACK", 30, 11, ids=(1, 1)))
        self.assertEqual(end.said(3000), [])
        stream.release()
        end.give(packet("SYN|ACK", 30, 11, ids=(1, 1)))
        self.assertEqual(end.said(3000), [])

    def test_nothing_is_written_before_it_is_open(self):
        end = End(True)
        stream = end.open()
        self.assertEqual((stream.writable, stream.write(0, b"x")), (0, 0))

    def test_only_an_initiator_opens(self):
        with self.assertRaises(StateError):
            End(False).open()

    def test_limits_that_cannot_be_are_refused_by_name(self):
        for name, value in (("segment", 15), ("segment", 65001), ("receive_window", 0), ("streams", 0), ("burst", 0)):
            with self.assertRaises(ConfigError) as caught:
                StreamLimits(**{name: value})
            self.assertTrue(name in str(caught.exception))


class TestSlots(unittest.TestCase):
    def test_a_syn_without_a_slot_is_reset_and_counted(self):
        end = End(False, StreamLimits(streams=1))
        end.give(SYN)
        end.datagrams()
        self.assertEqual(end.give(packet("SYN", 10, 0, ids=(9, 0), tag=0x1005)), IGNORED)
        said = end.said()
        self.assertEqual(said, [Seen("RST", 0, 11)])
        self.assertEqual((said[0].ids, said[0].tag), ((9, 0), 0x1005))
        self.assertEqual(end.streams.counters[REFUSED], 1)

    def test_the_owner_decides_whether_a_stream_may_be(self):
        streams = Streams(zeros, StreamLimits(), False, lambda: False)
        end = End(False)
        end.streams = streams
        end.give(SYN)
        self.assertEqual(flags(end.said()), ["RST"])

    def test_the_memory_of_a_board_bounds_the_streams_of_all_its_connections(self):
        limits = StreamLimits(fixed=True, **LIMITS)
        pool = FixedPool(limits, 1)
        one, other = End(False, limits), End(False, limits)
        one.streams = Streams(zeros, limits, False, None, pool)
        other.streams = Streams(zeros, limits, False, None, pool)
        one.give(SYN)
        self.assertEqual(flags(one.said()), ["SYN|ACK"])
        other.give(SYN)
        self.assertEqual(flags(other.said()), ["RST"])
        one.give(packet("RST", 11, 30))
        one.datagrams()
        other.give(SYN)
        self.assertEqual(flags(other.said()), ["SYN|ACK"])

    def test_an_initiator_without_a_slot_is_told(self):
        end = End(True, StreamLimits(streams=2))
        end.open()
        end.open()
        with self.assertRaises(FullError):
            end.open()

    def test_tags_are_not_used_again_within_a_minute(self):
        end = End(True, StreamLimits(streams=1))
        tags = set()
        for _ in range(100):
            stream = end.open()
            tags.add(stream.tag)
            stream.close(end.now_ms)
            stream.release()
            end.advance(100)
        self.assertEqual(len(tags), 100)

    def test_tags_stay_in_their_range_and_ids_are_never_zero(self):
        end = End(True, StreamLimits(streams=1))
        end.streams = Streams(lambda n: b"\xff" * n, StreamLimits(streams=1), True)
        seen = []
        for _ in range(3):
            stream = end.open()
            seen.append((stream.tag, stream.initiator_id))
            stream.close(end.now_ms)
            stream.release()
            end.advance(1)
        self.assertEqual(seen, [(0x1FFF, 1), (0x1000, 2), (0x1001, 3)])

    def test_a_syn_on_a_tag_in_use_replaces_what_is_half_open_and_is_reset_otherwise(self):
        end = End(False)
        end.give(SYN)
        end.datagrams()
        self.assertEqual(end.give(packet("SYN", 10, 0, ids=(8, 0))), NEWS)
        said = end.said()
        self.assertEqual((flags(said), said[0].ids), (["SYN|ACK"], (8, 2)))
        end.give(packet("ACK", 11, 30, ids=(8, 2)))
        self.assertEqual(end.state, "ESTABLISHED")
        self.assertEqual(end.give(packet("SYN", 10, 0, ids=(9, 0))), IGNORED)
        said = end.said()
        self.assertEqual((flags(said), said[0].ids), (["RST"], (9, 0)))
        self.assertEqual(end.state, "ESTABLISHED")

    def test_a_syn_replaces_a_stream_in_time_wait(self):
        end = accepted()
        end.stream.close(end.now_ms)
        end.datagrams()
        end.give(packet("FIN", 11, 31))
        self.assertEqual(end.state, "TIME_WAIT")
        end.datagrams()
        self.assertEqual(end.give(packet("SYN", 10, 0, ids=(8, 0))), NEWS)
        self.assertEqual(flags(end.said()), ["SYN|ACK"])

    def test_a_replayed_syn_opens_nothing(self):
        material = bytes(range(96))
        client = End(True, context=AesContext(material, True))
        client.open()
        syn = client.datagrams()[0]
        end = End(False, context=AesContext(material, False))
        self.assertEqual(end.give(syn), NEWS)
        end.advance(30000)
        self.assertEqual(end.give(syn), IGNORED)
        self.assertEqual(end.datagrams(), [])
        self.assertEqual(end.streams.counters[REPEATED], 1)

    def test_a_client_may_use_tag_and_id_again_once_its_stream_is_over(self):
        end = accepted()
        end.give(packet("FIN", 11, 30))
        end.stream.close(end.now_ms)
        end.datagrams()
        end.give(packet("ACK", 12, 31))
        self.assertEqual(end.state, "CLOSED")
        end.stream.release()
        end.datagrams()
        self.assertEqual(end.give(SYN), NEWS)
        self.assertEqual(flags(end.said()), ["SYN|ACK"])

    def test_ten_thousand_short_streams_leave_nothing(self):
        end = End(False, StreamLimits(streams=2, **LIMITS))
        for number in range(10000):
            ids = (number % 60000 + 1, 0)
            tag = 0x1000 + number % 0x1000
            end.give(packet("SYN", 10, 0, ids=ids, tag=tag))
            answer = end.said()[0]
            self.assertEqual(answer.flags, "SYN|ACK")
            ids = answer.ids
            end.give(packet("ACK", 11, 30, ids=ids, tag=tag))
            stream = end.stream
            end.give(packet("FIN", 11, 30, ids=ids, tag=tag))
            stream.close(end.now_ms)
            end.datagrams()
            end.give(packet("ACK", 12, 31, ids=ids, tag=tag))
            self.assertEqual(stream.state, states.CLOSED)
            stream.release()
            end.advance(1)
            end.stream = None
        self.assertTrue(end.streams.deadline_ms is None)


class TestClosing(unittest.TestCase):
    def close_in_order(self, first: str, second: str) -> Pair:
        pair = Pair()
        pair.establish()
        for name in (first, second):
            end = pair.client if name == "client" else pair.device
            end.stream.close(end.now_ms)
            pair.run(200)
        return pair

    def test_either_end_may_close_first_and_both_end_cleanly(self):
        for first, second in (("client", "device"), ("device", "client")):
            with self.subTest(first):
                pair = self.close_in_order(first, second)
                ends = {"client": pair.client, "device": pair.device}
                self.assertEqual((ends[first].state, ends[second].state), ("TIME_WAIT", "CLOSED"))
                self.assertTrue(ends[first].changes & ends[second].changes & CLOSED)
                pair.run(4000)
                self.assertEqual(ends[first].state, "CLOSED")
                self.assertEqual(pair.client.stream.reason + pair.device.stream.reason, "")

    def test_both_may_close_at_once(self):
        pair = Pair()
        pair.establish()
        pair.client.stream.close(pair.client.now_ms)
        pair.device.stream.close(pair.device.now_ms)
        pair.run(200)
        self.assertEqual((pair.client.state, pair.device.state), ("TIME_WAIT", "TIME_WAIT"))
        pair.run(4000)
        self.assertEqual((pair.client.state, pair.device.state), ("CLOSED", "CLOSED"))

    def test_the_other_direction_stays_open_both_ways(self):
        for closer in ("client", "device"):
            with self.subTest(closer):
                pair = Pair()
                pair.establish()
                one, other = (pair.client, pair.device) if closer == "client" else (pair.device, pair.client)
                one.stream.close(one.now_ms)
                pair.run(200)
                self.assertEqual((one.state, other.state), ("FIN_WAIT_2", "CLOSE_WAIT"))
                self.assertTrue(other.stream.at_eof)
                other.stream.write(other.now_ms, b"still here")
                pair.run(200)
                self.assertEqual(one.stream.read(), b"still here")
                self.assertEqual(other.stream.read(), b"")

    def test_the_end_is_told_after_the_data(self):
        pair = Pair()
        pair.establish()
        pair.client.stream.write(pair.client.now_ms, b"last words")
        pair.client.stream.close(pair.client.now_ms)
        self.assertTrue(pair.run(500, lambda: pair.device.stream.readable == 10))
        self.assertFalse(pair.device.stream.at_eof)
        self.assertEqual(pair.device.stream.read(), b"last words")
        pair.run(2000)
        self.assertTrue(pair.device.stream.at_eof)
        self.assertTrue(pair.device.changes & ENDED)

    def test_a_fin_waits_until_all_data_is_acknowledged(self):
        end = accepted()
        end.stream.write(end.now_ms, b"data")
        end.stream.close(end.now_ms)
        self.assertEqual(flags(end.said(90)), ["ACK"])
        end.give(packet("ACK", 11, 31, 4))
        self.assertEqual(end.said(), [Seen("FIN", 31, 11)])

    def test_a_fin_waits_behind_the_gate_until_the_peer_has_read_and_asks_it_meanwhile(self):
        end = accepted(window=4)
        end.stream.write(end.now_ms, b"data")
        end.datagrams()
        end.stream.close(end.now_ms)
        end.give(packet("ACK", 11, 31, 3))
        said = end.said(1000)
        self.assertTrue(len(said) >= 3)
        self.assertTrue(all(seen == Seen("ACK", 30, 11, 4, data=b"data") for seen in said), said)
        end.give(packet("ACK", 11, 31, 4))
        self.assertEqual(end.said(), [Seen("FIN", 31, 11)])

    def test_the_gate_opens_ten_seconds_after_the_peer_read_last(self):
        end = accepted(window=4)
        end.stream.write(end.now_ms, 2 * bytes(1247))
        end.datagrams()
        end.stream.close(end.now_ms)
        for window in (2, 3):
            end.give(packet("ACK", 11, 32, window))
            self.assertFalse("FIN" in flags(end.said(9900)))
        self.assertTrue("FIN" in flags(end.said(1200)))

    def test_a_fin_is_acknowledged_whether_or_not_the_data_was_read(self):
        end = accepted()
        end.give(packet("ACK", 11, 30, data=b"unread"))
        end.datagrams()
        end.give(packet("FIN", 12, 30))
        self.assertEqual(end.said(), [Seen("ACK", 30, 13, 3)])
        self.assertEqual(end.stream.read(), b"unread")
        self.assertTrue(end.stream.at_eof)

    def test_a_fin_ahead_of_missing_data_ends_nothing_before_the_data_is_there(self):
        end = accepted()
        end.give(packet("FIN", 12, 30))
        self.assertEqual(end.said(), [Seen("ACK", 30, 11, 4)])
        self.assertEqual((end.state, end.stream.at_eof), ("ESTABLISHED", False))
        end.give(packet("ACK", 11, 30, data=b"late"))
        self.assertEqual(end.state, "CLOSE_WAIT")
        self.assertEqual(end.said(), [Seen("ACK", 30, 13, 3)])
        self.assertEqual((end.stream.read(), end.stream.at_eof), (b"late", True))

    def test_data_at_or_behind_the_fin_is_ignored(self):
        end = accepted()
        end.give(packet("FIN", 12, 30))
        end.datagrams()
        for number in (12, 13):
            end.give(packet("ACK", number, 30, data=b"behind the end"))
        end.give(packet("ACK", 11, 30, data=b"x"))
        self.assertEqual((end.stream.read(), end.stream.at_eof), (b"x", True))

    def test_a_repeated_fin_is_acknowledged_every_time(self):
        end = accepted()
        for _ in range(3):
            end.give(packet("FIN", 11, 30))
            self.assertEqual(end.said(), [Seen("ACK", 30, 12, 4)])

    def test_a_tombstone_answers_a_repeated_fin_without_memory_or_slot(self):
        end = accepted(StreamLimits(streams=1, **LIMITS))
        stream = end.stream
        stream.close(end.now_ms)
        end.datagrams()
        end.give(packet("FIN", 11, 31))
        end.datagrams()
        stream.release()
        end.datagrams()
        self.assertTrue(stream.sender is None and stream.receiver is None)
        end.give(packet("SYN", 10, 0, ids=(8, 0), tag=0x1001))
        self.assertEqual(flags(end.said()), ["SYN|ACK"])
        end.give(packet("FIN", 11, 31))
        self.assertEqual(end.said(), [Seen("ACK", 31, 12, 4)])
        end.advance(3100)
        self.assertEqual(stream.state, states.CLOSED)

    def test_tombstones_are_bounded(self):
        end = End(False, StreamLimits(streams=1, **LIMITS))
        for number in range(100):
            tag = 0x1000 + number
            end.give(packet("SYN", 10, 0, ids=(number + 1, 0), tag=tag))
            ids = end.said()[0].ids
            end.give(packet("ACK", 11, 30, ids=ids, tag=tag))
            end.stream.close(end.now_ms)
            end.datagrams()
            end.give(packet("FIN", 11, 31, ids=ids, tag=tag))
            end.stream.release()
            end.datagrams()
        self.assertTrue(len(end.streams._streams) <= 16)

    def test_an_unanswered_fin_ends_the_stream_after_thirteen_sends(self):
        end = accepted()
        end.stream.close(end.now_ms)
        said = end.said(20000)
        self.assertEqual(flags(said).count("FIN"), 13)
        self.assertEqual((end.state, end.stream.reason), ("CLOSED", ""))

    def test_three_unanswered_fins_are_enough_when_the_peer_has_closed(self):
        end = accepted()
        end.give(packet("FIN", 11, 30))
        end.datagrams()
        end.stream.close(end.now_ms)
        self.assertEqual(flags(end.said(20000)).count("FIN"), 3)
        self.assertEqual((end.state, end.stream.reason), ("CLOSED", ""))

    def test_what_was_received_can_be_read_after_the_stream_is_closed(self):
        end = accepted()
        end.give(packet("ACK", 11, 30, data=b"unread"))
        end.give(packet("FIN", 12, 30))
        end.stream.close(end.now_ms)
        end.datagrams()
        end.give(packet("ACK", 13, 31))
        self.assertEqual(end.state, "CLOSED")
        self.assertEqual(end.stream.read(), b"unread")

    def test_a_reset_late_in_a_close_is_a_clean_end(self):
        for closer in ("LAST_ACK", "CLOSING", "TIME_WAIT"):
            with self.subTest(closer):
                end = accepted()
                if closer == "LAST_ACK":
                    end.give(packet("FIN", 11, 30))
                end.stream.close(end.now_ms)
                end.datagrams()
                if closer != "LAST_ACK":
                    end.give(packet("FIN", 11, 30 if closer == "CLOSING" else 31))
                self.assertEqual(end.state, closer)
                end.give(packet("RST", 12, 30))
                self.assertEqual((end.state, end.stream.reason), ("CLOSED", ""))

    def test_writing_after_close_is_a_mistake_of_ours(self):
        end = accepted()
        end.stream.close(end.now_ms)
        with self.assertRaises(StateError):
            end.stream.write(end.now_ms, b"x")

    def test_closing_and_aborting_twice_is_harmless(self):
        end = accepted()
        end.stream.close(end.now_ms)
        end.stream.close(end.now_ms)
        self.assertEqual(flags(end.said()), ["FIN"])
        end.stream.abort(end.now_ms)
        end.stream.abort(end.now_ms)
        end.stream.close(end.now_ms)
        self.assertEqual(flags(end.said()), ["RST"])

    def test_a_released_stream_finishes_its_close_alone(self):
        end = accepted()
        end.stream.write(end.now_ms, b"data")
        end.stream.close(end.now_ms)
        end.stream.release()
        end.datagrams()
        end.give(packet("ACK", 11, 31, 4))
        self.assertEqual(flags(end.said()), ["FIN"])
        end.give(packet("ACK", 11, 32))
        end.give(packet("ACK", 11, 32, data=b"nobody reads this"))
        end.give(packet("FIN", 12, 32))
        self.assertEqual(end.said(10)[-1], Seen("ACK", 32, 13, 4))
        end.advance(4000)
        self.assertTrue(end.streams.deadline_ms is None)

    def test_a_released_stream_that_was_not_closed_is_reset(self):
        end = accepted()
        end.stream.release()
        self.assertEqual(flags(end.said()), ["RST"])
        self.assertTrue(end.streams.deadline_ms is None)

    def test_a_released_stream_whose_peer_never_closes_is_reset_after_a_minute(self):
        end = accepted()
        end.stream.close(end.now_ms)
        end.datagrams()
        end.give(packet("ACK", 11, 31))
        self.assertEqual(end.state, "FIN_WAIT_2")
        end.stream.release()
        self.assertFalse("RST" in flags(end.said(59000)))
        self.assertTrue("RST" in flags(end.said(2000)))
        self.assertTrue(end.streams.deadline_ms is None)


class TestResets(unittest.TestCase):
    def test_an_abort_is_a_well_formed_reset_with_the_streams_own_numbers(self):
        end = accepted()
        end.give(packet("ACK", 11, 30, data=b"x"))
        end.datagrams()
        end.stream.abort(end.now_ms)
        self.assertEqual(end.said(), [Seen("RST", 30, 12)])
        self.assertEqual((end.state, end.stream.reason), ("ABORTED", "aborted by its user"))

    def test_a_reset_aborts_drops_what_is_unread_and_is_not_answered(self):
        end = accepted()
        end.give(packet("ACK", 11, 30, data=b"unread"))
        end.datagrams()
        self.assertEqual(end.give(packet("RST", 12, 30)), NEWS)
        self.assertEqual((end.state, end.stream.reason), ("ABORTED", "reset by the peer"))
        self.assertTrue(end.changes & ABORTED)
        self.assertEqual((end.stream.read(), end.stream.readable), (b"", 0))
        self.assertEqual(end.said(), [])

    def test_rst_counts_as_a_bit(self):
        end = accepted()
        octets = bytearray(packet("RST", 12, 30))
        at = octets.find(b"\x3d\x00\x00\x12\x20") + 4
        octets[at] = 0x30
        octets[-2:] = (sum(octets[:-2]) & 0xFFFF).to_bytes(2, "big")
        end.give(octets)
        self.assertEqual(end.state, "ABORTED")

    def test_packets_of_another_incarnation_change_nothing(self):
        end = accepted()
        for ids in ((7, 2), (8, 1), (0, 0)):
            for kind in ("RST", "FIN", "ACK"):
                self.assertEqual(end.give(packet(kind, 11, 30, ids=ids, data=b"")), IGNORED)
        self.assertEqual(end.state, "ESTABLISHED")
        self.assertEqual(end.streams.counters[STRANGE], 9)
        self.assertEqual(end.datagrams(), [])

    def test_a_packet_for_an_unknown_stream_is_reset_and_a_reset_is_not(self):
        end = End(False)
        self.assertEqual(end.give(packet("ACK", 500, 600, ids=(7, 3), tag=0x1777)), IGNORED)
        said = end.said()
        self.assertEqual(said, [Seen("RST", 600, 501)])
        self.assertEqual((said[0].ids, said[0].tag), ((7, 3), 0x1777))
        self.assertEqual(end.give(packet("RST", 500, 600, ids=(7, 3), tag=0x1777)), IGNORED)
        self.assertEqual(end.said(), [])

    def test_strangers_get_ten_resets_in_a_second(self):
        end = End(False)
        for number in range(50):
            end.give(packet("ACK", 500, 600, ids=(7, 3), tag=0x1100 + number))
        self.assertEqual(len(end.said()), 10)
        self.assertEqual(end.streams.strangers.unanswered, 40)
        end.advance(1000)
        end.give(packet("ACK", 500, 600, ids=(7, 3)))
        self.assertEqual(len(end.said()), 1)

    def test_a_packet_for_a_stream_that_is_over_and_not_released_is_reset_by_its_ids(self):
        end = accepted()
        end.stream.abort(end.now_ms)
        end.datagrams()
        for _ in range(3):
            end.give(packet("ACK", 11, 30, data=b"more"))
            self.assertEqual(flags(end.said()), ["RST"])
        end.give(packet("RST", 11, 30))
        self.assertEqual(end.said(), [])

    def test_a_lost_connection_aborts_without_a_word(self):
        end = accepted()
        end.stream.write(end.now_ms, b"data")
        end.streams.fail_all()
        end.gather()
        self.assertEqual(end.said(1000), [])
        self.assertEqual((end.state, end.stream.reason), ("ABORTED", "the connection was lost"))
        self.assertTrue(end.changes & ABORTED)

    def test_a_closed_connection_resets_each_stream(self):
        end = accepted()
        end.give(packet("SYN", 10, 0, ids=(8, 0), tag=0x1001))
        end.datagrams()
        end.streams.reset_all(end.now_ms)
        end.gather()
        said = end.said(1000)
        self.assertEqual((flags(said), said[0].tag), (["RST"], 0x1000))
        self.assertEqual(end.stream.reason, "the connection was closed")

    def test_a_broken_connection_with_streams_in_every_state_breaks_nothing(self):
        end = accepted()
        end.stream.close(end.now_ms)
        end.datagrams()
        end.give(packet("FIN", 11, 31))
        self.assertEqual(end.state, "TIME_WAIT")
        end.streams.fail_all()
        self.assertEqual(end.state, "CLOSED")


class TestStates(unittest.TestCase):
    def test_every_pair_that_the_table_does_not_list_is_refused(self):
        listed = {(before, event): after for before, event, after in states.TRANSITIONS}
        self.assertEqual(len(listed), len(states.TRANSITIONS))
        for state in range(len(states.NAMES)):
            for event in range(9):
                if (state, event) in listed:
                    self.assertEqual(states.following(state, event), listed[state, event])
                else:
                    with self.assertRaises(StateError):
                        states.following(state, event)

    def test_no_packet_in_any_state_raises(self):
        for t0 in (0, ticks.PERIOD - 500):
            for index, last in enumerate(("FIN", "ACK", "RST", "SYN", "SYN|ACK")):
                for closes in (False, True):
                    for other in ("FIN", "ACK", "RST", "SYN", "SYN|ACK"):
                        end = accepted(t0=t0)
                        if closes:
                            end.stream.close(end.now_ms)
                        end.advance(10)
                        for kind in (last, other, last):
                            for ack in (0, 29, 30, 31, 32, 0x7FFFFFFF, 0xFFFFFFFF):
                                end.give(packet(kind, 11 + index, ack, ids=(7, 1)))
                                end.advance(7)
                        end.advance(30000)

    def test_times_just_below_the_wrap_of_the_ticks_are_like_any_other(self):
        for t0 in (0, ticks.PERIOD - 1500):
            end = End(True, t0=t0)
            end.open()
            self.assertEqual(flags(end.said(20000)), ["SYN"] * 13)
            end = accepted(t0=t0)
            end.stream.close(end.now_ms)
            self.assertEqual(flags(end.said(20000)).count("FIN"), 13)


class TestUserFace(unittest.TestCase):
    def test_changes_are_handed_out_once(self):
        end = End(False)
        end.give(SYN)
        end.datagrams()
        self.assertTrue(end.streams.next_changed() is None)
        end._buf = bytearray(2000)
        end.give(packet("ACK", 11, 30, data=b"x"))
        self.assertEqual(end.changes, OPENED | READABLE)
        self.assertEqual(end.stream.take_changes(), 0)
        self.assertTrue(end.streams.next_changed() is None)

    def test_statistics_have_the_references_order_and_sizes(self):
        end = accepted()
        end.stream.write(end.now_ms, b"hello")
        end.give(packet("ACK", 11, 30, data=b"abc"))
        end.advance(10)
        end.give(packet("ACK", 12, 31))
        end.stream.read()
        items = end.stream.statistics()
        types = [item[0] for item in items]
        self.assertEqual(types, [26, 24, 25, 22, 23] + list(range(1, 22)) + [29, 30])
        values = {item[0]: item[2] for item in items}
        self.assertEqual((values[26], values[24], values[25], values[23]), (0x1000, 7, 1, 1))
        self.assertEqual((values[2], values[5], values[8], values[9]), (5, 3, 1, 1))
        self.assertEqual((values[10], values[11], values[12]), (10, 10, 10))
        sizes = {1: 4, 10: 2, 21: 2, 22: 4, 23: 1, 26: 2, 29: 4}
        for kind, size, _ in items:
            self.assertEqual(size, sizes.get(kind, size))


if __name__ == "__main__":
    unittest.main()
