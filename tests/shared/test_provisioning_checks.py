"""What may be written into a device, and in which octets; the host checks by the same code as the device."""

import unittest

from homeport_core.errors import ConfigError
from homeport_core.provisioning import (
    NUMBERS,
    PAYLOAD_MAX,
    SWITCHES,
    TEXTS,
    check_config,
    check_id,
    check_secrets,
    dump,
    load,
)

KEY = "000102030405060708090a0b0c0d0e0f"


def secrets(**fields):
    document = {"id": "pump.example.org", "key": KEY}
    document.update(fields)
    return document


def refusal(check, document):
    """The reason for which `check` refuses; empty when it does not."""
    try:
        check(document)
    except ConfigError as error:
        return str(error)
    return ""


class Secrets(unittest.TestCase):
    def test_id_key_and_label_secret_are_enough(self):
        check_secrets(secrets())
        check_secrets(secrets(label_secret=KEY))

    def test_a_key_of_another_length_is_refused_by_name(self):
        for key in ("", KEY[:-1], KEY + "0", KEY + KEY, 7, None):
            self.assertIn("key must be 32 lower-case hex digits", refusal(check_secrets, secrets(key=key)))

    def test_a_key_that_is_not_hex_is_refused_and_not_repeated(self):
        for key in ("g" * 32, KEY.upper(), KEY[:-1] + " "):
            reason = refusal(check_secrets, secrets(key=key))
            self.assertIn("key must be", reason)
            self.assertEqual(reason.find(key), -1)

    def test_a_label_secret_of_another_length_is_refused_by_name(self):
        self.assertIn("label_secret must be 32", refusal(check_secrets, secrets(label_secret=KEY[2:])))

    def test_a_missing_key_is_refused_by_name(self):
        self.assertIn("key must be", refusal(check_secrets, {"id": "pump"}))

    def test_an_unknown_field_is_refused_by_name(self):
        self.assertIn("no such field: kee", refusal(check_secrets, secrets(kee=KEY)))

    def test_ids_that_are_host_names_are_taken(self):
        for name in ("a", "demo", "x1.example.org", "a-b.c", "a" * 40, "1.example"):
            check_id(name)

    def test_ids_that_are_no_host_names_are_refused_by_name(self):
        wrong = (
            "",
            ".",
            "a.",
            ".a",
            "a..b",
            "-a",
            "a-",
            "a.-b",
            "A",
            "a_b",
            "a b",
            "\xe9",
            "a" * 41,
            "a/b",
            "1.2.3",
            None,
        )
        for name in wrong:
            self.assertIn("id must be a host name", refusal(check_secrets, secrets(id=name)))


class Networks(unittest.TestCase):
    def refusal_of(self, ssid, password):
        return refusal(check_config, {"wifi": [[ssid, password]]})

    def test_passwords_of_8_to_63_characters_and_none_are_taken(self):
        for password in ("", "a" * 8, "~ " * 31 + "!"):
            self.assertEqual(self.refusal_of("home", password), "")

    def test_passwords_of_7_and_of_64_characters_are_refused_by_name(self):
        self.assertIn("wifi[0] password must have 8 to 63 characters", self.refusal_of("home", "a" * 7))
        self.assertIn("not 64", self.refusal_of("home", "a" * 64))

    def test_a_raw_key_of_64_digits_is_refused(self):
        self.assertIn("not 64", self.refusal_of("home", "0123456789abcdef" * 4))

    def test_a_password_beyond_ascii_is_refused_and_not_repeated(self):
        reason = self.refusal_of("home", "secret-w\xf6rd")
        self.assertIn("password must be printable ASCII", reason)
        self.assertEqual(reason.find("secret"), -1)

    def test_an_ssid_has_1_to_32_octets(self):
        self.assertEqual(self.refusal_of("\xe9" * 16, ""), "")
        self.assertIn("wifi[0] SSID must have 1 to 32 octets, not 0", self.refusal_of("", ""))
        self.assertIn("not 33", self.refusal_of("a" * 33, ""))
        self.assertIn("not 34", self.refusal_of("\xe9" * 17, ""))

    def test_control_characters_are_refused(self):
        for text in ("a\nb", "a\x00", "\x7f"):
            self.assertIn("SSID must be text", self.refusal_of(text, ""))

    def test_the_second_network_is_named_as_such(self):
        reason = refusal(check_config, {"wifi": [["one", ""], ["two", "short"]]})
        self.assertIn("wifi[1] password", reason)

    def test_a_network_given_twice_is_refused(self):
        self.assertIn("twice", refusal(check_config, {"wifi": [["one", ""], ["one", "password"]]}))

    def test_a_fifth_network_is_refused(self):
        self.assertIn("at most 4", refusal(check_config, {"wifi": [[str(n), ""] for n in range(5)]}))

    def test_anything_but_a_list_of_pairs_is_refused(self):
        for wifi in ({}, "home", [["home"]], [["home", "", ""]], ["home"], [[["home"], ""]], [[1, 2]], None):
            self.assertIn("wifi", refusal(check_config, {"wifi": wifi}))


