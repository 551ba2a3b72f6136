"""What is put into a board's records: made of what a person says, and refused as a whole before anything is written."""

import json

import pytest
from homeport.client.acl import User
from homeport.errors import ConfigError
from homeport.provisioning.data_set import Identity, Wishes, assemble, check_replacement, parse_settings
from homeport.provisioning.users import OWNER, convert_users, describe_users, factory_users, parse_owner, read_users
from homeport_core.provisioning import NUMBERS, SWITCHES, TEXTS
from homeport_core.users_file import HEADER_LEN, RECORD_LEN
from homeport_device.device_config import DeviceConfig
from vector_files import load

KEY = bytes(range(16))
IDENTITY = Identity(KEY, bytes(16))
# What an application decides, and what has a record or a field of its own.
APPLICATIONS = {
    "answers_kept",
    "application_version",
    "controller_host",
    "controller_port",
    "device_id",
    "event_max",
    "events",
    "master_switch",
    "name",
    "reference_psk",
    "replay_window",
    "request_max",
    "request_queue",
    "response_max",
    "show_interface",
    "state_dir",
    "version_label",
}
FINGERPRINT = "00112233445566778899aabbccddeeff"


def test_records_hold_what_was_asked_for():
    wishes = Wishes(["10.0.0.1:5566"], "Pump", [("home", "a good password")], False, ["users=7", "local-psk=off"])
    payloads = assemble("pump.example", IDENTITY, wishes).payloads
    assert json.loads(payloads["secrets"]) == {"id": "pump.example", "key": KEY.hex(), "label_secret": "00" * 16}
    assert json.loads(payloads["config"]) == {
        "controller": ["10.0.0.1:5566"],
        "name": "Pump",
        "wifi": [["home", "a good password"]],
        "master_switch": False,
        "settings": {"users": 7, "local_psk": False},
    }


def test_nothing_asked_for_leaves_the_settings_alone():
    assert set(assemble("pump", IDENTITY, Wishes()).payloads) == {"secrets"}


def test_a_device_may_have_no_label():
    assert "label_secret" not in json.loads(assemble("pump", Identity(KEY)).payloads["secrets"])


def test_secrets_do_not_show():
    data = assemble("pump", IDENTITY, Wishes(networks=[("home", "a good password")]))
    shown = f"{data!r} {IDENTITY!r} {Wishes(networks=[('home', 'a good password')])!r}"
    assert KEY.hex() not in shown
    assert "password" not in shown


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"device_id": "no_host"}, "id must be a host name"),
        ({"device_id": ""}, "id must be a host name"),
        ({"identity": Identity(KEY[1:])}, "key must be 32"),
        ({"identity": Identity(KEY, KEY + KEY)}, "label_secret must be 32"),
        ({"wishes": Wishes(networks=[("home", "seven77")])}, "wifi[0] password must have 8 to 63"),
        ({"wishes": Wishes(networks=[("home", "x" * 64)])}, "wifi[0] password must have 8 to 63"),
        ({"wishes": Wishes(networks=[("", "")])}, "wifi[0] SSID must have 1 to 32"),
        ({"wishes": Wishes(networks=[(str(n), "") for n in range(5)])}, "at most 4 networks"),
        ({"wishes": Wishes(name="é" * 25)}, "name must have 1 to 49 octets, not 50"),
        ({"wishes": Wishes(controllers=["basestation"])}, "controller must be HOST:PORT"),
        ({"wishes": Wishes(settings=["users"])}, "a setting is NAME=VALUE"),
        ({"wishes": Wishes(settings=["users=x"])}, "setting users must be a number from 1 to 32"),
        ({"wishes": Wishes(settings=["discovery=1"])}, "setting discovery must be on or off"),
        ({"wishes": Wishes(settings=["colour=red"])}, "no such setting: 'colour'; there are "),
        ({"wishes": Wishes(settings=["users=1", "users=2"])}, "setting users is given twice"),
        ({"users": bytes(12_033)}, "the record users takes 12032 octets"),
        ({"identity": None}, "there is nothing to write"),
    ],
)
def test_what_cannot_be_is_refused_by_name(wrong, reason):
    with pytest.raises(ConfigError) as caught:
        assemble(**{"device_id": "pump", "identity": IDENTITY} | wrong)
    assert reason in str(caught.value)


def test_settings_are_those_that_a_device_has():
    for name in (*SWITCHES, *NUMBERS, *TEXTS):
        kind = bool if name in SWITCHES else int if name in NUMBERS else str
        assert type(getattr(DeviceConfig, name)) is kind, name


def test_every_setting_is_its_owners_or_the_applications():
    plain = {
        name for name in dir(DeviceConfig) if name[0] != "_" and type(getattr(DeviceConfig, name)) in (bool, int, str)
    }
    assert plain - {*SWITCHES, *NUMBERS, *TEXTS} == APPLICATIONS


def test_defaults_of_a_device_lie_within_the_bounds():
    for name, (least, most) in NUMBERS.items():
        assert least <= getattr(DeviceConfig, name) <= most, name


