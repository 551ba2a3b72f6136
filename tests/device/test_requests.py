"""Requests: acknowledgement, execution once, exceptions (specification, core 7.4, 7.5; application 3.4)."""

import unittest

from device_bench import CLIENT, IPX_NO_RENDEZVOUS, LAN_CLIENT, NSI, STRANGER, Bench, decode
from homeport_core.errors import StateError
from homeport_core.packet import encode
from homeport_core.payloads import parse_notify
from homeport_core.spec import (
    AER_NO_QUERY_ID,
    AER_READY,
    AER_RSP_TOO_LARGE,
    AER_SYSTEM_ERROR,
    AER_TOO_LARGE,
    FL_EXCEPTION,
    FL_RESPONSE,
    NOTIFY_MICRO_ACK,
    PL_NOTIFY,
    PT_DATA,
)
from homeport_device.output import LOCAL, REMOTE

ACK = ("ack",)


class Connected(Bench):
    """One remote client; `reads` says in words what the device answered."""

    def __init__(self, is_async=True, **settings):
        Bench.__init__(self, **settings)
        self.attach()
        self.introduce(flags=IPX_NO_RENDEZVOUS | (0x20 if is_async else 0))
        self.deliver(REMOTE, self.keep_alive(), CLIENT)

    def ask(self, octets, source=CLIENT):
        return self.reads(self.deliver(REMOTE, octets, source))

    def reads(self, sent):
        words = []
        for _, _, octets in sent:
            packet = decode(octets)
            if packet.crypto_off < 0:
                assert parse_notify(packet.get(PL_NOTIFY))[0] == NOTIFY_MICRO_ACK
                words.append(ACK)
                continue
            plaintext = self.keys.open(packet)
            if packet.flags & FL_EXCEPTION:
                words.append(("exception", int.from_bytes(plaintext, "big")))
            else:
                words.append(("response", plaintext))
        return words


class RuleTest(unittest.TestCase):
    """The table of core 7.5: what each kind of client hears."""

    def test_what_is_heard_with_and_without_acknowledgements(self):
        cases = (
            ("ready", 1, b"hi", [ACK, ("response", b"hi")], [("response", b"hi")]),
            ("empty", 1, b"", [ACK, ("response", b"")], [("response", b"")]),
            ("refused", 99, b"", [ACK, ("exception", 7)], []),
            ("largest", 1, b"x" * 196, [ACK, ("response", b"x" * 196)], [("response", b"x" * 196)]),
            ("too large", 1, b"x" * 197, [ACK, ("exception", AER_TOO_LARGE)], [("exception", AER_TOO_LARGE)]),
        )
        for name, query_id, parameters, heard, heard_without in cases:
            with self.subTest(name=name):
                bench = Connected()
                self.assertEqual(bench.ask(bench.query(query_id, parameters)), heard)
                bench = Connected(False)
                self.assertEqual(bench.ask(bench.query(query_id, parameters)), heard_without)

    def test_less_than_a_query_id_is_an_exception_for_both(self):
        for n in range(4):
            with self.subTest(n=n):
                bench = Connected()
                self.assertEqual(bench.ask(bench.data(bytes(n))), [ACK, ("exception", AER_NO_QUERY_ID)])
                bench = Connected(False)
                self.assertEqual(bench.ask(bench.data(bytes(n))), [("exception", AER_NO_QUERY_ID)])

    def test_the_answers_header_is_the_requests(self):
        bench = Connected()
        octets = bytearray(encode(PT_DATA, sp=NSI, cp=b"\x01\x02\x03\x04", seq=0xABCD, tag=0))
        writer = bench.stack.output.writer
        writer.begin(PT_DATA, NSI, 0xABCD, 0, b"\x01\x02\x03\x04", 0, bytes(range(8)), retrans=5)
        writer.seal(bench.keys, b"\x00\x00\x00\x01abc", bytes(16))
        octets = writer.bytes()
        for _, _, answer in bench.deliver(REMOTE, octets, CLIENT):
            packet = decode(answer)
            self.assertEqual(answer[:14], octets[:11] + bytes((octets[11] | FL_RESPONSE,)) + octets[12:14])
            self.assertEqual((packet.co, packet.tag, packet.retrans), (bytes(range(8)), 0, 5))

    def test_answers_are_not_requests(self):
        bench = Connected()
        octets = encode(
            PT_DATA, sp=NSI, flags=FL_RESPONSE, context=bench.keys, plaintext=b"\x00\x00\x00\x02", iv=bytes(16)
        )
        self.assertEqual(bench.ask(octets), [])
        self.assertEqual(bench.app.runs, 0)


