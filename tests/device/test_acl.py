"""The access control list: table, decisions and rollback (specification, application 1.2 to 1.6, 1.10, 1.14)."""

import unittest

from homeport_core.errors import ConfigError, FullError, StorageError
from homeport_device.acl import ADMIN, LOCAL, NOBODY, PAIRING, REMOTE, Acl
from vector_files import load, unhex

OWNER = b"\xa0" * 16
GUEST = b"\xb0" * 16
STRANGER = b"\xc0" * 16
KEY_ID = b"\x01" * 16
KEY = b"\x02" * 16
PAIRING_KEY = b"\xff" * 16


class Connection:
    def __init__(self, fingerprint, is_local=True, is_psk=False):
        self.fingerprint = fingerprint
        self.is_local = is_local
        self.is_psk = is_psk


class BrokenStore:
    def save(self, acl):
        raise StorageError("disk")


def word(text):
    return int(text, 16)


class CheckVectors(unittest.TestCase):
    def test_every_decision_agrees_with_the_reference(self):
        for number, vector in enumerate(load("vectors-acl.json")["acl_checks"]):
            if vector["label"] != "matrix":
                continue
            given = vector["connection"]
            fingerprint = unhex(given["fingerprint"])
            acl = Acl(defaults=(word(given["system_permissions"]), 0, 0))
            if given["user_permissions"] is not None:
                acl.set_permissions(acl.add(fingerprint, b""), word(given["user_permissions"]))
            connection = Connection(fingerprint, given["local"])
            required = word(vector["required_permissions"])
            results = {
                "connection": acl.connection_allowed(connection),
                "request": acl.request_allowed(connection, required),
                "tunnel": acl.tunnel_allowed(connection, required),
                "pair": acl.pair_allowed(connection),
                "owner": acl.is_owner(connection),
                "paired": acl.is_paired(connection),
            }
            with self.subTest(number=number):
                self.assertEqual(results, vector["results"])

    def test_without_a_fingerprint_nothing_is_allowed(self):
        acl = Acl()
        acl.add(OWNER, b"")
        for connection in (Connection(None), None):
            self.assertFalse(acl.connection_allowed(connection))
            self.assertFalse(acl.request_allowed(connection))
            self.assertFalse(acl.tunnel_allowed(connection))
            self.assertFalse(acl.pair_allowed(connection))
            self.assertFalse(acl.is_owner(connection))
            self.assertFalse(acl.is_paired(connection))

    def test_the_all_zero_fingerprint_is_nobody_where_the_reference_finds_a_free_slot(self):
        acl = Acl()
        connection = Connection(NOBODY)
        self.assertFalse(acl.is_paired(connection))  # the reference: paired
        self.assertFalse(acl.pair_allowed(connection))  # the reference: allowed
        self.assertFalse(acl.request_allowed(connection))


class Table(unittest.TestCase):
    def test_first_user_is_owner_and_the_next_is_guest(self):
        acl = Acl()
        self.assertEqual(acl.permissions(acl.add(OWNER, b"o")), 0xE0000000)
        self.assertEqual(acl.permissions(acl.add(GUEST, b"g")), 0x80000000)

    def test_after_the_last_user_is_removed_the_next_one_is_owner_again(self):
        acl = Acl()
        acl.remove(acl.add(OWNER, b""))
        self.assertEqual(acl.permissions(acl.add(GUEST, b"")), 0xE0000000)

    def test_a_removed_slot_is_the_next_to_be_used(self):
        acl = Acl()
        for number in range(4):
            acl.add(bytes([number + 1]) * 16, b"")
        acl.remove(1)
        self.assertEqual(acl.users(), [0, 2, 3])
        self.assertEqual(acl.add(STRANGER, b""), 1)

    def test_the_33rd_user_does_not_fit(self):
        acl = Acl()
        for number in range(32):
            acl.add((number + 1).to_bytes(16, "big"), b"")
        with self.assertRaises(FullError):
            acl.add(STRANGER, b"")

    def test_octets_that_span_two_fields_are_not_taken_for_a_fingerprint(self):
        acl = Acl()
        acl.add(OWNER, STRANGER * 3)
        self.assertEqual(acl.find(STRANGER), -1)
        acl.add(STRANGER, b"")
        self.assertEqual(acl.find(STRANGER), 1)

    def test_a_name_is_cut_to_63_octets(self):
        acl = Acl()
        self.assertEqual(acl.name(acl.add(OWNER, b"n" * 100)), b"n" * 63)

    def test_a_table_of_no_users_is_refused(self):
        with self.assertRaises(ConfigError):
            Acl(size=0)


