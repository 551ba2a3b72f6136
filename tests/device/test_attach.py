"""Registration: schedules, states and what is not believed (specification, core 4)."""

import unittest

from device_bench import (
    BELOW_WRAP_MS,
    CONTROLLER,
    DEVICE_ID,
    GSP,
    GSP_NSI,
    KEY,
    NONCE_GSP,
    OWN,
    SEED_GSP,
    STRANGER,
    Bench,
    decode,
    kinds,
)
from homeport_core.crypto import AesContext, key_material
from homeport_core.errors import StateError
from homeport_core.packet import encode
from homeport_core.payloads import build_ipx, parse_attach_stats, parse_capability, parse_id, parse_ipx, parse_notify
from homeport_core.spec import (
    ENDPOINT_ZERO,
    FL_RESPONSE,
    NAT_SYMMETRIC,
    NAT_UNKNOWN,
    NOTIFY_OK,
    NSI_ZERO,
    PL_ATTACH_STATS,
    PL_CAPABILITY,
    PL_DESCR,
    PL_EP,
    PL_IPX,
    PL_NONCE,
    PL_NOTIFY,
    PL_SP_ID,
    PL_STATS,
    PT_STATS,
    PT_U_ALIVE,
    PT_U_ATTACH,
    PT_U_INVITE,
)
from homeport_device import attach
from homeport_device.attach import ATTACHED, IDLE, TRANSITIONS, WAIT_BS, WAIT_DNS, WAIT_GSP
from homeport_device.output import LOCAL, REMOTE

STARTS = (1000, BELOW_WRAP_MS)
SECOND = b"\xc0\x00\x02\x14\x15\xbe"


def times(seen, packet_type, to=None):
    return [at for at, (_, endpoint, octets) in seen if octets[8] == packet_type and to in (None, endpoint)]


class Waiting(Bench):
    """Directed to the GSP; `nonce` is what the device invited it with."""

    def __init__(self, start_ms=1000, **settings):
        Bench.__init__(self, start_ms, **settings)
        self.start()
        self.port.take()
        self.nonce = decode(self.direct()[0][2]).get(PL_NONCE)


class ScheduleTest(unittest.TestCase):
    def test_controller_is_invited_at_0_2_6_14_30_62_and_given_up_at_94_s(self):
        for start_ms in STARTS:
            with self.subTest(start_ms=start_ms):
                bench = Bench(start_ms)
                bench.start()
                seen = bench.advance(96500)
                self.assertEqual(times(seen, PT_U_INVITE), [0, 2000, 6000, 14000, 30000, 62000, 96000])
                self.assertEqual(times(seen, PT_STATS, CONTROLLER), [94000])
                self.assertEqual(bench.stack.state, WAIT_BS)

    def test_gsp_is_invited_at_0_4_12_28_60_92_and_given_up_at_124_s(self):
        for start_ms in STARTS:
            with self.subTest(start_ms=start_ms):
                bench = Bench(start_ms)
                bench.start()
                bench.port.take()
                bench.port.sent = bench.direct()
                seen = bench.advance(126500)
                self.assertEqual(times(seen, PT_U_INVITE, GSP), [0, 4000, 12000, 28000, 60000, 92000])
                self.assertEqual(times(seen, PT_STATS, CONTROLLER), [124000])
                self.assertEqual(times(seen, PT_U_INVITE, CONTROLLER), [126000])

    def test_invites_of_one_attempt_are_the_same_and_of_the_next_are_not(self):
        bench = Waiting()
        first = bench.advance(61000)
        self.assertEqual(len({octets for _, (_, _, octets) in first}), 1)
        bench.advance(70000)
        self.assertNotEqual(decode(bench.direct()[0][2]).get(PL_NONCE), bench.nonce)

    def test_every_address_gets_its_turn_and_the_last_one_the_rest(self):
        bench = Bench(controllers=(CONTROLLER, SECOND))
        bench.start()
        seen = bench.advance(62000)
        self.assertEqual([to for _, (_, to, _) in seen], [CONTROLLER] + [SECOND] * 5)

    def test_only_the_address_asked_last_may_answer(self):
        bench = Bench(controllers=(CONTROLLER, SECOND))
        bench.start()
        bench.advance(2000)
        bench.direct(source=CONTROLLER)
        self.assertEqual(bench.stack.state, WAIT_BS)
        bench.direct(source=SECOND)
        self.assertEqual(bench.stack.state, WAIT_GSP)

    def test_device_polls_at_13_26_39_52_and_leaves_at_65_s(self):
        for start_ms in STARTS:
            with self.subTest(start_ms=start_ms):
                bench = Bench(start_ms)
                bench.attach()
                bench.alive(1)
                seen = bench.advance(66000)
                self.assertEqual(times(seen, PT_U_ALIVE), [13000, 26000, 39000, 52000])
                self.assertEqual(times(seen, PT_U_INVITE), [65000])
                self.assertEqual(times(seen, PT_STATS), [])

    def test_an_attachment_that_never_came_alive_is_reported(self):
        bench = Bench()
        bench.attach()
        seen = bench.advance(65000)
        self.assertEqual([(at, to) for at, (_, to, octets) in seen if octets[8] == PT_STATS], [(65000, CONTROLLER)])

    def test_an_alive_request_restarts_the_silence(self):
        for start_ms in STARTS:
            with self.subTest(start_ms=start_ms):
                bench = Bench(start_ms)
                bench.attach()
                for seq in range(1, 20):
                    bench.advance(12000)
                    bench.alive(seq)
                self.assertEqual(times(bench.advance(64000), PT_U_INVITE), [])
                self.assertEqual(bench.stack.state, ATTACHED)

    def test_a_poll_has_seq_0_and_is_no_answer(self):
        bench = Bench()
        bench.attach()
        poll = decode(bench.advance(13000)[0][1][2])
        self.assertEqual((poll.seq, poll.flags, poll.sp), (0, FL_RESPONSE, GSP_NSI))


