"""How streams carry data, each rule and each line of the checklist a test (specification, streams 3, 7, 9)."""

import unittest

from homeport_core import ticks
from homeport_core.errors import StateError
from homeport_core.stream import READABLE, WRITABLE
from homeport_core.stream_congestion import Congestion
from homeport_core.stream_rate import Pacer, RoundTrip
from homeport_core.stream_wire import IGNORED, NEWS, OLD
from homeport_core.streams import MALFORMED, FixedPool, StreamLimits, Streams
from stream_by_hand import End, Pair, Seen, packet, zeros


def device(window: int = 20, peer_window: int = 50, t0: int = 0, **limits: int) -> End:
    """A device with one stream, established by hand: ids (7, 1), client from 11, device from 30."""
    end = End(False, StreamLimits(receive_window=window, send_window=limits.pop("send_window", window), **limits), t0)
    end.give(packet("SYN", 10, 0, ids=(7, 0), syn=(3, 1247, peer_window, 1247, 50, 12, 1000)))
    end.datagrams()
    end.give(packet("ACK", 11, 30, peer_window))
    assert end.state == "ESTABLISHED" and not end.datagrams()
    return end


def octets(n: int) -> bytes:
    """`n` octets that tell their place."""
    return b"".join([i.to_bytes(4, "big") for i in range((n + 3) // 4)])[:n]


class Dice:
    """A small generator of random numbers that is the same on both interpreters."""

    def __init__(self, seed: int) -> None:
        self._state = seed * 2654435761 % (1 << 31) or 1

    def below(self, n: int) -> int:
        """A number from 0 to n - 1."""
        self._state = (self._state * 1103515245 + 12345) % (1 << 31)
        return (self._state >> 12) % n


class TestReceiving(unittest.TestCase):
    def test_segments_are_put_in_order_and_holes_reported_highest_run_first(self):
        end = device()
        for number, sack in ((13, [(13, 14)]), (12, [(12, 14)]), (16, [(16, 17), (12, 14)])):
            end.give(packet("ACK", number, 30, data=b"%d " % number))
            self.assertEqual(end.said(), [Seen("ACK", 30, 11, 20, sack)])
        end.give(packet("ACK", 11, 30, data=b"11 "))
        self.assertEqual(end.said(), [Seen("ACK", 30, 14, 17, [(16, 17)])])
        self.assertEqual(end.stream.read(), b"11 12 13 ")
        self.assertEqual(end.stream.readable, 0)

    def test_with_more_than_four_runs_the_last_place_is_for_the_one_that_grew(self):
        end = device(window=40)
        for number in (13, 15, 17, 19, 21, 23):
            end.give(packet("ACK", number, 30, data=b"x"))
        end.datagrams()
        end.give(packet("ACK", 16, 30, data=b"x"))
        self.assertEqual(end.said()[-1].sack, ((23, 24), (21, 22), (19, 20), (15, 18)))
        end.give(packet("ACK", 12, 30, data=b"x"))
        self.assertEqual(end.said()[-1].sack, ((23, 24), (21, 22), (19, 20), (12, 14)))

    def test_without_the_option_no_sack_is_sent(self):
        end = End(False)
        end.give(packet("SYN", 10, 0, ids=(7, 0), syn=(1, 1247, 50, 1247, 50, 12, 1000)))
        end.datagrams()
        end.give(packet("ACK", 11, 30))
        end.give(packet("ACK", 13, 30, data=b"x"))
        self.assertEqual(end.said(), [Seen("ACK", 30, 11, 50)])

    def test_the_first_segments_are_acknowledged_one_by_one_and_later_every_second(self):
        end = device(window=256, peer_window=256)
        acks = 0
        for number in range(16):
            end.give(packet("ACK", 11 + number, 30, data=b"x"))
            acks += len(end.said())
        self.assertEqual(acks, 16)
        for number in range(16, 36):
            end.give(packet("ACK", 11 + number, 30, data=b"x"))
            end.stream.read()
            acks += len(end.said())
        self.assertEqual(acks, 26)

    def test_a_single_segment_is_acknowledged_after_twenty_milliseconds(self):
        for t0 in (0, ticks.PERIOD - 10):
            end = device(t0=t0)
            for number in range(16):
                end.give(packet("ACK", 11 + number, 30, data=b"x"))
                end.stream.read()
                end.datagrams()
            end.give(packet("ACK", 27, 30, data=b"x"))
            self.assertEqual(end.said(19), [])
            self.assertEqual([seen.ack for seen in end.said(1)], [28])

    def test_an_acknowledgment_rides_on_data(self):
        end = device()
        end.give(packet("ACK", 11, 30, data=b"question"))
        end.stream.write(end.now_ms, b"answer")
        self.assertEqual(end.said(), [Seen("ACK", 30, 12, 19, data=b"answer")])
        self.assertEqual(end.said(50), [])

    def test_a_repetition_is_not_relied_on_to_carry_an_acknowledgment(self):
        """The reference ignores what a segment says that it has read already (streams 3.1)."""
        end = device()
        end.stream.write(end.now_ms, b"answer")
        end.datagrams()
        end.now_ms = end.streams.deadline_ms
        end.streams.timeout(end.now_ms)
        end.give(packet("ACK", 11, 30, data=b"question"))
        self.assertEqual(end.said(), [Seen("ACK", 30, 12, 19, data=b"answer"), Seen("ACK", 31, 12, 19)])
        self.assertEqual(end.said(), [])

    def test_a_duplicate_is_answered_and_changes_nothing(self):
        end = device()
        end.give(packet("ACK", 11, 30, data=b"first"))
        end.datagrams()
        self.assertEqual(end.give(packet("ACK", 11, 30, data=b"other")), OLD)
        self.assertEqual(end.said(), [Seen("ACK", 30, 12, 19)])
        self.assertEqual(end.stream.read(), b"first")
        end.give(packet("ACK", 14, 30, data=b"above"))
        end.datagrams()
        self.assertEqual(end.give(packet("ACK", 14, 30, data=b"other")), OLD)
        self.assertEqual(len(end.said()), 1)

    def test_only_news_is_news(self):
        end = device()
        data = packet("ACK", 11, 30, data=b"x")
        self.assertEqual([end.give(data), end.give(data)], [NEWS, OLD])
        end.stream.write(end.now_ms, b"abc")
        end.datagrams()
        ack = packet("ACK", 12, 31)
        self.assertEqual([end.give(ack), end.give(ack)], [NEWS, OLD])
        fin = packet("FIN", 12, 31)
        self.assertEqual([end.give(fin), end.give(fin)], [NEWS, OLD])

    def test_what_is_outside_of_the_window_is_ignored(self):
        end = device(window=4)
        for number in (15, 16, 1000, 0x7FFFFFFF, 0xFFFFFFFF, 5, 0, 1):
            self.assertTrue(end.give(packet("ACK", number, 30, data=b"x")) != NEWS)
        self.assertEqual(end.said(), [])
        self.assertEqual(end.stream.readable, 0)

    def test_a_segment_larger_than_agreed_is_dropped(self):
        end = device()
        self.assertTrue(end.give(packet("ACK", 11, 30, data=bytes(1248))) != NEWS)
        self.assertEqual(end.said(), [])
        self.assertEqual(end.give(packet("ACK", 11, 30, data=bytes(1247))), NEWS)

    def test_the_window_never_moves_back(self):
        end = device(window=8)
        dice = Dice(1)
        edge = 0
        for _ in range(500):
            end.give(packet("ACK", 11 + dice.below(200), 30, data=b"xyz"))
            if dice.below(3) == 0:
                end.stream.read(dice.below(20))
            for seen in end.said(dice.below(30)):
                self.assertTrue(seen.ack + seen.size >= edge, (seen, edge))
                edge = seen.ack + seen.size

    def test_a_window_that_was_shut_is_said_to_be_open_again_until_data_comes(self):
        end = device(window=4)
        for number in range(4):
            end.give(packet("ACK", 11 + number, 30, data=b"x"))
        self.assertEqual(end.said()[-1].size, 0)
        end.stream.read()
        said = end.said(10000)
        self.assertTrue(6 <= len(said) <= 10, len(said))
        self.assertTrue(all(seen == Seen("ACK", 30, 15, 4) for seen in said))
        end.give(packet("ACK", 15, 30, data=b"more"))
        end.stream.read()
        end.datagrams()
        self.assertTrue(len(end.said(10000)) <= 5)

    def test_reading_does_not_send_acknowledgments_that_look_like_duplicates(self):
        end = device(window=20)
        for number in range(10):
            end.give(packet("ACK", 11 + number, 30, data=b"x"))
            end.datagrams()
        for _ in range(10):
            end.stream.read(1)
            self.assertEqual(end.datagrams(), [])

    def test_a_probe_of_a_segment_long_read_is_answered_with_the_window(self):
        end = device(window=4)
        for number in range(4):
            end.give(packet("ACK", 11 + number, 30, data=b"x"))
        end.stream.read(2)
        end.datagrams()
        end.give(packet("ACK", 14, 30, data=b"x"))
        self.assertEqual(end.said(), [Seen("ACK", 30, 15, 2)])
        end.give(packet("ACK", 11, 30, data=b"x"))
        self.assertEqual(end.said(), [Seen("ACK", 30, 15, 2)])

    def test_without_wsrf_what_was_read_is_acknowledged(self):
        end = End(False, StreamLimits(receive_window=4))
        end.give(packet("SYN", 10, 0, ids=(7, 0), syn=(2, 1247, 50, 1247, 50, 12, 1000)))
        end.datagrams()
        end.give(packet("ACK", 11, 30))
        end.give(packet("ACK", 11, 30, data=b"abc"))
        self.assertEqual(end.said(), [Seen("ACK", 30, 11, 4)])
        self.assertEqual(end.stream.read(), b"abc")
        self.assertEqual(end.said(), [Seen("ACK", 30, 12, 4)])

    def test_a_peer_whose_numbers_wrap_is_understood(self):
        end = End(False, StreamLimits(receive_window=8))
        end.give(packet("SYN", 0xFFFFFFFD, 0, ids=(7, 0)))
        self.assertEqual(end.said()[0].ack, 0xFFFFFFFE)
        end.give(packet("ACK", 0xFFFFFFFE, 30))
        for number, data in ((0, b"c"), (0xFFFFFFFF, b"b"), (0xFFFFFFFE, b"a"), (1, b"d")):
            end.give(packet("ACK", number, 30, data=data))
        self.assertEqual(end.said()[-1].ack, 2)
        self.assertEqual(end.stream.read(), b"abcd")

    def test_first_numbers_of_zero_and_one_are_like_any_other(self):
        for first in (0, 1):
            end = End(False)
            end.give(packet("SYN", first, 0, ids=(7, 0)))
            end.datagrams()
            end.give(packet("ACK", first + 1, 30))
            self.assertFalse(end.stream.at_eof)
            end.give(packet("ACK", first + 1, 30, data=b"abc"))
            self.assertEqual((end.stream.read(), end.stream.at_eof), (b"abc", False))


class TestReading(unittest.TestCase):
    def full(self) -> End:
        end = device()
        for number, data in ((11, b"abc"), (12, b"defg"), (13, b"h")):
            end.give(packet("ACK", number, 30, data=data))
        return end

    def test_read_takes_as_much_as_asked_across_segments(self):
        end = self.full()
        self.assertEqual([end.stream.read(n) for n in (1, 4, 0, 2, -1, 5)], [b"a", b"bcde", b"", b"fg", b"h", b""])

    def test_readinto_fills_what_it_is_given(self):
        end = self.full()
        buf = bytearray(5)
        self.assertEqual((end.stream.readinto(buf), bytes(buf)), (5, b"abcde"))
        self.assertEqual((end.stream.readinto(buf), bytes(buf)), (3, b"fghde"))
        self.assertEqual(end.stream.readinto(buf), 0)

    def test_peek_shows_without_taking_and_consume_takes(self):
        end = self.full()
        self.assertEqual(bytes(end.stream.peek()), b"abc")
        end.stream.consume(2)
        self.assertEqual((bytes(end.stream.peek()), end.stream.readable), (b"c", 6))
        with self.assertRaises(StateError):
            end.stream.consume(2)
        end.stream.consume(1)
        self.assertEqual(bytes(end.stream.peek()), b"defg")

    def test_readable_is_told_when_more_can_be_read(self):
        end = device()
        end.changes = 0
        end.give(packet("ACK", 12, 30, data=b"b"))
        self.assertEqual(end.changes, 0)
        end.give(packet("ACK", 11, 30, data=b"a"))
        self.assertEqual(end.changes, READABLE)


class TestSending(unittest.TestCase):
    def test_a_write_is_cut_into_segments_of_the_agreed_size(self):
        end = device()
        data = octets(3000)
        self.assertEqual(end.stream.write(end.now_ms, data), 3000)
        said = end.said()
        self.assertEqual([(seen.seq, len(seen.data)) for seen in said], [(30, 1247), (31, 1247), (32, 506)])
        self.assertEqual(b"".join([seen.data for seen in said]), data)

    def test_small_writes_that_wait_are_put_together(self):
        end = device(peer_window=50)
        for _ in range(4):
            end.stream.write(end.now_ms, b"first ")
            end.datagrams()
        for _ in range(20):
            end.stream.write(end.now_ms, b"then ")
        self.assertEqual(end.datagrams(), [])
        end.give(packet("ACK", 11, 34))
        self.assertEqual(end.said(), [Seen("ACK", 34, 11, 20, data=b"then " * 20)])

    def test_a_small_write_leaves_at_once_when_little_is_on_the_way(self):
        end = device()
        for number in range(4):
            end.stream.write(end.now_ms, b"x")
            self.assertEqual([seen.seq for seen in end.said()], [30 + number])

    def test_no_more_is_sent_than_the_peer_allows(self):
        end = device(window=20, peer_window=6)
        end.stream.write(end.now_ms, octets(20 * 1247))
        self.assertEqual(len(end.datagrams()), 6)
        end.give(packet("ACK", 11, 36, 3))
        self.assertEqual(len(end.datagrams()), 3)

    def test_an_initiator_sends_no_more_than_four_segments_before_the_first_answer(self):
        pair = Pair()
        pair.establish()
        pair.client.stream.write(pair.client.now_ms, octets(20 * 1247))
        said = [pair.client.look(datagram) for datagram in pair.client.datagrams()]
        self.assertEqual([seen.seq for seen in said if seen.data], [11, 12, 13, 14])

    def test_memory_bounds_what_is_taken_and_room_is_told(self):
        end = device(window=8)
        end.changes = 0
        data = octets(20 * 1247)
        self.assertEqual(end.stream.write(end.now_ms, data), 8 * 1247)
        self.assertEqual((end.stream.writable, end.stream.write(end.now_ms, b"x")), (0, 0))
        end.datagrams()
        end.give(packet("ACK", 11, 31))
        self.assertEqual(end.changes & WRITABLE, 0)
        end.give(packet("ACK", 11, 32))
        self.assertEqual(end.changes & WRITABLE, WRITABLE)
        self.assertEqual(end.stream.writable, 2 * 1247)

    def test_a_loss_that_three_later_arrivals_prove_is_repaired_at_once(self):
        end = device()
        end.stream.write(end.now_ms, octets(6 * 1247))
        sent = end.said()
        end.advance(20)
        end.give(packet("ACK", 11, 30, sack=[(31, 33)]))
        self.assertEqual([seen for seen in end.said() if seen.data], [])
        end.give(packet("ACK", 11, 30, sack=[(31, 34)]))
        again = [seen for seen in end.said() if seen.data]
        self.assertEqual(again, [sent[0]])

    def test_a_loss_without_three_later_arrivals_is_repaired_when_reordering_explains_it_no_longer(self):
        end = device()
        end.stream.write(end.now_ms, octets(2 * 1247))
        end.datagrams()
        end.advance(40)
        end.give(packet("ACK", 11, 30, sack=[(31, 32)]))
        self.assertEqual(end.said(4), [])
        self.assertEqual([seen.seq for seen in end.said(30) if seen.data], [30])

    def test_a_lost_tail_is_probed_before_the_timeout(self):
        for t0 in (0, ticks.PERIOD - 60):
            end = device(t0=t0)
            end.stream.write(end.now_ms, octets(3 * 1247))
            end.datagrams()
            end.give(packet("ACK", 11, 31))
            said = end.said(101)
            self.assertEqual([seen.seq for seen in said if seen.data], [32])

    def test_what_is_never_acknowledged_is_repeated_with_patience_and_then_reset(self):
        end = device(window=4)
        end.stream.write(end.now_ms, b"data")
        said = [seen for seen in end.said(145000) if seen.data or seen.flags == "RST"]
        self.assertEqual(said[-1], Seen("RST", 31, 11))
        self.assertTrue(10 <= len(said) <= 20, len(said))
        self.assertTrue(all(seen.data == b"data" for seen in said[:-1]))
        self.assertEqual(end.stream.reason, "the peer does not acknowledge")

    def test_after_a_timeout_only_what_is_not_known_to_have_arrived_is_repeated(self):
        end = device()
        end.stream.write(end.now_ms, octets(5 * 1247))
        end.datagrams()
        end.give(packet("ACK", 11, 30, sack=[(31, 33)]))
        again = sorted([seen.seq for seen in end.said(5000) if seen.data])
        self.assertFalse(31 in again or 32 in again, again)
        self.assertTrue(30 in again and 33 in again and 34 in again, again)

    def test_what_was_reported_by_sack_once_is_never_sent_again(self):
        end = device()
        end.stream.write(end.now_ms, octets(10 * 1247))
        end.datagrams()
        for start in (39, 37, 35, 33, 31):
            end.give(packet("ACK", 11, 30, sack=[(start, start + 1)]))
        again = {seen.seq for seen in end.said(3000) if seen.data}
        self.assertFalse(again & {31, 33, 35, 37, 39}, again)

    def test_a_repetition_lost_while_sack_has_no_room_for_news_is_sent_again_without_a_timeout(self):
        end = device(window=40, peer_window=40)
        end.stream.write(end.now_ms, octets(10 * 1247))
        end.datagrams()
        end.advance(50)
        full = [(38, 39), (36, 37), (34, 35), (32, 33)]
        end.give(packet("ACK", 11, 30, sack=full))
        self.assertTrue(30 in [seen.seq for seen in end.said() if seen.data])
        end.advance(80)
        end.give(packet("ACK", 11, 30, sack=full))
        self.assertEqual([seen.seq for seen in end.said() if seen.data][:1], [30])

    def test_large_segments_begin_with_few(self):
        for size, first in ((1247, 10), (13000, 10), (32000, 4), (65000, 2)):
            self.assertEqual(Congestion(200, size).window, first)

    def test_a_shut_window_is_probed_with_the_segment_acknowledged_last(self):
        end = device(window=8, peer_window=4)
        data = octets(8 * 1247)
        end.stream.write(end.now_ms, data)
        self.assertEqual(len(end.datagrams()), 4)
        end.give(packet("ACK", 11, 34, 0))
        said = [seen for seen in end.said(20000) if seen.data]
        self.assertTrue(4 <= len(said) <= 12, len(said))
        self.assertTrue(all(seen.seq == 33 and seen.data == data[3 * 1247 : 4 * 1247] for seen in said))
        end.give(packet("ACK", 11, 34, 2))
        self.assertEqual([seen.seq for seen in end.said()], [34, 35])

    def test_a_change_of_path_sends_what_is_on_the_way_again(self):
        end = device()
        end.stream.write(end.now_ms, octets(4 * 1247))
        first = end.said()
        end.streams.path_changed(end.now_ms)
        self.assertEqual(end.said(), first)

    def test_over_a_reliable_carrier_data_is_sent_once(self):
        end = device()
        end.streams.reliable = True
        end.stream.write(end.now_ms, octets(4 * 1247))
        end.datagrams()
        self.assertEqual([seen for seen in end.said(30000) if seen.data], [])
        end.streams.reliable = False
        self.assertTrue(len([seen for seen in end.said(5000) if seen.data]) > 0)

    def test_streams_take_turns(self):
        end = device()
        end.give(packet("SYN", 10, 0, ids=(8, 0), tag=0x1001))
        end.datagrams()
        first = end.stream
        end.give(packet("ACK", 11, 30, ids=(8, 2), tag=0x1001))
        for stream in (first, end.stream):
            stream.write(end.now_ms, octets(5 * 1247))
        tags = [seen.tag for seen in end.said()]
        self.assertEqual(tags, tags[:2] * 5)
        self.assertEqual(sorted(tags[:2]), [0x1000, 0x1001])

    def test_numbers_are_not_used_up(self):
        end = device()
        sender = end.stream.sender
        number = 0x7FFF0000 - 2
        flight = sender.flight
        flight.una = flight.next = flight.first = flight._judged = sender.tail = number
        sender.edge = number + 50
        self.assertEqual(end.stream.write(end.now_ms, octets(10 * 1247)), 2 * 1247)
        self.assertEqual((len(end.datagrams()), end.stream.writable), (2, 0))

    def test_idle_acknowledgments_come_every_two_seconds_and_twelve_times(self):
        end = device()
        said = end.said(60000)
        self.assertEqual(said, [Seen("ACK", 30, 11, 20)] * 12)
        end.give(packet("ACK", 11, 30, data=b"x"))
        self.assertEqual(len(end.said(60000)), 13)


class TestBadPeers(unittest.TestCase):
    def sending(self) -> End:
        end = device()
        end.stream.write(end.now_ms, octets(5 * 1247))
        end.datagrams()
        return end

    def test_an_acknowledgment_of_what_was_never_sent_does_nothing(self):
        end = self.sending()
        for ack in (36, 37, 1000, 0x7FFFFFFF, 0xFFFFFFFF, 29, 0):
            self.assertEqual(end.give(packet("ACK", 11, ack, 60000)), OLD)
        self.assertEqual((end.stream.sender.flight.una, end.stream.sender.edge), (30, 80))

    def test_sack_outside_of_what_is_on_the_way_does_nothing(self):
        end = self.sending()
        for pair in ((30, 31), (29, 33), (31, 36), (33, 33), (34, 32), (100, 200), (0, 0xFFFFFFFF), (0xFFFFFFFF, 31)):
            self.assertEqual(end.give(packet("ACK", 11, 30, sack=[pair])), OLD)
        self.assertEqual(end.stream.sender.flight.in_flight, 5)

    def test_a_sack_of_an_impossible_size_is_counted_and_its_packet_still_serves(self):
        end = self.sending()
        good = packet("ACK", 11, 32, sack=[(33, 34)])
        at = good.find(b"\x41\x00\x00\x0c")
        bad = bytearray(good[: at + 2] + b"\x00\x08" + good[at + 4 : at + 8] + good[at + 12 :])
        bad[14:16] = len(bad).to_bytes(2, "big")
        bad[-2:] = (sum(bad[:-2]) & 0xFFFF).to_bytes(2, "big")
        self.assertEqual(end.give(bad), NEWS)
        self.assertEqual(end.stream.sender.flight.una, 32)
        self.assertEqual(end.streams.counters[MALFORMED], 1)

    def test_a_window_that_does_not_parse_is_counted(self):
        end = device()
        good = packet("FIN", 11, 30)
        for flags in (0x00, 0x40, 0x10, 0x80):
            bad = bytearray(good)
            bad[bad.find(b"\x3d\x00\x00\x12") + 4] = flags
            bad[-2:] = (sum(bad[:-2]) & 0xFFFF).to_bytes(2, "big")
            self.assertEqual(end.give(bad), IGNORED)
        self.assertEqual((end.streams.counters[MALFORMED], end.state), (4, "ESTABLISHED"))

    def test_duplicate_acknowledgments_cost_nothing(self):
        end = self.sending()
        for size in range(50, 60):
            end.give(packet("ACK", 11, 30, size))
        self.assertEqual([seen for seen in end.said() if seen.data], [])

    def test_a_peer_that_acknowledges_all_but_the_first_for_ever_is_given_up(self):
        end = device()
        end.stream.write(end.now_ms, octets(20 * 1247))
        count = 0
        for _ in range(400):
            said = end.said(1000)
            count += len(said)
            if end.state == "ABORTED":
                break
            upper = max([seen.seq for seen in said if seen.data] + [31])
            end.give(packet("ACK", 11, 30, sack=[(31, upper)] if upper > 31 else ()))
        self.assertEqual(end.state, "ABORTED")
        self.assertTrue(count < 500, count)


class TestWhole(unittest.TestCase):
    """Both ends, both directions, on a bad link."""

    def exchange(self, loss: int, size: int, t0: int = 0, fixed: bool = False, seed: int = 1) -> Pair:
        limits = StreamLimits(segment=239, receive_window=8, send_window=8, fixed=fixed, burst=2)
        pair = Pair(limits, limits, delay_ms=20, t0=t0)
        dice = Dice(seed)
        pair.loses = lambda name, seen: dice.below(100) < loss
        pair.client.open()
        opened = pair.run(60000, lambda: pair.device.stream is not None and pair.client.state == "ESTABLISHED")
        self.assertTrue(opened)
        data = octets(size)
        got = [bytearray(), bytearray()]
        sent = [0, 0]
        ends = (pair.client, pair.device)

        def serve() -> bool:
            for i in (0, 1):
                if sent[i] < size:
                    sent[i] += ends[i].stream.write(ends[i].now_ms, data[sent[i] : sent[i] + 3000])
                    if sent[i] == size:
                        ends[i].stream.close(ends[i].now_ms)
                got[i].extend(ends[i].stream.read())
            pair.log.clear()
            return len(got[0]) == len(got[1]) == size and ends[0].stream.at_eof and ends[1].stream.at_eof

        self.assertTrue(pair.run(600000, serve))
        self.assertTrue(got[0] == data and got[1] == data)
        return pair

    def test_arrives_whole_on_a_good_link(self):
        self.exchange(0, 20000)

    def test_arrives_whole_when_a_tenth_and_when_a_third_is_lost(self):
        for loss in (10, 30):
            self.exchange(loss, 12000, seed=loss)

    def test_arrives_whole_over_the_wrap_of_the_ticks(self):
        self.exchange(5, 20000, t0=ticks.PERIOD - 300)

    def test_arrives_whole_in_the_fixed_memory_of_a_board(self):
        self.exchange(5, 20000, fixed=True)

    def test_fixed_memory_is_used_again_and_never_grows(self):
        limits = StreamLimits(segment=100, receive_window=4, send_window=4, fixed=True)
        pool = FixedPool(limits, 1)
        for number in range(5):
            end = End(False, limits)
            end.streams = Streams(zeros, limits, False, None, pool)
            end.give(packet("SYN", 10, 0, ids=(7 + number, 0)))
            end.datagrams()
            end.give(packet("ACK", 11, 30, ids=(7 + number, 1)))
            self.assertEqual(end.stream.write(0, bytes(1000)), 400)
            end.give(packet("ACK", 11, 30, ids=(7 + number, 1), data=b"%d" % number))
            self.assertEqual(end.stream.read(), b"%d" % number)
            end.datagrams()
            end.stream.release()
            end.datagrams()
        memory = pool.take()
        self.assertTrue(all(len(slot) == 100 for slot in memory.received))
        self.assertTrue(all(len(segment.data) == 100 for segment in memory.sent))
        self.assertTrue(pool.take() is None)


class TestRate(unittest.TestCase):
    def test_the_timeout_follows_the_round_trips_and_has_bounds(self):
        round_trip = RoundTrip()
        self.assertEqual(round_trip.timeout_ms, 1000)
        for _ in range(3):
            round_trip.sample(0, 20)
        self.assertEqual(round_trip.timeout_ms, 500)
        for _ in range(10):
            round_trip.sample(0, 20)
        self.assertEqual(round_trip.timeout_ms, 300)
        waits = []
        for _ in range(12):
            round_trip.back_off()
            waits.append(round_trip.timeout_ms)
        self.assertEqual(waits[:3], [450, 675, 1012])
        self.assertEqual(waits[-1], 16000)
        round_trip.sample(0, 20)
        self.assertEqual(round_trip.timeout_ms, 300)

    def test_the_shortest_round_trip_is_forgotten_in_time(self):
        round_trip = RoundTrip()
        now_ms = ticks.PERIOD - 5000
        round_trip.sample(now_ms, 10)
        for _ in range(30):
            now_ms = ticks.add(now_ms, 1000)
            round_trip.sample(now_ms, 80)
        self.assertEqual(round_trip.least, 80)

    def round(self, congestion: Congestion, first_id: int, lost: int, rtt_ms: int = 50) -> int:
        """Send a whole window, lose so many of it, and hear of the rest; returns the next id."""
        window = congestion.window
        congestion.filled()
        for sent_id in range(first_id, first_id + window):
            congestion.filled()
            if sent_id - first_id < lost:
                congestion.lost(sent_id, first_id + window)
            else:
                congestion.delivered(sent_id)
        congestion.sampled(rtt_ms)
        congestion.acknowledged(first_id + window - 1, first_id + window, 50)
        return first_id + window

    def test_a_path_without_loss_is_filled_by_doubling(self):
        congestion = Congestion(200, 1247)
        next_id = 1
        windows = []
        for _ in range(6):
            next_id = self.round(congestion, next_id, 0)
            windows.append(congestion.window)
        self.assertEqual(windows, [20, 40, 80, 160, 200, 200])

    def test_a_path_that_always_loses_a_little_is_filled_all_the_same(self):
        congestion = Congestion(200, 1247)
        next_id = 1
        for _ in range(60):
            next_id = self.round(congestion, next_id, congestion.window // 20)
        self.assertEqual(congestion.window, 200)

    def test_a_full_queue_sets_a_window_below_its_end(self):
        congestion = Congestion(1000, 1247)
        next_id = 1
        lost = total = 0
        for _ in range(200):
            over = max(0, congestion.window - 100)
            lost += over
            total += congestion.window
            next_id = self.round(congestion, next_id, over)
        self.assertTrue(60 <= congestion.window <= 130, congestion.window)
        self.assertTrue(lost * 20 < total, (lost, total))

    def test_growing_round_trips_shrink_the_window(self):
        congestion = Congestion(1000, 1247)
        next_id = 1
        for _ in range(100):
            next_id = self.round(congestion, next_id, 0, max(50, congestion.window))
        self.assertTrue(60 <= congestion.window <= 110, congestion.window)

    def test_a_timeout_begins_small_again(self):
        congestion = Congestion(200, 1247)
        next_id = 1
        for _ in range(6):
            next_id = self.round(congestion, next_id, 0)
        congestion.collapsed()
        self.assertEqual(congestion.window, 4)

    def test_bursts_are_as_small_as_agreed_and_the_rate_is_kept(self):
        for t0 in (0, ticks.PERIOD - 100):
            pacer = Pacer(4, t0)
            round_trip = RoundTrip()
            round_trip.sample(t0, 100)
            pacer.adapt(80, round_trip)
            total = 0
            for ms in range(400):
                burst = 0
                while pacer.allows(ticks.add(t0, ms)):
                    pacer.spend()
                    burst += 1
                self.assertTrue(burst <= 7, burst)
                total += burst
            self.assertTrue(395 <= total <= 410, total)

    def test_a_short_path_is_not_paced(self):
        pacer = Pacer(2, 0)
        round_trip = RoundTrip()
        round_trip.sample(0, 1)
        pacer.adapt(10, round_trip)
        for _ in range(1000):
            self.assertTrue(pacer.allows(0))
            pacer.spend()


if __name__ == "__main__":
    unittest.main()