class Config(unittest.TestCase):
    def test_an_empty_one_is_taken(self):
        check_config({})

    def test_addresses_and_one_name_are_taken_as_controllers(self):
        check_config({"controller": ["192.168.1.2:5566", "10.0.0.1:1"]})
        check_config({"controller": ["basestation.example.org:5566"]})
        check_config({"controller": ["nas:5566"]})

    def test_controllers_that_cannot_be_are_refused_by_name(self):
        wrong = ("", "nas", "nas:", ":5566", "nas:0", "nas:65536", "nas:+1", "nas:1e3", "[::1]:5566", "::1:5566",
                 "1.2.3:5566", "1.2.3.256:5566", "http://nas:5566", "-nas:5566", "NAS:5566", 5566, None)  # fmt: skip
        for text in wrong:
            self.assertIn("controller must be HOST:PORT", refusal(check_config, {"controller": [text]}))

    def test_several_names_are_refused(self):
        controllers = {"controller": ["nas:5566", "192.168.1.2:5566"]}
        self.assertIn("several controllers", refusal(check_config, controllers))

    def test_the_number_of_controllers_is_bounded(self):
        for controllers in ([], ["10.0.0.1:1"] * 7, "10.0.0.1:1", {}):
            self.assertIn("controller must be a list of 1 to 6", refusal(check_config, {"controller": controllers}))

    def test_a_name_of_more_than_49_octets_is_refused(self):
        check_config({"name": "\xe9" * 24})
        self.assertIn("name must have 1 to 49 octets, not 50", refusal(check_config, {"name": "\xe9" * 25}))

    def test_the_master_switch_is_on_or_off(self):
        check_config({"master_switch": False})
        for value in (0, "off", None):
            self.assertIn("master_switch must be true or false", refusal(check_config, {"master_switch": value}))

    def test_unknown_fields_and_settings_are_refused_by_name(self):
        self.assertIn("no such field: wiffi", refusal(check_config, {"wiffi": []}))
        for name in ("key", "state_dir", "reference_psk", "show_interface", "__class__", "check"):
            self.assertIn("no such setting: " + name, refusal(check_config, {"settings": {name: True}}))

    def test_settings_have_their_kind_and_bounds(self):
        check_config({"settings": {"discovery": False, "local_port": 0, "users": 32, "url": "maker.example"}})
        wrong = {"discovery": 1, "local_port": 65536, "users": 33, "url": 7, "streams": True, "connections": 0}
        for name, value in wrong.items():
            self.assertIn("setting " + name, refusal(check_config, {"settings": {name: value}}))

    def test_what_is_no_object_is_refused(self):
        for document in ([], None, "", 7):
            self.assertIn("config must be an object", refusal(check_config, document))
        self.assertIn("settings must be an object", refusal(check_config, {"settings": []}))

    def test_lists_of_settings_name_none_twice(self):
        names = list(SWITCHES) + list(NUMBERS) + list(TEXTS)
        self.assertEqual(len(names), len(set(names)))


class Octets(unittest.TestCase):
    document = {"wifi": [['a"\\', "\xe9 ~{["]], "settings": {"users": 3, "discovery": False}, "name": "]}"}

    def test_what_is_dumped_is_loaded(self):
        self.assertEqual(load(dump(self.document)), self.document)

    def test_the_form_is_the_documented_one(self):
        expected = '{"name":"]}","settings":{"discovery":false,"users":3},"wifi":[["a\\"\\\\","\xe9 ~{["]]}'
        self.assertEqual(dump(self.document), expected.encode())

    def test_a_record_cut_short_anywhere_is_refused(self):
        payload = dump(self.document)
        for length in range(len(payload)):
            with self.assertRaises(ConfigError):
                load(payload[:length])

    def test_other_forms_of_the_same_are_refused(self):
        wrong = (b"", b"{", b"{} ", b" {}", b"{}{}", b'{"a":1,"a":1}', b'{"b":1,"a":1}', b'{"a": 1}', b'{"a":1,}',
                 b'{"a":01}', b'{"a":1.0}', b'{"a":1e3}', b'{"a":null}', b'{"a":"\\u0041"}', b"[]", b'"a"', b"7",
                 b"null", b"true", b'{"a":"\xff"}', b'{"a":NaN}', b"\xef\xbb\xbf{}", b"{1:2}", b'{"a":-0}')  # fmt: skip
        for payload in wrong:
            with self.assertRaises(ConfigError):
                load(payload)

    def test_nesting_is_bounded_before_anything_is_built(self):
        for payload in (b"[" * PAYLOAD_MAX, b'{"a":' * 600, b'{"a":{"b":{"c":[]}}}'):
            with self.assertRaises(ConfigError) as caught:
                load(payload)
            self.assertIn("3 levels", str(caught.exception))

    def test_brackets_in_a_text_are_no_nesting(self):
        document = {"name": '[[[["{{{{\\'}
        self.assertEqual(load(dump(document)), document)

    def test_too_much_is_refused_both_ways(self):
        with self.assertRaises(ConfigError):
            dump({"name": "a" * PAYLOAD_MAX})
        with self.assertRaises(ConfigError):
            load(b'{"name":"' + b"a" * PAYLOAD_MAX + b'"}')

    def test_what_json_has_and_a_record_has_not_is_refused(self):
        for value in (1.5, None, b"octets", (1, 2)):
            with self.assertRaises(ConfigError):
                dump({"name": value})


if __name__ == "__main__":
    unittest.main()
