"""The exchange that takes an introduced connection to end-to-end keys (docs/extensions.md)."""

import unittest

from device_bench import BELOW_WRAP_MS, CLIENT, FINGERPRINT, GSP, LAN_CLIENT, MATERIAL, NSI, STRANGER, Bench, decode
from homeport_core import ticks
from homeport_core.crypto import AesContext, prf, prf_plus
from homeport_core.spec import (
    AER_NO_ACCESS,
    FL_EXCEPTION,
    FL_RESPONSE,
    NOTIFY_BAD_KEY,
    NOTIFY_BAD_KEY_ID,
    TAG_FRAMING,
)
from homeport_device import drops
from homeport_device.connection import CLOSING
from homeport_device.end_to_end import Sequence
from homeport_device.output import LOCAL, REMOTE

KEY_ID = b"\x48\x50\xe2\x01" + bytes(range(0x40, 0x4C))
KEY = bytes(range(0x60, 0x70))
NONCE = b"\x77" * 32
COMMAND = b"\x48\x50\x00\x10"


class Keyed(Bench):
    """A device whose user has an end-to-end key, with a connection that the basestation introduced for them."""

    def __init__(self, start_ms=1000, **settings):
        Bench.__init__(self, start_ms, **settings)
        self.app.end_to_end = (KEY_ID, KEY)
        self.connected()
        self.basestation = self.keys  # what the basestation knows

    @property
    def connection(self):
        return self.stack.connections.find(NSI)

    def hello(self, nonce=NONCE, key_id=KEY_ID, key=KEY, nsi=NSI, fingerprint=FINGERPRINT, **changes):
        """The client's message. Written by hand, as the document has it."""
        base = b"homeport end-to-end 1" + nsi + fingerprint + key_id
        message = COMMAND + key_id + nonce + prf(key, base + b"hello" + nonce)
        return self.data(message, tag=TAG_FRAMING, context=self.basestation, **changes)

    def answer(self, octets, source=CLIENT):
        """What the device answers in framing control under the basestation's keys; None for silence."""
        sent = self.deliver(REMOTE, octets, source)
        if not sent:
            return None
        assert len(sent) == 1, sent
        packet = decode(sent[0][2])
        assert (packet.tag, packet.flags & FL_RESPONSE) == (TAG_FRAMING, FL_RESPONSE)
        return self.basestation.open(packet)

    def agreed(self, answer, nonce=NONCE):
        """The proof that the device's answer must carry, and the client's end of the new keys."""
        base = b"homeport end-to-end 1" + NSI + FINGERPRINT + KEY_ID
        root = prf(KEY, base + b"keys" + nonce + answer[8:40])
        return prf(root, b"device"), AesContext(prf_plus(root, b"data", 96), True)

    def exchange(self):
        """Go over to end-to-end keys; they are `keys` then."""
        _, self.keys = self.agreed(self.answer(self.hello()))
        sent = self.deliver(REMOTE, self.keep_alive(50), CLIENT)
        assert self.keys.open(decode(sent[0][2]))[7] == 50

    def refusal(self, octets, source=CLIENT, context=None):
        """The exception in the answer to a request."""
        sent = self.deliver(REMOTE, octets, source)
        assert len(sent) == 1, sent
        packet = decode(sent[0][2])
        assert packet.flags & FL_EXCEPTION, packet.flags
        return int.from_bytes((context or self.keys).open(packet), "big")


