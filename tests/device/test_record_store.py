"""Records in two slots, on raw flash and in files (docs/boards.md, "What is kept in flash")."""

import errno
import unittest

from homeport_core.errors import ConfigError, StateError, StorageError
from homeport_core.record import (
    CONFIG,
    HEADER_LEN,
    KINDS,
    PAGE_LEN,
    SECRETS,
    USERS,
    capacity,
    pack_header,
    slot_file,
    slot_len,
    slot_offset,
)
from homeport_device.file_slots import FileSlots
from homeport_device.flash_slots import FlashSlots
from homeport_device.record_store import RecordStore
from memory_files import MemoryFiles
from memory_files import PowerCut as DiskCut
from nor_flash import BLOCK_LEN, NorFlash, PowerCut

OLD = b"the old payload" * 20
ENOSPC = 28  # MicroPython has no name for it
NEW = b"the new payload, which is longer" * 20


class Backend:
    """A store and what it stands on: `store()` is what a start makes of it, `damage` spoils octets of a slot."""

    def payload_damaged(self, kind, slot):
        self.damage(kind, slot, self.payload_off + 5)

    def header_damaged(self, kind, slot):
        self.damage(kind, slot, 9)


class OnFlash(Backend):
    payload_off = PAGE_LEN

    def __init__(self):
        self.flash = NorFlash()

    def store(self):
        self.flash.restart()
        return RecordStore(FlashSlots(self.flash))

    def damage(self, kind, slot, off):
        self.flash.content[slot_offset(kind, slot) + off] ^= 0x24

    def wiped(self, kind, slot):
        at = slot_offset(kind, slot)
        self.flash.content[at : at + slot_len(kind)] = b"\xff" * slot_len(kind)


class InFiles(Backend):
    payload_off = HEADER_LEN

    def __init__(self):
        self.files = MemoryFiles()

    def store(self):
        self.files.fuse, self.files.failure = -1, None
        return RecordStore(FileSlots("records", self.files))

    def damage(self, kind, slot, off):
        path = "records/%s.%d" % (kind, slot)
        octets = bytearray(self.files.disk[path])
        octets[off] ^= 0x24
        self.files.disk[path] = bytes(octets)

    def wiped(self, kind, slot):
        del self.files.disk["records/%s.%d" % (kind, slot)]


