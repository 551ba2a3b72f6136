"""Slots of records on raw NOR flash: erase blocks of their own, the header alone in the first page.

The region is the board's (homeport_device/hardware.py): `size`, `erase_len`, `page_len`, `read_into(off, buf)`,
`program(off, buf)` within a page, `erase(block)`, raising OSError.
"""

from homeport_core.errors import ConfigError
from homeport_core.record import (
    BLOCK_LEN,
    HEADER_LEN,
    PAGE_LEN,
    REGION_LEN,
    SLOT_BLOCKS,
    slot_len,
    slot_offset,
)


class FlashSlots:
    """For `RecordStore`. Raises ConfigError when the region is too small or made of other blocks."""

    def __init__(self, region: object) -> None:
        if region.size < REGION_LEN or region.erase_len != BLOCK_LEN or region.page_len != PAGE_LEN:
            raise ConfigError("records need 65536 octets of flash in blocks of 4096 and pages of 256", region.size)
        self._region = region
        self._page = bytearray(PAGE_LEN)
        self._fill = 0  # octets in the page
        self._at = 0  # where in flash the page belongs

    def read_header(self, kind: str, slot: int) -> bytes:
        """The octets where the slot's header is, or would be."""
        header = bytearray(HEADER_LEN)
        self._region.read_into(slot_offset(kind, slot), header)
        return bytes(header)

    def open(self, kind: str, slot: int) -> object:
        """The payload: `read(n)` gives the next n octets, and goes on behind its end; `close()`."""
        return _Reader(self._region, slot_offset(kind, slot) + PAGE_LEN)

    def is_blank(self, kind: str, slot: int) -> bool:
        """Whether nothing was ever written there, not even in part."""
        at = slot_offset(kind, slot)
        page = bytearray(PAGE_LEN)
        for off in range(at, at + slot_len(kind), PAGE_LEN):
            self._region.read_into(off, page)
            if page.count(b"\xff") != PAGE_LEN:
                return False
        return True

    def clear(self, kind: str, slot: int) -> None:
        """Make the slot blank."""
        at = slot_offset(kind, slot)
        # First the header: of an erasure that is cut short anything may remain, even what looks like the old record.
        self._region.program(at, bytes(HEADER_LEN))
        for block in range(at // BLOCK_LEN, at // BLOCK_LEN + SLOT_BLOCKS[kind]):
            self._region.erase(block)

    def begin(self, kind: str, slot: int) -> None:
        """Clear the slot, for `append`."""
        self.clear(kind, slot)
        self._at = slot_offset(kind, slot) + PAGE_LEN
        self._fill = 0

    def append(self, octets: bytes | memoryview) -> None:
        """More of the payload."""
        octets = memoryview(octets)
        while octets:
            n = min(len(octets), PAGE_LEN - self._fill)
            self._page[self._fill : self._fill + n] = octets[:n]
            octets = octets[n:]
            self._fill += n
            if self._fill == PAGE_LEN:
                self._program()

    def end(self) -> None:
        """The payload is complete: get the rest of it into flash."""
        for i in range(self._fill, PAGE_LEN):
            self._page[i] = 0xFF
        if self._fill:
            self._program()

    def put_header(self, kind: str, slot: int, header: bytes) -> None:
        """Make the payload a record."""
        self._region.program(slot_offset(kind, slot), header)

    # A power cut may have left the bits of a header weak, readable now and not the next time. Programming them once
    # more is harmless, and has to happen before the other slot is erased.
    strengthen = put_header

    def discard(self) -> None:
        """Give up what was begun. Without a header it is nothing."""

    def _program(self) -> None:
        self._region.program(self._at, self._page)
        self._at += PAGE_LEN
        self._fill = 0


class _Reader:
    def __init__(self, region: object, at: int) -> None:
        self._region = region
        self._at = at

    def read(self, n: int) -> bytearray:
        octets = bytearray(n)
        self._region.read_into(self._at, octets)
        self._at += n
        return octets

    def close(self) -> None:
        """Nothing is held."""
