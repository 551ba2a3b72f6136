"""Parameters of a request: packed big-endian, no types on the wire (specification, core 7.2; application 2.3, 3.1).

A field is `(name, TYPE)`, or `(name, (field, …))` for a list of elements that each hold those fields.
"""

import struct

from homeport_core.compat import const
from homeport_core.errors import FullError, MalformedError

UINT8 = const(1)
INT8 = const(2)
UINT16 = const(3)
INT16 = const(4)
UINT32 = const(5)
INT32 = const(6)
FLOAT = const(7)
DOUBLE = const(8)
RAW = const(9)
HEX = const(10)  # raw on the wire; people read and write it as hex digits

_FORMATS = ("", ">B", ">b", ">H", ">h", ">I", ">i", ">f", ">d")


class Reader:
    """A cursor over `buf[off : off + n]`. Every `read_…` raises MalformedError when too little is left."""

    __slots__ = ("buf", "end", "off", "start")

    def __init__(self, buf: bytes | bytearray, off: int = 0, n: int = -1) -> None:
        self.buf = buf
        self.off = self.start = off
        self.end = len(buf) if n < 0 else off + n

    def remaining(self) -> int:
        """Octets not read yet."""
        return self.end - self.off

    def rewind(self) -> None:
        """Back to the first octet."""
        self.off = self.start

    def read_number(self, kind: int) -> int:
        """An integer, or a float for FLOAT and DOUBLE (then not an int). Too few octets: nothing is consumed."""
        code = _FORMATS[kind]
        size = struct.calcsize(code)
        if self.off + size > self.end:
            raise MalformedError("parameter missing", self.off - self.start)
        value = struct.unpack_from(code, self.buf, self.off)[0]
        self.off += size
        return value

    def read_raw(self) -> bytes:
        """A u16 length and its octets, copied. Too few octets: the length is consumed, as in the reference."""
        size = self.read_number(UINT16)
        if self.off + size > self.end:
            raise MalformedError("raw parameter cut off", self.off - self.start)
        value = bytes(self.buf[self.off : self.off + size])
        self.off += size
        return value

    def read_count(self) -> int:
        """The number of elements of a list; refused when larger than the number of octets left."""
        count = self.read_number(UINT16)
        if count > self.end - self.off:
            raise MalformedError("list cut off", self.off - self.start)
        return count


class Writer:
    """A cursor that fills `buf[off : off + capacity]`. Raises FullError, with nothing written, past the end."""

    __slots__ = ("buf", "end", "off", "start")

    def __init__(self, buf: bytearray, off: int = 0, capacity: int = -1) -> None:
        self.buf = buf
        self.off = self.start = off
        self.end = len(buf) if capacity < 0 else off + capacity

    def size(self) -> int:
        """Octets written."""
        return self.off - self.start

    def remaining(self) -> int:
        """Octets still free."""
        return self.end - self.off

    def rewind(self) -> None:
        """Forget what was written."""
        self.off = self.start

    def write_number(self, kind: int, value: int) -> None:
        """An integer (or a float for FLOAT and DOUBLE), cut to its size as the reference does."""
        code = _FORMATS[kind]
        size = struct.calcsize(code)
        if self.off + size > self.end:
            raise FullError("response too large", size)
        if kind < FLOAT:
            value &= (1 << (8 * size)) - 1
            code = _FORMATS[kind - 1 | 1]  # the unsigned one of that size
        struct.pack_into(code, self.buf, self.off, value)
        self.off += size

    def write_raw(self, value: bytes | bytearray | memoryview) -> None:
        """A u16 length and the octets; all or nothing."""
        size = len(value)
        if self.off + 2 + size > self.end or size > 0xFFFF:
            raise FullError("response too large", size)
        self.write_number(UINT16, size)
        self.buf[self.off : self.off + size] = value
        self.off += size

    def start_list(self) -> int:
        """Reserve the element count; returns the mark for `end_list`."""
        mark = self.off
        self.write_number(UINT16, 0)
        return mark

    def end_list(self, mark: int, count: int) -> None:
        """Store how many elements were written since `start_list`."""
        struct.pack_into(">H", self.buf, mark, count)


def decode_fields(fields: tuple, reader: Reader) -> list:  # type: ignore[type-arg]
    """The values of `fields` in order: ints, floats, bytes, lists of such lists. Raises MalformedError."""
    values: list = []  # type: ignore[type-arg]
    for _, kind in fields:
        if isinstance(kind, tuple):
            count = reader.read_count()
            values.append([decode_fields(kind, reader) for _ in range(count)])
        elif kind >= RAW:
            values.append(reader.read_raw())
        else:
            values.append(reader.read_number(kind))
    return values


def encode_fields(fields: tuple, values: "list | tuple", writer: Writer) -> None:  # type: ignore[type-arg]
    """Write one value for each field. Raises FullError, and MalformedError when their number differs."""
    if len(values) != len(fields):
        raise MalformedError("wrong number of values", len(values))
    for i in range(len(fields)):
        kind = fields[i][1]
        value = values[i]
        if isinstance(kind, tuple):
            mark = writer.start_list()
            for element in value:
                encode_fields(kind, element, writer)
            writer.end_list(mark, len(value))
        elif kind >= RAW:
            writer.write_raw(value.encode() if isinstance(value, str) else value)
        else:
            writer.write_number(kind, value)
