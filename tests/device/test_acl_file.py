"""The list of users on disk (specification, application 1.7, 1.8, 1.14)."""

import errno
import unittest

from homeport_core.errors import StorageError
from homeport_device.acl import Acl
from homeport_device.acl_file import AclFile
from memory_files import MemoryFiles, PowerCut
from vector_files import load, unhex

PATH = "acl.bin"
OWNER = b"\xa0" * 16
GUEST = b"\xb0" * 16
THIRD = b"\xc0" * 16
DEFAULTS = (0xAAAAAAAA, 0x80000000, 0xE0000000)


def vectors():
    return {vector["name"]: vector for vector in load("vectors-acl.json")["acl_files"]}


def opened(content, tokens=False):
    """A list loaded from a file of this content, the disk, and what load() said."""
    files = MemoryFiles({} if content is None else {PATH: content})
    acl = Acl(AclFile(PATH, files), DEFAULTS, tokens=tokens)
    return acl, files.disk, acl.load()


def state(acl):
    """What matters of a list, users in the order of their slots."""
    users = [bytes(acl.record(slot)) for slot in acl.users()]
    return acl.system, acl.default_user, acl.first_user, users


class Vectors(unittest.TestCase):
    def check_contents(self, acl, decoded):
        self.assertEqual(acl.system, int(decoded["system_permissions"], 16))
        self.assertEqual(acl.default_user, int(decoded["default_user_permissions"], 16))
        records = decoded["records_in_file"][:32]
        self.assertEqual(len(acl.users()), len(records))
        for slot, expected in zip(acl.users(), records):
            self.assertEqual(acl.fingerprint(slot), unhex(expected["fingerprint"]))
            self.assertEqual(acl.name(slot), expected["name"].encode())
            self.assertEqual(acl.permissions(slot), int(expected["permissions"], 16))
            if expected.get("psk_present"):
                key = (unhex(expected["psk"]), unhex(expected["fingerprint"]))
                self.assertEqual(acl.psk_for(unhex(expected["psk_id"]), None, None), key)

    def test_each_whole_file_is_read_and_written_back_octet_by_octet(self):
        names = ("empty", "one_owner", "owner_plus_guest_with_psk", "full_table_32", "after_clear")
        for name in names:
            with self.subTest(name=name):
                vector = vectors()[name]
                content = unhex(vector["hex"])
                acl, disk, _ = opened(content)
                self.check_contents(acl, vector["decoded"])
                self.assertEqual(acl.first_user, int(vector["decoded"]["first_user_permissions"], 16))
                acl.set_settings(acl.system, acl.default_user)
                self.assertEqual(disk[PATH], content)

    def test_tokens_are_kept_only_where_they_are_stored(self):
        vector = vectors()["one_owner_with_fcm_token"]
        content = unhex(vector["hex"])
        for tokens, expected in ((True, content), (False, None)):
            acl, disk, _ = opened(content, tokens)
            self.assertEqual(acl.token(0), b"fcm-token-0123456789" if tokens else b"")
            acl.set_settings(acl.system, acl.default_user)
            self.assertEqual(disk[PATH], expected or unhex(vectors()["fcm_token_lost_by_non_fcm_build"]["hex"]))

    def test_old_versions_are_converted_at_once(self):
        for name in ("migrate_v1", "migrate_v2", "migrate_v3"):
            with self.subTest(name=name):
                vector = vectors()[name]
                acl, disk, _ = opened(unhex(vector["before_hex"]))
                self.check_contents(acl, vector["before_decoded"])
                expected = unhex(vector["file_after_hex"])
                if name == "migrate_v1":
                    # Intended difference: the application's word for a first user in the place of zero.
                    expected = expected[:12] + (0xE0000000).to_bytes(4, "big") + expected[16:]
                self.assertEqual(disk[PATH], expected)

    def test_more_users_than_slots_and_trailing_octets_are_ignored(self):
        for name, count in (("count_larger_than_32", 32), ("trailing_bytes", 2)):
            acl, disk, _ = opened(unhex(vectors()[name]["before_hex"]))
            self.assertEqual(len(acl.users()), count)

    def test_useless_files_close_the_device_and_stay_untouched(self):
        # Intended difference: the reference erases a version 0 file.
        for name in ("version_0", "version_5", "three_byte_file", "zero_length_file", "v2_truncated"):
            with self.subTest(name=name):
                content = unhex(vectors()[name]["before_hex"])
                acl, disk, said = opened(content)
                self.assertEqual(state(acl), (0, 0, 0, []))
                self.assertEqual(disk, {PATH: content})
                self.assertIn("closed", said)

    def test_a_short_file_keeps_the_users_that_are_in_it(self):
        content = unhex(vectors()["truncated_record"]["before_hex"])
        acl, disk, said = opened(content)
        self.assertEqual(acl.users(), [0])
        self.assertEqual(acl.system, 0xE0000000)
        self.assertIn("1 users are missing", said)

    def test_a_removal_from_the_middle_writes_the_users_that_the_reference_drops(self):
        vector = vectors()["hole_defect"]
        acl, disk, _ = opened(unhex(vector["before_hex"]))
        acl.remove(acl.find(unhex("b0b1b2b3b4b5b6b7b8b9babbbcbdbebf")))
        self.assertEqual(disk[PATH], unhex(vector["correct_file_hex"]))


