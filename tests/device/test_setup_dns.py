"""Names on the set-up network lead to the page; what is no question gets no answer."""

import unittest

from homeport_device.setup_dns import QUERY_MAX, answer

ADDRESS = b"\xc0\xa8\x04\x01"
NAME = b"\x07captive\x05apple\x03com\x00"
A = b"\x00\x01\x00\x01"
AAAA = b"\x00\x1c\x00\x01"


def query(name=NAME, kind=A, flags=b"\x01\x00", counts=b"\x00\x01\x00\x00\x00\x00\x00\x00"):
    return b"\x12\x34" + flags + counts + name + kind


class AnswerTest(unittest.TestCase):
    def test_every_name_is_our_address(self):
        for name in (NAME, b"\x00", b"\x3f" + b"a" * 63 + b"\x00"):
            expected = b"\x12\x34\x85\x80\x00\x01\x00\x01\x00\x00\x00\x00" + name + A
            expected += b"\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x00\x00\x04" + ADDRESS
            self.assertEqual(answer(query(name), ADDRESS), expected)

    def test_other_types_have_no_answer_so_that_phones_go_on_with_the_address(self):
        expected = b"\x12\x34\x85\x80\x00\x01\x00\x00\x00\x00\x00\x00" + NAME + AAAA
        self.assertEqual(answer(query(kind=AAAA), ADDRESS), expected)

    def test_what_follows_the_question_is_ignored(self):
        extended = query(counts=b"\x00\x01\x00\x00\x00\x00\x00\x01") + b"\x00\x00\x29\x05\xc0" + bytes(6)
        self.assertEqual(answer(extended, ADDRESS), answer(query(), ADDRESS))

    def test_what_is_no_question_gets_no_answer(self):
        cases = {
            "a response": query(flags=b"\x81\x80"),
            "an update": query(flags=b"\x28\x00"),
            "no question": query(counts=bytes(8)),
            "two questions": query(counts=b"\x00\x02\x00\x00\x00\x00\x00\x00"),
            "an answer in it": query(counts=b"\x00\x01\x00\x01\x00\x00\x00\x00"),
            "a compressed name": query(name=b"\xc0\x0c"),
            "a label too long": query(name=b"\x40" + b"a" * 64 + b"\x00"),
            "a name too long": query(name=(b"\x3f" + b"a" * 63) * 5 + b"\x00"),
            "longer than a datagram": query() + bytes(QUERY_MAX),
        }
        for name, octets in cases.items():
            with self.subTest(case=name):
                self.assertIsNone(answer(octets, ADDRESS))

    def test_no_truncation_is_answered(self):
        whole = query()
        for n in range(len(whole)):
            self.assertIsNone(answer(whole[:n], ADDRESS))

    def test_an_answer_is_little_longer_than_its_question(self):
        self.assertEqual(len(answer(query(), ADDRESS)) - len(query()), 16)


if __name__ == "__main__":
    unittest.main()
