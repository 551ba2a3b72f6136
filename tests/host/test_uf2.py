"""UF2 files for RP2 boards: what is written is what is read, and what a board would not take whole is refused."""

from __future__ import annotations

import struct

import firmware_images
import pytest
from firmware_images import uf2_blocks
from homeport.boards.uf2 import Uf2, build_uf2, parse_uf2
from homeport.errors import ConfigError
from hypothesis import given
from hypothesis import strategies as st

RP2040, RP2350 = 0xE48BFF56, 0xE48BFF59
PAGES = bytes(range(256)) * 3
FILE = uf2_blocks(RP2040, 0, PAGES)


@given(st.sampled_from([RP2040, RP2350]), st.integers(0, 1000), st.integers(1, 40), st.randoms(use_true_random=False))
def test_what_is_written_is_what_is_read(family: int, page: int, pages: int, dice: object) -> None:
    image = Uf2(family, page * 256, dice.randbytes(pages * 256))  # type: ignore[attr-defined]
    assert parse_uf2(build_uf2(image)) == image


def test_our_writer_and_another_agree() -> None:
    assert build_uf2(Uf2(RP2040, 0x12C000, PAGES)) == uf2_blocks(RP2040, 0x12C000, PAGES)


def test_the_block_that_works_round_a_fault_of_the_rp2350_stays_as_it_is() -> None:
    data = firmware_images.rp2_firmware(RP2350)
    found = parse_uf2(data)
    assert found.preamble == data[:512]
    assert (found.family, found.at) == (RP2350, 0)
    assert build_uf2(found)[:512] == data[:512]


def test_one_such_block_is_the_most() -> None:
    block = firmware_images.rp2_firmware(RP2350)[:512]
    with pytest.raises(ConfigError, match="has 1 of 2 blocks"):
        parse_uf2(block * 2)


def test_every_file_cut_short_is_refused() -> None:
    for length in range(len(FILE)):
        with pytest.raises(ConfigError, match="^it is (cut short|no UF2 file)"):
            parse_uf2(FILE[:length], "it")


@pytest.mark.parametrize("at", [0, 4, 508, 512, 516, 1020, 512 + 16, 512 + 12, 512 + 20, 512 + 24])
def test_a_damaged_head_of_a_block_is_seen(at: int) -> None:
    damaged = bytearray(FILE)
    damaged[at] ^= 0x40
    with pytest.raises(ConfigError):
        parse_uf2(bytes(damaged))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (FILE[512:], "block 1 of 3 is not the one that follows"),
        (FILE[:512] + FILE[1024:], "block 2 of 3 is not the one that follows"),
        (FILE[:512] + FILE, "block 0 of 3 is not the one that follows"),
        (FILE + FILE[-512:], "block 2 of 3 is not the one that follows"),
        (FILE[:1024] + uf2_blocks(RP2350, 512, PAGES[:256], 2, 3), "is for several chips"),
        (firmware_images.rp2_firmware(RP2350)[:512], "it has 0 of 0 blocks"),
        (b"", "is no UF2 file"),
        (b"\xe9" * 1024, "is no UF2 file"),
    ],
)
def test_an_incomplete_file_is_refused(data: bytes, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        parse_uf2(data)


def block(flags: int = 0x2000, address: int = 0x1000_0000, length: int = 256) -> bytes:
    head = struct.pack("<8I", 0x0A324655, 0x9E5D5157, flags, address, length, 0, 1, RP2040)
    return head + bytes(476) + struct.pack("<I", 0x0AB16F30)


@pytest.mark.parametrize(
    "data",
    [
        block(flags=0x2001),  # not for flash
        block(flags=0),  # for no family
        block(address=0x2000_0000),  # RAM
        block(address=0x1000_0080),
        block(length=476),
        block(address=0x1FFF_FF00 + 0x100),
    ],
)
def test_a_block_for_elsewhere_is_refused(data: bytes) -> None:
    assert parse_uf2(block()).at == 0
    with pytest.raises(ConfigError):
        parse_uf2(data)


@given(st.binary(max_size=600), st.integers(0, 3 * 512))
def test_any_octets_are_read_or_refused(data: bytes, at: int) -> None:
    for octets in (data, FILE[:at] + data + FILE[at + len(data) :]):
        try:
            found = parse_uf2(octets)
        except ConfigError:
            continue
        assert parse_uf2(build_uf2(found)) == found


def test_a_gap_is_erased_flash() -> None:
    data = uf2_blocks(RP2040, 0, PAGES[:256], 0, 2) + uf2_blocks(RP2040, 1024, PAGES[:256], 1, 2)
    found = parse_uf2(data)
    assert found.data == PAGES[:256] + b"\xff" * 768 + PAGES[:256]


@pytest.mark.parametrize("image", [Uf2(RP2040, 0, b""), Uf2(RP2040, 0, b"x"), Uf2(RP2040, 8, bytes(256))])
def test_half_pages_are_not_written(image: Uf2) -> None:
    with pytest.raises(ConfigError, match="whole pages"):
        build_uf2(image)
