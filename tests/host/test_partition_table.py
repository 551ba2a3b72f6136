"""The partition table of an ESP32: what is written is what is read, and what a bootloader would refuse is refused."""

from __future__ import annotations

import firmware_images
import pytest
from homeport.boards.board import Area
from homeport.boards.partition_table import TABLE_LEN, Partition, build_table, find_partition, parse_table
from homeport.errors import ConfigError
from hypothesis import given
from hypothesis import strategies as st

NAMES = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=1, max_size=16)
OCTETS = st.integers(0, 255)


@st.composite
def tables(draw: st.DrawFn) -> list[Partition]:
    """Partitions one behind the other, in any order, with gaps."""
    names = draw(st.lists(NAMES, min_size=1, max_size=20, unique=True))
    at, found = 0x9000, []
    for name in names:
        at += 0x1000 * draw(st.integers(0, 100))
        length = 0x1000 * draw(st.integers(1, 1000))
        found.append(Partition(name, draw(OCTETS), draw(OCTETS), Area(at, length), draw(st.integers(0, 0xFFFFFFFF))))
        at += length
    return draw(st.permutations(found))


@given(tables())
def test_what_is_written_is_what_is_read(partitions: list[Partition]) -> None:
    data = build_table(partitions)
    assert len(data) == TABLE_LEN
    assert parse_table(data) == partitions
    assert parse_table(data.ljust(0x1000, b"\xff")) == partitions


@given(st.binary(max_size=400))
def test_any_octets_are_read_or_refused(data: bytes) -> None:
    try:
        partitions = parse_table(data)
    except ConfigError:
        return
    assert parse_table(build_table(partitions)) == partitions


def test_a_table_of_micropython_is_read() -> None:
    found = parse_table(firmware_images.table(firmware_images.TABLE))
    assert [partition.name for partition in found] == ["nvs", "phy_init", "factory"]
    assert find_partition(found, "factory") == Partition("factory", 0, 0, Area(0x10000, 0x1F0000))
    assert find_partition(found, "vfs") is None


def test_our_writer_and_another_agree() -> None:
    table = firmware_images.table(firmware_images.TABLE)
    assert build_table(parse_table(table)) == table


def test_a_table_without_an_md5_is_read() -> None:
    assert len(parse_table(firmware_images.table(firmware_images.TABLE, with_md5=False))) == 3


def test_no_damaged_octet_of_the_entries_goes_unseen() -> None:
    table = bytearray(firmware_images.table(firmware_images.TABLE))
    for at in range(4 * 32):
        table[at] ^= 0x10
        with pytest.raises(ConfigError):
            parse_table(bytes(table))
        table[at] ^= 0x10


@pytest.mark.parametrize("length", [0, 1, 31, 33, 95])
def test_a_table_cut_short_is_refused_unless_whole_entries_are_left(length: int) -> None:
    with pytest.raises(ConfigError):
        parse_table(firmware_images.table(firmware_images.TABLE)[:length])


def entry(name: str, at: int, length: int) -> tuple[str, int, int, int, int]:
    return (name, 1, 0x40, at, length)


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ([], "there is no partition table"),
        ([entry("a", 0x8000, 0x1000)], "overlaps the partition table"),
        ([entry("a", 0x9000, 0x2000), entry("b", 0xA000, 0x1000)], "'a' and 'b' overlap"),
        ([entry("a", 0x9000, 0x1000), entry("a", 0xA000, 0x1000)], "the same name"),
        ([entry("a", 0x9001, 0x1000)], "not whole erase blocks"),
        ([entry("a", 0x9000, 0)], "not whole erase blocks"),
        ([entry("a", 0xFFFFF000, 0x2000)], "not whole erase blocks"),
        ([entry("", 0x9000, 0x1000)], "not printable ASCII"),
        ([entry("a\n", 0x9000, 0x1000)], "not printable ASCII"),
    ],
)
def test_a_table_that_makes_no_sense_is_refused(entries: list[tuple[str, int, int, int, int]], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        parse_table(firmware_images.table(entries, with_md5=bool(entries)))


@pytest.mark.parametrize("name", ["é", "a" * 17, ""])
def test_a_name_that_does_not_fit_is_not_written(name: str) -> None:
    with pytest.raises(ConfigError):
        build_table([Partition(name, 1, 0x40, Area(0x9000, 0x1000))])


def test_too_many_partitions_are_not_written() -> None:
    with pytest.raises(ConfigError, match="do not fit"):
        build_table([Partition(f"p{n}", 1, 0x40, Area(0x9000 + n * 0x1000, 0x1000)) for n in range(96)])
