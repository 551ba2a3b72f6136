"""Header and payload chain: what is accepted, what is refused (core 1.2, 1.3, 1.6, 14 rows 5 and 20)."""

import unittest

import vector_files as vectors
from homeport_core import spec
from homeport_core.errors import FullError, MalformedError
from homeport_core.packet import Packet, PacketWriter, encode
from vector_files import unhex

INVITE = unhex(
    "000000000000000080020000000000413a00001a00050000000400000006000000002d616c7068612e30"
    "3100001702646576312e752e6578616d706c652e6f7267"
)


def decode(octets):
    packet = Packet()
    packet.decode_from(octets)
    return packet


def with_length(octets):
    octets = bytearray(octets)
    octets[14:16] = len(octets).to_bytes(2, "big")
    return bytes(octets)


class Decoding(unittest.TestCase):
    def test_header_fields(self):
        packet = decode(with_length(unhex("0a0b0c0d0001e24016020300006400001234")[:16]))
        self.assertEqual(packet.cp, unhex("0a0b0c0d"))
        self.assertEqual(packet.sp, unhex("0001e240"))
        fields = (packet.type, packet.version, packet.retrans, packet.flags, packet.seq, packet.tag, packet.co)
        self.assertEqual(fields, (22, 2, 3, 0, 100, None, b""))
        self.assertEqual((packet.first, packet.crypto_off), (0, -1))

    def test_tag_and_controller_nsi_come_before_the_payloads(self):
        octets = with_length(unhex("0000000000000001160200c000000000112233445566778810003400000800000001"))
        packet = decode(octets)
        self.assertEqual((packet.co, packet.tag, packet.first), (unhex("1122334455667788"), 0x1000, spec.PL_NOTIFY))

    def test_an_explicit_tag_zero_differs_from_no_tag(self):
        self.assertEqual(decode(with_length(unhex("00000000000000011602004000000000" + "0000"))).tag, 0)

    def test_payloads_are_found_by_type_first_match_wins(self):
        packet = decode(INVITE)
        self.assertEqual(packet.get(spec.PL_SP_ID), b"\x02dev1.u.example.org")
        self.assertEqual(packet.get(spec.PL_NONCE), None)
        twice = decode(encode(spec.PT_STATS, [(spec.PL_STATS, b"\x01"), (spec.PL_STATS, b"\x02")]))
        self.assertEqual(twice.get(spec.PL_STATS), b"\x01")

    def test_unknown_types_and_flags_are_skipped_not_refused(self):
        writer = PacketWriter(bytearray(64))
        writer.begin(spec.PT_U_ALIVE)
        writer.add(0x7E, b"new")
        writer.add(spec.PL_EP, b"\x01\x02\x03\x04\x05\x06", spec.PLF_OPTIONAL)
        writer.finish()
        self.assertEqual(decode(writer.bytes()).get(spec.PL_EP), b"\x01\x02\x03\x04\x05\x06")

    def test_decode_uses_only_the_given_size_of_a_larger_buffer(self):
        packet = Packet()
        packet.decode_from(bytearray(INVITE + bytes(100)), len(INVITE))
        self.assertEqual(packet.n, len(INVITE))


class BrokenReset(unittest.TestCase):
    """The reference's RST, whose WINDOW claims the first octets of CRYPTO (field notes, "Streams")."""

    def test_the_overlap_belongs_to_the_window_before_crypto_alone(self):
        window = bytes((0x20, 1)) + bytes(12)
        writer = PacketWriter(bytearray(128))
        writer.begin(spec.PT_DATA)
        writer.add(spec.PL_WINDOW, window + b"\xff\xff\xff\xff")
        writer.add(spec.PL_WINDOW, window + b"\x36\x00\x00\x08")
        writer.n -= 4
        writer.add(spec.PL_CRYPTO, b"\x23\x0a\x00\x00")
        writer.finish()
        packet = decode(writer.bytes())
        self.assertEqual(
            [(kind, len(data)) for kind, _, data in packet.payloads()], [(0x3D, 18), (0x3D, 18), (0x36, 4)]
        )
        self.assertEqual(packet.find(spec.PL_CRYPTO), packet.crypto_off)


