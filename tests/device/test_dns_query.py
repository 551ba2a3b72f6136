"""Questions to a name server: what is asked, which answers count, and what they say."""

import unittest

from homeport_core.errors import MalformedError
from homeport_device.dns_query import ANSWER_MAX, DnsQuery

FIRST, SECOND = b"\xc0\x00\x02\x07", b"\xc0\x00\x02\x08"
NAME = b"\x03hub\x07example\x03org\x00"
POINTER = b"\xc0\x0c"


def record(data, kind=b"\x00\x01\x00\x01", name=POINTER, length=None):
    length = len(data) if length is None else length
    return name + kind + b"\x00\x00\x0e\x10" + length.to_bytes(2, "big") + data


def answer(*records, number=b"\x12\x34", flags=b"\x81\x80", question=NAME + b"\x00\x01\x00\x01", count=None):
    count = len(records) if count is None else count
    return number + flags + b"\x00\x01" + count.to_bytes(2, "big") + bytes(4) + question + b"".join(records)


class DnsQueryTest(unittest.TestCase):
    def setUp(self):
        self.query = DnsQuery("hub.example.org", lambda n: b"\x12\x34"[:n])

    def test_it_asks_for_addresses_of_the_name(self):
        self.assertEqual(self.query.octets, b"\x12\x34\x01\x00\x00\x01" + bytes(6) + NAME + b"\x00\x01\x00\x01")

    def test_what_is_no_name_cannot_be_asked_for(self):
        for name in ("", ".", "a..b", "a" * 64, "a." * 127, "\u00e4.example"):
            with self.subTest(name=name):
                with self.assertRaises(MalformedError):
                    DnsQuery(name, bytes)

    def test_addresses_are_taken_in_their_order(self):
        self.assertEqual(self.query.addresses(answer(record(FIRST), record(SECOND))), [FIRST, SECOND])

    def test_aliases_and_foreign_records_are_passed_over(self):
        alias = record(b"\x01a\xc0\x10", kind=b"\x00\x05\x00\x01")
        wide = record(bytes(16), kind=b"\x00\x1c\x00\x01")
        chaos = record(SECOND, kind=b"\x00\x01\x00\x03")
        spelt = record(FIRST, name=b"\x01a\x07example\x03org\x00")
        self.assertEqual(self.query.addresses(answer(alias, wide, chaos, spelt)), [FIRST])

    def test_the_name_may_come_back_in_other_letters(self):
        question = NAME.replace(b"hub", b"HuB") + b"\x00\x01\x00\x01"
        self.assertEqual(self.query.addresses(answer(record(FIRST), question=question)), [FIRST])

    def test_no_such_name_is_an_answer(self):
        self.assertEqual(self.query.addresses(answer(flags=b"\x81\x83")), [])
        self.assertEqual(self.query.addresses(answer()), [])

    def test_at_most_six_addresses_are_taken(self):
        self.assertEqual(len(self.query.addresses(answer(*[record(FIRST)] * 20))), 6)

    def test_what_is_no_answer_to_this_is_waited_past(self):
        good = record(FIRST)
        cases = {
            "another number": answer(good, number=b"\x12\x35"),
            "a question": answer(good, flags=b"\x01\x00"),
            "another kind of answer": answer(good, flags=b"\xa9\x80"),
            "another name": answer(good, question=NAME.replace(b"hub", b"hob") + b"\x00\x01\x00\x01"),
            "another type": answer(good, question=NAME + b"\x00\x1c\x00\x01"),
            "more records than there are": answer(good, count=2),
            "a record cut short": answer(record(FIRST, length=40)),
            "too long": answer(record(bytes(ANSWER_MAX))),
        }
        for name, octets in cases.items():
            with self.subTest(case=name):
                self.assertIsNone(self.query.addresses(octets))

    def test_no_truncation_is_an_answer(self):
        whole = answer(record(FIRST), record(SECOND))
        for n in range(len(whole)):
            self.assertIsNone(self.query.addresses(whole[:n]))


if __name__ == "__main__":
    unittest.main()
