"""Local connections under a pre-shared key (specification, core 6.4, 14 row 12; application 1.10)."""

import unittest

from device_bench import BELOW_WRAP_MS, DEVICE_ID, FINGERPRINT, LAN_CLIENT, STRANGER, Bench, Rng, decode, kinds
from homeport_core.crypto import AesContext, key_material
from homeport_core.packet import encode
from homeport_core.payloads import build_capability, build_fp, build_id, build_notify, parse_capability, parse_notify
from homeport_core.spec import (
    FL_EXCEPTION,
    FL_RESPONSE,
    ID_MAIL,
    NOTIFY_BAD_KEY,
    NOTIFY_BAD_KEY_ID,
    NOTIFY_BUSY_MICRO,
    NOTIFY_CP_ACCESS,
    NOTIFY_MISSING_CAPABILITIES,
    NOTIFY_OK,
    NSI_ZERO,
    PL_CAPABILITY,
    PL_CP_ID,
    PL_FP,
    PL_KEY_ID,
    PL_NONCE,
    PL_NOTIFY,
    PL_RANDOM,
    PLF_PAYLOADS,
    PT_U_CONNECT_PSK,
    PT_U_VERIFY_PSK,
    SUITE_AES,
)
from homeport_device.output import LOCAL, REMOTE

KEY_ID = bytes(range(0x40, 0x50))
PSK = bytes(range(0x60, 0x70))
NONCE = b"\x77" * 32
RANDOM = b"\x88" * 32
CP = b"\x10\x20\x30\x40"
ERROR = FL_RESPONSE | FL_EXCEPTION
CAPABILITY = build_capability(0x960, 0x960, (SUITE_AES,))
NEIGHBOUR = b"\xc0\xa8\x01\x15\x04\x01"


def payload(kind, data):
    return bytes((kind, 0, 0, len(data) + 4)) + data


class Handshake(Bench):
    """A client that knows the key; `keys` after `verify` are those of its DATA."""

    def __init__(self, start_ms=1000, **settings):
        Bench.__init__(self, start_ms, **settings)
        self.app.keys[KEY_ID] = (PSK, FINGERPRINT)
        self.proof = AesContext(key_material(DEVICE_ID.encode(), PSK), True)

    def hello(self, cp=CP, nonce=NONCE, key_id=KEY_ID, capability=CAPABILITY, context=None, iv=bytes(16)):
        payloads = (
            (PL_CAPABILITY, capability),
            (PL_CP_ID, build_id(ID_MAIL, b"psk@example.org")),
            (PL_FP, build_fp(b"\xee" * 16)),
            (PL_KEY_ID, key_id),
            (PL_NONCE, nonce),
        )
        return encode(PT_U_CONNECT_PSK, payloads, cp=cp, context=context or self.proof, plaintext=b"", iv=iv)

    def verify(self, nsi, nonce, random=RANDOM, cp=CP, context=None, iv=bytes(16)):
        plaintext = payload(PL_RANDOM, random) + payload(PL_NONCE, nonce)
        return encode(
            PT_U_VERIFY_PSK,
            sp=nsi,
            cp=cp,
            context=context or self.proof,
            plaintext=plaintext,
            iv=iv,
            crypto_flags=PLF_PAYLOADS,
        )

    def challenge(self, source=LAN_CLIENT, **changes):
        """(NSI, device's nonce, device's random number, client's nonce that came back) of message 2."""
        answer = decode(self.deliver(LOCAL, self.hello(**changes), source)[0][2])
        plaintext = self.proof.open(answer)
        return answer.sp, answer.get(PL_NONCE), plaintext[4:36], plaintext[40:]

    def connect(self):
        nsi, nonce, random, _ = self.challenge()
        sent = self.deliver(LOCAL, self.verify(nsi, nonce), LAN_CLIENT)
        assert kinds(sent) == [(PT_U_VERIFY_PSK, FL_RESPONSE)], sent
        self.keys = AesContext(key_material(NONCE + nonce, RANDOM + random), True)
        return nsi

    def refusal(self, octets, source=LAN_CLIENT):
        """The code of an error answer, None when there was no answer."""
        sent = self.deliver(LOCAL, octets, source)
        if not sent:
            return None
        answer = decode(sent[0][2])
        assert answer.flags == ERROR, answer.flags
        return parse_notify(answer.get(PL_NOTIFY))[0]


