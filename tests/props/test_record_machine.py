"""Whatever is written to a board's records, cut, spoiled and started again: what is read is what a model says."""

from __future__ import annotations

from random import Random

from homeport_core.errors import StorageError
from homeport_core.record import KINDS, SLOTS, capacity, slot_len, slot_offset
from homeport_device.flash_slots import FlashSlots
from homeport_device.record_store import RecordStore
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from nor_flash import NorFlash, PowerCut
from power_cuts import performed

kinds = st.sampled_from(KINDS)
payloads = st.binary(max_size=600) | st.integers(0, 3840).map(bytes)


class Board(RuleBasedStateMachine):
    """Flash with one write at a time; at most one slot of a record is spoiled between two looks at it."""

    def __init__(self) -> None:
        super().__init__()
        self.flash = NorFlash()
        self.model: dict[str, bytes | None] = dict.fromkeys(KINDS)
        self.writes = dict.fromkeys(KINDS, 0)

    @initialize(randomness=st.randoms(use_true_random=False))
    def begin(self, randomness: Random) -> None:
        self.flash.flicker = randomness.getrandbits
        self.start()

    def start(self) -> None:
        self.flash.restart()
        self.store = RecordStore(FlashSlots(self.flash))

    @rule(kind=kinds, payload=payloads)
    def a_write(self, kind: str, payload: bytes) -> None:
        self.store.write(kind, payload)
        self.writes[kind] += payload != self.model[kind]
        self.model[kind] = payload

    @rule(kind=kinds)
    def the_same_again(self, kind: str) -> None:
        if (payload := self.model[kind]) is not None:
            before = list(self.flash.erasures)
            self.store.write(kind, payload)
            assert self.flash.erasures == before

    @rule(kind=kinds, pieces=st.lists(st.binary(max_size=300), max_size=12))
    def a_write_in_pieces(self, kind: str, pieces: list[bytes]) -> None:
        writer = self.store.begin(kind, sum(map(len, pieces)))
        for piece in pieces:
            writer.write(piece)
        writer.commit()
        self.model[kind] = b"".join(pieces)
        self.writes[kind] += 1

    @rule(kind=kinds, payload=payloads, number=st.integers(0, 10**6), at=st.integers(0, 4095))
    def a_write_that_is_cut(self, kind: str, payload: bytes, number: int, at: int) -> None:
        ahead = NorFlash(self.flash.content)
        operations = performed(ahead, lambda flash: RecordStore(FlashSlots(flash)).write(kind, payload))
        if not operations:
            return
        number %= len(operations)
        self.flash.fuse = number
        try:
            self.store.write(kind, payload)
        except PowerCut:
            operation = operations[number]
            self.flash.cut(operation, at % (operation[2] if isinstance(operation[2], int) else len(operation[2])))
        self.start()
        found = self.store.read(kind)
        assert found in (self.model[kind], payload)
        self.writes[kind] = self.store.writes(kind)
        self.model[kind] = found

    @rule()
    def a_restart(self) -> None:
        self.start()

    @rule(kind=kinds, slot=st.sampled_from(SLOTS), at=st.integers(0, 4095), octets=st.binary(min_size=1, max_size=99))
    def rot_in_one_slot(self, kind: str, slot: int, at: int, octets: bytes) -> None:
        if self.model[kind] is None:
            return
        at += slot_offset(kind, slot)
        self.flash.content[at : at + len(octets)] = octets[: slot_offset(kind, slot) + slot_len(kind) - at]
        self.start()
        assert self.store.read(kind) == self.model[kind]

    @rule(kind=kinds)
    def a_payload_that_is_too_long(self, kind: str) -> None:
        before = bytes(self.flash.content)
        try:
            self.store.write(kind, bytes(capacity(kind) + 1))
        except StorageError:
            assert self.flash.content == before
            return
        raise AssertionError("taken")

    @invariant()
    def what_is_read_is_what_the_model_says(self) -> None:
        for kind, payload in self.model.items():
            assert self.store.read(kind) == payload
            assert self.store.writes(kind) == self.writes[kind]
        assert self.store.weak == []


Board.TestCase.settings = settings(max_examples=40, stateful_step_count=20, deadline=None)
TestBoard = Board.TestCase
