"""A factory reset gives the device back as it was delivered (docs/boards.md, "What is kept in flash")."""

import unittest

from homeport_core.errors import StorageError
from homeport_core.record import BLOCK_LEN, CONFIG, FACTORY, KINDS, PAGE_LEN, SECRETS, USERS, slot_offset
from homeport_device.acl import Acl
from homeport_device.acl_record import AclRecord
from homeport_device.factory_reset import factory_reset, resume
from homeport_device.flash_slots import FlashSlots
from homeport_device.record_store import RecordStore
from nor_flash import NorFlash, PowerCut
from vector_files import load, unhex

FACTORY_USERS = unhex({vector["name"]: vector for vector in load("vectors-acl.json")["acl_files"]}["one_owner"]["hex"])
GUEST = b"\xb0" * 16
WITH_WIFI = b'{"controller":["gate.example:5566"],"name":"Light","wifi":[["home","a password"]]}'
NO_WIFI = b'{"controller":["gate.example:5566"],"name":"Light"}'


class Reset(unittest.TestCase):
    def setUp(self):
        self.flash = NorFlash()
        store = self.store()
        store.write(SECRETS, b"secrets")
        store.write(CONFIG, WITH_WIFI)
        store.write(FACTORY, FACTORY_USERS)
        self.users().add(GUEST, b"guest")

    def store(self):
        self.flash.restart()
        return RecordStore(FlashSlots(self.flash))

    def users(self):
        acl = Acl(AclRecord(self.store()))
        acl.load()
        return acl

    def spoil(self, kind):
        for slot in (0, 1):
            self.flash.content[slot_offset(kind, slot) + PAGE_LEN] ^= 1

    def test_the_factorys_users_are_back_and_others_gone(self):
        factory_reset(self.store())
        acl = self.users()
        self.assertEqual(len(acl.users()), 1)
        self.assertEqual(acl.find(GUEST), -1)

    def test_without_factory_users_the_next_one_to_pair_is_the_owner(self):
        self.store().write(FACTORY, b"")
        factory_reset(self.store())
        self.assertEqual(self.users().users(), [])
        self.assertEqual(self.users().system, 0xE0000000)

    def test_networks_go_and_the_rest_of_config_stays(self):
        factory_reset(self.store())
        self.assertEqual(self.store().read(CONFIG), NO_WIFI)

    def test_secrets_stay(self):
        factory_reset(self.store())
        self.assertEqual(self.store().read(SECRETS), b"secrets")

    def test_nothing_of_what_went_is_left_in_flash(self):
        factory_reset(self.store())
        for octets in (GUEST, b"a password"):
            self.assertEqual(self.flash.content.find(octets), -1)

    def test_a_device_that_was_never_configured_stays_so(self):
        self.flash = NorFlash()
        factory_reset(self.store())
        self.assertEqual([self.store().read(kind) for kind in KINDS], [None, None, b"", None])

    def test_damaged_users_and_config_are_replaced(self):
        self.spoil(USERS)
        self.spoil(CONFIG)
        factory_reset(self.store())
        self.assertEqual(self.store().read(CONFIG), b"{}")
        self.assertEqual(len(self.users().users()), 1)

    def test_a_config_that_cannot_be_understood_is_replaced(self):
        self.store().write(CONFIG, b"something else")
        factory_reset(self.store())
        self.assertEqual(self.store().read(CONFIG), b"{}")

    def test_a_config_that_the_device_refuses_is_replaced(self):
        for config in (b'{"settings":{"of_another_version":true}}', b'{"wifi":[[1,2]]}', b'{"settings":[]}'):
            self.store().write(CONFIG, config)
            factory_reset(self.store())
            self.assertEqual(self.store().read(CONFIG), b"{}")

    def test_a_reset_that_a_cut_interrupted_is_finished_by_the_next_start(self):
        interrupted = 0
        content = bytes(self.flash.content)
        for fuse in range(100):
            self.flash.content[:] = content
            store = self.store()
            self.flash.fuse = fuse
            try:
                factory_reset(store)
            except PowerCut:
                interrupted += resume(self.store())
            self.assertFalse(resume(self.store()))
            is_reset = self.users().find(GUEST) < 0
            self.assertEqual(self.store().read(CONFIG), NO_WIFI if is_reset else WITH_WIFI)
        self.assertTrue(is_reset)
        self.assertGreater(interrupted, 10)

    def test_flash_that_does_not_keep_the_reset_is_an_error_and_nothing_changed(self):
        self.flash.bad_blocks = (slot_offset(USERS, 1) // BLOCK_LEN,)
        with self.assertRaises(StorageError):
            factory_reset(self.store())
        self.assertEqual(self.users().find(GUEST), 1)
        self.assertEqual(self.store().read(CONFIG), WITH_WIFI)

    def test_a_start_without_a_reset_changes_nothing(self):
        before = bytes(self.flash.content)
        self.assertFalse(resume(self.store()))
        self.spoil(USERS)
        self.assertFalse(resume(self.store()))
        self.spoil(USERS)
        self.assertEqual(bytes(self.flash.content), before)


if __name__ == "__main__":
    unittest.main()