class LookUpTest(unittest.TestCase):
    def test_the_device_id_is_what_is_looked_up(self):
        bench = Bench(controllers=())
        bench.start()
        self.assertEqual(bench.port.lookups, [DEVICE_ID])
        self.assertEqual(bench.stack.state, WAIT_DNS)

    def test_a_configured_name_is_looked_up_instead(self):
        bench = Bench(controller_host="basestation.example.net")
        bench.start()
        self.assertEqual(bench.port.lookups, ["basestation.example.net"])

    def test_failures_are_repeated_after_2_8_32_32_s(self):
        for start_ms in STARTS:
            with self.subTest(start_ms=start_ms):
                bench = Bench(start_ms, controllers=())
                bench.start()
                for wait_ms in (2000, 8000, 32000, 32000):
                    bench.stack.resolved(bench.now_ms, None)
                    asked = len(bench.port.lookups)
                    bench.advance(wait_ms - 1)
                    self.assertEqual(len(bench.port.lookups), asked)
                    bench.advance(1)
                    self.assertEqual(len(bench.port.lookups), asked + 1)

    def test_success_forgets_the_failures(self):
        bench = Bench(controllers=())
        bench.start()
        bench.stack.resolved(bench.now_ms, [])
        bench.advance(2000)
        bench.stack.resolved(bench.now_ms, [CONTROLLER[:4]])
        bench.advance(96000)
        self.assertEqual(bench.stack.state, WAIT_DNS)
        bench.stack.resolved(bench.now_ms, None)
        asked = len(bench.port.lookups)
        bench.advance(2000)
        self.assertEqual(len(bench.port.lookups), asked + 1)

    def test_the_port_is_the_configured_one_and_six_addresses_are_kept(self):
        bench = Bench(controllers=(), controller_port=7)
        bench.start()
        addresses = [bytes((10, 0, 0, i)) for i in range(8)]
        bench.stack.resolved(bench.now_ms, addresses)
        seen = bench.advance(62000)
        self.assertEqual([to for _, (_, to, _) in seen], [address + b"\x00\x07" for address in addresses[:6]])

    def test_an_answer_nobody_waits_for_is_ignored(self):
        bench = Bench()
        bench.attach()
        bench.stack.resolved(bench.now_ms, [SECOND[:4]])
        self.assertEqual(bench.stack.state, ATTACHED)


