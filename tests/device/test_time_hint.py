"""Time from the basestation: believed when it can be true, and never more than a hint."""

import unittest

from device_bench import GSP, GSP_NSI, LAN_CLIENT, STRANGER, Bench
from homeport_core.packet import encode
from homeport_core.payloads import build_time
from homeport_core.spec import FL_RESPONSE, PL_TIME, PT_U_ALIVE
from homeport_device.output import LOCAL, REMOTE
from homeport_device.time_hint import EARLIEST_S, LATEST_S, TimeHint

# TIME payloads as the reference's basestation sent them to real devices (captures keepalive, piggyback_events,
# secure_attach).
CAPTURED = (b"\x00\x6b\x02\x3f\xe2", b"\x00\x6b\x02\x40\x11", b"\x00\x6b\x02\x3f\xdd")
CAPTURED_S = (1795309538, 1795309585, 1795309533)


class TimeHintTest(unittest.TestCase):
    def test_nothing_is_known_before_somebody_tells(self):
        self.assertEqual(TimeHint().unix_s(100), None)

    def test_captured_payloads_are_understood(self):
        for payload, unix_s in zip(CAPTURED, CAPTURED_S):
            with self.subTest(unix_s=unix_s):
                hint = TimeHint()
                self.assertTrue(hint.take(7, payload))
                self.assertEqual(hint.unix_s(7), unix_s)

    def test_time_goes_on_by_the_device_s_own_clock(self):
        hint = TimeHint()
        hint.take(100, build_time(EARLIEST_S))
        self.assertEqual(hint.unix_s(86500), EARLIEST_S + 86400)

    def test_the_latest_word_counts(self):
        hint = TimeHint()
        hint.take(100, build_time(EARLIEST_S + 500))
        hint.take(110, build_time(EARLIEST_S + 10))
        self.assertEqual(hint.unix_s(110), EARLIEST_S + 10)

    def test_the_bounds_themselves_are_believed(self):
        for unix_s in (EARLIEST_S, LATEST_S):
            with self.subTest(unix_s=unix_s):
                self.assertTrue(TimeHint().take(0, build_time(unix_s)))

    def test_what_cannot_be_true_changes_nothing(self):
        absurd = [build_time(unix_s) for unix_s in (0, 1, EARLIEST_S - 1, LATEST_S + 1, 0xFFFFFFFF)]
        for payload in [None, b""] + absurd + [CAPTURED[0][:n] for n in range(5)]:
            with self.subTest(payload=payload):
                hint = TimeHint()
                self.assertFalse(hint.take(0, payload))
                self.assertEqual(hint.unix_s(0), None)
                hint.take(0, CAPTURED[0])
                self.assertFalse(hint.take(10, payload))
                self.assertEqual(hint.unix_s(10), CAPTURED_S[0] + 10)

    def test_a_tail_and_the_kind_mean_nothing(self):
        hint = TimeHint()
        self.assertTrue(hint.take(0, b"\xff" + CAPTURED[0][1:] + b"tail"))
        self.assertEqual(hint.unix_s(0), CAPTURED_S[0])


class HearingTest(unittest.TestCase):
    """Who is listened to."""

    def setUp(self):
        self.heard = []
        self.bench = Bench()
        self.bench.attach()
        self.bench.stack.clock = self

    def hear(self, now_ms, packet):
        self.heard.append((now_ms, packet.get(PL_TIME)))

    def sign_of_life(self, nsi=GSP_NSI, flags=0):
        return encode(PT_U_ALIVE, ((PL_TIME, CAPTURED[0]),), sp=nsi, seq=5, flags=flags)

    def test_each_sign_of_life_of_the_basestation_is_heard(self):
        self.bench.deliver(REMOTE, self.sign_of_life(), GSP)
        self.assertEqual(self.heard, [(self.bench.now_ms, CAPTURED[0])])

    def test_nobody_else_is(self):
        self.bench.deliver(REMOTE, self.sign_of_life(), STRANGER)
        self.bench.deliver(LOCAL, self.sign_of_life(), LAN_CLIENT)
        self.bench.deliver(REMOTE, self.sign_of_life(nsi=b"\x00\x00\x00\x7f"), GSP)
        self.bench.deliver(REMOTE, self.sign_of_life(flags=FL_RESPONSE), GSP)
        self.assertEqual(self.heard, [])

    def test_a_device_that_keeps_no_time_answers_all_the_same(self):
        self.bench.stack.clock = None
        self.assertEqual(len(self.bench.deliver(REMOTE, self.sign_of_life(), GSP)), 1)


if __name__ == "__main__":
    unittest.main()
