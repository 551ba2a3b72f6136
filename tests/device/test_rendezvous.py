"""Finding a path to the client (specification, core 5.4, 5.5)."""

import unittest

from device_bench import BELOW_WRAP_MS, CLIENT, ENDPOINT_ZERO, GSP, NSI, OWN, STRANGER, Bench, decode
from homeport_core.packet import encode
from homeport_core.spec import FL_RESPONSE, IPX_CP_ASYNC, NAT_SYMMETRIC, PL_EP, PL_NONCE, PT_U_CONNECT
from homeport_device.output import LOCAL, REMOTE
from homeport_device.rendezvous import Ports
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


if __name__ == "__main__":
    unittest.main()