class Both:
    """What holds on both."""

    def setUp(self):
        self.on = self.backend()

    def damaged(self, store, kind):
        with self.assertRaises(StorageError) as caught:
            store.read(kind)
        self.assertIn("the record %s is damaged" % kind, str(caught.exception))

    def test_what_was_never_written_is_none(self):
        on = self.on
        for kind in KINDS:
            self.assertEqual(on.store().read(kind), None)
            self.assertEqual(on.store().writes(kind), 0)

    def test_what_was_written_is_read_after_a_restart(self):
        on = self.on
        for kind in KINDS:
            for payload in (b"", b"x", OLD, NEW, OLD, bytes(capacity(kind))):
                on.store().write(kind, payload)
                self.assertEqual(on.store().read(kind), payload)

    def test_records_leave_each_other_alone(self):
        on = self.on
        for kind in KINDS:
            on.store().write(kind, kind.encode() * 500)
        for kind in KINDS:
            self.assertEqual(on.store().read(kind), kind.encode() * 500)

    def test_a_payload_in_pieces(self):
        on = self.on
        writer = on.store().begin(USERS, 1000)
        for n in (1, 255, 0, 256, 257, 231):
            writer.write(bytes((n % 256,)) * n)
        writer.commit()
        reader = on.store().open(USERS)
        self.assertEqual(reader.left, 1000)
        octets = b"".join(reader.read(300) for _ in range(5))
        reader.close()
        self.assertEqual(len(octets), 1000)
        self.assertEqual(octets[:2] + octets[-2:], b"\x01\xff\xe7\xe7")

    def test_nothing_counts_before_it_is_committed(self):
        on = self.on
        on.store().write(CONFIG, OLD)
        on.store().begin(CONFIG, len(NEW)).write(NEW)
        self.assertEqual(on.store().read(CONFIG), OLD)

    def test_more_or_fewer_octets_than_announced_are_a_bug(self):
        on = self.on
        with self.assertRaises(StateError):
            on.store().begin(CONFIG, 3).write(b"four")
        with self.assertRaises(StateError):
            on.store().begin(CONFIG, 3).commit()

    def test_what_is_too_long_is_refused_and_the_old_stays(self):
        on = self.on
        on.store().write(CONFIG, OLD)
        with self.assertRaises(StorageError) as caught:
            on.store().write(CONFIG, bytes(3841))
        self.assertIn("config takes 3840 octets, not 3841", str(caught.exception))
        self.assertEqual(on.store().read(CONFIG), OLD)

    def test_the_same_payload_again_is_not_written(self):
        on = self.on
        store = on.store()
        store.write(CONFIG, OLD)
        for _ in range(3):
            store.write(CONFIG, OLD)
        self.assertEqual(store.writes(CONFIG), 1)
        for payload in (OLD[:-1], OLD + b"x", OLD):
            store.write(CONFIG, payload)
        self.assertEqual(store.writes(CONFIG), 4)

    def test_rot_in_one_slot_is_mended_from_the_other(self):
        on = self.on
        for slot in (0, 1):
            for spoil in (on.payload_damaged, on.header_damaged, on.wiped):
                on.store().write(USERS, OLD)
                on.store().write(USERS, NEW)
                spoil(USERS, slot)
                self.assertEqual(on.store().read(USERS), NEW)
                on.wiped(USERS, 1 - slot)
                self.assertEqual(on.store().read(USERS), NEW)

    def test_rot_in_both_slots_is_told_and_nothing_is_erased(self):
        on = self.on
        on.store().write(USERS, OLD)
        on.payload_damaged(USERS, 0)
        on.header_damaged(USERS, 1)
        for _ in range(2):
            self.damaged(on.store(), USERS)
        self.assertEqual(on.store().read(CONFIG), None)
        on.payload_damaged(USERS, 0)  # flipped back
        self.assertEqual(on.store().read(USERS), OLD)

    def test_no_header_left_in_either_slot_is_damage_too(self):
        on = self.on
        on.store().write(USERS, OLD)
        on.header_damaged(USERS, 0)
        on.header_damaged(USERS, 1)
        self.damaged(on.store(), USERS)

    def test_a_damaged_record_is_replaced_by_a_whole_write(self):
        on = self.on
        on.store().write(USERS, OLD)
        on.payload_damaged(USERS, 0)
        on.payload_damaged(USERS, 1)
        on.store().write(USERS, OLD)
        self.assertEqual(on.store().read(USERS), OLD)
        self.assertEqual(on.store().writes(USERS), 2)

    def test_the_sequence_number_wraps(self):
        on = self.on
        on.store().write(CONFIG, OLD)
        self.renumber(on, 0xFFFFFFFF)
        on.store().write(CONFIG, NEW)
        self.assertEqual(on.store().writes(CONFIG), 0)
        on.wiped(CONFIG, 0)
        self.assertEqual(on.store().read(CONFIG), NEW)

    def renumber(self, on, sequence):
        octets = slot_file(CONFIG, sequence, OLD)
        if isinstance(on, InFiles):
            on.files.disk = {"records/config.%d" % slot: octets for slot in (0, 1)}
            return
        for slot in (0, 1):
            at = slot_offset(CONFIG, slot)
            on.flash.content[at : at + HEADER_LEN] = octets[:HEADER_LEN]


class BothOnFlash(Both, unittest.TestCase):
    backend = OnFlash


class BothInFiles(Both, unittest.TestCase):
    backend = InFiles


