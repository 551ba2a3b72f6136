"""Finding a path to the client (specification, core 5.4, 5.5)."""

import unittest

from device_bench import BELOW_WRAP_MS, CLIENT, ENDPOINT_ZERO, GSP, LAN_CLIENT, NSI, OWN, STRANGER, Bench, decode
from homeport_core.packet import encode
from homeport_core.spec import FL_RESPONSE, IPX_CP_ASYNC, NAT_SYMMETRIC, PL_EP, PL_NONCE, PT_U_CONNECT, TAG_FRAMING
from homeport_device.output import LOCAL, REMOTE
from homeport_device.search import Ports
from vector_files import load

STARTS = (1000, BELOW_WRAP_MS)
PRIVATE = b"\xc0\xa8\x07\x02\x9c\x40"


def packet(seq, *endpoints, interval_ms=None, nsi=NSI, flags=0):
    payloads = [(PL_EP, endpoint) for endpoint in endpoints]
    if interval_ms is not None:
        payloads.append((PL_NONCE, interval_ms.to_bytes(4, "big")))
    return encode(PT_U_CONNECT, payloads, sp=nsi, seq=seq, flags=flags)


class Searching(Bench):
    """One introduced client that wants a rendezvous."""

    def __init__(self, start_ms=1000, nat=0, **settings):
        Bench.__init__(self, start_ms, **settings)
        self.attach()
        self.introduce(flags=IPX_CP_ASYNC | nat, private=PRIVATE)
        self.elapsed_ms = 0


class ScheduleTest(unittest.TestCase):
    def test_both_endpoints_are_asked_at_once_and_every_second_for_5_s(self):
        for start_ms in STARTS:
            with self.subTest(start_ms=start_ms):
                bench = Searching(start_ms)
                seen = bench.advance(12000)
                expected = []
                for at in (0, 1000, 2000, 3000, 4000):
                    expected += [(at, PRIVATE), (at, CLIENT)]
                self.assertEqual([(at, to) for at, (_, to, _) in seen], expected)
                for _, (socket, to, octets) in seen:
                    self.assertEqual((socket, octets), (REMOTE, packet(0, to)))

    def test_unknown_endpoints_are_skipped(self):
        bench = Bench()
        bench.attach()
        bench.introduce(flags=IPX_CP_ASYNC, private=CLIENT[:4] + b"\x00\x00", global_=ENDPOINT_ZERO)
        self.assertEqual(bench.advance(6000), [])

    def test_a_client_that_wants_none_gets_none(self):
        bench = Bench()
        bench.attach()
        bench.introduce()
        self.assertEqual(bench.advance(6000), [])

    def test_a_client_that_wants_none_is_answered_when_it_asks_after_all(self):
        bench = Bench()
        bench.attach()
        bench.introduce()
        self.assertEqual(bench.deliver(REMOTE, packet(0, OWN), CLIENT), [(REMOTE, CLIENT, packet(1, CLIENT, OWN))])
        self.assertEqual(bench.advance(6000), [])

    def test_it_stops_when_concluded(self):
        for seq in (1, 2):
            with self.subTest(seq=seq):
                bench = Searching()
                bench.settle()
                bench.port.take()
                bench.deliver(REMOTE, packet(seq, OWN, CLIENT), CLIENT)
                self.assertEqual(bench.advance(6000), [])

    def test_it_stops_with_the_first_data_that_comes_directly(self):
        bench = Searching()
        bench.deliver(REMOTE, bench.keep_alive(1), GSP)
        bench.deliver(REMOTE, bench.keep_alive(2), CLIENT)
        self.assertEqual(bench.advance(6000), [])

    def test_relayed_data_does_not_stop_it(self):
        bench = Searching()
        bench.deliver(REMOTE, bench.keep_alive(), GSP)
        self.assertEqual(len(bench.advance(6000)), 10)

    def test_with_the_first_relayed_data_both_endpoints_are_asked_once_more_at_once(self):
        for start_ms in STARTS:
            with self.subTest(start_ms=start_ms):
                bench = Searching(start_ms)
                bench.advance(300)
                bench.deliver(REMOTE, bench.keep_alive(1), GSP)
                bench.deliver(REMOTE, bench.keep_alive(2), GSP)
                seen = [(at, to) for at, (_, to, _) in bench.advance(1500)]
                self.assertEqual(seen, [(300, PRIVATE), (300, CLIENT), (1300, PRIVATE), (1300, CLIENT)])

    def test_once_concluded_it_stops_while_relayed_data_flows(self):
        bench = Searching()
        bench.deliver(REMOTE, bench.keep_alive(), GSP)
        bench.deliver(REMOTE, packet(1, OWN, CLIENT), CLIENT)
        self.assertEqual(bench.advance(6000), [])

    def test_a_question_does_not_stop_it(self):
        bench = Searching()
        bench.settle()
        bench.port.take()
        bench.deliver(REMOTE, packet(0, OWN), CLIENT)
        self.assertEqual(len(bench.advance(1000)), 2)


