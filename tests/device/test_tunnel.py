"""Tunnels: what may be reached, and both ends in every order (specification, streams 5.2 to 5.5)."""

import unittest

from homeport_core.errors import ConfigError
from homeport_core.stream_states import ABORTED
from homeport_core.ticks import PERIOD
from homeport_device.queries import GUEST
from homeport_device.tunnel import ANY, TunnelService
from stream_bench import ENDED, StreamBench

LOOPBACK_22 = b"\x7f\x00\x00\x01\x00\x16"
LINE = b"tunnel host=127.0.0.1 port=22\n"


class TunnelCase(unittest.TestCase):
    def setUp(self, hosts=("127.0.0.1",), ports=(22, 8080), reset=False, start_ms=1000, **settings):
        self.bench = StreamBench(
            lambda services: services.add(b"tunnel", TunnelService(hosts, ports, GUEST, 1247, reset)),
            start_ms,
            **settings,
        )
        self.bench.connected()
        self.bench.peer()

    @property
    def channels(self):
        return self.bench.target.channels

    def joined(self, line=LINE):
        """A stream of the client and the target's end of its tunnel."""
        stream = self.bench.opened(line)
        self.bench.tell(self.channels[-1], "ready")
        return stream, self.channels[-1]

    def reaches(self, line):
        """The endpoint that a tunnel of this line connects to, None when it is refused."""
        before = len(self.channels)
        stream = self.bench.opened(line)
        if len(self.channels) == before:
            self.assertTrue(self.bench.refused(stream), line)
            return None
        endpoint = self.channels[-1].endpoint
        stream.abort(self.bench.now_ms)
        self.bench.run()
        return endpoint


class Lines(TunnelCase):
    def test_host_and_port_come_in_any_order_and_have_defaults(self):
        for line in (
            b"tunnel host=127.0.0.1 port=22\n",
            b"tunnel port=22 host=127.0.0.1\n",
            b"tunnel port=22\n",
            b"tunnel host=localhost\n",
            b"tunnel host= port= 22\n",
            b"tunnel  port=22  host=LOCALHOST \n",
            b"tunnel\n",
            b"tunnel port=22 compress=yes\n",
        ):
            with self.subTest(line=line):
                self.assertEqual(self.reaches(line), LOOPBACK_22)

    def test_a_host_that_contains_a_keyword_is_a_host(self):
        self.assertEqual(self.reaches(b"tunnel host=port=80 port=22\n"), None)

    def test_what_is_no_port_is_refused(self):
        for port in (b"", b"ssh", b"0", b"65536", b"-22", b"22x", b"0x16", b"9" * 40, b"\xb2\xb2", b"2\x002"):
            with self.subTest(port=port):
                self.assertEqual(self.reaches(b"tunnel host=127.0.0.1 port=" + port + b"\n"), None)

    def test_what_is_no_host_is_refused(self):
        self.setUp(hosts=ANY)
        for host in (b"x" * 128, b"a\x01b", b"\xc3\xa9.example", b"0.0.0.0", b"224.0.0.1", b"255.255.255.255"):
            with self.subTest(host=host):
                self.assertEqual(self.reaches(b"tunnel host=" + host + b" port=22\n"), None)


class Lists(TunnelCase):
    def test_only_declared_hosts_and_ports_are_reached(self):
        self.setUp(hosts=("192.168.1.10", "localhost"), ports=(22, 80))
        for host, port, reached in (
            (b"192.168.1.10", b"80", True),
            (b"127.0.0.1", b"22", True),
            (b"192.168.1.11", b"80", False),
            (b"192.168.1.10", b"81", False),
            (b"127.0.0.2", b"22", False),
            (b"nas.lan", b"22", False),
        ):
            with self.subTest(host=host, port=port):
                self.assertEqual(bool(self.reaches(b"tunnel host=" + host + b" port=" + port + b"\n")), reached)

    def test_all_hosts_and_all_ports_can_be_allowed(self):
        self.setUp(hosts=ANY, ports=ANY)
        self.assertEqual(self.reaches(b"tunnel host=198.51.100.7 port=65535\n"), b"\xc6\x33\x64\x07\xff\xff")

    def test_lists_that_allow_nothing_or_make_no_sense_are_mistakes(self):
        for hosts, ports, word in (
            ((), (22,), "allows no host"),
            (("localhost",), (), "allows no host or no port"),
            (("two words",), (22,), "two words"),
            (("",), (22,), "host"),
            (("x" * 128,), (22,), "host"),
            (("localhost",), (0,), "65535"),
            (("localhost",), (65536,), "65535"),
            (("localhost",), ("22",), "port"),
        ):
            with self.subTest(hosts=hosts, ports=ports):
                with self.assertRaises(ConfigError) as caught:
                    TunnelService(hosts, ports, GUEST, 1247, False)
                self.assertIn(word, caught.exception.reason)


