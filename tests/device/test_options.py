"""Settings from command line, environment and file."""

import os
import unittest

from homeport_core.errors import ConfigError
from homeport_device.device_config import parse_address
from homeport_device.options import read_config

KEY = "000102030405060708090a0b0c0d0e0f"
FILE = "test_options.tmp"


class CommandLine(unittest.TestCase):
    def test_every_common_option(self):
        arguments = ["--id", "a.example.org", "--key", KEY, "--controller", "127.0.0.1:5000"]
        arguments += ["--controller", "10.0.0.1", "--local-port", "0", "--state", "/tmp/x", "--name", "Pump"]
        config = read_config(arguments)
        self.assertEqual(config.device_id, "a.example.org")
        self.assertEqual(config.key, bytes.fromhex(KEY))
        self.assertEqual(config.controllers, (b"\x7f\x00\x00\x01\x13\x88", b"\x0a\x00\x00\x01\x15\xbe"))
        self.assertEqual((config.local_port, config.state_dir, config.name), (0, "/tmp/x", "Pump"))

    def test_a_controller_name_is_looked_up_later(self):
        config = read_config(["--id", "a", "--controller", "bs.example.org:6000"])
        self.assertEqual((config.controller_host, config.controller_port), ("bs.example.org", 6000))
        self.assertEqual(config.controllers, ())

    def test_any_setting_is_an_option(self):
        config = read_config(["--id", "a", "--local-psk", "off", "--legacy-rpc", "on", "--connections", "3"])
        self.assertEqual((config.local_psk, config.legacy_rpc, config.connections), (False, True, 3))

    def test_the_command_line_wins_over_environment_and_application(self):
        other = "ff" * 16
        self.assertEqual(
            read_config(["--id", "a", "--key", KEY], {"key": other}, {"key": b"x" * 16}).key, bytes.fromhex(KEY)
        )
        self.assertEqual(read_config(["--id", "a"], {"key": other}, {"key": b"x" * 16}).key, bytes.fromhex(other))
        self.assertEqual(read_config(["--id", "a"], None, {"key": b"x" * 16}).key, b"x" * 16)

    def test_the_labels_secret_comes_grouped_as_on_the_label_from_anywhere(self):
        grouped = "0001 0203-0405:0607 0809 0a0b 0c0d 0e0f"
        for config in (
            read_config(["--id", "a", "--label-secret", grouped]),
            read_config(["--id", "a"], {"label_secret": grouped}),
        ):
            self.assertEqual(config.label_secret, bytes(range(16)))

    def test_secrets_may_be_in_files(self):
        for option, name in (("--key-file", "key"), ("--label-secret-file", "label_secret")):
            with open(FILE, "w") as file:
                file.write(KEY + "\n")
            try:
                config = read_config(["--id", "a", option, FILE])
            finally:
                os.remove(FILE)
            self.assertEqual(getattr(config, name), bytes.fromhex(KEY))

    def test_the_interface_needs_no_id(self):
        self.assertTrue(read_config(["--interface"]).show_interface)

    def test_mistakes_are_named(self):
        cases = (
            ([], "--id"),
            (["--id"], "needs a value"),
            (["--id", "a", "--id", "b"], "twice"),
            (["--id", "UPPER"], "a-z"),
            (["--id", "a" * 41], "40"),
            (["--id", "a", "--nonsense", "1"], "--nonsense"),
            (["--id", "a", "--version", "1"], "--version"),
            (["--id", "a", "--_check", "1"], "--_check"),
            (["--id", "a", "stray"], "stray"),
            (["--id", "a", "--key", "12"], "32 hex digits"),
            (["--id", "a", "--key", "xy" * 16], "hex digits"),
            (["--id", "a", "--key-file", "/nonexistent/key"], "/nonexistent/key"),
            (["--id", "a", "--local-port", "many"], "number"),
            (["--id", "a", "--local-port", "65536"], "65535"),
            (["--id", "a", "--local-port", "-1"], "65535"),
            (["--id", "a", "--local-psk", "maybe"], "on or off"),
            (["--id", "a", "--controller", "host:"], "HOST:PORT"),
            (["--id", "a", "--controller", ":5566"], "HOST:PORT"),
            (["--id", "a", "--controller", "host:0"], "HOST:PORT"),
            (["--id", "a", "--controller", "host:70000"], "HOST:PORT"),
            (["--id", "a", "--controller", "one:1", "--controller", "two:2"], "addresses"),
            (["--id", "a", "--controller", "1.2.3.4:1"] + ["--controller", "1.2.3.4:2"] * 6, "6"),
            (["--id", "a", "--connections", "0"], "connections"),
        )
        for arguments, named in cases:
            with self.subTest(arguments=arguments):
                with self.assertRaises(ConfigError) as context:
                    read_config(arguments)
                self.assertIn(named, str(context.exception))

    def test_no_key_appears_in_an_error(self):
        for text in (KEY + "0", KEY[:-2] + "zz"):
            with self.assertRaises(ConfigError) as context:
                read_config(["--id", "a", "--key", text])
            self.assertNotIn(KEY[:8], str(context.exception))


class Files(unittest.TestCase):
    def write(self, text):
        with open(FILE, "w") as file:
            file.write(text)
        self.addCleanup(os.remove, FILE)

    def test_a_json_file_sets_what_the_command_line_does_not(self):
        self.write('{"id": "a", "local-port": 7, "local_psk": false, "controller": "127.0.0.1:9", "name": "x"}')
        config = read_config(["--config", FILE, "--name", "y"])
        self.assertEqual((config.device_id, config.local_port, config.local_psk), ("a", 7, False))
        self.assertEqual((config.controllers, config.name), ((b"\x7f\x00\x00\x01\x00\x09",), "y"))

    def test_a_key_file(self):
        self.write(KEY + "\n")
        self.assertEqual(read_config(["--id", "a", "--key-file", FILE]).key, bytes.fromhex(KEY))

    def test_bad_files_are_named(self):
        for text, named in (
            ("", "JSON"),
            ("[1]", "object"),
            ('{"id": "a", "nonsense": 1}', "nonsense"),
            ('{"id": "a", "local_port": "x"}', "number"),
            ('{"id": "a", "local_port": true}', "local-port"),
            ('{"id": "a", "local_psk": 1}', "local-psk"),
            ('{"id": 5}', "device-id"),
            ('{"id": "a", "key": 5}', "key"),
        ):
            with self.subTest(text=text):
                self.write(text)
                with self.assertRaises(ConfigError) as context:
                    read_config(["--config", FILE])
                self.assertIn(named, str(context.exception))
                self.doCleanups()


class Addresses(unittest.TestCase):
    def test_only_dotted_quads_are_addresses(self):
        self.assertEqual(parse_address("192.168.0.1"), b"\xc0\xa8\x00\x01")
        for text in ("", "1.2.3", "1.2.3.4.5", "256.1.1.1", "a.b.c.d", "1.2.3.-4", "0001.2.3.4", "1.2.3."):
            self.assertEqual(parse_address(text), b"", text)


if __name__ == "__main__":
    unittest.main()
