"""Wire codec and records as machine code of a real 32-bit board: MicroPython on an emulated Cortex-M0.

What it proves: with small integers of 31 bits and 9 KB of heap they take and make the same octets as here. What it does
not: cryptography and CRC-32 (that image has neither, the second is the test's), flash, the network, any timing.
"""

import ast

import pytest
import vector_files as vectors
from homeport_core import record
from homeport_core.errors import MalformedError
from homeport_core.packet import Packet
from homeport_core.rpc import FLOAT, HEX, INT8, INT16, INT32, RAW, UINT8, UINT16, UINT32, Writer, encode_fields
from homeport_device import acl_codec
from microbit import PUT, MicroBit, pieces

PACKET_MODULES = ("homeport_core.errors", "homeport_core.spec", "homeport_core.packet")
RPC_MODULES = ("homeport_core.errors", "homeport_core.rpc")
CRYPTO = {"space", "seal", "mac"}
# What a device without streams receives (specification, field notes).
PACKET_MAX = 272

HELD = "held, made = bytearray(272), bytearray(272)"
LOOK = """
packet = Packet()
writer = PacketWriter(made)
def look(n):
    try:
        packet.decode_from(held, n)
    except MalformedError as error:
        return "malformed", error.detail
    writer.reply_to(packet, 0)
    for kind, flags, data in packet.payloads():
        writer.add(kind, data, flags)
    writer.finish()
    return packet.type, packet.seq, packet.tag, packet.crypto_off, writer.bytes() == bytes(held[:n])
"""
ECHO = """
def again(fields, octets):
    values = decode_fields(fields, Reader(octets))
    writer = Writer(bytearray(len(octets)))
    encode_fields(fields, values, writer)
    return values, bytes(writer.buf) == octets
"""


@pytest.fixture(scope="module")
def board():
    board = MicroBit()
    yield board
    board.close()


def load(board, sources):
    for source in sources:
        board.run(source)


def expected(octets):
    """What the board has to say to a datagram, by the same code here."""
    packet = Packet()
    try:
        packet.decode_from(octets)
    except MalformedError as error:
        return "malformed", error.detail
    # The reference's broken RST cannot be made by a chain of whole payloads.
    return packet.type, packet.seq, packet.tag, packet.crypto_off, not packet.overlap


def datagrams():
    """One of each shape (type, flags, payloads) that the captures have, as small devices receive them."""
    shapes = {}
    for name in vectors.CAPTURES:
        for datagram in vectors.capture(name)["datagrams"]:
            octets = vectors.unhex(datagram.get("hex", ""))
            packet = Packet()
            try:
                packet.decode_from(octets)
            except MalformedError:
                continue
            shape = packet.type, packet.flags, tuple(kind for kind, _, _ in packet.payloads()), packet.overlap
            if len(octets) <= PACKET_MAX:
                shapes.setdefault(shape, octets)
    return list(shapes.values())


@pytest.fixture(scope="module")
def codec(board):
    wanted = {"Packet", "PacketWriter", "MalformedError"}
    load(board, [HELD, PUT, *pieces(PACKET_MODULES, wanted, CRYPTO), LOOK])

    def look(octets):
        # A long text is more than that parser has room for.
        for off in range(0, len(octets), 16):
            board.run(f"put(held, {off}, {octets[off : off + 16]!r})")
        return ast.literal_eval(board.run(f"print(look({len(octets)}))"))

    return look


def test_every_shape_of_captured_datagram_is_read_and_written_again(codec):
    seen = datagrams()
    assert len(seen) > 30
    assert [codec(octets) for octets in seen] == [expected(octets) for octets in seen]


def test_damaged_datagrams_are_refused_at_the_same_octet(codec):
    good = vectors.unhex(vectors.capture("secure_attach")["datagrams"][0]["hex"])
    bad = [octets for how, octets in vectors.damaged(good) if "^ 01" not in how and "^ 80" not in how]
    assert [codec(octets) for octets in bad] == [expected(octets) for octets in bad]


def test_parameters_of_every_type_are_read_and_written_again():
    fields = (
        ("a", UINT8), ("b", INT8), ("c", UINT16), ("d", INT16), ("e", UINT32), ("f", INT32), ("g", FLOAT), ("h", RAW),
        ("i", HEX), ("j", (("k", UINT32), ("l", RAW))),
    )  # fmt: skip
    values = [255, -128, 65535, -32768, 0xFFFFFFFF, -(1 << 31), 0.5, b"raw", b"\x00\xff", [[1 << 30, b""], [7, b"x"]]]
    writer = Writer(bytearray(64))
    encode_fields(fields, values, writer)
    octets = bytes(writer.buf[: writer.size()])
    board = MicroBit()
    try:
        wanted = {"Reader", "Writer", "decode_fields", "encode_fields", "MalformedError"}
        load(board, [PUT, *pieces(RPC_MODULES, wanted), ECHO])
        board.run(f"fields = {fields!r}")
        board.run(f"octets = {octets!r}")
        assert ast.literal_eval(board.run("print(again(fields, octets))")) == (values, True)
    finally:
        board.close()