class Names(TunnelCase):
    def asked(self, name=b"nas.lan", hosts=("nas.lan",)):
        self.setUp(hosts=hosts)
        stream = self.bench.opened(b"tunnel host=" + name + b" port=22\nearly")
        return stream, self.bench.target.names[-1]

    def answer(self, answer, addresses):
        answer(self.bench.now_ms, addresses)
        self.bench.run()

    def test_a_declared_name_is_looked_up_and_its_address_reached(self):
        stream, (name, answer) = self.asked(b"NAS.lan")
        self.assertEqual(name, "nas.lan")
        self.answer(answer, [b"\xc0\xa8\x01\x0a"])
        self.assertEqual(self.channels[0].endpoint, b"\xc0\xa8\x01\x0a\x00\x16")
        self.bench.tell(self.channels[0], "ready")
        self.assertEqual(self.channels[0].sent, b"early")

    def test_a_name_must_not_lead_to_the_device_itself(self):
        stream, (_, answer) = self.asked()
        self.answer(answer, [b"\x7f\x00\x00\x01", b"\x00\x00\x00\x00", b"\xe0\x00\x00\x01"])
        self.assertTrue(self.bench.refused(stream))

    def test_it_may_where_the_device_itself_is_allowed(self):
        _, (_, answer) = self.asked(hosts=("nas.lan", "127.0.0.1"))
        self.answer(answer, [b"\x7f\x00\x00\x01"])
        self.assertEqual(len(self.channels), 1)

    def test_a_name_without_an_address_is_refused(self):
        for addresses in (None, []):
            with self.subTest(addresses=addresses):
                stream, (_, answer) = self.asked()
                self.answer(answer, addresses)
                self.assertTrue(self.bench.refused(stream))

    def test_an_answer_for_a_client_that_is_gone_does_nothing(self):
        stream, (_, answer) = self.asked()
        stream.abort(self.bench.now_ms)
        self.bench.run()
        self.answer(answer, [b"\xc0\xa8\x01\x0a"])
        self.assertEqual(self.channels, [])


class Connecting(TunnelCase):
    def test_there_is_no_answer_line(self):
        stream, _ = self.joined()
        self.assertEqual(stream.readable, 0)

    def test_octets_that_come_meanwhile_are_kept_with_those_behind_the_line(self):
        stream = self.bench.opened(LINE + b"SSH-2.0-")
        stream.write(self.bench.now_ms, b"client\r\n")
        self.bench.run()
        self.assertEqual(self.channels[0].sent, b"")
        self.bench.tell(self.channels[0], "ready")
        self.assertEqual(self.channels[0].sent, b"SSH-2.0-client\r\n")

    def test_a_client_cannot_send_more_than_the_window_meanwhile(self):
        stream = self.bench.opened(LINE)
        taken = 0
        for _ in range(50):
            taken += stream.write(self.bench.now_ms, bytes(2000))
            self.bench.pass_time(10)
        self.assertLessEqual(taken, (8 + 17) * 1247)
        self.bench.tell(self.channels[0], "ready")
        self.bench.pass_time(5000)
        self.assertEqual(len(self.channels[0].sent), taken)

    def test_a_failure_closes_the_stream_without_an_octet(self):
        stream = self.bench.opened(LINE)
        self.bench.tell(self.channels[0], "failed")
        self.assertTrue(self.bench.refused(stream))
        self.assertFalse(self.channels[0].is_open)

    def test_a_failure_is_told_by_a_reset_where_the_product_wants_that(self):
        self.setUp(reset=True)
        stream = self.bench.opened(LINE)
        self.bench.tell(self.channels[0], "failed")
        self.assertEqual(stream.state, ABORTED)

    def test_without_sockets_the_stream_is_closed(self):
        self.bench.target.has_sockets = False
        self.assertTrue(self.bench.refused(self.bench.opened(LINE)))

    def test_a_client_that_gives_up_meanwhile_takes_the_connection_with_it(self):
        stream = self.bench.opened(LINE)
        stream.abort(self.bench.now_ms)
        self.bench.run()
        self.assertFalse(self.channels[0].is_open)


