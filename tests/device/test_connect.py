"""Connect requests from the GSP and from the local network (specification, core 5.2, 5.3, 6.3, 14)."""

import unittest

from device_bench import (
    CLIENT,
    CONTROLLER,
    FINGERPRINT,
    GSP,
    GSP_NSI,
    IV,
    LAN_CLIENT,
    MATERIAL,
    NSI,
    STRANGER,
    Bench,
    decode,
    notify_code,
)
from homeport_core.packet import encode
from homeport_core.payloads import build_id, build_ipx, parse_capability, parse_notify
from homeport_core.spec import (
    FL_RESPONSE,
    ID_MAIL,
    ID_URL,
    IPX_NO_RENDEZVOUS,
    NOTIFY_BUSY_MICRO,
    NOTIFY_CP_ACCESS,
    NOTIFY_ENCR_MISMATCH,
    NOTIFY_OK,
    NSI_ZERO,
    PL_CAPABILITY,
    PL_CP_ID,
    PL_FP,
    PL_IPX,
    PL_NOTIFY,
    PT_U_CONNECT,
)
from homeport_device.attach import ATTACHED, IDLE
from homeport_device.connection import Connections
from homeport_device.output import LOCAL, REMOTE


def nsi(number):
    return number.to_bytes(4, "big")