class Rollback(unittest.TestCase):
    """What cannot be stored does not happen."""

    def setUp(self):
        self.acl = Acl()
        self.acl.add(OWNER, b"owner")
        self.acl._store = BrokenStore()

    def test_every_change_is_undone_when_the_store_fails(self):
        acl = self.acl
        changes = (
            ("add", lambda: acl.add(GUEST, b"")),
            ("remove", lambda: acl.remove(0)),
            ("set_name", lambda: acl.set_name(0, b"x")),
            ("set_permissions", lambda: acl.set_permissions(0, 1)),
            ("set_psk", lambda: acl.set_psk(0, KEY_ID, KEY)),
            ("set_settings", lambda: acl.set_settings(0, 0, 0)),
        )
        before = bytes(acl._table), acl.system, acl.default_user, acl.first_user
        for name, change in changes:
            with self.subTest(name=name):
                with self.assertRaises(StorageError):
                    change()
                self.assertEqual((bytes(acl._table), acl.system, acl.default_user, acl.first_user), before)


class Administration(unittest.TestCase):
    def test_clear_local_connections_may_be_refused_administration(self):
        acl = Acl(clear_admin=False)
        acl.add(OWNER, b"")
        clear, psk, remote = Connection(OWNER), Connection(OWNER, True, True), Connection(OWNER, False)
        self.assertTrue(acl.request_allowed(clear))
        self.assertFalse(acl.request_allowed(clear, ADMIN))
        self.assertFalse(acl.is_owner(clear))
        for connection in (psk, remote):
            self.assertTrue(acl.request_allowed(connection, ADMIN))
            self.assertTrue(acl.is_owner(connection))


class LocalKeys(unittest.TestCase):
    def setUp(self):
        self.acl = Acl()
        self.acl.add(OWNER, b"")
        self.acl.set_psk(self.acl.add(GUEST, b""), KEY_ID, KEY)

    def test_a_users_own_key_binds_the_connection_to_the_user(self):
        self.assertEqual(self.acl.psk_for(KEY_ID, None, None), (KEY, GUEST))
        self.assertEqual(self.acl.psk_for(KEY_ID, GUEST, None), (KEY, GUEST))

    def test_a_key_of_somebody_else_than_claimed_is_refused(self):
        self.assertIsNone(self.acl.psk_for(KEY_ID, OWNER, None))

    def test_an_unknown_key_id_is_refused(self):
        self.assertIsNone(self.acl.psk_for(b"\x09" * 16, GUEST, PAIRING_KEY))

    def test_the_pairing_key_is_offered_only_while_pairing_is_open(self):
        self.assertEqual(self.acl.psk_for(NOBODY, STRANGER, PAIRING_KEY), (PAIRING_KEY, STRANGER))
        self.acl.set_settings(LOCAL | REMOTE, 0)
        self.assertIsNone(self.acl.psk_for(NOBODY, STRANGER, PAIRING_KEY))
        self.assertFalse(self.acl.system & PAIRING)

    def test_under_the_pairing_key_a_known_fingerprint_cannot_be_claimed(self):
        self.assertEqual(self.acl.psk_for(NOBODY, OWNER, PAIRING_KEY), (PAIRING_KEY, None))

    def test_without_a_pairing_key_the_zero_id_is_refused(self):
        self.assertIsNone(self.acl.psk_for(NOBODY, STRANGER, None))

    def test_the_reference_believes_every_claim(self):
        self.acl.set_settings(0, 0)
        self.assertEqual(self.acl.psk_for(NOBODY, OWNER, PAIRING_KEY, True), (PAIRING_KEY, OWNER))

    def test_a_key_that_was_taken_away_is_refused(self):
        self.acl.set_psk(1, None, None)
        self.assertIsNone(self.acl.psk_for(KEY_ID, GUEST, None))

    def test_keys_of_the_wrong_size_are_refused(self):
        for key_id, key in ((KEY_ID[:15], KEY), (KEY_ID, KEY + b"x"), (NOBODY, KEY)):
            with self.assertRaises(ConfigError):
                self.acl.set_psk(0, key_id, key)


if __name__ == "__main__":
    unittest.main()
