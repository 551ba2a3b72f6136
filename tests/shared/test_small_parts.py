"""Ticks, replay memory and the legacy header."""

import unittest

import vector_files as vectors
from homeport_core import legacy, ticks
from homeport_core.errors import MalformedError
from homeport_core.replay import MacCache
from vector_files import unhex


class Ticks(unittest.TestCase):
    def test_differences_hold_across_the_wrap(self):
        for start in (0, 1, 12345, ticks.PERIOD - 1, ticks.PERIOD - 500, ticks.PERIOD // 2):
            for delta in (0, 1, 999, 65000, -1, -5000):
                later = ticks.add(start, delta)
                self.assertTrue(0 <= later < ticks.PERIOD)
                self.assertEqual(ticks.diff(later, start), delta)
                self.assertEqual(ticks.diff(start, later), -delta)


class Replay(unittest.TestCase):
    def test_what_was_added_is_seen_until_size_others_came(self):
        cache = MacCache(4)
        macs = [bytes((i,)) * 16 for i in range(1, 7)]
        for mac in macs:
            self.assertFalse(cache.seen(mac))
            cache.add(mac)
            self.assertTrue(cache.seen(mac))
        self.assertEqual([cache.seen(mac) for mac in macs], [False, False, True, True, True, True])

    def test_octets_across_two_entries_are_no_match(self):
        cache = MacCache(2)
        cache.add(b"abcd")
        cache.add(b"efgh")
        self.assertFalse(cache.seen(b"cdef"))

    def test_zeros_are_not_seen_before_they_came(self):
        cache = MacCache(2)
        self.assertFalse(cache.seen(bytes(16)))
        cache.add(bytes(16))
        self.assertTrue(cache.seen(bytes(16)))

    def test_clear_forgets(self):
        cache = MacCache(2)
        cache.add(b"abcdefgh")
        cache.clear()
        self.assertFalse(cache.seen(b"abcdefgh"))


class Legacy(unittest.TestCase):
    def test_first_word_decides(self):
        self.assertTrue(legacy.is_legacy(unhex("00000001")))
        self.assertTrue(legacy.is_legacy(unhex("00000063")))
        for text in ("00000064", "00000100", "00010000", "ffffffff", "0000", ""):
            self.assertFalse(legacy.is_legacy(unhex(text)))

    def test_stray_octets_of_the_reference_are_left_out(self):
        answer = vectors.capture("local_discovery")["datagrams"][1]["hex"]
        _, echo, body, error = legacy.parse_response(unhex(answer))
        endpoint, items = legacy.parse_discovery_body(body)
        self.assertEqual((echo, error, endpoint), (unhex("1122334400000000"), False, unhex("000000003cd2")))
        self.assertEqual(items[0], (1, b"dev1.u.example.org"))
        self.assertEqual(legacy.find_names(items), (b"dev1.u.example.org", b"", b""))
        self.assertEqual([kind for kind, text in items if text == b"1"], [4, 6, 5])

    def test_clean_form_there_and_back(self):
        items = [(1, b"dev1"), (1, b"1.0"), (2, b"-"), (4, b"1")]
        body = legacy.build_discovery_body(unhex("0000000015c2"), items)
        self.assertEqual(legacy.parse_discovery_body(body), (unhex("0000000015c2"), items))
        self.assertEqual(legacy.find_names(items), (b"dev1", b"1.0", b""))

    def test_damage_is_refused_or_read_but_never_breaks(self):
        good = unhex(vectors.capture("local_discovery")["datagrams"][1]["hex"])
        for name, octets in vectors.damaged(good):
            with self.subTest(name):
                try:
                    legacy.parse_discovery_body(legacy.parse_response(octets)[2])
                except MalformedError:
                    pass
        for name, octets in vectors.damaged(legacy.build_discovery(b"dev1")):
            with self.subTest(name):
                try:
                    legacy.parse_discovery(legacy.parse_request(octets)[2])
                except MalformedError:
                    pass

    def test_a_request_without_nul_is_no_discovery(self):
        self.assertRaises(MalformedError, legacy.parse_discovery, b"dev1")


if __name__ == "__main__":
    unittest.main()
