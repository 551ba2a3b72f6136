"""Parameters of requests: reader, writer and declared fields (application 2.3, 3.1)."""

import unittest

import vector_files as vectors
from homeport_core.errors import FullError, MalformedError
from homeport_core.rpc import (
    DOUBLE,
    FLOAT,
    HEX,
    INT8,
    INT16,
    INT32,
    RAW,
    UINT8,
    UINT16,
    UINT32,
    Reader,
    Writer,
    decode_fields,
    encode_fields,
)
from vector_files import unhex

ACL = vectors.load("vectors-acl.json")
KINDS = {"u8": UINT8, "u16": UINT16, "u32": UINT32, "i8": INT8, "i16": INT16, "i32": INT32}


def perform(writer, op):
    name, _, value = op.partition("=")
    if name == "raw":
        writer.write_raw(unhex(value))
    else:
        writer.write_number(KINDS[name], int(value))


def perform_read(reader, op):
    if op == "raw":
        return reader.read_raw()
    if op == "ll":
        return reader.read_count()
    return reader.read_number(KINDS[op])


class Reading(unittest.TestCase):
    def test_reader_vectors(self):
        for vector in ACL["query_reader_vectors"]:
            reader = Reader(unhex(vector["input_hex"]))
            for op, expected in zip(vector["ops"], vector["results"]):
                with self.subTest(vector["label"] + " " + op):
                    if expected["ok"]:
                        value = perform_read(reader, op)
                        shown = value.hex() if op == "raw" else str(value)
                        self.assertEqual(shown, expected["value"])
                    else:
                        self.assertRaises(MalformedError, perform_read, reader, op)

    def test_reader_stays_within_its_part_of_the_buffer(self):
        reader = Reader(b"\x01\x02\x03\x04", 1, 2)
        self.assertEqual(reader.read_number(UINT16), 0x0203)
        self.assertRaises(MalformedError, reader.read_number, UINT8)


class Writing(unittest.TestCase):
    def test_overflow_vectors(self):
        for vector in ACL["query_writer_overflow_vectors"]:
            buf = bytearray(vector["capacity"])
            writer = Writer(buf)
            for op, fits in zip(vector["ops"], vector["ok"]):
                if fits:
                    perform(writer, op)
                else:
                    self.assertRaises(FullError, perform, writer, op)
            with self.subTest(vector["label"]):
                self.assertEqual(bytes(buf[: writer.size()]).hex(), vector["written_hex"])

    def test_every_encoding_vector(self):
        for vector in ACL["query_encodings"]:
            buf = bytearray(1000)
            writer = Writer(buf)
            marks = []
            for field in vector["fields"]:
                if field == "ls":
                    marks.append(writer.start_list())
                elif field.startswith("le="):
                    writer.end_list(marks.pop(), int(field[3:]))
                else:
                    perform(writer, field)
            with self.subTest(vector["label"] + " " + vector["direction"]):
                expected = vector["params_hex"] if vector["direction"] == "request" else vector["payload_hex"]
                self.assertEqual(bytes(buf[: writer.size()]).hex(), expected)


class Fields(unittest.TestCase):
    FIELDS = (
        ("a", UINT8), ("b", INT8), ("c", UINT16), ("d", INT16), ("e", UINT32), ("f", INT32), ("g", RAW), ("h", HEX),
        ("i", (("j", UINT8), ("k", (("l", RAW),)))), ("m", FLOAT), ("n", DOUBLE),
    )  # fmt: skip
    VALUES = [
        255, -128, 65535, -32768, 4294967295, -2147483648, b"text", b"\x00\xff",
        [[1, [[b"x"], [b""]]], [2, []]], 0.5, -2.25,
    ]  # fmt: skip

    def encoded(self):
        writer = Writer(bytearray(200))
        encode_fields(self.FIELDS, self.VALUES, writer)
        return bytes(writer.buf[: writer.size()])

    def test_every_type_there_and_back(self):
        self.assertEqual(decode_fields(self.FIELDS, Reader(self.encoded())), self.VALUES)

    def test_every_cut_is_refused(self):
        octets = self.encoded()
        for i in range(len(octets)):
            with self.subTest(i):
                self.assertRaises(MalformedError, decode_fields, self.FIELDS, Reader(octets[:i]))

    def test_a_response_that_does_not_fit_is_an_error(self):
        for capacity in range(len(self.encoded())):
            self.assertRaises(FullError, encode_fields, self.FIELDS, self.VALUES, Writer(bytearray(capacity)))

    def test_the_number_of_values_has_to_match(self):
        self.assertRaises(MalformedError, encode_fields, (("a", UINT8),), (), Writer(bytearray(8)))

    def test_a_list_that_claims_more_elements_than_octets_is_refused(self):
        self.assertRaises(MalformedError, decode_fields, (("a", (("b", UINT8),)),), Reader(b"\xff\xff\x00"))


if __name__ == "__main__":
    unittest.main()