class RepeatTest(unittest.TestCase):
    def test_a_repeated_request_is_answered_with_the_same_octets_and_not_run(self):
        bench = Connected()
        octets = bench.query(2)
        first = bench.deliver(REMOTE, octets, CLIENT)
        for _ in range(3):
            self.assertEqual(bench.deliver(REMOTE, octets, CLIENT), first[1:])
        self.assertEqual(bench.app.runs, 1)

    def test_exceptions_are_repeated_too(self):
        bench = Connected()
        octets = bench.query(99)
        first = bench.deliver(REMOTE, octets, CLIENT)
        self.assertEqual(bench.deliver(REMOTE, octets, CLIENT), first[1:])
        self.assertEqual(bench.app.runs, 1)

    def test_a_repeat_from_elsewhere_is_answered_to_the_client(self):
        bench = Connected()
        octets = bench.query(2)
        bench.ask(octets)
        sent = bench.deliver(REMOTE, octets, STRANGER)
        self.assertEqual([to for _, to, _ in sent], [CLIENT])
        self.assertEqual(bench.stack.connections.find(NSI).peer, CLIENT)

    def test_a_repeat_whose_answer_is_forgotten_is_not_run_either(self):
        bench = Connected(answers_kept=2)
        octets = bench.query(2)
        bench.ask(octets)
        for _ in range(2):
            bench.ask(bench.query(2))
        self.assertEqual(bench.ask(octets), [])
        self.assertEqual(bench.app.runs, 3)

    def test_the_same_number_sealed_anew_is_a_new_request(self):
        bench = Connected()
        for runs in (1, 2):
            bench.ask(bench.query(2, seq=5, iv=bytes((runs,)) * 16))
            self.assertEqual(bench.app.runs, runs)

    def test_answers_belong_to_their_connection(self):
        bench = Connected()
        octets = bench.query(2)
        bench.ask(octets)
        bench.ask(bench.close())
        bench.advance(300)
        other = b"\x7a\x01\x02\x04"
        bench.introduce(nsi=other)
        bench.ask(bench.keep_alive(nsi=other))
        self.assertEqual(bench.ask(octets), [])
        self.assertEqual(bench.app.runs, 1)

    def test_clear_clients_may_repeat_what_must_be_run(self):
        """The client genvexnabto polls with the same octets again and again."""
        bench = Bench()
        number = bench.connect_local()
        octets = bench.query(2, nsi=number, context=bench.clear)
        for runs in (1, 2, 3):
            bench.deliver(LOCAL, octets, LAN_CLIENT)
            self.assertEqual(bench.app.runs, runs)


