"""The tunnel gateway's own options, beside those of every device (specification, application 4.3)."""

import os
import sys
import unittest

from homeport_core.compat import MICROPYTHON
from homeport_device import log

sys.path.insert(0, (__file__.rsplit("/", 1)[0] if "/" in __file__ else ".") + "/../../firmware/examples")
_ARGUMENTS = sys.argv[:]
sys.argv[1:] = ["--id", "gateway", "--allow-port", "22"]

import tunnel_gateway  # noqa: E402

sys.argv[:] = _ARGUMENTS


class Options(unittest.TestCase):
    def taken(self, *arguments):
        """(what may be reached, what is left for the device)."""
        allowed = tunnel_gateway.Allowed()
        rest = list(arguments)
        allowed.take_options(rest)
        return allowed, rest

    def test_ports_and_hosts_are_lists_that_begin_with_this_machine(self):
        allowed, rest = self.taken(
            "--allow-port", "22", "--id", "x", "--allow-host", "nas.lan", "--allow-port", "8022", "--streams", "3"
        )
        self.assertEqual((allowed.ports, allowed.hosts, allowed.uart), ([22, 8022], ["127.0.0.1", "nas.lan"], ""))
        self.assertEqual(rest, ["--id", "x", "--streams", "3"])

    def test_all_of_them_can_be_allowed(self):
        for order in (("--allow-all-ports", "--allow-port", "22"), ("--allow-port", "22", "--allow-all-ports")):
            allowed, rest = self.taken("--allow-all-hosts", "--allow-host", "nas.lan", *order)
            self.assertEqual((allowed.ports, allowed.hosts, rest), ("*", "*", []))

    def test_a_serial_line_is_enough_to_start(self):
        allowed, _ = self.taken("--uart-device", "/dev/ttyS0")
        self.assertEqual((allowed.ports, allowed.uart), ([], "/dev/ttyS0"))

    def test_mistakes_end_with_code_2(self):
        for arguments in (
            [],
            ["--allow-host", "nas.lan"],
            ["--allow-port"],
            ["--allow-port", "ssh"],
            ["--allow-port", "0"],
            ["--allow-port", "65536"],
            ["--allow-port", "-1"],
        ):
            with self.subTest(arguments=arguments):
                with self.assertRaises(SystemExit) as caught:
                    self.taken(*arguments)
                self.assertEqual(caught.exception.args[0] if MICROPYTHON else caught.exception.code, 2)

    def test_the_device_offers_tunnels_and_the_echo(self):
        services = tunnel_gateway.device.services
        self.assertTrue(services.find(b"tunnel") and services.find(b"echo"))
        self.assertEqual(services.find(b"uart"), None)
        self.assertEqual(tunnel_gateway.device.config.streams, 32)


class BoardFile(unittest.TestCase):
    """tunnels.json, by which a board without a command line is told what it may reach."""

    def setUp(self):
        self.path = (__file__.rsplit("/", 1)[0] if "/" in __file__ else ".") + "/tunnels-%d.json" % id(self)
        self.addCleanup(self.remove)
        self.events = []
        log.keep_events(self)
        self.addCleanup(log.keep_events, None)

    def add(self, kind, text):
        """As a ring of events."""
        self.events.append(text)

    def remove(self):
        try:
            os.remove(self.path)
        except OSError:
            self.assertEqual(self.text, None)

    def of_file(self, text):
        self.text = text
        if text is not None:
            with open(self.path, "w") as file:
                file.write(text)
        allowed = tunnel_gateway.of_file(self.path)
        return allowed.ports, allowed.hosts, allowed.uart

    def test_what_the_file_says_may_be_reached(self):
        for text, ports, hosts in (
            ('{"ports": [80]}', [80], ["127.0.0.1"]),
            ('{"ports": [80, 65535], "hosts": ["nas.lan"]}', [80, 65535], ["127.0.0.1", "nas.lan"]),
            ('{"ports": "*", "hosts": "*"}', "*", "*"),
        ):
            with self.subTest(text=text):
                self.assertEqual(self.of_file(text), (ports, hosts, ""))
        self.assertEqual(self.events, [])

    def test_a_file_with_a_mistake_allows_nothing_and_is_told(self):
        for text in (
            None,
            "",
            "{",
            "[]",
            "{}",
            '{"ports": [80',
            '{"ports": []}',
            '{"ports": 80}',
            '{"ports": ["80"]}',
            '{"ports": [0]}',
            '{"ports": [65536]}',
            '{"ports": [true]}',
            '{"hosts": ["nas.lan"]}',
            '{"ports": [80], "hosts": "nas.lan"}',
            '{"ports": [80], "hosts": [""]}',
            '{"ports": [80], "hosts": [7]}',
            '{"ports": [80], "host": ["nas.lan"]}',
            '{"ports": [80]%s}' % (" " * tunnel_gateway.FILE_MAX),
        ):
            with self.subTest(text=text):
                del self.events[:]
                self.assertEqual(self.of_file(text), ([], ["127.0.0.1"], ""))
                self.assertEqual(len(self.events), 1)
                self.assertIn("no tunnels: ", self.events[0])


if __name__ == "__main__":
    unittest.main()