class ExchangeTest(unittest.TestCase):
    def setUp(self):
        self.bench = Keyed()

    def test_the_device_proves_the_key_over_both_nonces(self):
        answer = self.bench.answer(self.bench.hello())
        self.assertEqual((len(answer), answer[:8]), (72, COMMAND + b"\x00\x00\x00\x01"))
        self.assertEqual(answer[40:], self.bench.agreed(answer)[0])

    def test_requests_run_under_the_new_keys(self):
        bench = self.bench
        bench.exchange()
        sent = bench.deliver(REMOTE, bench.query(1, b"hi"), CLIENT)
        self.assertEqual(bench.keys.open(decode(sent[1][2])), b"hi")
        self.assertTrue(bench.connection.is_end_to_end)

    def test_a_request_may_be_the_first_packet_under_the_new_keys(self):
        bench = self.bench
        _, bench.keys = bench.agreed(bench.answer(bench.hello()))
        sent = bench.deliver(REMOTE, bench.query(1, b"hi"), CLIENT)
        self.assertEqual(bench.keys.open(decode(sent[1][2])), b"hi")

    def test_a_keep_alive_with_eight_octets_more_is_echoed_without_them(self):
        bench = self.bench
        bench.exchange()
        octets = bench.data(bytes(4) + b"\x00\x00\x00\x63" + bytes(8), tag=TAG_FRAMING)
        self.assertEqual(bench.keys.open(decode(bench.deliver(REMOTE, octets, CLIENT)[0][2])), b"\0\0\0\0\0\0\0\x63")

    def test_a_repeated_message_gets_the_same_answer(self):
        bench = self.bench
        first = bench.hello()
        answer = bench.answer(first)
        self.assertEqual(bench.answer(first), answer)
        self.assertEqual(bench.answer(bench.hello()), answer)

    def test_another_nonce_begins_anew(self):
        bench = self.bench
        old = bench.agreed(bench.answer(bench.hello()))[1]
        answer = bench.answer(bench.hello(nonce=bytes(32)))
        self.assertEqual(bench.deliver(REMOTE, bench.keep_alive(9, context=old), CLIENT), [])
        _, bench.keys = bench.agreed(answer, bytes(32))
        self.assertEqual(len(bench.deliver(REMOTE, bench.keep_alive(9), CLIENT)), 1)

    def test_the_devices_nonce_is_fresh_each_time(self):
        bench = self.bench
        nonces = [bench.answer(bench.hello(nonce=bytes([i]) * 32))[8:40] for i in range(3)]
        self.assertEqual(len(set(nonces)), 3)

    def test_it_works_while_the_clock_wraps(self):
        bench = Keyed(BELOW_WRAP_MS)
        bench.advance(1499)
        bench.answer(bench.hello(key=bytes(16)))
        bench.advance(1000)
        self.assertGreater(ticks.diff(bench.now_ms, BELOW_WRAP_MS), 0)
        bench.exchange()

    def test_the_peers_address_follows_the_new_keys_alone(self):
        bench = self.bench
        bench.exchange()
        bench.deliver(REMOTE, bench.keep_alive(9, context=bench.basestation), STRANGER)
        self.assertEqual(bench.connection.peer, CLIENT)
        bench.deliver(REMOTE, bench.keep_alive(10), GSP)
        self.assertEqual(bench.connection.peer, GSP)


class BeforeTest(unittest.TestCase):
    """A basestation that introduces a fingerprint has not proved the key."""

    def setUp(self):
        self.bench = Keyed()

    def test_requests_are_refused_and_not_run(self):
        bench = self.bench
        self.assertEqual(bench.refusal(bench.query(1, b"hi")), AER_NO_ACCESS)
        self.assertEqual(bench.app.runs, 0)

    def test_requests_are_refused_between_the_devices_answer_and_the_clients_proof(self):
        bench = self.bench
        bench.answer(bench.hello())
        self.assertEqual(bench.refusal(bench.query(1, b"hi")), AER_NO_ACCESS)
        self.assertEqual(bench.app.runs, 0)

    def test_a_clients_request_that_was_refused_may_come_again_under_the_new_keys(self):
        bench = self.bench
        bench.refusal(bench.query(1, b"hi", seq=7))
        bench.exchange()
        sent = bench.deliver(REMOTE, bench.query(1, b"hi", seq=7), CLIENT)
        self.assertEqual(bench.keys.open(decode(sent[-1][2])), b"hi")

    def test_packets_of_other_tags_get_silence(self):
        class Handler:
            taken = 0

            def data(self, *arguments):
                self.taken += 1
                return drops.TAKEN

            def closed(self, connection):
                pass

        bench = self.bench
        handler = Handler()
        bench.stack.register_tags(0xF000, 0xF000, handler)
        self.assertEqual(bench.deliver(REMOTE, bench.data(b"hi", tag=0xF000), CLIENT), [])
        self.assertEqual(handler.taken, 0)
        bench.exchange()
        bench.deliver(REMOTE, bench.data(b"hi", tag=0xF000), CLIENT)
        self.assertEqual(handler.taken, 1)

    def test_the_features_say_that_the_key_is_wanted(self):
        bench = self.bench
        ask = b"\x48\x50\x00\x01"
        self.assertEqual(bench.answer(bench.data(ask, tag=TAG_FRAMING)), ask + b"\x00\x00\x00\x07")
        bench.exchange()
        sent = bench.deliver(REMOTE, bench.data(ask, tag=TAG_FRAMING), CLIENT)
        self.assertEqual(bench.keys.open(decode(sent[0][2])), ask + b"\x00\x00\x00\x05")

    def test_a_key_that_is_given_later_bars_connections_that_are_open(self):
        bench = Bench()
        bench.connected()
        bench.deliver(REMOTE, bench.query(1), CLIENT)
        bench.app.end_to_end = (KEY_ID, KEY)
        bench.stack.keys_changed()
        self.assertEqual(Keyed.refusal(bench, bench.query(1)), AER_NO_ACCESS)
        self.assertEqual(bench.app.runs, 1)

    def test_a_connection_under_a_key_that_was_replaced_is_barred(self):
        bench = self.bench
        bench.exchange()
        bench.app.end_to_end = (KEY_ID[:15] + b"\xff", bytes(16))
        bench.stack.keys_changed()
        self.assertEqual(bench.refusal(bench.query(1)), AER_NO_ACCESS)

    def test_without_a_key_all_is_as_it_was(self):
        bench = Bench()
        bench.connected()
        sent = bench.deliver(REMOTE, bench.query(1, b"hi"), CLIENT)
        self.assertEqual(bench.keys.open(decode(sent[1][2])), b"hi")
        self.assertFalse(bench.stack.connections.find(NSI).is_end_to_end)


