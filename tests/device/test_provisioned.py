"""What a board becomes by its records, whatever has happened to them: never open, never a start that fails."""

import random
import sys
import unittest

from homeport_core import provisioning
from homeport_core.errors import ConfigError, StorageError
from homeport_core.record import CONFIG, SECRETS, SLOTS, USERS, slot_offset
from homeport_device.acl import Acl
from homeport_device.acl_record import AclRecord
from homeport_device.board_config import DAMAGED, GOOD, MISSING
from homeport_device.provisioned import add_network, load_config, open_store, read_config
from nor_flash import NorFlash

KEY = "000102030405060708090a0b0c0d0e0f"
LABEL = "f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff"
OWNER = bytes(range(16))
ROUNDS = 150


class Hardware:
    """A board of which only flash matters."""

    name = "esp32"
    state_dir = "none"

    def __init__(self):
        self.flash = NorFlash()

    def region(self, label):
        return self.flash if label == "homeport" else None

    def unique_id(self):
        return b"\x99\x00\x01\x02\x03\x04\x05\xab"


class ProvisionedTest(unittest.TestCase):
    def setUp(self):
        self.hardware = Hardware()
        self.store = open_store(self.hardware)

    def write(self, kind, **document):
        self.store.write(kind, provisioning.dump(document))

    def damage(self, kind):
        for slot in SLOTS:
            self.hardware.flash.content[slot_offset(kind, slot) + 256] ^= 0x55

    def read(self, *arguments, **settings):
        return read_config(self.hardware, list(arguments), settings)

    def provision(self):
        self.write(SECRETS, id="dev1.example.org", key=KEY, label_secret=LABEL)
        self.write(
            CONFIG,
            wifi=[["home", "password1"], ["open", ""]],
            controller=["192.0.2.1:5566"],
            name="Attic",
            master_switch=False,
            settings={"local_clear": False, "local_port": 5571},
        )

    def test_a_provisioned_board_is_what_it_was_told(self):
        self.provision()
        config = self.read()
        self.assertEqual(
            (config.device_id, config.key.hex(), config.label_secret.hex()), ("dev1.example.org", KEY, LABEL)
        )
        self.assertEqual(config.networks, (("home", "password1"), ("open", "")))
        self.assertEqual(config.controllers, (b"\xc0\x00\x02\x01\x15\xbe",))
        self.assertEqual((config.name, config.master_switch, config.local_port), ("Attic", False, 5571))
        self.assertEqual((config.local_clear, config.secrets_found, config.config_found), (False, GOOD, GOOD))

    def test_what_was_written_into_it_goes_before_the_applications_own(self):
        self.provision()
        config = self.read(name="Light", connections=3)
        self.assertEqual((config.name, config.connections), ("Attic", 3))

    def test_settings_with_which_the_device_cannot_start_can_be_dropped(self):
        self.provision()
        config = self.read(local_clear=True)
        config.drop_settings()
        self.assertEqual((config.local_clear, config.local_port), (True, 5570))
        self.assertEqual((config.networks, config.config_found), ((), DAMAGED))
        self.assertEqual((config.key.hex(), config.secrets_found), (KEY, GOOD))

    def test_a_new_board_is_local_and_has_an_id_of_its_own(self):
        config = self.read(name="Light")
        self.assertEqual((config.device_id, config.key, config.networks), ("homeport-0102030405ab", b"", ()))
        self.assertEqual((config.secrets_found, config.config_found, config.name), (MISSING, MISSING, "Light"))

    def test_a_damaged_config_leaves_the_identity(self):
        self.provision()
        self.damage(CONFIG)
        config = self.read()
        self.assertEqual((config.device_id, config.key.hex(), config.networks), ("dev1.example.org", KEY, ()))
        self.assertEqual(config.config_found, DAMAGED)

    def test_damaged_secrets_take_the_key_and_open_nothing(self):
        self.provision()
        self.damage(SECRETS)
        first, second = self.read(), self.read()
        self.assertEqual((first.device_id, first.key), ("homeport-0102030405ab", b""))
        self.assertEqual((first.secrets_found, first.config_found), (DAMAGED, GOOD))
        self.assertEqual(first.networks, (("home", "password1"), ("open", "")))
        self.assertEqual(len(first.label_secret), 16)
        self.assertNotEqual(first.label_secret.hex(), LABEL)
        self.assertNotEqual(first.label_secret, second.label_secret)

    def test_nothing_damaged_is_erased_by_a_start(self):
        self.provision()
        self.damage(SECRETS)
        self.damage(CONFIG)
        before = bytes(self.hardware.flash.content)
        self.read()
        self.assertEqual(bytes(self.hardware.flash.content), before)

    def test_a_record_that_is_whole_and_makes_no_sense_is_damaged(self):
        for payload in (b"", b"{}x", b'{"wifi":[["home","short"]]}', b'{"settings":{"users":0}}', b"\xff" * 100):
            self.store.write(CONFIG, payload)
            self.assertEqual(self.read().config_found, DAMAGED)
        self.store.write(SECRETS, b'{"id":"no_host","key":"%s"}' % KEY.encode())
        self.assertEqual(self.read().secrets_found, DAMAGED)

    def test_settings_that_do_not_suit_each_other_are_left_out(self):
        self.write(CONFIG, wifi=[["home", ""]], settings={"packet_max": 272})
        config = self.read(request_max=1000)
        self.assertEqual((config.config_found, config.networks, config.request_max), (DAMAGED, (), 1000))

    def test_the_applications_own_mistakes_are_its_own(self):
        with self.assertRaises(ConfigError):
            self.read(connections="many")

    def test_on_a_real_board_the_applications_mistakes_are_raised_for_an_exit_would_begin_anew_for_ever(self):
        from homeport_device import hardware  # a device forgets it when it has its settings

        is_board, hardware.is_board = hardware.is_board, lambda: True
        arguments, sys.argv[:] = list(sys.argv), sys.argv[:1]
        try:
            with self.assertRaises(ConfigError):
                load_config({"connections": "many"})
            hardware.is_board = lambda: False
            with self.assertRaises(SystemExit):
                load_config({"connections": "many"})
        finally:
            hardware.is_board = is_board
            sys.argv[:] = arguments

    def test_a_simulated_board_takes_options(self):
        self.provision()
        config = self.read("--setup-port", "8080", "--local-port", "0", "--name", "Bench")
        self.assertEqual((config.setup_port, config.local_port, config.name), (8080, 0, "Bench"))
        for wrong in (("--setup-port",), ("--setup-port", "x"), ("--setup-port", "0"), ("--no-such", "1")):
            with self.assertRaises(ConfigError):
                self.read(*wrong)

    def test_a_network_is_added_before_those_known(self):
        self.provision()
        config = self.read()
        add_network(config, "shed", "password3")
        self.assertEqual(config.networks, (("shed", "password3"), ("home", "password1"), ("open", "")))
        again = self.read()
        self.assertEqual((again.networks, again.name), (config.networks, "Attic"))

    def test_a_known_network_gets_its_new_password_and_the_oldest_gives_way(self):
        config = self.read()
        for number in range(5):
            add_network(config, "net%d" % number, "password%d" % number)
        add_network(config, "net3", "password9")
        self.assertEqual([ssid for ssid, _ in config.networks], ["net3", "net4", "net2", "net1"])
        self.assertEqual(self.read().networks[0], ("net3", "password9"))

    def test_a_network_replaces_a_damaged_config(self):
        self.provision()
        self.damage(CONFIG)
        config = self.read()
        add_network(config, "home", "password1")
        self.assertEqual((config.config_found, self.read().config_found), (GOOD, GOOD))
        self.assertEqual(self.read().networks, (("home", "password1"),))

    def test_settings_that_did_not_suit_do_not_come_back(self):
        self.write(CONFIG, settings={"packet_max": 272})
        config = self.read(request_max=1000)
        add_network(config, "home", "")
        self.assertEqual(self.read(request_max=1000).config_found, GOOD)

    def test_what_cannot_be_stored_changes_nothing(self):
        config = self.read()
        with self.assertRaises(ConfigError):
            add_network(config, "home", "short")
        self.hardware.flash.bad_blocks = range(16)
        with self.assertRaises(StorageError):
            add_network(config, "home", "password1")
        self.assertEqual((config.networks, config.config_found), ((), MISSING))

    def test_whatever_rots_a_board_starts_and_is_not_open(self):
        self.provision()
        acl = Acl(AclRecord(self.store))
        acl.load()
        acl.add(OWNER, b"me")
        good = bytes(self.hardware.flash.content)
        keys, users = {}, {}
        for seed in range(ROUNDS):
            random.seed(seed)
            self.hardware.flash.content[:] = good
            for _ in range(random.getrandbits(3) + 1):
                self._rot()
            config = self.read()
            keys[config.key.hex()] = True
            self.assertTrue(config.device_id in ("dev1.example.org", "homeport-0102030405ab"), seed)
            self.assertTrue(config.label_secret, seed)
            self.assertTrue(config.networks in ((), (("home", "password1"), ("open", ""))), seed)
            acl = Acl(AclRecord(self.store))
            acl.load()
            users[(acl.find(OWNER) >= 0, acl.system != 0)] = True
        self.assertEqual(set(keys), {KEY, ""})
        self.assertEqual(set(users), {(True, True), (False, False)})

    def _rot(self):
        """Some octets of some record, in one slot or in both."""
        kind = (SECRETS, CONFIG, USERS)[random.getrandbits(8) % 3]
        off = random.getrandbits(16) % 320
        for slot in SLOTS if random.getrandbits(1) else SLOTS[:1]:
            for at in range(off, off + random.getrandbits(4) + 1):
                self.hardware.flash.content[slot_offset(kind, slot) + at] = random.getrandbits(8)


if __name__ == "__main__":
    unittest.main()
