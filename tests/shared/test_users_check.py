"""A list of users that is handed to a device is checked as a whole (specification, application 1.7)."""

import unittest

from homeport_core.errors import ConfigError
from homeport_core.users_check import parse
from vector_files import load, unhex


def vectors():
    return {vector["name"]: vector for vector in load("vectors-acl.json")["acl_files"]}


WHOLE = ("empty", "one_owner", "owner_plus_guest_with_psk", "full_table_32", "one_owner_with_fcm_token", "after_clear")


class Parse(unittest.TestCase):
    def check(self, octets, decoded):
        found = parse(octets)
        self.assertEqual(found.system, int(decoded["system_permissions"], 16))
        self.assertEqual(found.default_user, int(decoded["default_user_permissions"], 16))
        self.assertEqual(len(found.users), len(decoded["records_in_file"]))
        for user, expected in zip(found.users, decoded["records_in_file"]):
            self.assertEqual(user.fingerprint, unhex(expected["fingerprint"]))
            self.assertEqual(user.name, expected["name"].encode())
            self.assertEqual(user.permissions, int(expected["permissions"], 16))
            self.assertEqual(user.has_key, bool(expected.get("psk_present")))
        return found

    def test_whole_files_of_the_reference_are_read(self):
        for name in WHOLE:
            with self.subTest(name=name):
                vector = vectors()[name]
                found = self.check(unhex(vector["hex"]), vector["decoded"])
                self.assertEqual(found.version, 4)
                self.assertEqual(found.first_user, int(vector["decoded"]["first_user_permissions"], 16))

    def test_old_versions_are_read(self):
        for version in (1, 2, 3):
            with self.subTest(version=version):
                vector = vectors()["migrate_v%d" % version]
                found = self.check(unhex(vector["before_hex"]), vector["before_decoded"])
                self.assertEqual(found.version, version)
                self.assertEqual(found.first_user is None, version == 1)

    def test_a_token_is_told(self):
        octets = unhex(vectors()["one_owner_with_fcm_token"]["hex"])
        self.assertEqual(parse(octets).users[0].token, b"fcm-token-0123456789")

    def refused(self, octets, text):
        with self.assertRaises(ConfigError) as caught:
            parse(octets)
        self.assertIn(text, str(caught.exception))

    def test_other_versions_are_refused(self):
        for name in ("version_0", "version_5", "three_byte_file", "zero_length_file"):
            self.refused(unhex(vectors()[name]["before_hex"]), "version of 1 to 4")

    def test_a_list_that_lost_users_is_refused(self):
        for name in ("truncated_record", "v2_truncated"):
            self.refused(unhex(vectors()[name]["before_hex"]), "cut short")
        self.refused(unhex(vectors()["hole_defect"]["hex"]), "cut short")

    def test_more_than_a_device_takes_is_refused(self):
        self.refused(unhex(vectors()["count_larger_than_32"]["before_hex"]), "at most 32 users")

    def test_octets_behind_the_last_user_are_refused(self):
        self.refused(unhex(vectors()["trailing_bytes"]["before_hex"]), "behind its last user")

    def test_a_file_cut_at_any_octet_is_refused(self):
        whole = unhex(vectors()["owner_plus_guest_with_psk"]["hex"])
        for n in range(len(whole)):
            with self.assertRaises(ConfigError):
                parse(whole[:n])

    def test_nobody_and_the_same_user_twice_are_refused(self):
        owner = unhex(vectors()["one_owner"]["hex"])
        self.refused(owner[:20] + bytes(16) + owner[36:], "user 1 has no fingerprint")
        self.refused(owner[:19] + b"\x02" + owner[20:] + owner[20:], "user 2 is in the list twice")


if __name__ == "__main__":
    unittest.main()
