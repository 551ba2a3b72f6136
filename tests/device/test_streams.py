"""Streams in the device's stack: whose packets move the peer, slots, timers, ends, reports (specification, streams 2.2,
2.9, 4; core 5.8)."""

import unittest

from device_bench import CLIENT, GSP, NSI, STRANGER, decode
from homeport_core.compat import MICROPYTHON
from homeport_core.errors import ConfigError
from homeport_core.packet import encode
from homeport_core.payloads import build_id, parse_items
from homeport_core.spec import (
    ID_URL,
    PL_CONNECTION_INFO,
    PL_SP_ID,
    PL_STATS,
    PL_STREAM_STATS,
    PL_VERSION,
    PL_WINDOW,
    PT_DATA,
    PT_STATS,
    STATS_STREAM_CLOSE,
)
from homeport_core.stream_states import ABORTED, CLOSED, ESTABLISHED
from homeport_core.ticks import PERIOD
from homeport_device.drops import REPLAY, STATE, TAKEN, UNKNOWN
from homeport_device.echo import EchoService
from homeport_device.output import REMOTE
from homeport_device.queries import GUEST
from homeport_device.streams import packet_len
from stream_bench import ENDED, StreamBench

ELSEWHERE = b"\xc6\x33\x64\x42\x30\x39"  # 198.51.100.66:12345
OTHER_NSI = b"\x7a\x01\x02\x04"
OTHER_KEYS = bytes(range(1, 97))


def offer_echo(services):
    services.add(b"echo", EchoService(GUEST))


class StreamsCase(unittest.TestCase):
    def setUp(self, start_ms=1000, **settings):
        self.bench = StreamBench(offer_echo, start_ms, **settings)
        self.bench.connected()
        self.peer = self.bench.peer()

    @property
    def connection(self):
        return self.bench.stack.connections.find(NSI)

    def give(self, octets, source=CLIENT):
        """The reason for which the stack counted this datagram, and what it sent."""
        before = list(self.bench.stack.counters)
        sent = self.bench.deliver(REMOTE, octets, source)
        reasons = [i for i in range(len(before)) if self.bench.stack.counters[i] != before[i]]
        self.assertEqual(len(reasons), 1)
        return reasons[0], sent

    def next_packet(self, stream, data=b"x"):
        """What the client sends for this, not delivered."""
        stream.write(self.bench.now_ms, data)
        packets = self.peer.packets()
        self.assertEqual(len(packets), 1)
        return packets[0]


class Path(StreamsCase):
    def test_the_peer_follows_a_packet_with_news(self):
        packet = self.next_packet(self.bench.opened(b"echo\n"))
        reason, sent = self.give(packet, ELSEWHERE)
        self.assertEqual(reason, TAKEN)
        self.assertEqual({to for _, to, _ in sent}, {ELSEWHERE})

    def test_a_repeated_packet_moves_nothing_and_is_acknowledged_to_the_peer(self):
        packet = self.next_packet(self.bench.opened(b"echo\n"))
        self.give(packet)
        reason, sent = self.give(packet, STRANGER)
        self.assertEqual(reason, REPLAY)
        self.assertEqual({to for _, to, _ in sent}, {CLIENT})
        self.assertEqual(self.connection.peer, CLIENT)

    def test_a_repeated_syn_opens_nothing_and_moves_nothing(self):
        stream = self.peer.streams.open(self.bench.now_ms)
        syn = self.peer.packets()[0]
        self.bench.stack.datagram(self.bench.now_ms, REMOTE, syn, CLIENT)
        self.bench.run()
        stream.abort(self.bench.now_ms)
        self.bench.pass_time(5000)
        reason, sent = self.give(syn, STRANGER)
        self.assertEqual((reason, sent), (UNKNOWN, []))
        self.assertEqual(self.connection.peer, CLIENT)

    def test_a_forged_packet_changes_nothing(self):
        packet = bytearray(self.next_packet(self.bench.opened(b"echo\n")))
        for at in (20, 30, 60, len(packet) - 1):
            with self.subTest(at=at):
                packet[at] ^= 1
                _, sent = self.give(bytes(packet), STRANGER)
                self.assertEqual((sent, self.connection.peer), ([], CLIENT))
                packet[at] ^= 1

    def test_streams_leave_the_memory_of_requests_alone(self):
        query = self.bench.query(2)
        first = self.give(query)[1][-1][2]
        stream = self.bench.opened(b"echo\n")
        for _ in range(self.bench.config.replay_window + 10):
            stream.write(self.bench.now_ms, b"y")
            self.bench.run()
            stream.read()
        reason, sent = self.give(query)
        self.assertEqual((reason, sent[-1][2], self.bench.app.runs), (REPLAY, first, 1))

    def test_a_stream_packet_may_be_the_first_of_a_connection(self):
        self.bench.introduce(nsi=OTHER_NSI, material=OTHER_KEYS, seq=8)
        peer = self.bench.peer(nsi=OTHER_NSI, material=OTHER_KEYS)
        self.assertEqual(self.bench.opened(b"echo\n", peer).read(), b"+\n")
        self.assertIn(("opened", OTHER_NSI), self.bench.app.log)


