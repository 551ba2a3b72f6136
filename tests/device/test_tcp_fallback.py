"""TCP for one connection through a gateway (specification, core 5.9)."""

import unittest

from device_bench import CLIENT, FINGERPRINT, GSP, GSP_NSI, IV, MATERIAL, NSI, Bench, decode, notify_code
from homeport_core.packet import encode
from homeport_core.payloads import build_fp, build_gw, build_id, build_ipx
from homeport_core.spec import (
    ENDPOINT_ZERO,
    FL_NSI_CO,
    FL_RESPONSE,
    GW_KEEP_ALIVE,
    GW_RELIABLE,
    ID_MAIL,
    IPX_CP_ASYNC,
    IPX_NO_RENDEZVOUS,
    PL_CP_ID,
    PL_EP,
    PL_FP,
    PL_GW,
    PL_IPX,
    PL_NONCE,
    PT_DATA,
    PT_GW_CONN_U,
    PT_U_CONNECT,
)
from homeport_device.connection import CLOSING, CONNECTED, CONNECTING
from homeport_device.output import REMOTE

GATEWAY = b"\xc0\x00\x02\x14\x15\xbe"
GATEWAY_ID = bytes(range(20))
CO = b"\xc1\xc4\x05\x3f\xdb\x9a\x77\x99"
CP = b"\x01\x02\x03\x04"


def introduction(bench, gateway_id=GATEWAY_ID, co=CO, nsi=NSI, rendezvous=False):
    flags = IPX_CP_ASYNC | (0 if rendezvous else IPX_NO_RENDEZVOUS)
    payloads = [
        (PL_IPX, build_ipx(ENDPOINT_ZERO, CLIENT, flags, nsi, co, CP if co else b"")),
        (PL_CP_ID, build_id(ID_MAIL, b"tester@example.org")),
        (PL_FP, build_fp(FINGERPRINT)),
        (PL_GW, build_gw(GATEWAY, nsi, gateway_id)),
    ]
    return encode(PT_U_CONNECT, payloads, sp=GSP_NSI, seq=7, context=bench.connect_keys, plaintext=MATERIAL, iv=IV)


def answer(flags=GW_RELIABLE | GW_KEEP_ALIVE, nsi=NSI, nonce=None):
    if nonce is None:
        nonce = bytes((0, flags)) + CP + nsi + CO + GATEWAY_ID
    return encode(PT_GW_CONN_U, ((PL_NONCE, nonce),), sp=nsi, cp=CP, co=CO, flags=FL_RESPONSE | FL_NSI_CO)


def introduced(**changes):
    bench = Bench(tcp_fallback=True, connection_statistics=True)
    bench.attach()
    assert notify_code(bench.deliver(REMOTE, introduction(bench, **changes), GSP)) == 1
    return bench


def at_gateway(flags=GW_RELIABLE | GW_KEEP_ALIVE, **changes):
    """A device whose gateway has answered."""
    bench = introduced(**changes)
    channel = bench.connect()
    channel.take()
    assert bench.receive(channel, answer(flags)) == []
    bench.port.take()
    return bench, channel


def on_tcp(flags=GW_RELIABLE | GW_KEEP_ALIVE, first=None):
    """A connection whose client has chosen TCP, by a keep-alive unless `first` is given."""
    bench, channel = at_gateway(flags)
    assert bench.receive(channel, first(bench) if first else bench.keep_alive())
    return bench, channel


def the_connection(bench):
    return bench.stack.connections.find(NSI)