class AnswerTest(unittest.TestCase):
    def setUp(self):
        self.bench = Searching()
        self.bench.settle()
        self.bench.port.take()

    def test_a_question_is_answered_to_its_source_with_both_addresses(self):
        for seq in (0, 1):
            with self.subTest(seq=seq):
                sent = self.bench.deliver(REMOTE, packet(seq, OWN, CLIENT), STRANGER)
                self.assertEqual(sent, [(REMOTE, STRANGER, packet(seq + 1, STRANGER, OWN))])

    def test_it_leaves_by_the_socket_it_came_to(self):
        octets = encode(PT_U_CONNECT, ((PL_EP, OWN),), sp=NSI, cp=b"\x99" * 4)
        sent = self.bench.deliver(LOCAL, octets, PRIVATE)
        self.assertEqual([(socket, to) for socket, to, _ in sent], [(LOCAL, PRIVATE)])

    def test_an_answer_is_not_answered(self):
        self.assertEqual(self.bench.deliver(REMOTE, packet(2, OWN, CLIENT), CLIENT), [])

    def test_packets_that_get_no_answer(self):
        cases = (
            ("an unknown NSI", packet(0, OWN, nsi=b"\x01\x02\x03\x04"), CLIENT),
            ("the GSP", packet(0, OWN), GSP),
            ("a later seq", packet(3, OWN), CLIENT),
            ("no EP first", encode(PT_U_CONNECT, ((PL_NONCE, bytes(4)), (PL_EP, OWN)), sp=NSI), CLIENT),
            ("nothing inside", encode(PT_U_CONNECT, sp=NSI), CLIENT),
            ("a short EP", packet(0, OWN[:5]), CLIENT),
            ("a response", packet(0, OWN, flags=FL_RESPONSE), CLIENT),
        )
        for name, octets, source in cases:
            with self.subTest(name=name):
                self.assertEqual(self.bench.deliver(REMOTE, octets, source), [])

    def test_questions_are_answered_after_the_search_too(self):
        self.bench.advance(6000)
        self.assertEqual(len(self.bench.deliver(REMOTE, packet(0, OWN), CLIENT)), 1)

    def test_at_most_100_answers_in_a_second(self):
        for start_ms in STARTS:
            with self.subTest(start_ms=start_ms):
                bench = Searching(start_ms)
                bench.settle()
                bench.port.take()
                for _ in range(3):
                    answers = [bench.deliver(REMOTE, packet(0, OWN), STRANGER) for _ in range(500)]
                    self.assertEqual(len([sent for sent in answers if sent]), 100)
                    bench.now_ms = (bench.now_ms + 1000) % (1 << 29)


