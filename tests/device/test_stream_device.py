"""A device with stream services as an application declares it."""

import unittest

from homeport_core.errors import ConfigError
from homeport_device.acl import ADMIN, LOCAL, REMOTE
from homeport_device.config import Config
from homeport_device.device_config import DeviceConfig
from homeport_device.stream_device import ANYONE, GUEST, OWNER, StreamDevice

USER = bytes(range(16))


class Connection:
    """What permission depends on."""

    def __init__(self, fingerprint, is_local):
        self.fingerprint = fingerprint
        self.is_local = is_local
        self.is_psk = is_local
        self.key_id = b""


class Declarations(unittest.TestCase):
    def setUp(self):
        self.device = StreamDevice(DeviceConfig("dev1"), name="Gateway")

    def test_services_are_found_by_their_names(self):
        self.device.tunnel(ports=(22,))
        self.device.echo()
        self.device.uart("/dev/ttyS0")

        @self.device.service("log")
        async def send_log(stream, arguments):
            return

        services = self.device.services
        for word in (b"tunnel", b"echo", b"uart", b"log"):
            self.assertEqual(services.find(word).allow, GUEST)
        self.assertIs(services.find(b"telnet"), None)

    def test_a_name_is_given_once(self):
        self.device.echo()
        with self.assertRaises(ConfigError):

            @self.device.service("echo")
            async def other(stream, arguments):
                return

    def test_a_tunnel_that_allows_nothing_is_refused(self):
        for arguments in ({"ports": ()}, {"ports": (22,), "hosts": ()}):
            with self.assertRaises(ConfigError):
                self.device.tunnel(**arguments)

    def test_settings_have_sensible_defaults(self):
        self.assertEqual((Config.streams, Config.streams_per_client), (4, 8))


class Permission(unittest.TestCase):
    def setUp(self):
        self.device = StreamDevice(DeviceConfig("dev1"), name="Gateway")
        self.device.acl._store = None
        self.slot = self.device.acl.add(USER, b"user")

    def allowed(self, permissions, allow, is_local=False, fingerprint=USER):
        self.device.acl.set_permissions(self.slot, permissions)
        return self.device.service_allowed(Connection(fingerprint, is_local), allow)

    def test_a_user_needs_the_permission_of_the_way_it_comes(self):
        self.assertTrue(self.allowed(REMOTE, GUEST))
        self.assertFalse(self.allowed(LOCAL, GUEST))
        self.assertTrue(self.allowed(LOCAL, GUEST, is_local=True))
        self.assertFalse(self.allowed(REMOTE, GUEST, is_local=True))

    def test_a_service_may_ask_for_more(self):
        self.assertFalse(self.allowed(REMOTE, GUEST | 0x0004))
        self.assertTrue(self.allowed(REMOTE | 0x0004, GUEST | 0x0004))
        self.assertFalse(self.allowed(REMOTE, OWNER))
        self.assertTrue(self.allowed(REMOTE | ADMIN, OWNER))

    def test_strangers_may_use_what_is_for_anyone(self):
        for fingerprint in (bytes(range(1, 17)), None):
            self.assertFalse(self.allowed(REMOTE, GUEST, fingerprint=fingerprint))
            self.assertTrue(self.allowed(REMOTE, ANYONE, fingerprint=fingerprint))


if __name__ == "__main__":
    unittest.main()
