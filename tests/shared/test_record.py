"""The format of records in flash (docs/boards.md, "What is kept in flash")."""

import unittest
from binascii import crc32

from homeport_core.errors import ConfigError
from homeport_core.record import (
    CONFIG,
    FACTORY,
    HEADER_LEN,
    KINDS,
    REGION_LEN,
    SECRETS,
    USERS,
    capacity,
    file_name,
    is_newer,
    newest,
    pack_header,
    read_header,
    slot_file,
    slot_len,
    slot_offset,
)

PAYLOAD = b"what is kept"
FULL_USERS_LEN = 20 + 32 * 374


class Header(unittest.TestCase):
    def test_its_octets(self):
        header = pack_header(USERS, 0x01020304, 0x0A0B, 0xF0F1F2F3)
        self.assertEqual(header[:20], bytes.fromhex("48505201 02000000 01020304 00000a0b f0f1f2f3".replace(" ", "")))
        self.assertEqual(header[20:], crc32(header[:20]).to_bytes(4, "big"))
        self.assertEqual(read_header(USERS, header), (0x01020304, 0x0A0B, 0xF0F1F2F3))

    def test_one_flipped_bit_is_no_header(self):
        header = pack_header(CONFIG, 7, 100, 5)
        for bit in range(8 * HEADER_LEN):
            octets = bytearray(header)
            octets[bit // 8] ^= 1 << bit % 8
            self.assertEqual(read_header(CONFIG, bytes(octets)), None)

    def test_neither_a_part_nor_erased_nor_another_records_header(self):
        header = pack_header(CONFIG, 7, 100, 5)
        for octets in (b"", header[:-1], header + b"\x00", b"\xff" * HEADER_LEN, bytes(HEADER_LEN)):
            self.assertEqual(read_header(CONFIG, octets), None)
        self.assertEqual(read_header(SECRETS, header), None)

    def test_a_length_that_no_slot_has_is_no_header(self):
        self.assertEqual(read_header(CONFIG, pack_header(CONFIG, 1, capacity(CONFIG), 0)), (1, capacity(CONFIG), 0))
        self.assertEqual(read_header(CONFIG, pack_header(CONFIG, 1, capacity(CONFIG) + 1, 0)), None)


class Numbers(unittest.TestCase):
    def test_they_count_across_the_wrap(self):
        self.assertTrue(is_newer(2, 1))
        self.assertFalse(is_newer(1, 2))
        self.assertFalse(is_newer(1, 1))
        self.assertTrue(is_newer(0, 0xFFFFFFFF))
        self.assertFalse(is_newer(0xFFFFFFFF, 0))
        self.assertTrue(is_newer(0x7FFFFFFF, 0))

    def test_the_newer_counts_even_if_it_is_damaged(self):
        self.assertEqual(newest([(1, 0, 0), (2, 0, 0)], [True, False]), 1)
        self.assertEqual(newest([(2, 0, 0), (1, 0, 0)], [False, True]), 0)

    def test_of_two_with_the_same_number_a_whole_one_counts(self):
        self.assertEqual(newest([(1, 0, 0), (1, 0, 0)], [False, True]), 1)
        self.assertEqual(newest([(1, 0, 0), (1, 0, 0)], [True, False]), 0)
        self.assertEqual(newest([(1, 0, 0), (1, 0, 0)], [True, True]), 0)

    def test_one_header_counts_against_none(self):
        self.assertEqual(newest([None, (1, 0, 0)], [False, False]), 1)
        self.assertEqual(newest([(1, 0, 0), None], [True, False]), 0)
        self.assertEqual(newest([None, None], [False, False]), 0)


class Places(unittest.TestCase):
    def test_slots_fill_the_region_without_a_gap(self):
        at = 0
        for kind in KINDS:
            for slot in (0, 1):
                self.assertEqual(slot_offset(kind, slot), at)
                at += slot_len(kind)
        self.assertEqual(at, REGION_LEN)

    def test_a_full_list_of_users_fits(self):
        for kind in (USERS, FACTORY):
            self.assertTrue(capacity(kind) >= FULL_USERS_LEN)

    def test_names_of_files(self):
        self.assertEqual([file_name(USERS, slot) for slot in (0, 1)], ["users.0", "users.1"])


class Slot(unittest.TestCase):
    def test_its_file_is_a_header_and_the_payload(self):
        octets = slot_file(CONFIG, 3, PAYLOAD)
        self.assertEqual(read_header(CONFIG, octets[:HEADER_LEN]), (3, len(PAYLOAD), crc32(PAYLOAD)))
        self.assertEqual(octets[HEADER_LEN:], PAYLOAD)

    def test_what_is_too_long_is_refused(self):
        with self.assertRaises(ConfigError) as caught:
            slot_file(CONFIG, 1, bytes(capacity(CONFIG) + 1))
        self.assertIn("config takes 3840 octets, not 3841", str(caught.exception))


if __name__ == "__main__":
    unittest.main()
