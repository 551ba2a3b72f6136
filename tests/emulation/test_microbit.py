"""The wire codec as machine code of a real 32-bit board: MicroPython on an emulated Cortex-M0.

What it proves: with small integers of 31 bits and 9 KB of heap the codec takes and makes the same octets as here. What
it does not: cryptography (that image has none), the network, the radio, any timing.
"""

import ast

import pytest
import vector_files as vectors
from homeport_core.errors import MalformedError
from homeport_core.packet import Packet
from homeport_core.rpc import FLOAT, HEX, INT8, INT16, INT32, RAW, UINT8, UINT16, UINT32, Writer, encode_fields
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
