"""The setting `master_switch`: stored, in force at once, and one of those that may say no."""

import unittest

from device_bench import Bench
from homeport_core.errors import ConfigError, StorageError
from homeport_core.provisioning import dump, load
from homeport_core.record import CONFIG
from homeport_device import log
from homeport_device.acl import REMOTE
from homeport_device.device import Device
from homeport_device.device_config import DeviceConfig
from homeport_device.master_switch import change_setting
from homeport_device.output import REMOTE as REMOTE_SOCKET


class Store:
    def __init__(self, payload):
        self.payload = payload
        self.is_full = False

    def read(self, kind):
        return self.payload if kind == CONFIG else None

    def write(self, kind, payload):
        if self.is_full:
            raise StorageError("the record config could not be stored")
        self.payload = payload


class Port:
    def __init__(self, bench):
        self.bench = bench

    def call(self, function):
        function(self.bench.now_ms)


class SettingTest(unittest.TestCase):
    def setUp(self):
        real = log.line
        log.line = lambda *words: None
        self.addCleanup(setattr, log, "line", real)
        self.bench = Bench()
        self.device = Device(DeviceConfig("dev"))
        self.device.stack = self.bench.stack
        self.bench.stack.app.remote_enabled = self.device.remote_enabled
        self.bench.stack.port.call = Port(self.bench).call
        self.store = Store(dump({"name": "Lamp", "wifi": [["home", "password1"]]}))
        self.device.config.store = self.store

    def test_it_is_stored_beside_the_others(self):
        change_setting(self.device, False)
        wishes = load(self.store.payload)
        self.assertEqual(wishes, {"name": "Lamp", "wifi": [["home", "password1"]], "master_switch": False})

    def test_a_board_without_settings_gets_its_first(self):
        self.store.payload = None
        change_setting(self.device, False)
        self.assertEqual(load(self.store.payload), {"master_switch": False})

    def test_off_is_silence_without_a_restart_and_on_registers_anew(self):
        self.bench.attach()
        change_setting(self.device, False)
        self.assertEqual(self.bench.stack.deadline_ms, self.bench.now_ms)
        self.bench.settle()
        self.bench.port.take()
        sent = [entry for _, entry in self.bench.advance(3600 * 1000)]
        self.assertEqual([entry for entry in sent if entry[0] == REMOTE_SOCKET], [])
        change_setting(self.device, True)
        self.assertEqual(len(self.bench.advance(10)), 1)

    def test_when_it_cannot_be_stored_nothing_changes(self):
        before = self.store.payload
        self.store.is_full = True
        self.assertRaises(StorageError, change_setting, self.device, False)
        self.assertTrue(self.device.remote_enabled())
        self.assertEqual(self.store.payload, before)

    def test_only_boards_store_it(self):
        self.device.config.store = None
        self.assertRaises(ConfigError, change_setting, self.device, False)

    def test_setting_and_permission_must_both_say_yes(self):
        for setting in (False, True):
            for permitted in (False, True):
                with self.subTest(setting=setting, permitted=permitted):
                    self.device.config.master_switch = setting
                    self.device.acl.system = REMOTE if permitted else 0
                    self.assertEqual(self.device.remote_enabled(), setting and permitted)


if __name__ == "__main__":
    unittest.main()
