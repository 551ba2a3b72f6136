"""The end-to-end keys that a profile keeps, and what connecting does with them."""

import json
import stat

import pytest
from homeport.cli.context import ask_label_secret
from homeport.client.keys import LABEL_KEY_ID, Psk, with_keys
from homeport.client.profile import Profile, describe_profile, remove_profile
from homeport.errors import ConfigError, DeviceOffline, NotEndToEnd, RefusedError, StorageError
from homeport_core.spec import KEY_ID_PREFIX, NOTIFY_BAD_KEY, NOTIFY_BAD_KEY_ID, NOTIFY_BUSY_MICRO
from processes import CommandLine

DEVICE = "demo.example.net"
OLD, NEW = Psk.draw(), Psk.draw()


@pytest.fixture
def profile(tmp_path):
    return Profile.create(tmp_path, "me")


@pytest.fixture
def keys(profile):
    return profile.keys


def again(profile, tmp_path, password=None):
    """The same profile in another process."""
    return Profile.load(tmp_path, profile.name, password)


def key_file(tmp_path, name="me"):
    return tmp_path / "profiles" / name / "keys" / f"{DEVICE}.json"


def test_a_key_is_random_and_its_id_says_what_it_is_for():
    keys = [Psk.draw() for _ in range(8)]
    assert len({psk.key for psk in keys} | {psk.key_id for psk in keys}) == 16
    assert all(psk.key_id.startswith(KEY_ID_PREFIX) and len(psk.key_id) == len(psk.key) == 16 for psk in keys)


def test_a_key_is_in_no_text_of_it():
    assert OLD.key.hex() not in repr(OLD)
    assert repr(OLD.key) not in repr(OLD)


def test_keys_are_there_the_next_time(profile, tmp_path):
    profile.keys.settle(DEVICE, OLD)
    assert again(profile, tmp_path).keys.of(DEVICE) == [OLD]
    assert again(profile, tmp_path).keys.of("other") == []


def test_a_new_key_stands_beside_the_old_one_until_it_is_settled(keys):
    keys.settle(DEVICE, OLD)
    keys.offer(DEVICE, NEW)
    assert keys.of(DEVICE) == [OLD, NEW]
    keys.settle(DEVICE, NEW)
    assert keys.of(DEVICE) == [NEW]


def test_a_key_that_the_device_refused_is_withdrawn(keys):
    keys.offer(DEVICE, NEW)
    keys.withdraw(DEVICE, NEW)
    assert keys.of(DEVICE) == []
    keys.settle(DEVICE, OLD)
    keys.offer(DEVICE, NEW)
    keys.withdraw(DEVICE, NEW)
    assert keys.of(DEVICE) == [OLD]


def test_of_two_offers_only_the_last_is_kept(keys):
    third = Psk.draw()
    keys.settle(DEVICE, OLD)
    keys.offer(DEVICE, NEW)
    keys.offer(DEVICE, third)
    assert keys.of(DEVICE) == [OLD, third]