class HandshakeTest(unittest.TestCase):
    def test_invites_say_who_is_there(self):
        bench = Bench(application_version="1.2", url="http://a.example")
        bench.start()
        invite = decode(bench.port.take()[0][2])
        self.assertEqual(parse_id(invite.get(PL_SP_ID)), (2, DEVICE_ID.encode()))
        invite = decode(bench.direct()[0][2])
        self.assertEqual(len(invite.get(PL_NONCE)), 32)
        self.assertEqual(parse_capability(invite.get(PL_CAPABILITY)), (0, 0, (0x230A,)))
        descriptions = [(flags, data) for kind, flags, data in invite.payloads() if kind == PL_DESCR]
        self.assertEqual(descriptions, [(0x80, b"\x011.2"), (0x80, b"\x02http://a.example")])

    def test_the_key_is_proved_over_the_gsps_nonce(self):
        bench = Waiting()
        sent = bench.deliver(REMOTE, bench.attach_request(bench.nonce), GSP)
        self.assertEqual([(socket, to) for socket, to, _ in sent], [(REMOTE, GSP)])
        answer = decode(sent[0][2])
        self.assertEqual((answer.type, answer.flags, answer.sp, answer.seq), (PT_U_ATTACH, FL_RESPONSE, GSP_NSI, 1))
        self.assertEqual(parse_notify(answer.get(PL_NOTIFY)), (NOTIFY_OK, b""))
        ipx = parse_ipx(answer.get(PL_IPX))
        self.assertEqual((ipx.private, ipx.global_, ipx.flags), (b"\x00\x00\x00\x00\xc3\x50", OWN, NAT_UNKNOWN))
        plaintext = AesContext(key_material(DEVICE_ID.encode(), KEY), True).open(answer)
        self.assertEqual((plaintext[:32], len(plaintext)), (NONCE_GSP, 64))
        self.assertEqual(bench.stack.state, ATTACHED)

    def test_an_endpoint_that_differs_means_a_symmetric_nat(self):
        bench = Waiting()
        answer = decode(bench.deliver(REMOTE, bench.attach_request(bench.nonce, STRANGER), GSP)[0][2])
        self.assertEqual(parse_ipx(answer.get(PL_IPX)).flags, NAT_SYMMETRIC)

    def test_a_new_attachment_finds_the_nat_out_anew(self):
        bench = Waiting()
        bench.deliver(REMOTE, bench.attach_request(bench.nonce, STRANGER), GSP)
        bench.advance(65000)
        nonce = decode(bench.direct()[0][2]).get(PL_NONCE)
        answer = decode(bench.deliver(REMOTE, bench.attach_request(nonce), GSP)[0][2])
        self.assertEqual(parse_ipx(answer.get(PL_IPX)).flags, NAT_UNKNOWN)

    def test_each_failure_is_reported_once_for_each_invite(self):
        keys = AesContext(key_material(DEVICE_ID.encode(), KEY), True)

        def request(plaintext, payloads=None):
            if payloads is None:
                payloads = ((PL_EP, OWN), (PL_NONCE, NONCE_GSP))
            return encode(PT_U_ATTACH, payloads, sp=GSP_NSI, context=keys, plaintext=plaintext, iv=bytes(16))

        def wrong_padding(nonce):
            octets = bytearray(request(nonce + SEED_GSP))
            octets[-17] ^= 1
            return resealed(octets)

        def resealed(octets):
            from homeport_core.crypto import prf

            mac_key = key_material(DEVICE_ID.encode(), KEY)[32:64]
            return bytes(octets[:-16]) + prf(mac_key, bytes(octets[:-16]))[:16]

        cases = (
            (1, lambda nonce: request(nonce + SEED_GSP, ((PL_NONCE, NONCE_GSP), (PL_EP, OWN)))),
            (1, lambda nonce: request(nonce + SEED_GSP, ((PL_EP, OWN), (PL_NONCE, NONCE_GSP[:8])))),
            (1, lambda nonce: encode(PT_U_ATTACH, ((PL_EP, OWN), (PL_NONCE, NONCE_GSP)), sp=GSP_NSI)),
            (1, lambda nonce: request(nonce + SEED_GSP).replace(GSP_NSI, NSI_ZERO)),
            (3, wrong_padding),
            (8, lambda nonce: request(bytes(32) + SEED_GSP)),
            (8, request),
            (8, lambda nonce: request(nonce + SEED_GSP + b"x")),
            (9, lambda nonce: request(nonce + SEED_GSP)[:-1] + b"?"),
        )
        for status, make in cases:
            with self.subTest(status=status):
                bench = Waiting()
                octets = make(bench.nonce)
                sent = bench.deliver(REMOTE, octets, GSP)
                self.assertEqual([to for _, to, _ in sent], [CONTROLLER])
                report = decode(sent[0][2])
                self.assertEqual(report.get(PL_STATS), b"\x07")
                self.assertEqual(parse_attach_stats(report.get(PL_ATTACH_STATS)), (1, status, 1))
                self.assertEqual(bench.stack.state, WAIT_GSP)
                self.assertEqual(bench.deliver(REMOTE, octets, GSP), [])
                bench.advance(4000)
                self.assertEqual(len(bench.deliver(REMOTE, octets, GSP)), 1)
                bench.deliver(REMOTE, bench.attach_request(bench.nonce), GSP)
                self.assertEqual(bench.stack.state, ATTACHED)

    def test_reports_can_be_switched_off(self):
        bench = Waiting(attach_statistics=False)
        self.assertEqual(bench.deliver(REMOTE, bench.attach_request(bench.nonce, key=bytes(16)), GSP), [])
        self.assertEqual(kinds([sent for _, sent in bench.advance(130000)]).count((PT_STATS, 0)), 0)

    def test_answers_of_the_controller_that_are_not_believed(self):
        good = ((PL_IPX, build_ipx(GSP, OWN)),)
        cases = (
            ("no response", encode(PT_U_INVITE, good), CONTROLLER),
            ("other flags", encode(PT_U_INVITE, good, flags=3), CONTROLLER),
            ("an NSI", encode(PT_U_INVITE, good, flags=1, sp=GSP_NSI), CONTROLLER),
            ("a stranger", encode(PT_U_INVITE, good, flags=1), STRANGER),
            ("another port", encode(PT_U_INVITE, good, flags=1), CONTROLLER[:4] + b"\x00\x01"),
            ("no IPX", encode(PT_U_INVITE, (), flags=1), CONTROLLER),
            ("short IPX", encode(PT_U_INVITE, ((PL_IPX, bytes(12)),), flags=1), CONTROLLER),
            ("no GSP", encode(PT_U_INVITE, ((PL_IPX, build_ipx(ENDPOINT_ZERO, OWN)),), flags=1), CONTROLLER),
        )
        bench = Bench()
        bench.start()
        bench.port.take()
        for name, octets, source in cases:
            with self.subTest(name=name):
                self.assertEqual(bench.deliver(REMOTE, octets, source), [])
                self.assertEqual(bench.stack.state, WAIT_BS)

    def test_a_longer_ipx_directs_as_well(self):
        bench = Bench()
        bench.start()
        octets = encode(PT_U_INVITE, ((PL_IPX, build_ipx(GSP, OWN, 0, GSP_NSI, bytes(8), bytes(4))),), flags=1)
        bench.deliver(REMOTE, octets, CONTROLLER)
        self.assertEqual(bench.stack.state, WAIT_GSP)

    def test_an_attach_request_from_elsewhere_or_with_flags_is_ignored(self):
        bench = Waiting()
        octets = bench.attach_request(bench.nonce)
        self.assertEqual(bench.deliver(REMOTE, octets, STRANGER), [])
        self.assertEqual(bench.deliver(LOCAL, octets, GSP), [])
        flagged = bytearray(octets)
        flagged[11] = FL_RESPONSE
        self.assertEqual(bench.deliver(REMOTE, bytes(flagged), GSP), [])
        self.assertEqual(bench.stack.state, WAIT_GSP)