def test_settings_have_the_kinds_of_a_device():
    assert parse_settings(["local-port=0", "discovery=on", "url=maker.example"]) == {
        "local_port": 0,
        "discovery": True,
        "url": "maker.example",
    }


DATA = assemble("pump", IDENTITY, Wishes(name="Pump"))
WITHOUT_KEY = assemble("pump", None, Wishes(name="Pump"))


def test_a_new_board_takes_everything():
    check_replacement(None, {"secrets": "missing", "config": "missing"}, DATA, False)


@pytest.mark.parametrize(
    ("states", "reason"),
    [
        ({"secrets": "damaged", "config": "missing"}, "it has the identity of a device already"),
        ({"secrets": "missing", "config": "00ff"}, "it has settings already"),
    ],
)
def test_what_is_there_is_replaced_only_when_asked(states, reason):
    with pytest.raises(ConfigError, match=reason):
        check_replacement(None, states, DATA, False)
    check_replacement(None, states, DATA, True)


@pytest.mark.parametrize("device_id", [None, "fan"])
def test_a_board_that_is_another_device_keeps_no_key(device_id):
    with pytest.raises(ConfigError, match="this is not pump"):
        check_replacement(device_id, {"secrets": "00ff", "config": "missing"}, WITHOUT_KEY, True)


def test_an_owner_is_a_fingerprint_and_a_name():
    assert parse_owner(f"{FINGERPRINT}=Bo") == User(bytes.fromhex(FINGERPRINT), "Bo", OWNER)
    assert parse_owner(FINGERPRINT).name == "owner"


def test_factory_users_are_a_list_of_version_4():
    payload = factory_users([parse_owner(f"{FINGERPRINT}=Bo")])
    assert len(payload) == HEADER_LEN + RECORD_LEN
    assert describe_users(payload) == [User(bytes.fromhex(FINGERPRINT), "Bo", OWNER)]
    assert convert_users(payload) == payload


@pytest.mark.parametrize(
    ("users", "reason"),
    [
        ([User(bytes(range(16)), "x" * 64, 0)], "at most 63 octets"),
        ([User(bytes(16), "Bo", 0)], "user 1 has no fingerprint"),
        ([User(bytes(range(16)), "Bo", 0)] * 2, "user 2 is there twice"),
        ([User(bytes([n + 1] * 16), "Bo", 0) for n in range(33)], "33 users: expected at most 32"),
    ],
)
def test_lists_of_users_that_cannot_be_are_refused(users, reason):
    with pytest.raises(ConfigError, match=reason):
        factory_users(users)


def test_a_list_cut_short_anywhere_is_refused_by_its_file(tmp_path):
    payload = factory_users([parse_owner(FINGERPRINT)])
    file = tmp_path / "users.bin"
    for length in (*range(30), len(payload) - 1):
        file.write_bytes(payload[:length])
        with pytest.raises(ConfigError, match="users.bin: "):
            read_users(file)


@pytest.mark.parametrize("damage", [b"\0\0\0\0", b"\0\0\0\5", b"\xff" * 4])
def test_a_list_of_another_version_is_refused(damage):
    with pytest.raises(ConfigError, match="expected version 1 to 4"):
        convert_users(damage + factory_users([])[4:])


REFERENCE = {entry["name"]: entry for entry in load("vectors-acl.json")["acl_files"]}


@pytest.mark.parametrize(
    "name",
    ["empty", "one_owner", "owner_plus_guest_with_psk", "full_table_32", "one_owner_with_fcm_token", "after_clear"],
)
def test_the_references_own_lists_are_taken_octet_for_octet(name):
    data = bytes.fromhex(REFERENCE[name]["hex"])
    assert convert_users(data) == data


@pytest.mark.parametrize("name", ["migrate_v2", "migrate_v3"])
def test_older_lists_become_what_the_reference_makes_of_them(name):
    assert convert_users(bytes.fromhex(REFERENCE[name]["before_hex"])).hex() == REFERENCE[name]["file_after_hex"]


def test_a_list_of_version_1_gets_the_first_users_permissions():
    entry = REFERENCE["migrate_v1"]
    converted = convert_users(bytes.fromhex(entry["before_hex"]))
    after = bytes.fromhex(entry["file_after_hex"])
    assert converted == after[:12] + OWNER.to_bytes(4) + after[16:]


@pytest.mark.parametrize(
    "name",
    ["version_0", "version_5", "three_byte_file", "zero_length_file", "truncated_record", "count_larger_than_32",
     "trailing_bytes", "v2_truncated"],
)  # fmt: skip
def test_the_references_damaged_lists_are_refused(name):
    with pytest.raises(ConfigError):
        convert_users(bytes.fromhex(REFERENCE[name]["before_hex"]))


def test_a_list_from_which_the_reference_has_lost_a_user_is_refused():
    with pytest.raises(ConfigError, match="2 users in 394 octets: cut short or damaged"):
        convert_users(bytes.fromhex(REFERENCE["hole_defect"]["hex"]))