class HandshakeTest(unittest.TestCase):
    def setUp(self):
        self.bench = Handshake()

    def test_message_2_proves_the_key_and_names_the_connection(self):
        bench = self.bench
        answer = decode(bench.deliver(LOCAL, bench.hello(), LAN_CLIENT)[0][2])
        self.assertEqual((answer.type, answer.flags, answer.version, answer.seq), (PT_U_CONNECT_PSK, FL_RESPONSE, 0, 0))
        self.assertEqual(answer.cp, CP)
        self.assertNotEqual(answer.sp, NSI_ZERO)
        self.assertEqual(parse_capability(answer.get(PL_CAPABILITY)), (0x960, 0x960, (SUITE_AES,)))
        plaintext = bench.proof.open(answer)
        self.assertEqual((len(plaintext), plaintext[36:]), (72, payload(PL_NONCE, NONCE)))

    def test_a_verified_client_talks_under_keys_of_both_sides(self):
        bench = self.bench
        nsi = bench.connect()
        sent = bench.deliver(LOCAL, bench.query(1, b"hi", nsi=nsi), LAN_CLIENT)
        self.assertEqual(bench.keys.open(decode(sent[1][2])), b"hi")

    def test_the_client_is_who_the_key_store_says(self):
        connection = self.bench.stack.connections.find(self.bench.connect())
        self.assertEqual(connection.fingerprint, FINGERPRINT)
        self.assertTrue(connection.is_local and connection.is_psk and connection.is_async and connection.is_authentic)

    def test_message_3_is_answered_in_the_clear_and_again_when_repeated(self):
        bench = self.bench
        nsi, nonce, _, _ = bench.challenge()
        for iv in (bytes(16), bytes(16), RANDOM[:16]):
            answer = decode(bench.deliver(LOCAL, bench.verify(nsi, nonce, iv=iv), LAN_CLIENT)[0][2])
            self.assertEqual((answer.flags, answer.version), (FL_RESPONSE, 0))
            self.assertEqual(parse_notify(answer.get(PL_NOTIFY)), (NOTIFY_OK, b""))

    def test_another_message_3_is_not_answered_after_that(self):
        bench = self.bench
        nsi, nonce, _, _ = bench.challenge()
        bench.deliver(LOCAL, bench.verify(nsi, nonce), LAN_CLIENT)
        self.assertEqual(bench.deliver(LOCAL, bench.verify(nsi, nonce, NONCE), LAN_CLIENT), [])

    def test_a_repeated_message_1_gets_the_same_numbers(self):
        bench = self.bench
        self.assertEqual(bench.challenge(), bench.challenge(iv=b"\x01" * 16))
        self.assertEqual(len([slot for slot in bench.stack.connections.slots if slot is not None]), 1)

    def test_the_devices_numbers_are_random(self):
        bench = self.bench
        _, nonce, random, _ = bench.challenge()
        _, other_nonce, other_random, _ = bench.challenge(cp=b"\x10\x20\x30\x41")
        self.assertEqual(len({nonce, random, other_nonce, other_random}), 4)
        self.assertNotIn(bytes(32), (nonce, random))

    def test_an_attempt_that_is_not_finished_dies_after_20_s(self):
        for start_ms in (1000, BELOW_WRAP_MS):
            with self.subTest(start_ms=start_ms):
                bench = Handshake(start_ms)
                bench.challenge()
                bench.advance(19999)
                self.assertTrue(bench.stack.connections.any_open())
                bench.advance(1)
                self.assertFalse(bench.stack.connections.any_open())

    def test_capabilities_are_those_both_have(self):
        bench = self.bench
        bench.challenge(capability=build_capability(0xFFFFFFFF, 0xFFFFFFFF, (SUITE_AES,)))
        answer = decode(bench.deliver(LOCAL, bench.hello(), LAN_CLIENT)[0][2])
        self.assertEqual(parse_capability(answer.get(PL_CAPABILITY)).bits, 0x960)