class Bursts(StreamsCase):
    def test_what_arrives_together_is_answered_together(self):
        stream = self.bench.opened(b"echo\n")
        stream.read()
        stream.write(self.bench.now_ms, bytes(3000))
        packets = self.peer.packets()
        self.assertGreater(len(packets), 1)
        self.bench.stack.holds_streams = True
        for octets in packets:
            self.assertEqual(self.give(octets), (TAKEN, []))
        self.bench.stack.holds_streams = False
        self.bench.stack.drained(self.bench.now_ms)
        self.assertEqual(sum(len(octets) > 200 for _, _, octets in self.bench.port.take()), len(packets))

    def test_a_stream_that_ends_leaves_its_slot_to_one_that_arrives_with_its_end(self):
        self.setUp(streams=1)
        old = self.bench.opened(b"echo\n")
        old.abort(self.bench.now_ms)
        new = self.peer.streams.open(self.bench.now_ms)
        packets = self.peer.packets()
        self.bench.stack.holds_streams = True
        for octets in packets:
            self.give(octets)
        self.bench.stack.holds_streams = False
        self.bench.stack.drained(self.bench.now_ms)
        self.bench.run()
        self.assertEqual(new.state, ESTABLISHED)


class Timers(StreamsCase):
    def test_news_keep_the_connection_alive_and_repeats_do_not(self):
        for start_ms in (1000, PERIOD - 20000):
            with self.subTest(start_ms=start_ms):
                self.setUp(start_ms)
                stream = self.bench.opened(b"echo\n")
                for _ in range(5):
                    self.bench.pass_time(8000)
                    packet = self.next_packet(stream)
                    self.give(packet)
                    self.bench.run()
                    stream.read()
                self.assertIsNotNone(self.connection)
                self.peer.lost = lambda to_device, octets: True
                for _ in range(3):
                    self.bench.pass_time(8000)
                    self.bench.deliver(REMOTE, packet, CLIENT)
                self.assertIsNone(self.connection)

    def test_what_is_lost_on_the_way_to_the_client_comes_again(self):
        stream = self.bench.opened(b"echo\n")
        stream.read()
        drops = [3]

        def lose_three(to_device, octets):
            if to_device or len(octets) < 1000 or not drops[0]:
                return False
            drops[0] -= 1
            return True

        self.peer.lost = lose_three
        stream.write(self.bench.now_ms, bytes(range(250)) * 20)
        self.assertEqual(self.bench.read(stream, 5000), bytes(range(250)) * 20)
        self.assertEqual(drops, [0])

    def test_a_handshake_that_is_never_completed_frees_its_slot(self):
        self.setUp(streams=1)
        self.peer.streams.open(self.bench.now_ms)
        self.give(self.peer.packets()[0])
        self.bench.peers = []
        for _ in range(3):
            self.bench.pass_time(6000)
            self.bench.deliver(REMOTE, self.bench.keep_alive(), CLIENT)
        self.bench.peer()
        self.assertEqual(self.bench.opened(b"echo\n").read(), b"+\n")


class Slots(StreamsCase):
    def states(self, peer, count):
        return [self.bench.opened(peer=peer).state for _ in range(count)]

    def second_peer(self, fingerprint=None):
        self.bench.introduce(nsi=OTHER_NSI, material=OTHER_KEYS, seq=8)
        connection = self.bench.stack.connections.find(OTHER_NSI)
        connection.fingerprint = fingerprint or connection.fingerprint
        return self.bench.peer(nsi=OTHER_NSI, material=OTHER_KEYS)

    def test_a_device_has_so_many_streams_and_no_more(self):
        self.setUp(streams=3, streams_per_client=2)
        other = self.second_peer(bytes(range(0x30, 0x40)))
        self.assertEqual(self.states(self.peer, 3), [ESTABLISHED] * 2 + [ABORTED])
        self.assertEqual(self.states(other, 2), [ESTABLISHED, ABORTED])

    def test_a_client_has_no_more_over_two_connections(self):
        self.setUp(streams=8, streams_per_client=2)
        other = self.second_peer()
        self.assertEqual(self.states(self.peer, 1) + self.states(other, 2), [ESTABLISHED] * 2 + [ABORTED])

    def test_a_stream_that_is_over_leaves_its_slot(self):
        self.setUp(streams=2, streams_per_client=1)
        for number in range(20):
            stream = self.bench.opened(b"echo\n")
            self.assertEqual(stream.read(), b"+\n")
            if number % 2:
                stream.abort(self.bench.now_ms)
                self.bench.run()
            else:
                stream.close(self.bench.now_ms)
                self.bench.read(stream)
                self.assertIn(stream.state, ENDED)
            stream.release()

    def test_a_lost_connection_leaves_its_slots(self):
        self.setUp(streams=2)
        self.states(self.peer, 2)
        self.bench.peers = []
        self.bench.advance(60000)
        self.bench.introduce(nsi=OTHER_NSI, material=OTHER_KEYS, seq=9)
        peer = self.bench.peer(nsi=OTHER_NSI, material=OTHER_KEYS)
        self.assertEqual(self.states(peer, 2), [ESTABLISHED] * 2)

    def test_segments_and_windows_are_those_of_the_settings(self):
        self.setUp(stream_segment=479, stream_window=3)
        stream = self.bench.opened(b"echo\n")
        stream.write(self.bench.now_ms, bytes(4000))
        self.assertTrue(all(len(octets) <= packet_len(479) for octets in self.peer.packets()))
        syn_ack = self.give(self.syn())[1][0][2]
        self.assertEqual([syn_ack[i] << 8 | syn_ack[i + 1] for i in range(38, 46, 2)], [479, 3, 479, 3])

    def syn(self):
        self.peer.streams.open(self.bench.now_ms)
        return [octets for octets in self.peer.packets() if octets[22] == 0x80][0]

    def test_settings_that_make_no_sense_are_mistakes(self):
        for settings in ({"stream_segment": 15}, {"stream_segment": 65001}, {"stream_window": 0}, {"streams": 0}):
            with self.subTest(settings=settings):
                with self.assertRaises(ConfigError):
                    StreamBench(offer_echo, **settings)

    def test_a_segment_has_to_fit_a_boards_packets(self):
        if MICROPYTHON:
            with self.assertRaises(ConfigError):
                StreamBench(offer_echo, stream_segment=1391)
        else:
            bench = StreamBench(offer_echo, stream_segment=30000)
            self.assertEqual(bench.port.longest, packet_len(30000))