class AfterTest(unittest.TestCase):
    """Nothing under the basestation's keys counts any more."""

    def setUp(self):
        self.bench = Keyed()
        self.bench.exchange()

    def test_packets_under_the_old_keys_get_silence(self):
        bench = self.bench
        old = bench.basestation
        for octets in (
            bench.query(1, b"hi", context=old),
            bench.keep_alive(99, context=old),
            bench.close(context=old),
            bench.hello(),
            bench.hello(nonce=bytes(32)),
        ):
            self.assertEqual(bench.deliver(REMOTE, octets, CLIENT), [])
        self.assertEqual(bench.app.runs, 0)
        self.assertNotEqual(bench.connection.state, CLOSING)

    def test_a_binding_keep_alive_does_not_keep_the_connection(self):
        bench = self.bench
        for _ in range(4):
            bench.advance(5000)
            bench.deliver(REMOTE, bench.keep_alive(99, context=bench.basestation), CLIENT)
        self.assertIsNone(bench.connection)

    def test_another_exchange_is_not_begun(self):
        bench = self.bench
        base = b"homeport end-to-end 1" + NSI + FINGERPRINT + KEY_ID
        message = COMMAND + KEY_ID + NONCE + prf(KEY, base + b"hello" + NONCE)
        self.assertEqual(bench.deliver(REMOTE, bench.data(message, tag=TAG_FRAMING), CLIENT), [])
        self.assertEqual(len(bench.deliver(REMOTE, bench.keep_alive(51), CLIENT)), 1)

    def test_a_replay_under_the_new_keys_is_not_run_again(self):
        bench = self.bench
        request = bench.query(2)
        first = bench.deliver(REMOTE, request, CLIENT)
        again = bench.deliver(REMOTE, request, CLIENT)
        self.assertEqual(again[-1], first[-1])
        self.assertEqual(bench.app.runs, 1)

    def test_a_request_is_not_run_again_even_when_its_mac_is_long_forgotten(self):
        bench = self.bench
        request = bench.query(2)
        bench.deliver(REMOTE, request, CLIENT)
        for counter in range(200):  # more than the memory of MACs holds
            bench.deliver(REMOTE, bench.keep_alive(60 + counter, seq=1), CLIENT)
        bench.deliver(REMOTE, request, CLIENT)
        self.assertEqual(bench.app.runs, 1)
        bench.deliver(REMOTE, bench.query(2), CLIENT)
        self.assertEqual(bench.app.runs, 2)

    def test_answers_kept_under_the_old_keys_are_gone(self):
        bench = Bench()
        bench.connected()
        request = bench.query(2)
        bench.deliver(REMOTE, request, CLIENT)
        bench.app.end_to_end = (KEY_ID, KEY)
        bench.stack.keys_changed()
        bench.basestation = bench.keys
        _, keys = Keyed.agreed(bench, Keyed.answer(bench, Keyed.hello(bench)))
        bench.deliver(REMOTE, bench.keep_alive(50, context=keys), CLIENT)
        self.assertEqual(bench.deliver(REMOTE, request, CLIENT), [])
        index = bench.stack.rpc._answers.find(bench.stack.connections.find(NSI), request[-16:])
        self.assertEqual(index, -1)