class RefusalTest(unittest.TestCase):
    def setUp(self):
        self.bench = Handshake()

    def test_errors_name_what_is_wrong(self):
        bench = self.bench
        other = AesContext(key_material(DEVICE_ID.encode(), bytes(16)), True)
        cases = (
            (NOTIFY_BAD_KEY_ID, bench.hello(key_id=bytes(16))),
            (NOTIFY_BAD_KEY, bench.hello(context=other)),
            (NOTIFY_MISSING_CAPABILITIES, bench.hello(capability=build_capability(0x160, 0x120, (SUITE_AES,)))),
            (NOTIFY_MISSING_CAPABILITIES, bench.hello(capability=build_capability(0x120, 0x160, (SUITE_AES,)))),
            (NOTIFY_MISSING_CAPABILITIES, bench.hello(capability=build_capability(0x160, 0x160, (0x000A,)))),
            (NOTIFY_MISSING_CAPABILITIES, bench.hello(capability=build_capability(0x160, 0x160))),
        )
        for code, octets in cases:
            with self.subTest(code=code):
                self.assertEqual(bench.refusal(octets), code)
                self.assertFalse(bench.stack.connections.any_open())

    def test_the_application_may_refuse(self):
        self.bench.app.allow = False
        self.assertEqual(self.bench.refusal(self.bench.hello()), NOTIFY_CP_ACCESS)

    def test_a_host_with_its_share_of_connections_is_told_busy(self):
        bench = Handshake(connections_per_source=1)
        bench.connect()
        self.assertEqual(bench.refusal(bench.hello(cp=b"\x10\x20\x30\x41")), NOTIFY_BUSY_MICRO)

    def test_malformed_ones_get_no_answer(self):
        bench = self.bench
        flagged = bytearray(bench.hello())
        flagged[11] = FL_RESPONSE
        named = bytearray(bench.hello())
        named[7] = 1
        cases = (
            ("nonce", bench.hello(nonce=NONCE[:31])),
            ("key id", bench.hello(key_id=KEY_ID[:15])),
            ("capability", bench.hello(capability=CAPABILITY[:8])),
            ("too many suites", bench.hello(capability=CAPABILITY[:10] + b"\x09" + CAPABILITY[11:])),
            ("nothing", encode(PT_U_CONNECT_PSK, cp=CP)),
            ("a response", bytes(flagged)),
            ("an NSI", bytes(named)),
        )
        for name, octets in cases:
            with self.subTest(name=name):
                self.assertEqual(bench.deliver(LOCAL, octets, LAN_CLIENT), [])

    def test_a_wrong_proof_gets_no_answer_and_the_right_one_still_counts(self):
        bench = self.bench
        nsi, nonce, _, _ = bench.challenge()
        good = bench.verify(nsi, nonce)
        wrong = (
            bench.verify(nsi, NONCE),
            bench.verify(nsi, nonce, RANDOM[:31]),
            bench.verify(nsi, nonce, cp=b"\x10\x20\x30\x41"),
            bench.verify(nsi, nonce, context=AesContext(bytes(96), True)),
            good[:-1] + bytes((good[-1] ^ 1,)),
            encode(PT_U_VERIFY_PSK, sp=nsi, cp=CP),
            encode(PT_U_VERIFY_PSK, sp=nsi, cp=CP, context=bench.proof, plaintext=b"\x51\x00\x00\x00", iv=bytes(16)),
            encode(PT_U_VERIFY_PSK, sp=nsi, cp=CP, context=bench.proof, plaintext=b"\x51\x00\xff\xff", iv=bytes(16)),
        )
        for octets in wrong:
            self.assertEqual(bench.deliver(LOCAL, octets, LAN_CLIENT), [])
        self.assertEqual(bench.deliver(LOCAL, good, NEIGHBOUR), [])
        self.assertEqual(len(bench.deliver(LOCAL, good, LAN_CLIENT)), 1)

    def test_no_data_before_the_proof(self):
        bench = self.bench
        nsi, _, _, _ = bench.challenge()
        for keys in (bench.proof, bench.clear):
            self.assertEqual(bench.deliver(LOCAL, bench.keep_alive(nsi=nsi, context=keys), LAN_CLIENT), [])

    def test_the_handshakes_own_keys_are_no_keys_for_data(self):
        bench = self.bench
        nsi = bench.connect()
        self.assertEqual(bench.deliver(LOCAL, bench.keep_alive(nsi=nsi, context=bench.proof), LAN_CLIENT), [])

    def test_the_remote_socket_takes_no_part(self):
        bench = self.bench
        bench.start()
        bench.port.take()
        self.assertEqual(bench.deliver(REMOTE, bench.hello(), LAN_CLIENT), [])
        nsi, nonce, _, _ = bench.challenge()
        self.assertEqual(bench.deliver(REMOTE, bench.verify(nsi, nonce), LAN_CLIENT), [])
        self.assertEqual(len(bench.deliver(LOCAL, bench.verify(nsi, nonce), LAN_CLIENT)), 1)

    def test_it_can_be_switched_off(self):
        bench = Handshake(local_psk=False)
        self.assertEqual(bench.deliver(LOCAL, bench.hello(), LAN_CLIENT), [])

    def test_sources_that_are_not_near_are_ignored(self):
        self.assertEqual(self.bench.deliver(LOCAL, self.bench.hello(), STRANGER), [])

    def test_attempts_are_limited(self):
        bench = self.bench
        other = AesContext(bytes(96), True)
        answers = [bench.deliver(LOCAL, bench.hello(context=other), LAN_CLIENT) for _ in range(100)]
        self.assertEqual(len([sent for sent in answers if sent]), 20)

    def test_a_number_in_use_by_a_finished_connection_is_ignored(self):
        self.bench.connect()
        self.assertEqual(self.bench.deliver(LOCAL, self.bench.hello(), LAN_CLIENT), [])