class IntervalTest(unittest.TestCase):
    """The first conclusion sets how long silence may last: 3.5 intervals, 17.5 s without one, from 1 to 18 s."""

    def gone_after(self, bench, expected_ms):
        bench.advance(expected_ms - 1)
        self.assertTrue(bench.stack.connections.any_open())
        bench.advance(1)
        self.assertFalse(bench.stack.connections.any_open())

    def test_the_clients_interval_counts_within_bounds(self):
        cases = ((None, 17500), (0, 17500), (2000, 7000), (1, 3500), (0xFFFFFFFF, 63000))
        for start_ms in STARTS:
            for interval_ms, expected_ms in cases:
                with self.subTest(start_ms=start_ms, interval_ms=interval_ms):
                    bench = Searching(start_ms)
                    bench.deliver(REMOTE, packet(2, OWN, CLIENT, interval_ms=interval_ms), CLIENT)
                    self.gone_after(bench, expected_ms)

    def test_only_the_first_conclusion_counts(self):
        bench = Searching()
        bench.deliver(REMOTE, packet(2, OWN, CLIENT, interval_ms=4000), CLIENT)
        bench.deliver(REMOTE, packet(2, OWN, CLIENT, interval_ms=1000), STRANGER)
        self.gone_after(bench, 14000)

    def test_nothing_counts_after_the_first_data(self):
        bench = Searching()
        bench.deliver(REMOTE, bench.keep_alive(), CLIENT)
        bench.deliver(REMOTE, packet(1, OWN, CLIENT, interval_ms=1), STRANGER)
        self.gone_after(bench, 17500)

    def test_nothing_counts_once_relayed_data_came(self):
        bench = Searching()
        bench.deliver(REMOTE, bench.keep_alive(), GSP)
        bench.deliver(REMOTE, packet(1, OWN, CLIENT, interval_ms=1), STRANGER)
        self.gone_after(bench, 17500)

    def test_nothing_counts_after_the_search(self):
        bench = Searching()
        bench.advance(5000)
        bench.deliver(REMOTE, packet(2, OWN, CLIENT, interval_ms=1), STRANGER)
        self.gone_after(bench, 15000)


