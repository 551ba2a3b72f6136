"""Records that survive power cuts, worn-out flash and rot (docs/boards.md, "What is kept in flash").

Both slots of a record hold the same. A write replaces the one slot, makes sure of it and then copies it to the other,
so at every moment one of them is whole: the old record or the new one. A store that finds the two different, because
power was cut, copies the newer one again. When the newer one is damaged the record is damaged, even if an older one
is whole: to fall back would bring back a user who was removed. Nothing but a complete write mends that.
"""

from binascii import crc32

from homeport_core.compat import const
from homeport_core.errors import StateError, StorageError
from homeport_core.record import (
    SEQUENCE_MASK,
    SLOTS,
    capacity,
    newest,
    pack_header,
    read_header,
)

_CHUNK_LEN = const(256)
_ENOSPC = const(28)  # in POSIX and in littlefs; MicroPython's errno does not name it


class RecordStore:
    """`slots` is a FlashSlots or a FileSlots. One write at a time; nothing is kept in memory between calls.

    `weak` names the records of which a slot could not be written since the start: they are safe in the other one.
    """

    def __init__(self, slots: object) -> None:
        self.weak = []
        self._slots = slots

    def read(self, kind: str) -> bytes | None:
        """The payload, None when the record was never written. Raises StorageError when it is damaged."""
        reader = self.open(kind)
        if reader is None:
            return None
        try:
            return bytes(reader.read(reader.left))
        finally:
            reader.close()

    def open(self, kind: str) -> object | None:
        """A reader of the payload with `read(n)`, `close()` and `left`, the octets still to come; else like `read`."""
        try:
            found = self._survey(kind)
            if found.header is None and self._slots.is_blank(kind, SLOTS[0]):
                self._forget_begun(kind)
                return None
            if not found.is_whole:
                raise _damaged(kind)
            if not found.has_twin and kind not in self.weak:
                self._copy(kind, found)
            return _Reader(self._slots.open(kind, found.slot), kind, found.header)
        except OSError as error:
            raise _failed(kind, "read", error)

    def write(self, kind: str, payload: bytes) -> None:
        """Replace the payload, unless it is the same.

        Raises StorageError when it is too long, when flash is full, or does not keep it; the old one stays in force.
        """
        same = self.comparison(kind)
        same.write(payload)
        if not same.close():
            writer = self.begin(kind, len(payload))
            writer.write(payload)
            writer.commit()

    def comparison(self, kind: str) -> object:
        """Write a payload to it and `close()` tells whether the record holds just this. A damaged one never does."""
        return _Comparison(self, kind)

    def begin(self, kind: str, length: int) -> object:
        """A writer for a payload in pieces: `write(octets)`, then `commit()`. Raises like `write`."""
        if length > capacity(kind):
            raise StorageError("the record %s takes %d octets, not %d" % (kind, capacity(kind), length))
        try:
            return _Writer(self, kind, length)
        except OSError as error:
            raise _failed(kind, "stored", error)

    def writes(self, kind: str) -> int:
        """How often the record was written, as far as its header can be read: the erasures of each of its blocks."""
        try:
            found = self._survey(kind)
        except OSError as error:
            raise _failed(kind, "read", error)
        return found.header[0] if found.header else 0

    def _survey(self, kind: str) -> object:
        """What both slots hold."""
        headers = [self._header(kind, SLOTS[0]), self._header(kind, SLOTS[1])]
        whole = [self._is_whole(kind, SLOTS[0], headers[0]), self._is_whole(kind, SLOTS[1], headers[1])]
        slot = newest(headers, whole)
        return _Found(slot, headers[slot], whole[slot], headers[0] == headers[1] and whole[0] and whole[1])

    def _header(self, kind: str, slot: int) -> tuple | None:
        """The slot's header, None when there is none, or none that can be read: the other slot holds the same."""
        try:
            return read_header(kind, self._slots.read_header(kind, slot))
        except OSError:
            return None

    def _is_whole(self, kind: str, slot: int, header: tuple | None) -> bool:
        if header is None:
            return False
        try:
            reader = _Reader(self._slots.open(kind, slot), kind, header)
            try:
                while reader.read(_CHUNK_LEN):
                    continue
            finally:
                reader.close()
        except (OSError, StorageError):
            return False
        return True

    def _pieces(self, kind: str, slot: int, header: tuple) -> object:
        """The payload in pieces. Raises StorageError at the end when it is not what the header says."""
        reader = _Reader(self._slots.open(kind, slot), kind, header)
        try:
            while True:
                octets = reader.read(_CHUNK_LEN)
                if not octets:
                    return
                yield octets
        finally:
            reader.close()

    def _copy(self, kind: str, found: object) -> None:
        """Make the other slot the same as the one found. A slot that cannot be written is remembered as weak."""
        if kind in self.weak:
            self.weak.remove(kind)
        other = 1 - found.slot
        try:
            self._slots.strengthen(kind, found.slot, pack_header(kind, *found.header))
            self._slots.begin(kind, other)
            for octets in self._pieces(kind, found.slot, found.header):
                self._slots.append(octets)
            self._finish(kind, other, found.header)
        except (OSError, StorageError):
            self._slots.discard()
            self.weak.append(kind)

    def _forget_begun(self, kind: str) -> None:
        """Nothing was ever written; a first write that was cut short must not turn up later.

        Raises OSError when it cannot be read: it may be a record after all.
        """
        self._slots.read_header(kind, SLOTS[1])
        if not self._slots.is_blank(kind, SLOTS[1]):
            self._slots.clear(kind, SLOTS[1])

    def _finish(self, kind: str, slot: int, header: tuple) -> None:
        """Turn what was appended to a slot into a record. Raises StorageError when it does not read back."""
        self._slots.end()
        if not self._is_whole(kind, slot, header):
            raise _lost(kind)
        failure = _lost(kind)
        try:
            self._slots.put_header(kind, slot, pack_header(kind, *header))
        except OSError as error:
            failure = error
        # What counts is what the next start will see, whatever the driver said.
        if read_header(kind, self._slots.read_header(kind, slot)) != header:
            raise failure