class Flash(unittest.TestCase):
    def setUp(self):
        self.on = OnFlash()
        self.flash = self.on.flash

    def test_an_image_that_a_host_built_is_read(self):
        for kind, payload in ((SECRETS, OLD), (USERS, bytes(11988))):
            octets = slot_file(kind, 1, payload)
            for slot in (0, 1):
                at = slot_offset(kind, slot)
                self.flash.content[at : at + HEADER_LEN] = octets[:HEADER_LEN]
                self.flash.content[at + PAGE_LEN : at + PAGE_LEN + len(payload)] = payload
        self.assertEqual(self.on.store().read(SECRETS), OLD)
        self.assertEqual(self.on.store().read(USERS), bytes(11988))
        self.assertEqual(self.on.store().read(CONFIG), None)
        self.assertEqual(self.flash.operations, [])

    def test_old_content_of_reused_flash_is_damage(self):
        self.flash.content[:] = b"\x00\x55" * (self.flash.size // 2)
        with self.assertRaises(StorageError):
            self.on.store().read(USERS)

    def test_a_region_that_does_not_suit_is_refused(self):
        with self.assertRaises(ConfigError):
            FlashSlots(NorFlash(size=0xF000))

    def test_a_write_that_was_cut_leaves_no_older_record_in_flash(self):
        self.on.store().write(CONFIG, b"first password")
        self.on.store().write(CONFIG, b"second")
        self.assertEqual(self.flash.content.find(b"first"), -1)

    def test_the_newer_record_damaged_before_it_was_copied_is_not_replaced_by_the_older(self):
        self.on.store().write(USERS, OLD)
        self.cut_between_the_slots(NEW)
        self.on.payload_damaged(USERS, 1)
        with self.assertRaises(StorageError):
            self.on.store().read(USERS)

    def cut_between_the_slots(self, payload):
        store = self.on.store()
        done = NorFlash(self.flash.content)
        RecordStore(FlashSlots(done)).write(USERS, payload)
        erase_of_the_copy = [i for i in range(len(done.operations)) if done.operations[i][1] == slot_offset(USERS, 0)][
            1
        ]
        self.flash.fuse = erase_of_the_copy
        with self.assertRaises(PowerCut):
            store.write(USERS, payload)

    def test_bits_of_a_header_that_a_cut_left_weak_are_strong_before_the_other_slot_is_erased(self):
        for slot in (0, 1):
            for _ in range(2):
                self.on.store().write(CONFIG, OLD)
                store = self.on.store()
                self.flash.weak = {slot_offset(CONFIG, slot) + 13: 0x02}  # of the length, 300: a 0
                self.flash.flicker = lambda bits: 0
                store.writes(CONFIG)
                self.flash.fuse = 4  # strengthened, invalidated, erased, and a page of the new payload
                with self.assertRaises(PowerCut):
                    store.write(CONFIG, NEW)
                self.flash.flicker = lambda bits: 0xFF
                self.assertEqual(self.on.store().read(CONFIG), OLD)

    def test_a_payload_that_reads_differently_the_second_time_is_not_handed_out(self):
        self.on.store().write(USERS, OLD)
        reader = self.on.store().open(USERS)
        self.on.payload_damaged(USERS, 0)
        with self.assertRaises(StorageError):
            reader.read(len(OLD))


class WornOut(unittest.TestCase):
    """Flash that does not keep what it is given: an error, and a device that goes on with what it has."""

    def setUp(self):
        self.on = OnFlash()
        self.flash = self.on.flash
        self.on.store().write(USERS, OLD)

    def refused(self, text="flash did not keep it"):
        store = self.on.store()
        with self.assertRaises(StorageError) as caught:
            store.write(USERS, NEW)
        self.assertIn("the record users could not be stored", str(caught.exception))
        self.assertIn(text, str(caught.exception))
        self.assertEqual(store.read(USERS), OLD)
        self.assertEqual(self.on.store().read(USERS), OLD)

    def test_a_stuck_bit_in_the_payload(self):
        for stuck in ((0x01, 0), (0, 0x01)):
            for octet in range(len(NEW)):
                wanted = NEW[octet]
                if wanted & 1 == (1 if stuck[1] else 0):
                    continue
                self.flash.stuck = {slot_offset(USERS, 1) + PAGE_LEN + octet: stuck}
                self.refused()
                break

    def test_a_stuck_bit_anywhere_in_the_header(self):
        header = pack_header(USERS, 2, len(NEW), 0)
        for octet in range(len(header) - 8):  # what follows is the CRCs
            bit = 0x40
            stuck = (bit, 0) if header[octet] & bit else (0, bit)
            self.flash.stuck = {slot_offset(USERS, 1) + octet: stuck}
            self.refused()

    def test_a_block_that_cannot_be_erased(self):
        for block in range(3):
            self.flash.bad_blocks = (slot_offset(USERS, 1) // BLOCK_LEN + block,)
            self.refused("could not be stored")

    def test_a_stuck_bit_where_the_copy_goes_leaves_the_new_record_in_force_and_is_told(self):
        self.flash.stuck = {slot_offset(USERS, 0) + PAGE_LEN + 4: (0, 0x01)}  # "o" has this bit, "n" has not
        store = self.on.store()
        store.write(USERS, NEW)
        self.assertEqual(store.weak, [USERS])
        self.assertEqual(self.on.store().read(USERS), NEW)
        with self.assertRaises(StorageError):
            store.write(USERS, NEW + b"more")
        self.assertEqual(self.on.store().read(USERS), NEW)

    def test_a_weak_slot_is_not_tried_at_each_look(self):
        self.flash.stuck = {slot_offset(USERS, 0): (0xFF, 0)}
        store = self.on.store()
        self.assertEqual(store.read(USERS), OLD)
        self.flash.operations = []
        self.assertEqual(store.read(USERS), OLD)
        self.assertEqual(self.flash.operations, [])
        self.assertEqual(store.weak, [USERS])

    def test_a_slot_that_works_again_is_weak_no_longer(self):
        self.flash.bad_blocks = (slot_offset(USERS, 0) // BLOCK_LEN,)
        store = self.on.store()
        store.write(USERS, NEW)
        self.assertEqual(store.weak, [USERS])
        self.flash.bad_blocks = ()
        store.write(USERS, OLD)
        self.assertEqual(store.weak, [])
        self.on.wiped(USERS, 0)
        self.assertEqual(self.on.store().read(USERS), OLD)

    def test_other_records_are_written_as_ever(self):
        self.flash.bad_blocks = tuple(range(slot_offset(USERS, 0) // BLOCK_LEN, slot_offset(USERS, 0) // BLOCK_LEN + 6))
        self.on.store().write(CONFIG, NEW)
        self.assertEqual(self.on.store().read(CONFIG), NEW)


class Wear(unittest.TestCase):
    def test_changes_wear_all_blocks_of_a_record_alike_and_are_counted(self):
        on = OnFlash()
        for number in range(50):
            on.store().write(USERS, b"%d" % number)
        blocks = [slot_offset(USERS, slot) // BLOCK_LEN + block for slot in (0, 1) for block in range(3)]
        self.assertEqual([on.flash.erasures[block] for block in blocks], [50] * 6)
        self.assertEqual(sum(on.flash.erasures), 300)
        self.assertEqual(on.store().writes(USERS), 50)

    def test_starts_wear_nothing(self):
        on = OnFlash()
        on.store().write(USERS, OLD)
        worn = sum(on.flash.erasures)
        for _ in range(20):
            on.store().read(USERS)
        self.assertEqual(sum(on.flash.erasures), worn)


class Files(unittest.TestCase):
    def setUp(self):
        self.on = InFiles()
        self.on.store().write(USERS, OLD)
        self.disk = dict(self.on.files.disk)

    def failed_at(self, fuse, failure):
        """A write that fails after so many octets and operations; whether it failed."""
        files = self.on.files
        files.disk = dict(self.disk)
        files.reads_fail = False
        store = self.on.store()
        files.fuse, files.failure = fuse, failure
        try:
            store.write(USERS, NEW)
            return None
        except StorageError as error:
            return error

    def test_a_full_disk_is_an_error_at_every_octet_and_the_old_stays(self):
        failed = 0
        for fuse in range(0, 3000, 13):
            error = self.failed_at(fuse, ENOSPC)
            self.assertEqual(self.on.store().read(USERS), OLD if error else NEW)
            if error:
                failed += 1
                self.assertIn("the record users could not be stored because flash is full", str(error))
        self.assertTrue(failed > len(NEW) // 13)

    def test_a_disk_that_fails_while_it_is_read_is_an_error_and_no_empty_record(self):
        on = InFiles()
        on.files.disk = {"records/users.1": slot_file(USERS, 1, OLD)}
        store = on.store()
        on.files.fuse, on.files.failure = 0, errno.EIO
        with self.assertRaises(StorageError):
            store.read(USERS)

    def test_a_cut_at_every_octet_leaves_the_old_or_the_new(self):
        self.on.store().write(CONFIG, b"old")
        disk = dict(self.on.files.disk)
        found = []
        for fuse in range(200):
            files = self.on.files
            files.disk = dict(disk)
            files.lossy = bool(fuse % 2)
            store = self.on.store()
            files.fuse = fuse
            try:
                store.write(CONFIG, b"the new one")
            except DiskCut:
                pass
            found.append(self.on.store().read(CONFIG))
            self.assertEqual(self.on.store().read(CONFIG), found[-1])
        self.assertEqual(set(found), {b"old", b"the new one"})
        self.assertEqual((found[0], found[-1]), (b"old", b"the new one"))


if __name__ == "__main__":
    unittest.main()
