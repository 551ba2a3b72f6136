"""The list of users as a record in flash does what it does as a file (docs/boards.md, "What is kept in flash")."""

import unittest

from homeport_core.errors import StorageError
from homeport_core.record import FACTORY, PAGE_LEN, USERS, capacity, slot_offset
from homeport_core.rpc import Reader, Writer
from homeport_core.spec import AER_ACCEPTED, AER_READY, AER_SYSTEM_ERROR
from homeport_device.acl import Acl
from homeport_device.acl_file import AclFile
from homeport_device.acl_record import AclRecord, manage_apart
from homeport_device.flash_slots import FlashSlots
from homeport_device.record_store import RecordStore
from memory_files import MemoryFiles
from nor_flash import NorFlash
from vector_files import load, unhex

OWNER = b"\xa0" * 16
GUEST = b"\xb0" * 16
DEFAULTS = (0xAAAAAAAA, 0x80000000, 0xE0000000)


def vectors():
    return {vector["name"]: vector for vector in load("vectors-acl.json")["acl_files"]}


def state(acl):
    users = [bytes(acl.record(slot)) for slot in acl.users()]
    return acl.system, acl.default_user, acl.first_user, users


class Board:
    """Flash, and a device that starts on it."""

    def __init__(self, users=None, factory=None):
        self.flash = NorFlash()
        self.store = RecordStore(FlashSlots(self.flash))
        if users is not None:
            self.store.write(USERS, users)
        if factory is not None:
            self.store.write(FACTORY, factory)

    def start(self, tokens=False, size=32):
        """The list of users, and what load() said."""
        self.record = AclRecord(RecordStore(FlashSlots(self.flash)))
        acl = Acl(self.record, DEFAULTS, size, tokens)
        return acl, acl.load()

    def spoil(self, kind):
        for slot in (0, 1):
            self.flash.content[slot_offset(kind, slot) + PAGE_LEN] ^= 1


class LikeTheFile(unittest.TestCase):
    def check(self, content, tokens=False, users=0):
        """Load and change the same octets from a record and from a file; returns what the record holds then."""
        files = MemoryFiles({"acl.bin": content})
        by_file = Acl(AclFile("acl.bin", files), DEFAULTS, tokens=tokens)
        by_file.load()
        board = Board(content)
        by_record, _ = board.start(tokens)
        self.assertEqual(state(by_record), state(by_file))
        self.assertTrue(len(by_record.users()) >= users)
        self.assertEqual(board.store.read(USERS), files.disk["acl.bin"])
        for acl in (by_file, by_record):
            acl.set_settings(0xC0000000, 0)
        self.assertEqual(board.store.read(USERS), files.disk["acl.bin"])

    def test_every_file_of_the_reference(self):
        for name, vector in vectors().items():
            for key in ("hex", "before_hex"):
                if 2 < len(vector.get(key, "")) <= 2 * capacity(USERS):
                    with self.subTest(name=name, key=key):
                        self.check(unhex(vector[key]))

    def test_push_tokens(self):
        self.check(unhex(vectors()["one_owner_with_fcm_token"]["hex"]), tokens=True, users=1)

    def test_a_file_cut_short_in_any_place(self):
        whole = unhex(vectors()["owner_plus_guest_with_psk"]["hex"])
        for n in range(2, len(whole), 41):
            with self.subTest(n=n):
                self.check(whole[:n])


class Load(unittest.TestCase):
    def test_a_new_device_has_the_applications_settings(self):
        acl, said = Board().start()
        self.assertEqual(state(acl), DEFAULTS + ([],))
        self.assertEqual(said, "no list of users yet")

    def test_the_factorys_users_count_until_there_is_a_list(self):
        content = unhex(vectors()["one_owner"]["hex"])
        for users in (None, b"", b"\x00"):
            board = Board(users, content)
            acl, said = board.start()
            self.assertEqual(len(acl.users()), 1)
            self.assertIn("1 users read from the record factory", said)
            acl.add(GUEST, b"guest")
            self.assertEqual(board.store.read(FACTORY), content)
            self.assertEqual(len(board.start()[0].users()), 2)

    def test_a_list_of_the_devices_own_counts_against_the_factorys(self):
        board = Board(unhex(vectors()["empty"]["hex"]), unhex(vectors()["one_owner"]["hex"]))
        self.assertEqual(board.start()[0].users(), [])

    def test_an_old_version_of_the_factorys_list_becomes_the_devices_own(self):
        vector = vectors()["migrate_v3"]
        board = Board(None, unhex(vector["before_hex"]))
        self.assertIn("converted from version 3", board.start()[1])
        self.assertEqual(board.store.read(USERS), unhex(vector["file_after_hex"]))

    def test_an_old_version_serves_on_flash_that_takes_no_new_one(self):
        board = Board(unhex(vectors()["migrate_v3"]["before_hex"]))
        board.flash.bad_blocks = tuple(range(16))
        acl, said = board.start()
        self.assertIn("not stored anew from version 3", said)
        self.assertEqual(len(acl.users()), len(vectors()["migrate_v3"]["before_decoded"]["records_in_file"]))

    def test_damage_closes_the_device_and_nothing_is_erased(self):
        for kind in (USERS, FACTORY):
            content = unhex(vectors()["one_owner"]["hex"])
            board = Board(*((content, None) if kind == USERS else (None, content)))
            board.spoil(kind)
            before = bytes(board.flash.content)
            acl, said = board.start()
            self.assertEqual(state(acl), (0, 0, 0, []))
            self.assertIn("the record %s is damaged, so the device is closed" % kind, said)
            self.assertTrue(board.record.damaged)
            self.assertEqual(bytes(board.flash.content), before)

    def test_a_record_that_is_no_list_closes_the_device(self):
        acl, said = Board(b"no list of users").start()
        self.assertEqual(state(acl), (0, 0, 0, []))
        self.assertIn("the record users is no list of users, so the device is closed", said)

    def test_a_good_list_opens_the_device_again(self):
        board = Board(b"no list")
        acl, _ = board.start()
        board.store.write(USERS, unhex(vectors()["one_owner"]["hex"]))
        acl.load()
        self.assertFalse(board.record.damaged)
        self.assertEqual(len(acl.users()), 1)


