"""Registration over TCP: when it is tried, that it is the same registration, and how the device gets back to UDP."""

import unittest

from device_bench import (
    BELOW_WRAP_MS,
    CONTROLLER,
    GSP,
    GSP_NSI,
    KEY,
    NONCE_GSP,
    SEED_GSP,
    STRANGER,
    Bench,
    decode,
)
from homeport_core.crypto import AesContext, key_material
from homeport_core.packet import encode
from homeport_core.payloads import build_ipx
from homeport_core.spec import (
    FL_RESPONSE,
    PL_IPX,
    PL_NONCE,
    PL_TIME,
    PT_DATA,
    PT_U_ALIVE,
    PT_U_CONNECT,
    PT_U_INVITE,
)
from homeport_device.attach import ATTACHED, IDLE, WAIT_GSP
from homeport_device.output import REMOTE

SEEN_AS = b"\xc6\x33\x64\x05\x9c\x41"  # 198.51.100.5:40001, the device's TCP connection
ELSEWHERE = b"\xc0\x00\x02\x0a\x1f\x90"
ALIVE = encode(PT_U_ALIVE, ((PL_TIME, b"\x01\x6b\x02\x3f\xdd"),), sp=GSP_NSI, seq=1)


def directed(gsp=GSP):
    return encode(PT_U_INVITE, ((PL_IPX, build_ipx(gsp, SEEN_AS)),), flags=FL_RESPONSE)


def bench_with_tcp(**settings):
    return Bench(tcp_fallback=True, **settings)


def attach_over(bench, channel):
    """From the controller's answer to attached, over TCP; leaves `connect_keys`."""
    (invite,) = bench.receive(channel, directed())
    nonce = decode(invite).get(PL_NONCE)
    (answer,) = bench.receive(channel, bench.attach_request(nonce, SEEN_AS))
    context = AesContext(key_material(bench.config.device_id.encode(), KEY), True)
    seed = context.open(decode(answer))[32:]
    bench.connect_keys = AesContext(key_material(NONCE_GSP + nonce, SEED_GSP + seed), True)


def attached_over_tcp(**settings):
    bench = bench_with_tcp(**settings)
    bench.start()
    bench.advance(6000)
    channel = bench.connect()
    channel.take()
    attach_over(bench, channel)
    bench.port.take()
    return bench, channel


def invites(sent):
    return [at for at, (socket, to, packet) in sent if packet[8] == PT_U_INVITE and to in (CONTROLLER, GSP)]


class WhenTest(unittest.TestCase):
    def test_tcp_is_tried_with_the_third_invite_and_udp_goes_on(self):
        bench = bench_with_tcp()
        bench.start()
        bench.advance(5999)
        self.assertEqual(bench.port.channels, [])
        sent = bench.advance(24001)
        self.assertEqual(len(bench.port.channels), 1)
        self.assertEqual(bench.port.channels[0].endpoint, CONTROLLER)
        self.assertEqual(invites(sent), [6000, 14000, 30000])

    def test_where_the_clock_wraps(self):
        bench = bench_with_tcp(start_ms=BELOW_WRAP_MS)
        bench.start()
        bench.advance(6000)
        self.assertEqual(len(bench.port.channels), 1)

    def test_without_the_setting_it_is_never_tried(self):
        bench = Bench()
        bench.start()
        bench.advance(120000)
        self.assertEqual(bench.port.channels, [])

    def test_another_port_can_be_set(self):
        bench = bench_with_tcp(tcp_port=8080)
        bench.start()
        bench.advance(6000)
        self.assertEqual(bench.port.channels[0].endpoint, ELSEWHERE)

    def test_without_a_socket_udp_goes_on(self):
        bench = bench_with_tcp()
        bench.port.has_tcp = False
        bench.start()
        bench.advance(7000)
        bench.finish_attach()
        self.assertEqual(bench.stack.state, ATTACHED)

    def test_an_attempt_that_failed_is_made_again_with_the_next_invite(self):
        bench = bench_with_tcp()
        bench.start()
        bench.advance(6000)
        channel = bench.port.channels[0]
        channel.owner.tcp_failed(bench.now_ms, channel)
        self.assertTrue(channel.is_closed)
        bench.advance(7999)
        self.assertEqual(len(bench.port.channels), 1)
        bench.advance(1)
        self.assertEqual(len(bench.port.channels), 2)

    def test_a_gsp_that_does_not_answer_is_asked_over_tcp_by_way_of_the_controller(self):
        bench = bench_with_tcp()
        bench.start()
        bench.direct()
        bench.advance(11999)
        self.assertEqual(bench.port.channels, [])
        bench.advance(1)
        channel = bench.connect()
        (invite,) = channel.take()
        self.assertEqual(decode(invite).find(PL_NONCE), -1)
        attach_over(bench, channel)
        self.assertEqual(bench.stack.state, ATTACHED)