class Octets(TunnelCase):
    def test_they_go_both_ways(self):
        stream, channel = self.joined()
        stream.write(self.bench.now_ms, b"question")
        self.bench.run()
        self.assertEqual(channel.sent, b"question")
        self.bench.put(channel, b"answer")
        self.assertEqual(stream.read(), b"answer")

    def test_a_slow_target_slows_the_client_down(self):
        stream, channel = self.joined()
        channel.room = 1000
        taken = 0
        for _ in range(50):
            taken += stream.write(self.bench.now_ms, bytes(5000))
            self.bench.pass_time(10)
        self.assertEqual(len(channel.sent), 1000)
        self.assertTrue(channel.writable)
        self.assertLess(taken, 1247 * 300)
        channel.room = 1 << 30
        self.bench.tell(channel, "writable")
        self.assertFalse(channel.writable)
        self.bench.pass_time(20000)
        self.assertEqual(len(channel.sent), taken)

    def test_a_slow_client_slows_the_target_down(self):
        stream, channel = self.joined()
        data = bytes(i * 31 & 0xFF for i in range(100000))
        self.bench.put(channel, data)
        self.assertFalse(channel.readable)
        self.assertGreater(len(channel.waiting), 50000)
        got = b""
        for _ in range(2000):
            got += stream.read()
            self.bench.pass_time(5)
            self.bench.put(channel, b"")
            if len(got) == len(data):
                break
        self.assertEqual(got, data)
        self.bench.pass_time(100)
        self.assertTrue(channel.readable)