class SymmetricTest(unittest.TestCase):
    def test_ten_more_ports_every_50_ms(self):
        for start_ms in STARTS:
            with self.subTest(start_ms=start_ms):
                bench = Searching(start_ms, NAT_SYMMETRIC)
                seen = bench.advance(6000)
                ports = [(at, to) for at, (_, to, _) in seen if to not in (PRIVATE, CLIENT)]
                self.assertEqual(len(ports), 1000)
                self.assertEqual([at for at, _ in ports], [50 * (i // 10) for i in range(1000)])
                self.assertEqual(ports[0][1], CLIENT[:4] + b"\xea\x61")
                self.assertEqual(decode(seen[2][1][2]).get(PL_EP), CLIENT[:4] + b"\xea\x61")

    def test_it_can_be_switched_off(self):
        bench = Searching(nat=NAT_SYMMETRIC, many_ports=False)
        self.assertEqual(len(bench.advance(6000)), 10)

    def test_ports_are_those_of_the_vectors(self):
        for vector in load("vectors-crypto.json")["extended_rendezvous_ports"]:
            with self.subTest(base=vector["start"]):
                ports = Ports(vector["start"])
                expected = vector["ports"]
                self.assertEqual([ports.next() for _ in expected], expected)


SEARCH = b"\x48\x50\x00\x03"
NEW_PRIVATE = b"\xc0\xa8\x09\x05\x9c\x41"
NEW_CLIENT = b"\xcb\x00\x71\x08\xea\x61"


class SearchAgainTest(unittest.TestCase):
    """An introduced client may ask for another search (docs/extensions.md)."""

    def connected(self, start_ms=1000):
        bench = Searching(start_ms)
        bench.deliver(REMOTE, bench.keep_alive(1), GSP)
        bench.advance(6000)
        return bench

    def ask(self, bench, private=NEW_PRIVATE, global_=NEW_CLIENT, nat=0, **changes):
        return bench.deliver(
            REMOTE, bench.data(SEARCH + private + global_ + bytes((nat,)), tag=TAG_FRAMING, **changes), GSP
        )

    def test_it_is_answered_with_our_endpoints_and_nat_type(self):
        bench = self.connected()
        sent = self.ask(bench)
        answer = bench.keys.open(decode(sent[0][2]))
        self.assertEqual(answer, SEARCH + bench.port.local_endpoint() + bench.stack.attach.seen_as + b"\x00")
        self.assertEqual(sent[0][:2], (REMOTE, GSP))

    def test_the_new_endpoints_are_asked_every_second_for_5_s(self):
        for start_ms in STARTS:
            with self.subTest(start_ms=start_ms):
                bench = self.connected(start_ms)
                self.ask(bench)
                asked_at = bench.elapsed_ms
                seen = [(at - asked_at, to) for at, (_, to, octets) in bench.advance(8000) if octets[8] == PT_U_CONNECT]
                expected = []
                for at in (0, 1000, 2000, 3000, 4000):
                    expected += [(at, NEW_PRIVATE), (at, NEW_CLIENT)]
                self.assertEqual(seen, expected)

    def test_a_client_that_became_symmetric_is_tried_on_many_ports(self):
        bench = self.connected()
        self.ask(bench, nat=NAT_SYMMETRIC)
        self.assertEqual(len([to for _, (_, to, _) in bench.advance(6000) if to[:4] == NEW_CLIENT[:4]]), 1005)

    def test_a_client_without_rendezvous_may_ask_for_one_later(self):
        bench = Bench()
        bench.connected(GSP)
        bench.advance(2000)
        self.ask(bench)
        self.assertEqual(len(bench.advance(6000)), 10)

    def test_at_most_one_search_begins_in_2_s_but_all_are_answered(self):
        bench = self.connected()
        answers = [self.ask(bench) for _ in range(50)]
        self.assertTrue(all(len(sent) == 1 for sent in answers))
        self.assertEqual(len(bench.advance(1999)), 4)
        self.ask(bench, private=PRIVATE)
        self.assertEqual(bench.advance(900)[0][1][1], NEW_PRIVATE)

    def test_a_recorded_one_starts_nothing(self):
        bench = self.connected()
        octets = bench.data(SEARCH + NEW_PRIVATE + NEW_CLIENT + b"\x00", tag=TAG_FRAMING)
        bench.deliver(REMOTE, octets, GSP)
        bench.advance(9000)
        self.assertEqual(bench.deliver(REMOTE, octets, GSP), [])
        self.assertEqual(bench.advance(1), [])

    def test_a_malformed_one_starts_nothing(self):
        for octets in (b"", NEW_PRIVATE, NEW_PRIVATE + NEW_CLIENT, NEW_PRIVATE + NEW_CLIENT + b"\x00\x00"):
            with self.subTest(octets=octets):
                bench = self.connected()
                self.assertEqual(bench.deliver(REMOTE, bench.data(SEARCH + octets, tag=TAG_FRAMING), GSP), [])
                self.assertEqual(bench.advance(3000), [])

    def test_local_clients_get_none(self):
        bench = Bench()
        nsi = bench.connect_local()
        octets = bench.data(SEARCH + bytes(13), tag=TAG_FRAMING, nsi=nsi, context=bench.clear)
        self.assertEqual(bench.deliver(LOCAL, octets, LAN_CLIENT), [])


class ManySocketsTest(unittest.TestCase):
    """A device behind a symmetric NAT asks from many sockets a client that is not behind one."""

    def searching(self, nat=0, symmetric=True, start_ms=1000, **settings):
        bench = Bench(start_ms, **settings)
        bench.attach()
        if symmetric:
            bench.stack.attach.nat_type = NAT_SYMMETRIC
        bench.introduce(flags=IPX_CP_ASYNC | nat, private=PRIVATE)
        bench.port.take()
        return bench

    def extra(self, seen):
        return [(at, to) for at, (socket, to, _) in seen if socket not in (LOCAL, REMOTE)]

    def test_one_more_each_20_ms_up_to_250_each_asking_the_clients_public_endpoint(self):
        for start_ms in STARTS:
            with self.subTest(start_ms=start_ms):
                bench = self.searching(start_ms=start_ms)
                asked = self.extra(bench.advance(5500))
                self.assertEqual([to for _, to in asked], [CLIENT] * 250)
                self.assertEqual(asked[1][0] - asked[0][0], 20)

    def test_none_where_it_is_of_no_use_or_not_wanted(self):
        for name, bench in (
            ("our NAT keeps ports", self.searching(symmetric=False)),
            ("both are symmetric", self.searching(nat=NAT_SYMMETRIC)),
            ("switched off", self.searching(many_sockets=False)),
        ):
            with self.subTest(name=name):
                bench.advance(5500)
                self.assertEqual(bench.port.opened, 0)

    def test_a_port_without_room_is_asked_once(self):
        bench = self.searching()
        bench.port.extra_max = 3
        self.assertEqual(len(self.extra(bench.advance(5500))), 3)
        self.assertEqual(bench.port.opened, 3)

    def test_an_answer_leaves_by_the_socket_it_came_to_and_so_does_data(self):
        bench = self.searching()
        bench.advance(100)
        socket = bench.port.extra[2]
        self.assertEqual(bench.deliver(socket, packet(0, OWN), CLIENT), [(socket, CLIENT, packet(1, CLIENT, OWN))])
        self.assertEqual([sent[:2] for sent in bench.deliver(socket, bench.keep_alive(), CLIENT)], [(socket, CLIENT)])

    def test_the_socket_of_the_path_is_kept_and_the_others_are_closed(self):
        bench = self.searching()
        bench.advance(1000)
        socket = bench.port.extra[7]
        bench.deliver(socket, packet(1, OWN, CLIENT), CLIENT)
        bench.deliver(socket, bench.keep_alive(), CLIENT)
        self.assertEqual(bench.port.extra, [socket])
        bench.advance(5000)
        self.assertEqual(bench.port.extra, [socket])

    def test_a_conclusion_that_nobody_authenticated_stops_the_search_but_closes_none(self):
        bench = self.searching()
        bench.advance(1000)
        opened = bench.port.opened
        bench.deliver(bench.port.extra[7], packet(1, OWN, CLIENT), STRANGER)
        bench.deliver(REMOTE, bench.keep_alive(), GSP)
        bench.advance(500)
        self.assertEqual(len(bench.port.extra), opened)

    def test_all_are_closed_5_s_after_a_search_in_vain(self):
        bench = self.searching()
        bench.deliver(REMOTE, bench.keep_alive(1), GSP)
        bench.advance(9900)
        self.assertEqual(len(bench.port.extra), 250)
        bench.advance(200)
        self.assertEqual(bench.port.extra, [])

    def test_all_are_closed_with_the_connection(self):
        bench = self.searching()
        bench.deliver(REMOTE, bench.keep_alive(1), GSP)
        bench.advance(1000)
        bench.deliver(REMOTE, bench.close(), GSP)
        bench.advance(400)
        self.assertEqual(bench.port.extra, [])

    def test_the_master_switch_closes_all_and_nothing_enters_through_them(self):
        bench = self.searching()
        bench.advance(1000)
        socket = bench.port.extra[0]
        bench.app.remote = False
        self.assertEqual(bench.deliver(socket, bench.keep_alive(), CLIENT), [])
        self.assertEqual(bench.port.extra, [])

    def test_another_search_keeps_the_socket_in_use(self):
        bench = self.searching()
        bench.advance(1000)
        socket = bench.port.extra[7]
        bench.deliver(socket, bench.keep_alive(1), CLIENT)
        bench.advance(5000)
        bench.deliver(socket, bench.data(SEARCH + NEW_PRIVATE + NEW_CLIENT + b"\x00", tag=TAG_FRAMING), CLIENT)
        bench.advance(100)
        self.assertIn(socket, bench.port.extra)
        self.assertGreater(len(bench.port.extra), 5)


if __name__ == "__main__":
    unittest.main()