class RefusalTest(unittest.TestCase):
    def setUp(self):
        self.bench = Keyed()

    def code(self, octets):
        answer = self.bench.answer(octets)
        self.assertEqual((len(answer), answer[:4]), (8, COMMAND))
        return int.from_bytes(answer[4:], "big")

    def test_the_answer_names_what_is_wrong(self):
        bench = self.bench
        self.assertEqual(self.code(bench.hello(key_id=KEY_ID[:15] + b"\xff")), NOTIFY_BAD_KEY_ID)
        self.assertEqual(self.code(bench.hello(key=bytes(16))), NOTIFY_BAD_KEY)

    def test_a_user_without_a_key_is_told_so(self):
        self.bench.app.end_to_end = None
        self.assertEqual(self.code(self.bench.hello()), NOTIFY_BAD_KEY_ID)

    def test_a_proof_is_good_for_its_connection_and_user_alone(self):
        bench = self.bench
        base = b"homeport end-to-end 1"
        for what in (
            b"\x7a\x01\x02\x04" + FINGERPRINT + KEY_ID,
            NSI + bytes(16) + KEY_ID,
            NSI + FINGERPRINT + KEY_ID[:15] + b"\xff",
        ):
            message = COMMAND + KEY_ID + NONCE + prf(KEY, base + what + b"hello" + NONCE)
            self.assertEqual(self.code(bench.data(message, tag=TAG_FRAMING)), NOTIFY_BAD_KEY)

    def test_a_wrong_message_does_not_disturb_an_exchange_under_way(self):
        bench = self.bench
        _, keys = bench.agreed(bench.answer(bench.hello()))
        self.code(bench.hello(nonce=bytes(32), key=bytes(16)))
        self.assertEqual(len(bench.deliver(REMOTE, bench.keep_alive(9, context=keys), CLIENT)), 1)

    def test_messages_of_any_other_length_are_dropped(self):
        bench = self.bench
        whole = COMMAND + KEY_ID + NONCE + bytes(32)
        for n in list(range(4, len(whole))) + [len(whole) + 1]:
            octets = bench.data((whole + b"\0")[:n], tag=TAG_FRAMING)
            self.assertEqual(bench.deliver(REMOTE, octets, CLIENT), [])
        self.assertEqual(bench.stack.counters[drops.MALFORMED], len(whole) - 4 + 1)

    def test_attempts_are_limited_for_each_connection(self):
        bench = self.bench
        answers = [bench.answer(bench.hello(key=bytes(16))) for _ in range(20)]
        self.assertEqual(len([answer for answer in answers if answer]), 5)
        bench.advance(1000)
        bench.exchange()

    def test_local_connections_have_no_exchange(self):
        bench = self.bench
        nsi = bench.connect_local(fingerprint=FINGERPRINT)
        base = b"homeport end-to-end 1" + nsi + FINGERPRINT + KEY_ID
        message = COMMAND + KEY_ID + NONCE + prf(KEY, base + b"hello" + NONCE)
        octets = bench.data(message, nsi=nsi, tag=TAG_FRAMING, context=bench.clear)
        self.assertEqual(bench.deliver(LOCAL, octets, LAN_CLIENT), [])

    def test_packets_under_keys_that_nobody_agreed_on_are_dropped(self):
        bench = self.bench
        bench.answer(bench.hello())
        octets = bench.keep_alive(9, context=AesContext(bytes(96), True))
        self.assertEqual(bench.deliver(REMOTE, octets, CLIENT), [])

    def test_a_closing_connection_answers_no_exchange(self):
        bench = self.bench
        bench.deliver(REMOTE, bench.close(context=AesContext(MATERIAL, True)), CLIENT)
        self.assertIsNone(bench.answer(bench.hello()))


class SequenceTest(unittest.TestCase):
    """Numbers of requests, under the client's NSI."""

    CP = b"\x10\x20\x30\x40"
    OTHER = b"\x10\x20\x30\x41"

    def take(self, sequence, numbers, cp=CP):
        return [sequence.is_new(cp, number) for number in numbers]

    def test_each_number_counts_once(self):
        sequence = Sequence()
        self.assertEqual(
            self.take(sequence, (101, 101, 102, 101, 102, 200, 200)), [True, False, True] + [False] * 2 + [True, False]
        )

    def test_out_of_order_is_fine_within_the_window(self):
        sequence = Sequence()
        self.assertEqual(
            self.take(sequence, (200, 137, 136, 199, 137, 264, 200, 201)),
            [True, True, False, True, False, True, False, True],
        )

    def test_a_far_jump_forgets_nothing_that_could_come_again(self):
        sequence = Sequence()
        self.assertEqual(self.take(sequence, (101, 65000, 101, 64937, 64936)), [True, True, False, True, False])

    def test_another_nsi_counts_only_when_the_numbers_of_the_first_are_used_up(self):
        sequence = Sequence()
        self.take(sequence, (101, 5000))
        self.assertEqual(self.take(sequence, (1, 101, 6000), self.OTHER), [False] * 3)
        self.take(sequence, (0xFFFF,))
        self.assertEqual(self.take(sequence, (5000, 1, 1, 2), self.OTHER), [False, True, False, True])
        self.assertEqual(self.take(sequence, (5000, 0xFFFF, 1)), [False] * 3)


if __name__ == "__main__":
    unittest.main()