class HandshakeTest(unittest.TestCase):
    def test_the_device_connects_and_shows_the_id_in_66_octets(self):
        bench = introduced()
        (channel,) = bench.port.channels
        self.assertEqual(channel.endpoint, GATEWAY)
        bench.connect()
        (packet,) = channel.take()
        self.assertEqual(len(packet), 66)
        packet = decode(packet)
        self.assertEqual((packet.type, packet.cp, packet.sp, packet.co, packet.seq), (PT_GW_CONN_U, CP, NSI, CO, 0))
        self.assertEqual(packet.flags, FL_NSI_CO)
        self.assertEqual(packet.get(PL_NONCE), b"\x00\x01" + CP + NSI + CO + GATEWAY_ID)

    def test_rendezvous_goes_on_at_the_same_time(self):
        bench = introduced(rendezvous=True)
        sent = bench.advance(100)
        self.assertEqual([to for _, (_, to, packet) in sent if packet[16] == PL_EP], [CLIENT])

    def test_an_id_of_another_size_is_ignored(self):
        for size in (0, 19, 21):
            bench = introduced(gateway_id=bytes(size))
            self.assertEqual(bench.port.channels, [])

    def test_without_the_long_ipx_the_gateway_is_ignored(self):
        self.assertEqual(introduced(co=b"").port.channels, [])

    def test_a_device_without_the_setting_ignores_the_gateway(self):
        bench = Bench()
        bench.attach()
        bench.deliver(REMOTE, introduction(bench), GSP)
        self.assertEqual(bench.port.channels, [])

    def test_without_a_socket_the_connection_comes_about_all_the_same(self):
        bench = Bench(tcp_fallback=True)
        bench.attach()
        bench.port.has_tcp = False
        bench.deliver(REMOTE, introduction(bench), GSP)
        self.assertEqual(len(bench.deliver(REMOTE, bench.keep_alive(), GSP)), 1)

    def test_a_repeated_introduction_does_not_connect_again(self):
        bench = introduced()
        bench.deliver(REMOTE, introduction(bench), GSP)
        self.assertEqual(len(bench.port.channels), 1)

    def test_there_is_no_second_attempt(self):
        bench = introduced()
        (channel,) = bench.port.channels
        channel.owner.tcp_failed(bench.now_ms, channel)
        bench.advance(19000)
        self.assertEqual(len(bench.port.channels), 1)
        self.assertEqual(the_connection(bench).state, CONNECTING)

    def test_data_before_the_answer_is_not_taken(self):
        bench = introduced()
        channel = bench.connect()
        channel.take()
        self.assertEqual(bench.receive(channel, bench.keep_alive()), [])

    def test_an_answer_for_another_connection_is_none(self):
        bench = introduced()
        channel = bench.connect()
        channel.take()
        bench.receive(channel, answer(nsi=b"\x7a\x01\x02\x04"))
        self.assertEqual(bench.receive(channel, bench.keep_alive()), [])

    def test_two_octets_of_nonce_are_an_answer_and_one_is_not(self):
        for nonce, answers in ((b"\x00", 0), (b"\x00\x03", 1)):
            bench = introduced()
            channel = bench.connect()
            channel.take()
            bench.receive(channel, answer(nonce=nonce))
            self.assertEqual(len(bench.receive(channel, bench.keep_alive())), answers)


class ChoiceTest(unittest.TestCase):
    def test_the_first_data_over_tcp_makes_it_the_way(self):
        bench, channel = on_tcp()
        self.assertEqual(the_connection(bench).state, CONNECTED)
        packets = bench.receive(channel, bench.query(1, b"ping"))
        self.assertEqual(bench.keys.open(decode(packets[-1])), b"ping")
        self.assertEqual([packet for _, _, packet in bench.port.take() if packet[8] == PT_DATA], [])

    def test_data_over_udp_first_closes_tcp(self):
        for source in (GSP, CLIENT):
            bench, channel = at_gateway()
            self.assertEqual(len(bench.deliver(REMOTE, bench.keep_alive(), source)), 1)
            self.assertTrue(channel.is_closed)
            self.assertTrue(the_connection(bench).fallback is None)

    def test_data_over_udp_later_closes_tcp_too(self):
        bench, channel = on_tcp()
        self.assertEqual(len(bench.deliver(REMOTE, bench.keep_alive(2), CLIENT)), 1)
        self.assertTrue(channel.is_closed)
        self.assertFalse(the_connection(bench).is_reliable)

    def test_data_that_does_not_verify_chooses_nothing(self):
        bench, channel = at_gateway()
        forged = bytearray(bench.keep_alive())
        forged[-1] ^= 1
        self.assertEqual(bench.receive(channel, bytes(forged)), [])
        self.assertEqual(bench.deliver(REMOTE, bytes(forged), CLIENT), [])
        self.assertFalse(channel.is_closed)
        self.assertEqual(the_connection(bench).state, CONNECTING)

    def test_packets_of_other_kinds_are_not_taken_from_the_gateway(self):
        bench, channel = on_tcp()
        rendezvous = encode(PT_U_CONNECT, ((PL_EP, CLIENT),), sp=NSI)
        self.assertEqual(bench.receive(channel, rendezvous), [])
        self.assertEqual(bench.receive(channel, introduction(bench)), [])

    def test_data_of_another_connection_does_not_move_it_here(self):
        bench, channel = on_tcp()
        other = b"\x7a\x01\x02\x04"
        material = bytes(range(1, 97))
        assert bench.introduce(nsi=other, material=material) == 1
        from homeport_core.crypto import AesContext

        keys = AesContext(material, True)
        self.assertEqual(bench.receive(channel, bench.keep_alive(nsi=other, context=keys)), [])
        self.assertEqual(bench.stack.connections.find(other).state, CONNECTING)

    def test_it_is_reliable_if_the_gateway_says_so(self):
        for flags, reliable in ((GW_RELIABLE | GW_KEEP_ALIVE, True), (GW_KEEP_ALIVE, False)):
            bench, _ = on_tcp(flags)
            self.assertEqual(the_connection(bench).is_reliable, reliable)

    def test_it_is_not_reliable_after_a_packet_was_lost(self):
        bench, channel = on_tcp()
        channel.room = 0
        for counter in range(2, 100):
            bench.receive(channel, bench.keep_alive(counter))
        self.assertFalse(the_connection(bench).is_reliable)

    def test_it_is_reported_as_tcp(self):
        bench, _ = on_tcp()
        bench.settle()
        (report,) = [packet for _, to, packet in bench.port.take() if to == GSP]
        self.assertTrue(b"\x01\x03\x04" in report)