class IntroductionTest(unittest.TestCase):
    def setUp(self):
        self.bench = Bench(connections=3)
        self.bench.attach()

    def request(self, payloads, **changes):
        return encode(
            PT_U_CONNECT, payloads, sp=GSP_NSI, context=self.bench.connect_keys, plaintext=MATERIAL, iv=IV, **changes
        )

    def test_an_accepted_client_is_known_by_what_the_gsp_said(self):
        bench = self.bench
        answer = decode(bench.deliver(REMOTE, bench.introduction(), GSP)[0][2])
        self.assertEqual((answer.type, answer.flags, answer.sp, answer.seq), (PT_U_CONNECT, FL_RESPONSE, GSP_NSI, 7))
        self.assertEqual(parse_notify(answer.get(PL_NOTIFY)), (NOTIFY_OK, NSI))
        self.assertIsNone(answer.get(PL_CAPABILITY))
        connection = bench.stack.connections.find(NSI)
        self.assertEqual(connection.fingerprint, FINGERPRINT)
        self.assertEqual(connection.client_id, b"tester@example.org")
        self.assertFalse(connection.is_local)
        self.assertTrue(connection.is_authentic)
        self.assertTrue(connection.is_async)

    def test_the_application_may_refuse(self):
        self.bench.app.allow = False
        self.assertEqual(self.bench.introduce(), NOTIFY_CP_ACCESS)
        self.assertFalse(self.bench.stack.connections.any_open())

    def test_a_repeated_introduction_is_confirmed_and_does_nothing(self):
        bench = self.bench
        self.assertEqual(bench.introduce(), NOTIFY_OK)
        bench.deliver(REMOTE, bench.keep_alive(), CLIENT)
        self.assertEqual(bench.introduce(material=bytes(96)), NOTIFY_OK)
        self.assertEqual(len(bench.deliver(REMOTE, bench.keep_alive(), CLIENT)), 1)

    def test_a_full_table_is_busy(self):
        for number in range(3):
            self.assertEqual(self.bench.introduce(nsi=nsi(5000 + number)), NOTIFY_OK)
        self.assertEqual(self.bench.introduce(nsi=nsi(6000)), NOTIFY_BUSY_MICRO)

    def test_introductions_that_get_no_answer(self):
        bench = self.bench
        ipx = build_ipx(flags=IPX_NO_RENDEZVOUS, sp=NSI)
        good = bench.introduction()
        cases = (
            ("a stranger", good, REMOTE, STRANGER),
            ("the controller", good, REMOTE, CONTROLLER),
            ("the local socket", good, LOCAL, LAN_CLIENT),
            ("a response", self.request(((PL_IPX, ipx),), flags=FL_RESPONSE), REMOTE, GSP),
            ("no IPX", self.request(()), REMOTE, GSP),
            ("a short IPX", self.request(((PL_IPX, ipx[:12]),)), REMOTE, GSP),
            ("NSI zero", self.request(((PL_IPX, build_ipx(sp=NSI_ZERO)),)), REMOTE, GSP),
        )
        for name, octets, socket, source in cases:
            with self.subTest(name=name):
                self.assertEqual(bench.deliver(socket, octets, source), [])
                self.assertFalse(bench.stack.connections.any_open())

    def test_an_introduction_without_nsi_gets_one_of_the_devices_and_counts_once(self):
        bench = self.bench
        octets = bench.introduction(nsi=b"")
        code, number = parse_notify(decode(bench.deliver(REMOTE, octets, GSP)[0][2]).get(PL_NOTIFY))
        self.assertEqual(code, NOTIFY_OK)
        self.assertTrue(100 <= int.from_bytes(number, "big") <= 1000)
        self.assertEqual(len(bench.deliver(REMOTE, bench.keep_alive(nsi=number), CLIENT)), 1)
        self.assertEqual(bench.deliver(REMOTE, octets, GSP), [])

    def test_a_client_nsi_that_is_an_open_connection_is_ignored(self):
        self.bench.introduce()
        octets = self.request(((PL_IPX, build_ipx(sp=nsi(6000))),), cp=NSI)
        self.assertEqual(self.bench.deliver(REMOTE, octets, GSP), [])

    def test_payloads_may_come_in_any_order(self):
        octets = self.request(((PL_FP, b"\x01" + FINGERPRINT), (PL_IPX, build_ipx(sp=NSI))))
        self.assertEqual(notify_code(self.bench.deliver(REMOTE, octets, GSP)), NOTIFY_OK)

    def test_names_are_cut_and_other_kinds_of_names_and_fingerprints_ignored(self):
        cases = (
            (build_id(ID_MAIL, b"a" * 70), b"\x01" + FINGERPRINT, b"a" * 64, FINGERPRINT),
            (build_id(ID_URL, b"url"), b"\x02" + FINGERPRINT, b"", None),
            (b"", b"\x01" + FINGERPRINT[:15], b"", None),
        )
        for i in range(len(cases)):
            name, fingerprint, expected_name, expected_fingerprint = cases[i]
            with self.subTest(i=i):
                number = nsi(5000 + i)
                payloads = ((PL_IPX, build_ipx(sp=number)), (PL_CP_ID, name), (PL_FP, fingerprint))
                self.bench.deliver(REMOTE, self.request(payloads), GSP)
                connection = self.bench.stack.connections.find(number)
                self.assertEqual(connection.client_id, expected_name)
                self.assertEqual(connection.fingerprint, expected_fingerprint)

    def test_names_are_dropped_where_the_product_wants_none(self):
        bench = Bench(client_names=False)
        bench.attach()
        bench.introduce()
        self.assertEqual(bench.stack.connections.find(NSI).client_id, b"")

    def test_a_full_log_of_introductions_brings_new_keys(self):
        bench = self.bench
        for number in range(Connections.INTRODUCTIONS_MAX):
            self.assertEqual(bench.stack.state, ATTACHED)
            self.assertEqual(bench.introduce(nsi=nsi(5000 + number)), NOTIFY_OK)
            bench.deliver(REMOTE, bench.keep_alive(nsi=nsi(5000 + number)), CLIENT)
            bench.deliver(REMOTE, bench.close(nsi=nsi(5000 + number)), CLIENT)
            bench.stack.timeout(bench.now_ms)
            bench.now_ms += 300
            bench.stack.timeout(bench.now_ms)
            bench.alive(number + 1)
            bench.port.take()
        self.assertNotEqual(bench.stack.state, IDLE)
        bench.finish_attach()
        self.assertEqual(bench.introduce(nsi=nsi(5000)), NOTIFY_OK)

    def test_a_stranger_gives_way_to_an_introduction(self):
        bench = self.bench
        for i in range(3):
            bench.connect_local(bytes((192, 168, 1, i + 1, 4, 1)), cp=0x1000 + i)
        self.assertEqual(bench.introduce(), NOTIFY_OK)
        self.assertEqual(len([slot for slot in bench.stack.connections.slots if slot.is_local]), 2)

    def test_the_stranger_who_waits_longest_gives_way(self):
        bench = self.bench
        numbers = []
        for i in (2, 0, 1):
            numbers.append(bench.connect_local(bytes((192, 168, 1, i + 1, 4, 1)), cp=0x1000 + i))
            bench.advance(100)
        bench.stack.connections.slots.sort(key=lambda connection: connection.source)
        bench.introduce()
        self.assertEqual([bench.stack.connections.find(number) is None for number in numbers], [True, False, False])

    def test_one_that_only_lingers_gives_way_too(self):
        bench = self.bench
        for number in range(3):
            bench.introduce(nsi=nsi(5000 + number))
            bench.deliver(REMOTE, bench.keep_alive(nsi=nsi(5000 + number)), CLIENT)
        bench.deliver(REMOTE, bench.close(nsi=nsi(5001)), CLIENT)
        self.assertEqual(bench.introduce(nsi=nsi(6000)), NOTIFY_OK)
        self.assertIsNone(bench.stack.connections.find(nsi(5001)))
        self.assertEqual(bench.introduce(nsi=nsi(6001)), NOTIFY_BUSY_MICRO)

    def test_a_used_number_is_a_whole_one(self):
        """Numbers that only share octets with used ones are new."""
        bench = self.bench
        for number in (b"\x01\x02\x03\x04", b"\x05\x06\x07\x08", b"\x03\x04\x05\x06"):
            self.assertEqual(bench.introduce(nsi=number), NOTIFY_OK)

    def test_a_refused_introduction_costs_nobody_a_slot(self):
        bench = self.bench
        for i in range(3):
            bench.connect_local(bytes((192, 168, 1, i + 1, 4, 1)), cp=0x1000 + i)
        bench.app.allow = False
        self.assertEqual(bench.introduce(), NOTIFY_CP_ACCESS)
        self.assertEqual(len([slot for slot in bench.stack.connections.slots if slot is not None]), 3)