def test_files_are_private_and_hold_nothing_readable(profile, tmp_path):
    profile.keys.settle(DEVICE, OLD)
    path = key_file(tmp_path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    content = path.read_bytes()
    assert OLD.key not in content
    assert OLD.key.hex().encode() not in content


def test_a_profile_with_a_password_needs_it_for_its_keys_too(tmp_path):
    profile = Profile.create(tmp_path, "locked", "secret")
    profile.keys.settle(DEVICE, OLD)
    with pytest.raises(ConfigError):
        again(profile, tmp_path, "wrong")
    assert again(profile, tmp_path, "secret").keys.of(DEVICE) == [OLD]


def test_the_keys_of_another_profile_cannot_be_used(profile, tmp_path):
    profile.keys.settle(DEVICE, OLD)
    other = Profile.create(tmp_path, "other")
    other.keys.settle("x", NEW)
    key_file(tmp_path).rename(key_file(tmp_path, "other"))
    with pytest.raises(StorageError, match="another profile"):
        other.keys.of(DEVICE)


def test_a_key_cannot_be_passed_off_as_that_of_another_device(profile, tmp_path):
    profile.keys.settle("other", OLD)
    key_file(tmp_path).with_name("other.json").rename(key_file(tmp_path))
    with pytest.raises(StorageError):
        profile.keys.of(DEVICE)


@pytest.mark.parametrize(
    "damage",
    [
        b"",
        b"[]",
        b"{}",
        b'{"version": 2, "sealed": []}',
        b'{"version": 1, "sealed": []}',
        b'{"version": 1, "sealed": ["AAAA"]}',
        b'{"version": 1, "sealed": [1]}',
        b'{"version": 1, "sealed": "xx"}',
        b'{"version": 1, "sealed": ["\xc3\xa9"]}',
        b"\xff" * 5000,
    ],
)
def test_a_damaged_file_is_named_and_is_not_taken_for_no_key(profile, tmp_path, damage):
    profile.keys.settle(DEVICE, OLD)
    key_file(tmp_path).write_bytes(damage)
    with pytest.raises(StorageError, match=f"{DEVICE}.json"):
        profile.keys.of(DEVICE)


def test_every_octet_of_a_sealed_key_counts(profile, tmp_path):
    profile.keys.settle(DEVICE, OLD)
    (text,) = json.loads(key_file(tmp_path).read_bytes())["sealed"]
    for at in range(0, len(text) - 2, 3):
        changed = text[:at] + ("A" if text[at] != "A" else "B") + text[at + 1 :]
        key_file(tmp_path).write_text(json.dumps({"version": 1, "sealed": [changed]}))
        with pytest.raises(StorageError):
            profile.keys.of(DEVICE)


def test_a_removed_key_is_gone_for_good(profile, tmp_path):
    profile.keys.settle(DEVICE, OLD)
    assert profile.keys.remove(DEVICE)
    assert not profile.keys.remove(DEVICE)
    assert not key_file(tmp_path).exists()


def test_a_removed_profile_takes_its_keys_along(profile, tmp_path):
    profile.keys.settle(DEVICE, OLD)
    remove_profile(tmp_path, "me")
    assert not list(tmp_path.rglob("*.json"))


def test_a_profile_tells_without_its_password_for_which_devices_it_has_keys(tmp_path):
    profile = Profile.create(tmp_path, "locked", "secret")
    for device_id in ("b", "a"):
        profile.keys.settle(device_id, OLD)
    assert describe_profile(tmp_path, "locked").keyed_devices == ["a", "b"]


def test_the_commands_tell_of_keys_and_never_show_them(profile, tmp_path):
    profile.keys.settle(DEVICE, OLD)
    command = CommandLine(tmp_path)
    assert command.answer("profile", "show", "me")["end_to_end_keys"] == [DEVICE]
    assert command.answer("key", "list")["devices"] == [DEVICE]
    shown = command.run("profile", "show", "me").stdout + command.run("key", "list").stdout
    assert OLD.key.hex() not in shown
    assert command.answer("key", "remove", DEVICE, "--here-only") == {"removed": DEVICE}
    done = command.run("key", "remove", DEVICE, "--here-only")
    assert (done.returncode, f"no key for {DEVICE}" in done.stderr) == (3, True)


def test_a_profile_may_demand_end_to_end_keys_of_all_connections(tmp_path):
    command = CommandLine(tmp_path)
    created = command.answer("profile", "create", "strict", "--no-password", "--require-end-to-end")
    assert created["require_end_to_end"] is True
    done = command.run("call", "demo", "get_current_user", "--path", "relay")
    assert done.returncode == 5
    assert "--label-secret" in done.stderr


# Which key a device has


class Device:
    """Knows one key; `attempt` connects with another as real devices answer."""

    def __init__(self, key, error=RefusedError):
        self.key = key
        self.error = error
        self.attempts = []

    async def attempt(self, psk):
        self.attempts.append(psk)
        if psk == self.key:
            return "connected"
        if self.error is RefusedError:
            raise RefusedError("no", NOTIFY_BAD_KEY_ID)
        raise NotEndToEnd("no", NOTIFY_BAD_KEY)


@pytest.mark.parametrize("error", [RefusedError, NotEndToEnd])
async def test_when_the_old_key_is_refused_the_one_on_its_way_is_tried_and_kept(keys, error):
    keys.settle(DEVICE, OLD)
    keys.offer(DEVICE, NEW)
    device = Device(NEW, error)
    assert await with_keys(keys, DEVICE, device.attempt) == "connected"
    assert device.attempts == [OLD, NEW]
    assert keys.of(DEVICE) == [NEW]


async def test_when_the_old_key_works_the_other_is_forgotten(keys):
    keys.settle(DEVICE, OLD)
    keys.offer(DEVICE, NEW)
    await with_keys(keys, DEVICE, Device(OLD).attempt)
    assert keys.of(DEVICE) == [OLD]


async def test_a_device_that_knows_no_key_of_ours_is_an_error_and_the_keys_stay(keys):
    keys.settle(DEVICE, OLD)
    with pytest.raises(NotEndToEnd) as caught:
        await with_keys(keys, DEVICE, Device(NEW).attempt)
    assert "does not know" in str(caught.value)
    assert "homeport pair" in caught.value.next_step
    assert keys.of(DEVICE) == [OLD]


@pytest.mark.parametrize(
    "error", [DeviceOffline("away"), RefusedError("busy", NOTIFY_BUSY_MICRO), NotEndToEnd("silence")]
)
async def test_other_failures_say_nothing_about_the_key(keys, error):
    keys.settle(DEVICE, OLD)
    keys.offer(DEVICE, NEW)

    async def attempt(psk):
        raise error

    with pytest.raises(type(error)):
        await with_keys(keys, DEVICE, attempt)
    assert keys.of(DEVICE) == [OLD, NEW]


# The secret on a label


@pytest.mark.parametrize(
    "text",
    [
        "00112233445566778899aAbBcCdDeEfF",
        "00112233-44556677-8899aabb-ccddeeff",
        " 0011:2233 4455.6677\n8899aabbccddeeff\n",
    ],
)
def test_a_labels_secret_may_be_grouped(text):
    assert Psk.of_label(text) == Psk(LABEL_KEY_ID, bytes.fromhex("00112233445566778899aabbccddeeff"))


@pytest.mark.parametrize("text", ["", "00" * 15, "00" * 17, "0g" * 16, "00" * 16 + "x"])
def test_what_is_no_secret_is_refused_without_repeating_it(text):
    with pytest.raises(ConfigError) as caught:
        Psk.of_label(text)
    assert text[:8] not in str(caught.value) or not text


def test_a_labels_secret_comes_from_a_file_or_the_environment(tmp_path, monkeypatch):
    file = tmp_path / "label"
    file.write_text("00112233-44556677-8899aabb-ccddeeff\n")
    secret = bytes.fromhex("00112233445566778899aabbccddeeff")
    assert ask_label_secret(file).key == secret
    monkeypatch.setenv("HOMEPORT_LABEL_SECRET", "ff" * 16)
    assert ask_label_secret().key == b"\xff" * 16
    assert ask_label_secret(file).key == secret
    monkeypatch.delenv("HOMEPORT_LABEL_SECRET")
    with pytest.raises(ConfigError, match="HOMEPORT_LABEL_SECRET"):
        ask_label_secret()