class AttachedTest(unittest.TestCase):
    def setUp(self):
        self.bench = Bench()
        self.bench.attach()

    def test_alive_is_answered_with_its_seq(self):
        answer = decode(self.bench.alive(77)[0][2])
        self.assertEqual((answer.type, answer.flags, answer.seq, answer.sp), (PT_U_ALIVE, 1, 77, GSP_NSI))
        self.assertEqual(parse_notify(answer.get(PL_NOTIFY)), (NOTIFY_OK, b""))

    def test_alive_that_is_not_ours_gets_no_answer(self):
        flagged = encode(PT_U_ALIVE, sp=GSP_NSI, seq=1, flags=FL_RESPONSE)
        cases = (
            ("another NSI", lambda: self.bench.alive(1, sp=b"\x00\x00\x12\x68")),
            ("a stranger", lambda: self.bench.alive(1, source=STRANGER)),
            ("the controller", lambda: self.bench.alive(1, source=CONTROLLER)),
            ("an answer", lambda: self.bench.deliver(REMOTE, flagged, GSP)),
            ("the local socket", lambda: self.bench.deliver(LOCAL, encode(PT_U_ALIVE, sp=GSP_NSI, seq=1), GSP)),
        )
        for name, act in cases:
            with self.subTest(name=name):
                self.assertEqual(act(), [])

    def test_nothing_that_arrives_ends_the_attachment(self):
        bench = self.bench
        before = bench.stack.attach.context
        for _ in range(50):
            bench.direct(gsp=STRANGER)
            for key in (KEY, bytes(16)):
                for nonce in (bytes(32), NONCE_GSP):
                    self.assertEqual(bench.deliver(REMOTE, bench.attach_request(nonce, key=key), GSP), [])
        self.assertEqual(bench.stack.state, ATTACHED)
        self.assertIs(bench.stack.attach.context, before)
        self.assertEqual(len(bench.alive(1)), 1)

    def test_a_repeated_attach_request_is_ignored(self):
        bench = Waiting()
        octets = bench.attach_request(bench.nonce)
        self.assertEqual(len(bench.deliver(REMOTE, octets, GSP)), 1)
        self.assertEqual(bench.deliver(REMOTE, octets, GSP), [])

    def test_a_new_attachment_has_new_keys(self):
        bench = self.bench
        old = bench.connect_keys
        bench.advance(65000)
        bench.finish_attach()
        self.assertEqual(bench.stack.state, ATTACHED)
        self.assertEqual(bench.introduce(keys=old, nsi=b"\x0a\x0b\x0c\x0d"), 0x8008)
        self.assertEqual(bench.introduce(), 1)

    def test_a_fresh_port_is_taken_unless_a_connection_is_open(self):
        bench = Bench()
        bench.attach()
        self.assertEqual(bench.port.reopened, 1)
        bench.introduce()
        for _ in range(7):
            bench.advance(10000)
            bench.deliver(REMOTE, bench.keep_alive(), STRANGER)
        self.assertEqual((bench.stack.state, bench.port.reopened), (WAIT_BS, 1))
        bench.advance(100000)
        self.assertGreater(bench.port.reopened, 1)

    def test_connections_survive_a_new_attachment(self):
        bench = Bench()
        bench.connected()
        for _ in range(7):
            bench.advance(10000)
            bench.deliver(REMOTE, bench.keep_alive(), STRANGER)
        bench.finish_attach()
        self.assertEqual(len(bench.deliver(REMOTE, bench.query(1), STRANGER)), 2)


class TransitionsTest(unittest.TestCase):
    def test_no_state_and_event_leads_two_ways(self):
        pairs = [(state, event) for state, event, _ in TRANSITIONS]
        self.assertEqual(len(pairs), len(set(pairs)))

    def test_every_state_can_be_stopped_and_every_waiting_one_can_fail(self):
        for state in (IDLE, WAIT_DNS, WAIT_BS, WAIT_GSP, ATTACHED):
            self.assertIn((state, attach.STOPPED, IDLE), TRANSITIONS)
        for state in (WAIT_DNS, WAIT_BS, WAIT_GSP, ATTACHED):
            self.assertIn((state, attach.FAILED, IDLE), TRANSITIONS)

    def test_an_unlisted_pair_is_a_bug(self):
        bench = Bench()
        with self.assertRaises(StateError):
            bench.stack.attach.renew(0)


if __name__ == "__main__":
    unittest.main()