class Refusing(unittest.TestCase):
    def refused(self, octets):
        with self.assertRaises(MalformedError):
            decode(octets)

    def test_every_cut(self):
        for i in range(len(INVITE)):
            with self.subTest(i):
                self.refused(INVITE[:i])
                if i >= spec.HEADER_LEN and i not in (16, 42):
                    self.refused(with_length(INVITE[:i]))

    def test_every_tail(self):
        for tail in (b"\x00", bytes(3), bytes(4), INVITE):
            self.refused(INVITE + tail)

    def test_payload_lengths_that_do_not_fit(self):
        for size in (0, 1, 2, 3, 27, 0x7FFF, 0xFFFF):
            with self.subTest(size):
                octets = bytearray(INVITE)
                octets[18:20] = size.to_bytes(2, "big")
                self.refused(bytes(octets))

    def test_a_length_field_other_than_the_datagram_size(self):
        for size in (0, 1, 15, 16, 64, 66, 0xFFFF):
            octets = bytearray(INVITE)
            octets[14:16] = size.to_bytes(2, "big")
            self.refused(bytes(octets))

    def test_anything_behind_crypto(self):
        self.refused(encode(spec.PT_DATA, [(spec.PL_CRYPTO, bytes(20)), (spec.PL_EP, bytes(6))]))

    def test_crypto_too_short_for_a_suite_code(self):
        self.refused(encode(spec.PT_DATA, [(spec.PL_CRYPTO, b"\x00")]))

    def test_header_options_that_are_cut_off(self):
        for flags, n in ((0x80, 16), (0x80, 23), (0x40, 16), (0x40, 17), (0xC0, 24), (0xC0, 25)):
            octets = bytearray(n)
            octets[11] = flags
            self.refused(with_length(octets))

    def test_the_error_says_where(self):
        octets = bytearray(INVITE)
        octets[19] = 3
        try:
            decode(bytes(octets))
            self.fail("accepted")
        except MalformedError as error:
            self.assertEqual(error.detail, 18)

    def test_damage_never_raises_anything_else(self):
        for name in ("secure_attach", "local_psk", "stream_echo", "push"):
            for datagram in vectors.capture(name)["datagrams"][:8]:
                for _, octets in vectors.damaged(unhex(datagram["hex"])):
                    try:
                        packet = decode(octets)
                    except MalformedError:
                        continue
                    packet.payloads()
                    packet.find(0x100)


class Encoding(unittest.TestCase):
    def test_a_full_buffer_is_an_error_not_a_longer_packet(self):
        writer = PacketWriter(bytearray(30))
        writer.begin(spec.PT_U_ALIVE)
        writer.add(spec.PL_NOTIFY, bytes(4))
        with self.assertRaises(FullError):
            writer.add(spec.PL_NOTIFY, bytes(4))
        self.assertEqual(writer.finish(), 24)

    def test_a_reply_has_the_header_of_its_request(self):
        octets = with_length(unhex("0a0b0c0d0001e240160001c00064000011223344556677880003"))
        writer = PacketWriter(bytearray(64))
        writer.reply_to(decode(octets), spec.FL_RESPONSE)
        writer.finish()
        expected = bytearray(octets)
        expected[11] |= spec.FL_RESPONSE
        self.assertEqual(writer.bytes(), bytes(expected))

    def test_flags_for_tag_and_controller_nsi_follow_from_the_fields(self):
        writer = PacketWriter(bytearray(32))
        writer.begin(spec.PT_DATA, flags=0xFF)
        writer.finish()
        self.assertEqual(writer.buf[11], 0x3F)


if __name__ == "__main__":
    unittest.main()