USERS_MODULES = ("homeport_core.errors", "homeport_core.users_file", "homeport_device.acl_codec")
RECORD_MODULES = ("homeport_core.errors", "homeport_core.record")
USERS_MAX = 2
FILE_MAX = 20 + USERS_MAX * 374
USERS = """
class File:
    def read(self, n):
        n = min(n, self.n - self.at)
        self.at += n
        return bytes(held[self.at - n : self.at])
    def write(self, octets):
        put(held, self.at, octets)
        self.at += len(octets)
class Users:
    defaults = (1, 2, 3)
    size = 2
    tokens = True
    def reset(self, settings):
        self.system, self.default_user, self.first_user = settings
        self.table = []
    def record(self, slot):
        if slot == len(self.table):
            self.table.append(bytearray(374))
        return self.table[slot]
    def users(self):
        return range(len(self.table))
file, users = File(), Users()
def load(n):
    file.n, file.at = n, 0
    found = read(file, users)
    if found[1] is None:
        return found, 0
    file.at = 0
    write(file, users)
    return found, file.at
"""
CRC = """
def crc32(octets, crc=0):
    crc ^= 0xFFFFFFFF
    for octet in octets:
        crc ^= octet
        for _ in range(8):
            crc = crc >> 1 ^ (0xEDB88320 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF
"""


def users_here(octets):
    """What the board has to make of a file of users, by the same code here."""
    world = {"held": bytearray(octets.ljust(FILE_MAX, b"\0")), "read": acl_codec.read, "write": acl_codec.write}
    exec(PUT + USERS, world)
    found, n = world["load"](len(octets))
    return found, bytes(world["held"][:n])


def test_lists_of_users_of_every_version_are_read_and_written_as_version_4():
    files = [vectors.unhex(f.get("before_hex", f.get("hex"))) for f in vectors.load("vectors-acl.json")["acl_files"]]
    files = [octets for octets in files if len(octets) <= FILE_MAX]
    assert len(files) >= 12
    board = MicroBit()
    try:
        load(board, [f"held = bytearray({FILE_MAX})", PUT, *pieces(USERS_MODULES, {"read", "write"}), USERS])
        for octets in files:
            for off in range(0, len(octets), 16):
                board.run(f"put(held, {off}, {octets[off : off + 16]!r})")
            found, n = ast.literal_eval(board.run(f"print(load({len(octets)}))"))
            # In pieces: the text of a whole list is more than the board has room for.
            parts = [board.run(f"print(bytes(held[{off}:{min(off + 16, n)}]))") for off in range(0, n, 16)]
            assert (found, b"".join(map(ast.literal_eval, parts))) == users_here(octets)
    finally:
        board.close()


def test_headers_of_records_are_made_and_known_again_and_the_newer_one_counts():
    cases = [("secrets", 1, 10, 0), ("users", 0xFFFFFFFF, 12032, 0xFFFFFFFF), ("config", 1 << 30, 3840, 0x40000000)]
    board = MicroBit()
    try:
        wanted = {"pack_header", "read_header", "newest"}
        made = [piece for piece in pieces(RECORD_MODULES, wanted) if not piece.startswith("from binascii")]
        load(board, [CRC, *made])
        for kind, *facts in cases:
            header = record.pack_header(kind, *facts)
            assert ast.literal_eval(board.run(f"print(pack_header({kind!r}, *{facts!r}))")) == header
            assert ast.literal_eval(board.run(f"print(read_header({kind!r}, {header!r}))")) == tuple(facts)
            for bad in (header[:-1], header[:9] + b"!" + header[10:], header[:23] + bytes((header[23] ^ 1,))):
                assert board.run(f"print(read_header({kind!r}, {bad!r}))").strip() == "None"
        for pair in (((0xFFFFFFFF, 1, 2), (0, 1, 2)), ((7, 1, 2), (6, 1, 2)), (None, (1, 1, 2)), ((1, 1, 2), None)):
            whole = [True, True]
            assert int(board.run(f"print(newest({pair!r}, {whole!r}))")) == record.newest(list(pair), whole)
    finally:
        board.close()