class Loading(unittest.TestCase):
    def test_without_a_file_the_defaults_count(self):
        acl, disk, _ = opened(None)
        self.assertEqual(state(acl), (0xAAAAAAAA, 0x80000000, 0xE0000000, []))
        self.assertEqual(disk, {})

    def test_a_file_cut_at_any_octet_never_opens_the_device_to_a_new_owner(self):
        whole = unhex(vectors()["owner_plus_guest_with_psk"]["hex"])
        for n in range(len(whole)):
            acl, disk, _ = opened(whole[:n])
            self.assertTrue(acl.users() or acl.system == 0, n)
            self.assertEqual(disk, {PATH: whole[:n]})

    def test_a_file_with_any_octet_flipped_is_read_or_closes_the_device(self):
        whole = unhex(vectors()["one_owner"]["hex"])
        for at in range(len(whole)):
            for flipped in (whole[at] ^ 0xFF, whole[at] ^ 0x01):
                content = whole[:at] + bytes((flipped,)) + whole[at + 1 :]
                acl, disk, said = opened(content)
                self.assertTrue(len(acl.users()) == 1 or acl.system == 0, (at, said))
                self.assertEqual(list(disk), [PATH])

    def test_a_damaged_file_is_set_aside_before_a_new_one_is_saved(self):
        acl, disk, _ = opened(b"\x00\x00")
        acl.add(OWNER, b"")
        self.assertEqual(disk[PATH + ".bad"], b"\x00\x00")
        self.assertEqual(len(disk[PATH]), 394)

    def test_a_complete_new_file_is_taken_when_the_old_one_is_missing(self):
        whole = unhex(vectors()["one_owner"]["hex"])
        files = MemoryFiles({PATH + ".new": whole})
        acl = Acl(AclFile(PATH, files))
        self.assertIn("power cut", acl.load())
        self.assertEqual(len(acl.users()), 1)
        self.assertEqual(files.disk, {PATH: whole})

    def test_an_incomplete_or_blank_new_file_is_not_taken(self):
        whole = unhex(vectors()["one_owner"]["hex"])
        blank = whole[:20] + bytes(374)
        for content in [whole[:n] for n in range(len(whole))] + [blank, whole + b"x"]:
            acl = Acl(AclFile(PATH, MemoryFiles({PATH + ".new": content})))
            acl.load()
            self.assertEqual(acl.users(), [])

    def test_a_leftover_new_file_does_not_survive_the_next_start(self):
        whole = unhex(vectors()["one_owner"]["hex"])
        files = MemoryFiles({PATH: unhex(vectors()["empty"]["hex"]), PATH + ".new": whole})
        Acl(AclFile(PATH, files)).load()
        self.assertEqual(list(files.disk), [PATH])

    def test_a_disk_that_cannot_be_read_is_an_error_and_no_empty_list(self):
        files = MemoryFiles({PATH: b""})
        files.fuse, files.failure = 0, errno.EIO
        with self.assertRaises(StorageError):
            Acl(AclFile(PATH, files)).load()


class Interrupted(unittest.TestCase):
    """Each save is cut after every octet and every operation; the old or the new list remains."""

    def cut_everywhere(self, disk, change):
        """Try `change` with a cut at every step; yields (list before, list after, list found on restart)."""
        files = MemoryFiles(disk)
        acl = Acl(AclFile(PATH, files))
        acl.load()
        old = state(acl)
        files.steps = 0
        change(acl)
        new, steps = state(acl), files.steps
        for fuse in range(steps + 1):
            for lossy in (False, True):
                files = MemoryFiles(disk)
                acl = Acl(AclFile(PATH, files))
                acl.load()
                files.fuse, files.lossy = fuse, lossy
                try:
                    change(acl)
                except PowerCut:
                    pass
                restarted = Acl(AclFile(PATH, MemoryFiles(files.disk)))
                restarted.load()
                yield old, new, state(restarted)

    def assert_old_or_new(self, disk, change):
        outcomes = set()
        for old, new, found in self.cut_everywhere(disk, change):
            self.assertIn(found, (old, new))
            outcomes.add("new" if found == new else "old")
        self.assertEqual(sorted(outcomes), ["new", "old"])

    def test_first_user(self):
        self.assert_old_or_new({}, lambda acl: acl.add(OWNER, b"owner"))

    def test_second_user(self):
        disk = {PATH: unhex(vectors()["one_owner"]["hex"])}
        self.assert_old_or_new(disk, lambda acl: acl.add(GUEST, b"guest"))

    def test_removal(self):
        disk = {PATH: unhex(vectors()["owner_plus_guest_with_psk"]["hex"])}
        self.assert_old_or_new(disk, lambda acl: acl.remove(0))

    def test_settings(self):
        disk = {PATH: unhex(vectors()["one_owner"]["hex"])}
        self.assert_old_or_new(disk, lambda acl: acl.set_settings(0x80000000, 0))

    def test_conversion_of_an_old_file(self):
        content = unhex(vectors()["migrate_v3"]["before_hex"])
        _, disk, _ = opened(content)
        for fuse in range(1200):
            files = MemoryFiles({PATH: content})
            files.fuse = fuse
            try:
                Acl(AclFile(PATH, files)).load()
            except PowerCut:
                pass
            self.assertIn(files.disk[PATH], (content, disk[PATH]))


class Failing(unittest.TestCase):
    def test_a_save_that_fails_anywhere_leaves_file_and_memory_as_they_were(self):
        whole = unhex(vectors()["one_owner"]["hex"])
        for fuse in range(2 * 374 + 20 + 3):
            files = MemoryFiles({PATH: whole})
            acl = Acl(AclFile(PATH, files))
            acl.load()
            before = state(acl)
            files.fuse, files.failure = fuse, errno.EIO
            with self.assertRaises(StorageError):
                acl.add(GUEST, b"guest")
            self.assertEqual(state(acl), before)
            self.assertEqual(files.disk[PATH], whole)


if __name__ == "__main__":
    unittest.main()