class AttachTest(unittest.TestCase):
    def test_controller_and_gsp_are_both_at_the_connection(self):
        bench, channel = attached_over_tcp()
        self.assertEqual(bench.stack.state, ATTACHED)
        self.assertEqual(bench.stack.attach.nat_type, 0)
        self.assertEqual(len(bench.receive(channel, ALIVE)), 1)
        self.assertEqual(bench.port.take(), [])

    def test_octets_may_come_one_by_one(self):
        bench, channel = attached_over_tcp()
        answers = []
        for octet in ALIVE + ALIVE:
            answers += bench.receive(channel, bytes((octet,)))
        self.assertEqual(len(answers), 2)

    def test_a_client_is_introduced_and_answered_over_the_connection(self):
        bench, channel = attached_over_tcp()
        (answer,) = bench.receive(channel, bench.introduction())
        self.assertEqual(answer[8], PT_U_CONNECT)
        (answer,) = bench.receive(channel, bench.keep_alive())
        self.assertEqual(answer[8], PT_DATA)
        packets = bench.receive(channel, bench.query(1, b"ping"))
        self.assertEqual(bench.keys.open(decode(packets[-1])), b"ping")
        self.assertEqual(bench.port.take(), [])

    def test_the_gsp_of_a_registration_over_tcp_is_not_believed_over_udp(self):
        bench, channel = attached_over_tcp()
        for source in (CONTROLLER, GSP, STRANGER):
            self.assertEqual(bench.deliver(REMOTE, ALIVE, source), [])
            self.assertEqual(bench.deliver(REMOTE, bench.introduction(), source), [])

    def test_what_comes_over_tcp_is_not_believed_while_udp_is_the_way(self):
        bench = bench_with_tcp()
        bench.start()
        bench.advance(6000)
        channel = bench.connect()
        channel.take()
        (invite,) = [entry for entry in bench.direct() if entry[1] == GSP]
        nonce = decode(invite[2]).get(PL_NONCE)
        self.assertEqual(bench.receive(channel, bench.attach_request(nonce)), [])
        self.assertEqual(bench.stack.state, WAIT_GSP)

    def test_udp_that_answers_after_all_wins_and_tcp_is_closed(self):
        bench = bench_with_tcp()
        bench.start()
        bench.advance(6000)
        channel = bench.connect()
        bench.port.take()
        bench.finish_attach()
        self.assertEqual(bench.stack.state, ATTACHED)
        self.assertTrue(channel.is_closed)
        self.assertEqual(len(bench.alive(1)), 1)

    def test_a_length_no_packet_has_ends_the_connection_and_registration_begins_anew(self):
        for length in (0, 15, 1369, 0xFFFF):
            bench, channel = attached_over_tcp()
            bench.receive(channel, bytes(14) + length.to_bytes(2, "big"))
            self.assertTrue(channel.is_closed)
            self.assertEqual(bench.stack.state, IDLE)

    def test_the_master_switch_silences_tcp(self):
        bench, channel = attached_over_tcp()
        bench.app.remote = False
        bench.settle()
        self.assertTrue(channel.is_closed)
        bench.advance(200000)
        self.assertEqual(len(bench.port.channels), 1)


