"""Records as files on LittleFS over simulated NOR flash: power cut in every flash operation, and a full file system."""

import os
import unittest

import vfs
from homeport_core.errors import StorageError
from homeport_core.record import CONFIG, FACTORY, SECRETS
from homeport_device.acl import Acl
from homeport_device.acl_record import AclRecord
from homeport_device.factory_reset import factory_reset, resume
from homeport_device.file_slots import FileSlots
from homeport_device.record_store import RecordStore
from nor_flash import BLOCK_LEN, PAGE_LEN, BlockDevice, NorFlash
from power_cuts import Campaign

BLOCKS = 20
FOLDER = "/flash/records"
OWNER = b"\xa0" * 16
GUEST = b"\xb0" * 16
WITH_WIFI = b'{"name":"Light","wifi":[["home","password"]]}'


class Mounted:
    """A file system on a flash, while the context lasts."""

    def __init__(self, flash):
        self.flash = flash

    def __enter__(self):
        vfs.mount(vfs.VfsLfs2(BlockDevice(self.flash), progsize=PAGE_LEN), "/flash")
        return RecordStore(FileSlots(FOLDER))

    def __exit__(self, kind, value, trace):
        vfs.umount("/flash")


def users(store):
    acl = Acl(AclRecord(store), size=4)
    acl.load()
    return acl


def on_flash(step):
    """`step(store)` as a change of the flash."""

    def change(flash):
        with Mounted(flash) as store:
            step(store)

    return change


def restart(flash):
    """What a start finds: everything."""
    flash.restart()
    with Mounted(flash) as store:
        resume(store)
        acl = users(store)
        people = tuple(bytes(acl.record(slot)) for slot in acl.users())
        return acl.system, acl.first_user, people, store.read(SECRETS), store.read(CONFIG), store.read(FACTORY)


def formatted():
    flash = NorFlash(size=BLOCKS * BLOCK_LEN)
    vfs.VfsLfs2.mkfs(BlockDevice(flash), progsize=PAGE_LEN)
    return flash


def flash_after(*steps):
    flash = formatted()
    for step in steps:
        on_flash(step)(flash)
    return bytes(flash.content)


def pair_owner(store):
    users(store).add(OWNER, b"owner")


def pair_guest(store):
    users(store).add(GUEST, b"guest")


def remove_guest(store):
    users(store).remove(1)


def rename(store):
    acl = users(store)
    if acl.users():
        acl.set_name(0, b"renamed")


def configure(store):
    store.write(SECRETS, b"secrets")
    store.write(CONFIG, WITH_WIFI)


class Cuts(unittest.TestCase):
    def check(self, change, *before):
        campaign = Campaign(
            restart, on_flash(change), on_flash(rename), flash_after(*before), step=1000, again_step=61, mixtures=2
        )
        campaign.run()
        self.assertEqual(campaign.found, {campaign.old, campaign.new})
        print(campaign.cuts, "cuts")

    def test_first_user(self):
        self.check(pair_owner)

    def test_second_user(self):
        self.check(pair_guest, pair_owner)

    def test_removal(self):
        self.check(remove_guest, pair_owner, pair_guest)

    def test_first_secrets(self):
        self.check(lambda store: store.write(SECRETS, b"secrets"))

    def test_longer_config(self):
        self.check(lambda store: store.write(CONFIG, WITH_WIFI * 30), configure)

    def test_factory_reset(self):
        self.check(factory_reset, configure, pair_owner, pair_guest)


class Full(unittest.TestCase):
    def test_a_full_file_system_is_an_error_and_the_old_list_stays_until_there_is_room(self):
        flash = NorFlash(flash_after(pair_owner, pair_guest, configure))
        flash.operations = None
        old = restart(flash)
        with Mounted(flash) as store:
            self.fill(flash)
            acl = users(store)
            with self.assertRaises(StorageError) as caught:
                acl.add(b"\xc0" * 16, b"third")
            self.assertEqual(str(caught.exception), "the record users could not be stored because flash is full")
            self.assertEqual(acl.users(), [0, 1])
        self.assertEqual(restart(flash), old)
        with Mounted(flash) as store:
            os.remove("/flash/filler0")
            users(store).add(b"\xc0" * 16, b"third")
        self.assertEqual(len(restart(flash)[2]), 3)

    def fill(self, flash):
        """Files of a block each, until there is no room for one more."""
        for number in range(BLOCKS):
            flash.operations = None
            try:
                with open("/flash/filler%d" % number, "wb") as file:
                    file.write(bytes(BLOCK_LEN - PAGE_LEN))
            except OSError as error:
                self.assertEqual(error.errno, 28)
                return
        self.fail("there was room for all")


if __name__ == "__main__":
    unittest.main()