class EndTest(unittest.TestCase):
    def test_close_is_ignored_and_not_answered(self):
        bench, channel = on_tcp()
        self.assertEqual(bench.receive(channel, bench.close()), [])
        self.assertEqual(the_connection(bench).state, CONNECTED)

    def test_the_end_of_tcp_ends_a_connection_that_was_used(self):
        bench, channel = on_tcp(first=lambda bench: bench.query(1, b"ping"))
        bench.hang_up(channel)
        self.assertTrue(channel.is_closed)
        self.assertEqual(the_connection(bench).state, CLOSING)
        bench.advance(300)
        self.assertTrue(the_connection(bench) is None)

    def test_the_end_of_tcp_leaves_an_unused_connection_to_other_ways(self):
        bench, channel = on_tcp()
        bench.hang_up(channel)
        self.assertEqual(the_connection(bench).state, CONNECTING)
        self.assertEqual(len(bench.deliver(REMOTE, bench.keep_alive(2), GSP)), 1)
        self.assertEqual(the_connection(bench).state, CONNECTED)

    def test_the_end_of_tcp_that_was_not_chosen_means_nothing(self):
        bench, channel = at_gateway()
        bench.hang_up(channel)
        self.assertEqual(the_connection(bench).state, CONNECTING)

    def test_an_unused_connection_that_no_way_is_found_for_times_out(self):
        bench, channel = on_tcp()
        bench.hang_up(channel)
        bench.advance(17499)
        self.assertFalse(the_connection(bench) is None)
        bench.advance(1)
        self.assertTrue(the_connection(bench) is None)

    def test_silence_ends_it_where_keep_alives_are_needed(self):
        bench, channel = on_tcp(GW_KEEP_ALIVE)
        bench.advance(17500)
        self.assertTrue(the_connection(bench) is None)
        self.assertTrue(channel.is_closed)

    def test_silence_means_nothing_where_they_are_not(self):
        bench, channel = on_tcp(GW_RELIABLE)
        bench.advance(3600000)
        self.assertEqual(the_connection(bench).state, CONNECTED)
        bench.hang_up(channel)
        bench.advance(17500)
        self.assertTrue(the_connection(bench) is None)

    def test_a_connection_that_nobody_uses_takes_tcp_with_it(self):
        bench, channel = at_gateway()
        bench.advance(20000)
        self.assertTrue(the_connection(bench) is None)
        self.assertTrue(channel.is_closed)

    def test_the_master_switch_closes_it(self):
        bench, channel = on_tcp()
        bench.app.remote = False
        bench.settle()
        self.assertTrue(channel.is_closed)

    def test_a_length_no_packet_has_ends_tcp(self):
        bench, channel = on_tcp()
        bench.receive(channel, bytes(16))
        self.assertTrue(channel.is_closed)


if __name__ == "__main__":
    unittest.main()
