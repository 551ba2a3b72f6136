"""Payload codecs beyond what the captures show (core 2)."""

import unittest

import vector_files as vectors
from homeport_core import catalogue, payloads
from homeport_core.errors import MalformedError
from homeport_core.spec import NAT_SYMMETRIC
from vector_files import unhex

EP = b"\x7f\x00\x00\x01\x15\xba"
PARSERS = (
    (payloads.parse_id, b"\x01name"),
    (payloads.parse_notify, b"\x00\x00\x00\x01\x00\x00\x13\x89"),
    (payloads.parse_ipx, EP + EP + b"\xa0" + bytes(16)),
    (payloads.parse_version, payloads.build_version(5, 4, 6, 0, b"-alpha.0")),
    (payloads.parse_capability, payloads.build_capability(0x838, 0xB3C, (0x230A, 0x000A))),
    (payloads.parse_gw, EP + b"\x00\x00\x00\x01" + bytes(range(20))),
    (payloads.parse_time, b"\x01\x65\x00\x00\x00"),
    (payloads.parse_piggy, bytes(4) + b"event"),
    (payloads.parse_push, payloads.build_push(1, 2, 0x10)),
    (payloads.parse_items, payloads.build_items(((1, b"\x02"), (2, bytes(4))))),
    (payloads.parse_rendezvous_stats, payloads.build_rendezvous_stats(1, 0, NAT_SYMMETRIC, 10, 1)),
    (payloads.parse_attach_stats, b"\x01\x09\x01"),
    (payloads.parse_fp, b"\x01" + bytes(range(16))),
    (catalogue.parse_window, unhex("80010001000000000000000000000003" + "04df000804df0008000c03e8")),
    (catalogue.parse_sack, bytes(range(32))),
    (catalogue.parse_gateway_nonce, bytes(range(38))),
    (catalogue.parse_gwws, b"\x00\x04host" + bytes(24)),
    (catalogue.parse_ping, bytes(range(20))),
    (catalogue.parse_syslog_config, bytes(12) + b"\x00\x06*.info\x00\x01h"),
    (catalogue.parse_stats, b"\x07"),
    (catalogue.parse_connect_stats, b"\x01\x02"),
    (catalogue.parse_connection_stats, bytes(21)),
    (catalogue.parse_push_data, b"\x01\x01{}"),
    (catalogue.parse_basestation_auth, b"\x00\x01k\x00\x01v"),
    (catalogue.parse_verify, unhex("ababababababababab0014eb")),
)


class Parsers(unittest.TestCase):
    def test_each_accepts_its_example(self):
        for parse, good in PARSERS:
            parse(good)

    def test_each_survives_every_damage(self):
        for parse, good in PARSERS:
            for name, octets in vectors.damaged(good) + [("empty", b""), ("one", b"\xff"), ("huge", b"\xff" * 1300)]:
                with self.subTest("%s %s" % (parse, name)):
                    try:
                        parse(octets)
                    except MalformedError:
                        pass


class Values(unittest.TestCase):
    def test_ipx_variants_are_told_by_length(self):
        for sp, co, cp in ((b"", b"", b""), (b"abcd", b"", b""), (b"abcd", b"12345678", b"wxyz")):
            ipx = payloads.parse_ipx(payloads.build_ipx(EP, EP, 0xA7, sp, co, cp))
            self.assertEqual((ipx.private, ipx.global_, ipx.flags), (EP, EP, 0xA7))
            self.assertEqual((ipx.sp, ipx.co, ipx.cp), (sp, co, cp))

    def test_version_without_patch_has_no_label(self):
        version = payloads.parse_version(payloads.build_version(3, 1, 2))
        self.assertEqual(
            (version.kind, version.major, version.minor, version.patch, version.label), (3, 1, 2, None, b"")
        )

    def test_fingerprints_of_another_kind_or_size_are_ignored(self):
        for data in (b"", b"\x02" + bytes(16), b"\x01" + bytes(15), b"\x01" + bytes(17)):
            self.assertEqual(payloads.parse_fp(data), None)

    def test_capability_that_promises_more_suites_than_it_holds(self):
        self.assertRaises(
            MalformedError, payloads.parse_capability, payloads.build_capability(0, 0) + b"\x00\x02\x23\x0a"
        )

    def test_verify_sums_are_written_with_a_zero_octet_and_read_without(self):
        self.assertEqual(catalogue.build_verify(0x14EB, 0xAB), unhex("ababababababababab0014eb"))
        self.assertEqual(catalogue.build_verify(0x22E4, 0xCD), unhex("cdcdcdcdcdcdcdcdcd0022e4"))
        self.assertEqual(catalogue.parse_verify(unhex("abababababababababab14eb")), 0x14EB)

    def test_every_host_codec_goes_there_and_back(self):
        pairs = (
            (catalogue.parse_gwws, catalogue.build_gwws, PARSERS[16][1]),
            (catalogue.parse_ping, catalogue.build_ping, PARSERS[17][1]),
            (catalogue.parse_syslog_config, catalogue.build_syslog_config, PARSERS[18][1]),
            (catalogue.parse_connection_stats, catalogue.build_connection_stats, bytes(range(21))),
            (catalogue.parse_basestation_auth, catalogue.build_basestation_auth, b"\x00\x01k\x00\x01v"),
        )
        for parse, build, octets in pairs:
            with self.subTest(str(parse)):
                self.assertEqual(build(parse(octets)), octets)
        self.assertEqual(catalogue.build_connect_stats(*catalogue.parse_connect_stats(b"\x01\x02")), b"\x01\x02")
        self.assertEqual(catalogue.build_push_data(*catalogue.parse_push_data(b"\x01\x01{}")), b"\x01\x01{}")

    def test_push_data_vectors(self):
        for vector in vectors.load("vectors-acl.json")["push_data_payloads"]:
            if "hex" not in vector:
                continue  # results of refused calls, without packets
            octets = unhex(vector["hex"])
            static_len = octets[2] << 8 | octets[3]
            purpose, encoding, data = catalogue.parse_push_data(octets[4:static_len])
            self.assertEqual((purpose, encoding, data), (1, 1, vector["static_json"].encode()))


if __name__ == "__main__":
    unittest.main()
