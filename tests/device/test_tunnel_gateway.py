"""The tunnel gateway's own options, beside those of every device (specification, application 4.3)."""

import sys
import unittest

from homeport_core.compat import MICROPYTHON

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


if __name__ == "__main__":
    unittest.main()