class AsynchronousTest(unittest.TestCase):
    def test_it_is_acknowledged_and_answered_later(self):
        bench = Connected()
        self.assertEqual(bench.ask(bench.query(3, seq=77)), [ACK])
        request = bench.app.accepted[0]
        self.assertTrue(request.complete(bench.now_ms, AER_READY, b"done"))
        sent = bench.port.take()
        self.assertEqual(bench.reads(sent), [("response", b"done")])
        self.assertEqual((decode(sent[0][2]).seq, sent[0][1]), (77, CLIENT))
        self.assertEqual(bench.app.log[-1], ("dropped", 3))

    def test_repeats_are_acknowledged_and_not_run(self):
        bench = Connected()
        octets = bench.query(3, seq=77)
        bench.ask(octets)
        self.assertEqual(bench.ask(octets), [ACK])
        self.assertEqual(bench.ask(bench.query(3, seq=77, iv=bytes(16))), [ACK])
        self.assertEqual(bench.app.runs, 1)

    def test_repeats_after_the_answer_get_the_answer(self):
        bench = Connected()
        octets = bench.query(3)
        bench.ask(octets)
        bench.app.accepted[0].complete(bench.now_ms, AER_READY, b"done")
        first = bench.port.take()
        self.assertEqual(bench.deliver(REMOTE, octets, CLIENT), first)

    def test_a_client_without_acknowledgements_hears_nothing_until_the_answer(self):
        bench = Connected(False)
        octets = bench.query(3)
        self.assertEqual(bench.ask(octets), [])
        self.assertEqual(bench.ask(octets), [])
        bench.app.accepted[0].complete(bench.now_ms, 9)
        self.assertEqual(bench.reads(bench.port.take()), [("exception", 9)])

    def test_while_the_queue_is_full_others_are_refused(self):
        bench = Connected()
        bench.ask(bench.query(3))
        self.assertEqual(bench.ask(bench.query(2)), [("exception", AER_SYSTEM_ERROR)])
        self.assertEqual(bench.app.runs, 1)
        bench = Connected(False)
        bench.ask(bench.query(3))
        self.assertEqual(bench.ask(bench.query(2)), [])

    def test_what_was_turned_away_in_silence_is_run_when_it_comes_again(self):
        bench = Connected(False)
        bench.ask(bench.query(3))
        octets = bench.query(2)
        self.assertEqual(bench.ask(octets), [])
        bench.app.accepted[0].complete(bench.now_ms, AER_READY, b"")
        bench.port.take()
        for _ in range(2):
            sent = bench.deliver(REMOTE, octets, STRANGER)
            self.assertEqual([to for _, to, _ in sent], [CLIENT])
        self.assertEqual(bench.app.runs, 2)

    def test_the_queue_can_be_longer_and_answers_come_in_any_order(self):
        bench = Connected(request_queue=3)
        for _ in range(3):
            self.assertEqual(bench.ask(bench.query(3)), [ACK])
        self.assertEqual(bench.ask(bench.query(3)), [("exception", AER_SYSTEM_ERROR)])
        for request in (bench.app.accepted[2], bench.app.accepted[0], bench.app.accepted[1]):
            request.complete(bench.now_ms, AER_READY, b"")
            self.assertEqual(decode(bench.port.take()[0][2]).seq, request.seq)

    def test_too_large_an_answer_is_an_exception(self):
        bench = Connected()
        bench.ask(bench.query(3))
        bench.app.accepted[0].complete(bench.now_ms, AER_READY, bytes(201))
        self.assertEqual(bench.reads(bench.port.take()), [("exception", AER_RSP_TOO_LARGE)])

    def test_a_connection_takes_its_requests_with_it_and_the_application_hears_once(self):
        bench = Connected()
        bench.ask(bench.query(3))
        bench.advance(20000)
        self.assertEqual(bench.app.log.count(("dropped", 3)), 1)
        self.assertFalse(bench.app.accepted[0].complete(bench.now_ms, AER_READY, b""))
        self.assertEqual(bench.port.take(), [])
        self.assertEqual(bench.app.log.count(("dropped", 3)), 1)

    def test_a_closing_connection_hears_no_answer(self):
        bench = Connected()
        bench.ask(bench.query(3))
        bench.deliver(REMOTE, bench.close(), CLIENT)
        self.assertFalse(bench.app.accepted[0].complete(bench.now_ms, AER_READY, b""))
        bench.advance(300)
        self.assertEqual(bench.app.log.count(("dropped", 3)), 1)

    def test_completing_twice_is_a_bug(self):
        bench = Connected()
        bench.ask(bench.query(3))
        bench.app.accepted[0].complete(bench.now_ms, AER_READY, b"")
        with self.assertRaises(StateError):
            bench.app.accepted[0].complete(bench.now_ms, AER_READY, b"")

    def test_accepted_requests_are_objects_of_their_own(self):
        bench = Connected(request_queue=2)
        bench.ask(bench.query(3, seq=1))
        bench.ask(bench.query(3, seq=2))
        self.assertEqual([request.seq for request in bench.app.accepted], [1, 2])


if __name__ == "__main__":
    unittest.main()
