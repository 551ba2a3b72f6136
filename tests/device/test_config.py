"""The stack's settings are checked when they are made."""

import unittest

from device_bench import Bench
from homeport_core.errors import ConfigError
from homeport_device.config import Config, sealed_len

KEY = bytes(16)
LONGEST = {"packet_max": 272, "application_version": "v" * 64, "url": "u" * 64, "version_label": "-l"}


class ConfigTest(unittest.TestCase):
    def test_defaults_are_acceptable(self):
        config = Config("dev1.example.net", KEY)
        self.assertEqual((config.local_port, config.controller_port, config.legacy_rpc), (5570, 5566, False))

    def test_what_is_not_acceptable_is_named(self):
        cases = (
            ("device id", "", KEY, {}),
            ("device id", "a" * 41, KEY, {}),
            ("device id", "Dev1", KEY, {}),
            ("device id", "dev 1", KEY, {}),
            ("device id", "dev\x001", KEY, {}),
            ("key", "dev1", bytes(15), {}),
            ("key", "dev1", bytes(17), {}),
            ("controllers", "dev1", KEY, {"controllers": (bytes(6),) * 7}),
            ("controller", "dev1", KEY, {"controllers": (bytes(4),)}),
            ("application_version", "dev1", KEY, {"application_version": "x" * 65}),
            ("application_version", "dev1", KEY, {"application_version": "1.0\x00"}),
            ("url", "dev1", KEY, {"url": "http://\xe9"}),
            ("version_label", "dev1", KEY, {"version_label": "-alpha 1"}),
            ("event_max", "dev1", KEY, {"packet_max": 272, "event_max": 241}),
            ("url", "a" * 40, KEY, dict(LONGEST, version_label="-la")),
            ("url", "dev1", KEY, {"url": "x" * 65}),
            ("packet_max", "dev1", KEY, {"packet_max": 271}),
            ("packet_max", "dev1", KEY, {"packet_max": 1501}),
            ("request_max", "dev1", KEY, {"packet_max": 272, "request_max": 208}),
            ("response_max", "dev1", KEY, {"packet_max": 272, "response_max": 208}),
            ("connections", "dev1", KEY, {"connections": 0}),
            ("events", "dev1", KEY, {"events": 0}),
            ("no_such_thing", "dev1", KEY, {"no_such_thing": 1}),
            ("_check", "dev1", KEY, {"_check": 1}),
        )
        for word, device_id, key, settings in cases:
            with self.subTest(word=word, settings=settings):
                with self.assertRaises(ConfigError) as caught:
                    Config(device_id, key, **settings)
                self.assertIn(word, caught.exception.reason)

    def test_the_longest_texts_fit_the_smallest_packet_exactly(self):
        bench = Bench(device_id="a" * 40, **LONGEST)
        bench.start()
        bench.port.take()
        ((_, _, invite),) = bench.direct()
        self.assertEqual(len(invite), 272)

    def test_the_largest_plaintext_of_the_smallest_packet_fits_exactly(self):
        self.assertEqual((sealed_len(207), sealed_len(208)), (272, 288))


if __name__ == "__main__":
    unittest.main()
