"""What holds for any packet, any payload and any parameters."""

from __future__ import annotations

from homeport_core import payloads
from homeport_core.crypto import AesContext, NullContext
from homeport_core.errors import AuthError, ProtocolError
from homeport_core.packet import Packet, PacketWriter
from homeport_core.rpc import (
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
from homeport_core.spec import IV_LEN, NSI_LEN, PL_CRYPTO, PL_WINDOW
from hypothesis import assume, given
from hypothesis import strategies as st

nsi = st.binary(min_size=NSI_LEN, max_size=NSI_LEN)
clear_payload = st.tuples(
    st.integers(0, 255).filter(lambda kind: kind not in (PL_CRYPTO, PL_WINDOW)),
    st.binary(max_size=80),
    st.integers(0, 255),
)
RANGES = {UINT8: (0, 255), INT8: (-128, 127), UINT16: (0, 65535), INT16: (-32768, 32767),
          UINT32: (0, 2**32 - 1), INT32: (-(2**31), 2**31 - 1)}  # fmt: skip


@st.composite
def packets(draw: st.DrawFn) -> bytes:
    writer = PacketWriter(bytearray(1368))
    writer.begin(
        draw(st.integers(0, 255)), draw(nsi), draw(st.integers(0, 65535)), draw(st.integers(0, 255)), draw(nsi),
        draw(st.none() | st.integers(0, 65535)), draw(st.just(b"") | st.binary(min_size=8, max_size=8)),
    )  # fmt: skip
    for kind, data, flags in draw(st.lists(clear_payload, max_size=5)):
        writer.add(kind, data, flags)
    writer.finish()
    return writer.bytes()


@given(packets())
def test_a_written_packet_decodes_to_the_same_packet(octets: bytes) -> None:
    packet = Packet()
    packet.decode_from(octets)
    writer = PacketWriter(bytearray(1368))
    writer.reply_to(packet, 0)
    for kind, flags, data in packet.payloads():
        writer.add(kind, data, flags)
    writer.finish()
    assert writer.bytes() == octets


@given(st.binary(max_size=300))
def test_any_octets_decode_or_are_refused(octets: bytes) -> None:
    packet = Packet()
    try:
        packet.decode_from(octets)
    except ProtocolError:
        return
    assert sum(len(data) + 4 for _, _, data in packet.payloads()) == len(octets) - packet.body + packet.overlap


@given(packets(), st.binary(max_size=500), st.binary(min_size=IV_LEN, max_size=IV_LEN), st.booleans(), st.data())
def test_what_is_sealed_opens_at_the_peer_and_nowhere_else(
    clear: bytes, plaintext: bytes, iv: bytes, initiator: bool, data: st.DataObject
) -> None:
    material = bytes(range(96))
    packet = Packet()
    packet.decode_from(clear)
    writer = PacketWriter(bytearray(2000))
    writer.reply_to(packet, 0)
    for kind, flags, octets in packet.payloads():
        writer.add(kind, octets, flags)
    writer.seal(AesContext(material, initiator), plaintext, iv)
    sealed = Packet()
    sealed.decode_from(bytearray(writer.bytes()))
    for other in (AesContext(material, initiator), AesContext(bytes(96), not initiator), NullContext()):
        try:
            other.verify(sealed)
        except AuthError:
            continue
        raise AssertionError("opened with a wrong key")
    assert AesContext(material, not initiator).open(sealed) == plaintext
    damaged = bytearray(writer.bytes())
    damaged[data.draw(st.integers(0, len(damaged) - 1))] ^= data.draw(st.integers(1, 255))
    broken = Packet()
    try:
        broken.decode_from(damaged)
        AesContext(material, not initiator).open(broken)
    except ProtocolError:
        return
    raise AssertionError("accepted a damaged packet")


@given(st.binary(max_size=500))
def test_null_suite_goes_there_and_back(plaintext: bytes) -> None:
    writer = PacketWriter(bytearray(600))
    writer.begin(22)
    writer.seal(NullContext(), plaintext)
    packet = Packet()
    packet.decode_from(bytearray(writer.bytes()))
    assert NullContext().open(packet) == plaintext


fields = st.recursive(
    st.lists(st.sampled_from([*RANGES, RAW]), max_size=4).map(lambda kinds: tuple(("x", kind) for kind in kinds)),
    lambda inner: st.tuples(inner, inner).map(lambda pair: pair[0] + (("list", pair[1]),)),
    max_leaves=4,
)


def values_of(shape: tuple) -> st.SearchStrategy[list]:
    parts = []
    for _, kind in shape:
        if isinstance(kind, tuple):
            parts.append(st.lists(values_of(kind), max_size=3 if kind else 0))
        elif kind == RAW:
            parts.append(st.binary(max_size=20))
        else:
            parts.append(st.integers(*RANGES[kind]))
    return st.tuples(*parts).map(list)


@given(st.data())
def test_parameters_go_there_and_back_whatever_their_declaration(data: st.DataObject) -> None:
    shape = data.draw(fields)
    values = data.draw(values_of(shape))
    writer = Writer(bytearray(4000))
    encode_fields(shape, values, writer)
    reader = Reader(writer.buf, 0, writer.size())
    try:
        decoded = decode_fields(shape, reader)
    except ProtocolError:
        assume(False)  # lists of empty elements take no octets, which the count check refuses
    assert decoded == values
    assert reader.remaining() == 0


@given(st.integers(0, 2**32 - 1), st.one_of(st.just(b""), nsi))
def test_notify_goes_there_and_back(code: int, connection: bytes) -> None:
    assert payloads.parse_notify(payloads.build_notify(code, connection)) == (code, connection)


@given(st.lists(st.tuples(st.integers(0, 255), st.binary(max_size=40)), max_size=8))
def test_item_lists_go_there_and_back(items: list[tuple[int, bytes]]) -> None:
    assert payloads.parse_items(payloads.build_items(items)) == items