class LostTest(unittest.TestCase):
    def test_a_lost_connection_begins_a_registration_over_both_ways_at_once(self):
        bench, channel = attached_over_tcp()
        bench.hang_up(channel)
        self.assertTrue(channel.is_closed)
        bench.settle()
        self.assertEqual([to for _, to, _ in bench.port.take()], [CONTROLLER])
        self.assertEqual(len(bench.port.channels), 2)
        again = bench.connect()
        self.assertEqual(len(again.take()), 1)
        attach_over(bench, again)
        self.assertEqual(bench.stack.state, ATTACHED)

    def test_connections_of_clients_survive_it(self):
        bench, channel = attached_over_tcp()
        bench.receive(channel, bench.introduction())
        bench.receive(channel, bench.keep_alive())
        bench.hang_up(channel)
        bench.settle()
        again = bench.connect()
        again.take()
        attach_over(bench, again)
        self.assertEqual(len(bench.receive(again, bench.keep_alive(2))), 1)

    def test_a_connection_lost_before_the_gsp_answered_is_a_failed_attempt(self):
        bench = bench_with_tcp()
        bench.start()
        bench.advance(6000)
        channel = bench.connect()
        channel.take()
        bench.receive(channel, directed())
        bench.hang_up(channel)
        self.assertEqual(bench.stack.state, IDLE)
        self.assertEqual(invites(bench.advance(2000))[-1], 8000)

    def test_silence_on_the_connection_is_loss_as_over_udp(self):
        bench, channel = attached_over_tcp()
        bench.advance(65000)
        polls = [packet for packet in channel.take() if packet[8] == PT_U_ALIVE]
        self.assertEqual(len(polls), 4)
        self.assertNotEqual(bench.stack.state, ATTACHED)


class BackToUdpTest(unittest.TestCase):
    def keep(self, bench, channel, duration_ms):
        sent = []
        for _ in range(duration_ms // 10000):
            sent += bench.advance(10000)
            bench.receive(channel, ALIVE)
        return sent

    def test_udp_is_tried_again_now_and_then_and_less_often_each_time(self):
        bench, channel = attached_over_tcp()
        sent = self.keep(bench, channel, 2000000)
        self.assertEqual(len(invites(sent)), 3)
        self.assertEqual(bench.stack.state, ATTACHED)

    def test_an_answer_over_udp_leads_back_to_udp(self):
        bench, channel = attached_over_tcp()
        self.keep(bench, channel, 310000)
        bench.port.take()
        bench.direct()
        bench.settle()
        bench.port.take()
        bench.finish_attach()
        self.assertEqual(bench.stack.state, ATTACHED)
        self.assertTrue(channel.is_closed)
        self.assertEqual(len(bench.alive(1)), 1)

    def test_after_tcp_was_needed_it_is_tried_at_once(self):
        bench, channel = attached_over_tcp()
        bench.stack.attach.renew(bench.now_ms)
        channel.take()
        bench.settle()
        self.assertEqual(len(channel.take()), 1)


class BufferTest(unittest.TestCase):
    def test_what_the_system_does_not_take_goes_later_and_whole(self):
        bench, channel = attached_over_tcp()
        channel.room = 10
        bench.receive(channel, ALIVE)
        self.assertEqual(channel.watched, (True, True))
        channel.room = 1000
        channel.owner.tcp_writable(bench.now_ms, channel)
        (answer,) = channel.take()
        self.assertEqual(answer[8], PT_U_ALIVE)
        self.assertEqual(channel.watched, (True, False))

    def test_too_much_is_lost_packet_by_packet(self):
        bench, channel = attached_over_tcp()
        channel.room = 10
        for _ in range(1000):
            bench.receive(channel, ALIVE)
        self.assertTrue(bench.stack.attach.socket.lost > 800)
        channel.room = 1 << 20
        channel.owner.tcp_writable(bench.now_ms, channel)
        packets = channel.take()
        self.assertEqual(channel.sent, b"")
        self.assertTrue(all(packet[8] == PT_U_ALIVE for packet in packets))

    def test_room_that_comes_in_small_parts_is_used(self):
        bench, channel = attached_over_tcp()
        channel.room = 0
        for _ in range(3):
            bench.receive(channel, ALIVE)
        for _ in range(100):
            channel.room = 1
            channel.owner.tcp_writable(bench.now_ms, channel)
        self.assertEqual(len(channel.take()), 3)


if __name__ == "__main__":
    unittest.main()