class AbortTest(unittest.TestCase):
    def abort(self, nsi, cp=CP, code=0x800E, flags=FL_EXCEPTION):
        return encode(PT_U_CONNECT_PSK, ((PL_NOTIFY, build_notify(code)),), sp=nsi, cp=cp, flags=flags)

    def test_the_client_may_give_up(self):
        bench = Handshake()
        nsi, _, _, _ = bench.challenge()
        self.assertEqual(bench.deliver(LOCAL, self.abort(nsi), LAN_CLIENT), [])
        self.assertFalse(bench.stack.connections.any_open())

    def test_nobody_else_may(self):
        bench = Handshake()
        nsi, _, _, _ = bench.challenge()
        attempts = (
            (self.abort(nsi), NEIGHBOUR),
            (self.abort(nsi, cp=b"\x10\x20\x30\x41"), LAN_CLIENT),
            (self.abort(nsi, code=1), LAN_CLIENT),
            (self.abort(nsi, flags=ERROR), LAN_CLIENT),
        )
        for octets, source in attempts:
            bench.deliver(LOCAL, octets, source)
            self.assertTrue(bench.stack.connections.any_open())

    def test_a_finished_connection_cannot_be_aborted(self):
        bench = Handshake()
        nsi = bench.connect()
        bench.deliver(LOCAL, self.abort(nsi), LAN_CLIENT)
        self.assertEqual(len(bench.deliver(LOCAL, bench.keep_alive(nsi=nsi), LAN_CLIENT)), 1)


class ReplayTest(unittest.TestCase):
    def test_a_recorded_session_cannot_be_played_again(self):
        bench = Handshake()
        recorded = [bench.hello()]
        nsi, nonce, _, _ = bench.challenge()
        recorded.append(bench.verify(nsi, nonce))
        bench.deliver(LOCAL, recorded[1], LAN_CLIENT)
        bench.advance(20000)
        again = Handshake()
        again.stack.rng = rng = Rng()
        rng.count = 1000
        again.deliver(LOCAL, recorded[0], LAN_CLIENT)
        self.assertEqual(again.deliver(LOCAL, recorded[1], LAN_CLIENT), [])


if __name__ == "__main__":
    unittest.main()