class KeyTest(unittest.TestCase):
    """No connection without the attachment's keys, whatever is tried (core 14 rows 3, 4, 18, 20)."""

    def test_what_is_not_sealed_under_the_attachments_keys_is_an_encryption_mismatch(self):
        bench = Bench()
        bench.attach()
        ipx = (PL_IPX, build_ipx(flags=IPX_NO_RENDEZVOUS, sp=NSI))
        good = bench.introduction()
        cases = (
            ("no CRYPTO", encode(PT_U_CONNECT, (ipx,), sp=GSP_NSI)),
            ("null suite", encode(PT_U_CONNECT, (ipx,), sp=GSP_NSI, context=bench.clear, plaintext=MATERIAL)),
            ("wrong keys", bench.introduction(keys=bench.keys)),
            ("wrong MAC", good[:-1] + bytes((good[-1] ^ 1,))),
            ("too little", bench.introduction(material=MATERIAL[:64])),
            ("too much", bench.introduction(material=MATERIAL + b"x")),
            ("nothing", bench.introduction(material=b"")),
        )
        for name, octets in cases:
            with self.subTest(name=name):
                self.assertEqual(notify_code(bench.deliver(REMOTE, octets, GSP)), NOTIFY_ENCR_MISMATCH)
                self.assertFalse(bench.stack.connections.any_open())

    def test_nothing_is_accepted_before_the_attachment_stands(self):
        attached = Bench()
        attached.attach()
        octets = attached.introduction()
        bench = Bench()
        for step in (bench.start, bench.direct):
            step()
            bench.port.take()
            self.assertEqual(bench.deliver(REMOTE, octets, GSP), [])