class _Found:
    """The slot that counts, its header (sequence number, length, CRC-32) or None, whether it and both are whole."""

    def __init__(self, slot: int, header: tuple | None, is_whole: bool, has_twin: bool) -> None:
        self.slot = slot
        self.header = header
        self.is_whole = is_whole
        self.has_twin = has_twin


class _Reader:
    """A payload and not an octet more. Raises StorageError at its end when it is not what its header says."""

    def __init__(self, source: object, kind: str, header: tuple) -> None:
        self.left = header[1]
        self._source = source
        self._kind = kind
        self._crc = 0
        self._expected = header[2]

    def read(self, n: int) -> bytes | bytearray:
        n = min(n, self.left)
        octets = self._source.read(n)
        self._crc = crc32(octets, self._crc)
        self.left -= len(octets)
        if len(octets) < n or (not self.left and self._crc != self._expected):
            raise _damaged(self._kind)
        return octets

    def close(self) -> None:
        self._source.close()


class _Comparison:
    def __init__(self, store: RecordStore, kind: str) -> None:
        try:
            self._reader = store.open(kind)
        except StorageError:
            self._reader = None  # damaged: a write is what mends it
        self._same = self._reader is not None

    def write(self, octets: bytes | memoryview) -> None:
        try:
            self._same = self._same and self._reader.read(len(octets)) == octets
        except (OSError, StorageError):
            self._same = False

    def close(self) -> bool:
        if self._reader is None:
            return False
        self._reader.close()
        return self._same and not self._reader.left


class _Writer:
    """Fills the slot that is not in force."""

    def __init__(self, store: RecordStore, kind: str, length: int) -> None:
        self._store = store
        self._slots = store._slots
        self._kind = kind
        self._left = length
        self._length = length
        self._crc = 0
        found = store._survey(kind)
        self._slot = 1 - found.slot
        self._sequence = 1
        if found.header:
            self._sequence = (found.header[0] + 1) & SEQUENCE_MASK
            self._slots.strengthen(kind, found.slot, pack_header(kind, *found.header))
        self._slots.begin(kind, self._slot)

    def write(self, octets: bytes | memoryview) -> None:
        """The next octets. Raises StorageError."""
        if len(octets) > self._left:
            raise StateError("more octets than the record was begun for", self._length)
        self._crc = crc32(octets, self._crc)
        self._left -= len(octets)
        try:
            self._slots.append(octets)
        except OSError as error:
            self._slots.discard()
            raise _failed(self._kind, "stored", error)

    def commit(self) -> None:
        """Put the payload in force. Raises StorageError when flash did not keep it; the old one stays."""
        if self._left:
            raise StateError("fewer octets than the record was begun for", self._length)
        found = _Found(self._slot, (self._sequence, self._length, self._crc), True, False)
        try:
            self._store._finish(self._kind, self._slot, found.header)
        except OSError as error:
            self._slots.discard()
            raise _failed(self._kind, "stored", error)
        self._store._copy(self._kind, found)


def _damaged(kind: str) -> StorageError:
    return StorageError("the record %s is damaged" % kind)


def _failed(kind: str, what: str, error: OSError) -> StorageError:
    full = " because flash is full" if error.errno == _ENOSPC else ""
    return StorageError("the record %s could not be %s%s" % (kind, what, full), error)


def _lost(kind: str) -> StorageError:
    return StorageError("the record %s could not be stored: flash did not keep it" % kind)