class Ends(StreamsCase):
    def test_the_connections_close_resets_each_stream_and_nothing_follows(self):
        streams = [self.bench.opened(b"echo\n") for _ in range(2)]
        self.bench.stack.datagram(self.bench.now_ms, REMOTE, self.bench.close(), CLIENT)
        self.bench.run()
        self.assertEqual([stream.state for stream in streams], [ABORTED] * 2)
        reason, sent = self.give(self.peer_packet())
        self.assertEqual((reason, sent), (STATE, []))

    def peer_packet(self):
        self.peer.streams.open(self.bench.now_ms)
        return self.peer.packets()[0]

    def test_a_connection_that_timed_out_takes_its_streams_without_a_packet(self):
        self.bench.opened(b"echo\n")
        self.bench.peers = []
        self.bench.pass_time(17000)
        self.bench.port.take()
        self.bench.pass_time(1000)
        self.assertIsNone(self.connection)
        self.assertEqual(self.bench.port.take(), [])

    def test_a_packet_of_no_stream_is_answered_by_a_well_formed_rst(self):
        packet = decode(self.next_packet(self.bench.opened(b"echo\n")))
        window = [(PL_WINDOW, packet.get(PL_WINDOW))]
        strange = encode(
            PT_DATA, window, NSI, tag=packet.tag ^ 0x55, context=self.peer.keys, plaintext=b"x", iv=bytes(16)
        )
        reason, sent = self.give(strange)
        self.assertEqual((reason, len(sent)), (UNKNOWN, 1))
        self.assertEqual((sent[0][2][20] << 8 | sent[0][2][21], sent[0][2][22]), (18, 0x20))


class Reports(StreamsCase):
    def reported(self, **settings):
        """The STATS packets about streams after one has been used and closed."""
        self.setUp(**settings)
        stream = self.bench.opened(b"echo\n")
        found = []
        keep = self.bench.port.send

        def send(socket, endpoint, buf, n):
            if buf[8] == PT_STATS:
                found.append((socket, bytes(endpoint), bytes(memoryview(buf)[:n])))
            else:
                keep(socket, endpoint, buf, n)

        self.bench.port.send = send
        stream.write(self.bench.now_ms, b"some words")
        self.bench.read(stream)
        stream.close(self.bench.now_ms)
        self.bench.read(stream, 8000)
        self.assertEqual(stream.state, CLOSED)
        return [(socket, to, decode(octets)) for socket, to, octets in found]

    def test_nobody_is_told_about_streams(self):
        self.assertEqual(self.reported(), [])

    def test_where_a_product_wants_it_the_gsp_is_told_in_the_references_layout(self):
        ((socket, to, packet),) = self.reported(connection_statistics=True)
        self.assertEqual((socket, to, packet.sp), (REMOTE, GSP, NSI))
        kinds = [kind for kind, _, _ in packet.payloads()]
        self.assertEqual(kinds, [PL_STATS, PL_VERSION, PL_SP_ID, PL_STREAM_STATS, PL_CONNECTION_INFO])
        self.assertEqual(packet.get(PL_STATS), bytes((STATS_STREAM_CLOSE,)))
        self.assertEqual(packet.get(PL_SP_ID), build_id(ID_URL, self.bench.config.device_id.encode()))
        items = parse_items(packet.get(PL_STREAM_STATS))
        self.assertEqual(
            [kind for kind, _ in items],
            [26, 24, 25, 22, 23] + list(range(1, 22)) + [29, 30],
        )
        values = dict(items)
        self.assertEqual(values[23], b"\x02")  # closed
        self.assertEqual((int.from_bytes(values[2], "big"), int.from_bytes(values[5], "big")), (12, 15))


if __name__ == "__main__":
    unittest.main()