class LocalTest(unittest.TestCase):
    def setUp(self):
        self.bench = Bench(connections=6, connections_per_source=4)
        self.bench.start()
        self.bench.port.take()

    def test_a_client_is_let_in_with_a_number_of_the_devices(self):
        bench = self.bench
        sent = bench.deliver(LOCAL, bench.local_request(cp=0x12345678, fingerprint=FINGERPRINT), LAN_CLIENT)
        self.assertEqual([(socket, to) for socket, to, _ in sent], [(LOCAL, LAN_CLIENT)])
        answer = decode(sent[0][2])
        self.assertEqual((answer.cp, answer.sp, answer.flags, answer.first), (nsi(0x12345678), NSI_ZERO, 1, PL_NOTIFY))
        self.assertEqual(parse_capability(answer.get(PL_CAPABILITY)), (0x083C, 0x0B3C, ()))
        code, number = parse_notify(answer.get(PL_NOTIFY))
        self.assertEqual(code, NOTIFY_OK)
        self.assertTrue(100 <= int.from_bytes(number, "big") <= 1000)
        connection = bench.stack.connections.find(number)
        self.assertEqual((connection.fingerprint, connection.client_id), (FINGERPRINT, b"local@example.org"))
        self.assertTrue(connection.is_local)
        self.assertFalse(connection.is_authentic)

    def test_a_host_with_its_share_gives_up_its_own(self):
        bench = self.bench
        neighbour = bench.connect_local(b"\xc0\xa8\x01\x15\x04\x01")
        numbers = [bench.connect_local() for _ in range(bench.config.connections_per_source + 1)]
        self.assertIsNotNone(bench.stack.connections.find(neighbour))
        self.assertIsNone(bench.stack.connections.find(numbers[0]))
        self.assertIsNotNone(bench.stack.connections.find(numbers[1]))

    def test_every_request_without_an_nsi_makes_another_connection(self):
        self.assertNotEqual(self.bench.connect_local(), self.bench.connect_local())

    def test_a_request_with_an_nsi_of_its_own_may_be_repeated(self):
        bench = self.bench
        for _ in range(3):
            self.assertEqual(bench.connect_local(sp=nsi(5000)), nsi(5000))
        self.assertEqual(len([slot for slot in bench.stack.connections.slots if slot is not None]), 1)
        self.assertEqual(bench.deliver(LOCAL, bench.local_request(sp=nsi(5000)), LAN_CLIENT[:4] + b"\x01\x01"), [])

    def test_numbers_of_the_devices_cannot_be_asked_for(self):
        for number in (0, 100, 1000):
            with self.subTest(number=number):
                self.assertEqual(self.bench.deliver(LOCAL, self.bench.local_request(sp=nsi(number)), LAN_CLIENT), [])

    def test_numbers_count_up_wrap_and_skip_those_in_use(self):
        connections = Connections(self.bench.config, lambda n: (900).to_bytes(2, "big"))

        class Open:
            nsi = nsi(100)

        connections.slots[0] = Open()
        self.assertEqual([connections.new_nsi() for _ in range(3)], [nsi(1000), nsi(101), nsi(102)])

    def test_the_first_number_is_random_within_100_to_1000(self):
        for seed, first in ((0, 100), (900, 1000), (901, 100), (0xFFFF, 100 + 0xFFFF % 901)):
            with self.subTest(seed=seed):
                connections = Connections(self.bench.config, lambda n, seed=seed: seed.to_bytes(2, "big"))
                self.assertEqual(connections.new_nsi(), nsi(first))

    def test_the_application_may_refuse(self):
        self.bench.app.allow = False
        sent = self.bench.deliver(LOCAL, self.bench.local_request(), LAN_CLIENT)
        self.assertEqual(notify_code(sent), NOTIFY_CP_ACCESS)
        self.assertFalse(self.bench.stack.connections.any_open())

    def test_requests_that_get_no_answer(self):
        bench = self.bench
        good = bench.local_request()
        number = bench.connect_local()
        flagged = bytearray(good)
        flagged[11] = FL_RESPONSE
        late_ipx = ((PL_CP_ID, b"\x01a"), (PL_IPX, build_ipx()))
        cases = (
            ("a response", bytes(flagged), LAN_CLIENT),
            ("IPX not first", encode(PT_U_CONNECT, late_ipx, cp=nsi(9999)), LAN_CLIENT),
            ("a short IPX", encode(PT_U_CONNECT, ((PL_IPX, bytes(12)),), cp=nsi(9999)), LAN_CLIENT),
            ("no payload", encode(PT_U_CONNECT, cp=nsi(9999)), LAN_CLIENT),
            ("from afar", good, STRANGER),
            ("an open connection's NSI", bench.local_request(cp=int.from_bytes(number, "big")), LAN_CLIENT),
        )
        for name, octets, source in cases:
            with self.subTest(name=name):
                self.assertEqual(bench.deliver(LOCAL, octets, source), [])

    def test_the_remote_socket_takes_none(self):
        self.assertEqual(self.bench.deliver(REMOTE, self.bench.local_request(), LAN_CLIENT), [])

    def test_clear_connections_can_be_switched_off(self):
        bench = Bench(local_clear=False)
        self.assertEqual(bench.deliver(LOCAL, bench.local_request(), LAN_CLIENT), [])


if __name__ == "__main__":
    unittest.main()