class Ends(TunnelCase):
    def test_the_client_ends_first(self):
        stream, channel = self.joined()
        stream.write(self.bench.now_ms, b"last")
        stream.close(self.bench.now_ms)
        self.bench.pass_time(1500)
        self.assertEqual((channel.sent, channel.is_shut, channel.is_open), (b"last", True, True))
        self.bench.put(channel, b"still answered")
        self.bench.end(channel)
        self.assertEqual(self.bench.read(stream), b"still answered")
        self.assertTrue(stream.at_eof)
        self.assertFalse(channel.is_open)
        self.assertIn(stream.state, ENDED)

    def test_the_target_ends_first(self):
        stream, channel = self.joined()
        self.bench.put(channel, b"bye")
        self.bench.end(channel)
        self.assertEqual(self.bench.read(stream), b"bye")
        self.assertTrue(stream.at_eof)
        stream.write(self.bench.now_ms, b"still heard")
        self.bench.run()
        self.assertEqual((channel.sent, channel.is_open), (b"still heard", True))
        stream.close(self.bench.now_ms)
        self.bench.pass_time(1500)
        self.assertFalse(channel.is_open)

    def test_both_end_at_once(self):
        stream, channel = self.joined()
        channel.has_ended = True
        stream.close(self.bench.now_ms)
        self.bench.tell(channel, "readable")
        self.bench.pass_time(1500)
        self.assertFalse(channel.is_open)
        self.assertIn(stream.state, ENDED)

    def test_the_client_ends_before_the_target_is_connected(self):
        stream = self.bench.opened(LINE + b"all of it")
        stream.close(self.bench.now_ms)
        self.bench.run()
        channel = self.channels[0]
        self.bench.tell(channel, "ready")
        self.bench.pass_time(1500)
        self.assertEqual((channel.sent, channel.is_shut), (b"all of it", True))
        self.bench.put(channel, b"answer")
        self.bench.end(channel)
        self.assertEqual(self.bench.read(stream), b"answer")

    def test_a_target_that_takes_no_more_is_still_heard(self):
        stream, channel = self.joined()
        channel.is_broken = True
        stream.write(self.bench.now_ms, b"into the void")
        self.bench.run()
        self.bench.put(channel, b"parting words")
        self.bench.end(channel)
        self.assertEqual(self.bench.read(stream), b"parting words")
        self.assertTrue(stream.at_eof)
        self.assertFalse(channel.is_open)

    def test_a_client_that_aborts_takes_the_connection_with_it(self):
        stream, channel = self.joined()
        stream.abort(self.bench.now_ms)
        self.bench.run()
        self.assertEqual((channel.is_open, channel.is_reset), (False, True))

    def test_a_target_that_resets_its_connection_resets_the_stream(self):
        stream, channel = self.joined()
        self.bench.put(channel, b"half of i")
        channel.was_reset = True
        self.bench.tell(channel, "readable")
        self.assertEqual(stream.state, ABORTED)
        self.assertFalse(channel.is_open)

    def test_an_orderly_end_is_no_reset(self):
        stream, channel = self.joined()
        self.bench.end(channel)
        stream.close(self.bench.now_ms)
        self.bench.pass_time(1500)
        self.assertEqual((channel.is_open, channel.is_reset), (False, False))

    def test_a_lost_connection_resets_the_targets(self):
        _, channel = self.joined()
        self.bench.advance(60000)
        self.assertEqual((channel.is_open, channel.is_reset), (False, True))

    def test_what_the_client_sent_last_reaches_a_slow_target_after_both_directions_closed(self):
        stream, channel = self.joined()
        channel.room = 100
        stream.write(self.bench.now_ms, b"x" * 2000)
        stream.close(self.bench.now_ms)
        self.bench.end(channel)
        self.bench.pass_time(1000)
        self.assertEqual(len(channel.sent), 100)
        channel.room = 1 << 30
        self.bench.tell(channel, "writable")
        self.assertEqual(len(channel.sent), 2000)
        self.bench.pass_time(1500)
        self.assertFalse(channel.is_open)

    def test_where_one_direction_cannot_be_ended_alone_the_other_may_be_silent_for_five_seconds(self):
        for start_ms in (1000, PERIOD - 7000):
            with self.subTest(start_ms=start_ms):
                self.setUp(start_ms=start_ms)
                stream, channel = self.joined()
                channel.can_half_close = False
                stream.close(self.bench.now_ms)
                self.bench.pass_time(4000)
                self.bench.put(channel, b"x")
                self.bench.pass_time(4000)
                self.assertTrue(channel.is_open)
                self.bench.pass_time(1100)
                self.assertFalse(channel.is_open)
                self.assertEqual(self.bench.read(stream), b"x")
                self.assertTrue(stream.at_eof)

    def test_who_wants_a_slot_does_not_wait_for_a_silent_half_of_another_tunnel(self):
        self.setUp(streams=1)
        stream, channel = self.joined()
        channel.can_half_close = False
        stream.close(self.bench.now_ms)
        self.bench.pass_time(400)
        self.bench.opened(LINE)
        self.assertTrue(channel.is_open)
        self.bench.pass_time(200)
        self.bench.opened(LINE)
        self.assertFalse(channel.is_open)
        self.bench.pass_time(200)
        self.joined()
        self.assertEqual(len(self.channels), 2)

    def test_a_tunnel_that_is_open_both_ways_keeps_its_slot_from_others(self):
        self.setUp(streams=1)
        _, channel = self.joined()
        self.bench.pass_time(6000)
        self.bench.opened(LINE)
        self.assertTrue(channel.is_open)


if __name__ == "__main__":
    unittest.main()