class Save(unittest.TestCase):
    def test_a_full_list_with_tokens_is_stored(self):
        board = Board()
        board.flash.operations = None
        acl, _ = board.start(tokens=True)
        for number in range(32):
            acl.add(bytes((number + 1,)) * 16, b"n" * 63)
            acl.set_token(number, b"t" * 255)
        self.assertEqual(state(board.start(tokens=True)[0]), state(acl))
        self.assertEqual(len(board.store.read(USERS)), 11988)

    def test_more_users_than_a_record_takes_are_an_error_and_the_old_list_stays(self):
        board = Board()
        acl, _ = board.start(size=64)
        for number in range(32):
            acl.add(bytes((number + 1,)) * 16, b"")
        with self.assertRaises(StorageError) as caught:
            acl.add(b"\xee" * 16, b"")
        self.assertIn("users takes 12032 octets, not 12362", str(caught.exception))
        self.assertEqual(len(acl.users()), 32)
        self.assertEqual(len(board.start(size=64)[0].users()), 32)

    def test_a_change_that_flash_does_not_keep_is_no_change(self):
        board = Board()
        board.start()[0].add(OWNER, b"owner")
        board.flash.stuck = {slot_offset(USERS, slot) + PAGE_LEN + 0x190: (0xFF, 0) for slot in (0, 1)}
        acl, _ = board.start()
        before = state(acl)
        with self.assertRaises(StorageError):
            acl.add(GUEST, b"guest")
        self.assertEqual(state(acl), before)
        self.assertEqual(state(board.start()[0]), before)
        self.assertEqual(acl.find(OWNER), 0)

    def test_no_piece_in_memory_is_larger_than_a_user(self):
        board = Board(unhex(vectors()["full_table_32"]["hex"]))
        board.flash.operations = None
        largest = []
        read_into = board.flash.read_into

        def watched(off, buf):
            largest.append(len(buf))
            read_into(off, buf)

        board.flash.read_into = watched
        acl, _ = board.start(tokens=True)
        acl.set_name(0, b"renamed")
        self.assertEqual(max(largest), 374)
        self.assertEqual(len(acl.users()), 32)

    def test_what_changes_nothing_is_not_written(self):
        board = Board()
        acl, _ = board.start()
        acl.add(OWNER, b"owner")
        for _ in range(3):
            acl.set_name(0, b"owner")
            acl.set_settings(*DEFAULTS[:2])
        self.assertEqual(board.store.writes(USERS), 1)


class Receiver:
    """A device whose packet is gone when the answer is worked out."""

    def __init__(self, answer):
        self.manage_users = answer

    def accept(self, request, query, coroutine):
        self.query = query
        self.coroutine = coroutine

    def finish(self):
        try:
            self.coroutine.send(None)
        except StopIteration as ended:
            writer = Writer(bytearray(64))
            code = self.query.write(ended.value, writer)
            return code, bytes(writer.buf[: writer.size()])


class ApartTest(unittest.TestCase):
    def test_a_request_is_worked_out_later_from_octets_of_its_own(self):
        def answer(request, reader, writer):
            writer.write_raw(reader.read_raw())
            return AER_READY

        device = Receiver(answer)
        packet = bytearray(b"head\x00\x02metail")
        self.assertEqual(manage_apart(device, None, Reader(packet, 4, 4)), AER_ACCEPTED)
        packet[:] = bytes(len(packet))
        self.assertEqual(device.finish(), (AER_READY, b"\x00\x02me"))

    def test_what_raises_there_costs_that_answer(self):
        def answer(request, reader, writer):
            raise OSError(5)

        device = Receiver(answer)
        manage_apart(device, None, Reader(b""))
        self.assertEqual(device.finish(), (AER_SYSTEM_ERROR, b""))


if __name__ == "__main__":
    unittest.main()
