"""Profiles: created whole or not at all, private, and unreadable ones named."""

import json
import stat

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from homeport.client.profile import Profile, describe_profile, list_profiles, remove_profile, split_address
from homeport.errors import ConfigError, StorageError

PIN = "00:11:22:33:44:55:66:77:88:99:aa:bb:cc:dd:ee:ff"


@pytest.fixture
def home(tmp_path):
    return tmp_path / "home"


def files_below(path):
    return sorted(str(item.relative_to(path)) for item in path.rglob("*"))


def test_a_loaded_profile_is_the_created_one(home):
    created = Profile.create(home, "me", "secret", "base.example.org:1234", PIN)
    loaded = Profile.load(home, "me", "secret")
    assert loaded.fingerprint == created.fingerprint
    assert loaded.certificate_pem == created.certificate_pem
    assert loaded.private_key.private_numbers() == created.private_key.private_numbers()
    assert loaded.basestation_address == ("base.example.org", 1234)
    assert loaded.pin == bytes.fromhex(PIN.replace(":", ""))


def test_the_certificate_is_self_signed_by_an_rsa_key_of_2048_bits(home):
    certificate = x509.load_pem_x509_certificate(Profile.create(home, "me").certificate_pem)
    certificate.verify_directly_issued_by(certificate)
    assert isinstance(certificate.public_key(), rsa.RSAPublicKey)
    assert certificate.public_key().key_size == 2048


def test_files_and_directories_are_for_this_user_alone(home):
    Profile.create(home, "me")
    for item in [home / "profiles", *(home / "profiles").rglob("*")]:
        expected = 0o700 if item.is_dir() else 0o600
        assert stat.S_IMODE(item.stat().st_mode) == expected, item


def test_a_password_is_asked_for_only_when_the_key_is_encrypted(home):
    Profile.create(home, "open")
    Profile.create(home, "locked", "secret")
    asked = []

    def ask():
        asked.append(True)
        return "secret"

    Profile.load(home, "open", ask)
    assert not asked
    Profile.load(home, "locked", ask)
    assert len(asked) == 1


def test_an_encrypted_key_is_not_stored_in_clear(home):
    Profile.create(home, "locked", "secret")
    assert b"BEGIN ENCRYPTED PRIVATE KEY" in (home / "profiles/locked/key.pem").read_bytes()


@pytest.mark.parametrize("password", [None, "", "wrong", lambda: "wrong"])
def test_a_wrong_or_missing_password_is_an_error(home, password):
    Profile.create(home, "locked", "secret")
    with pytest.raises(ConfigError, match="password"):
        Profile.load(home, "locked", password)


def test_the_private_key_does_not_show_in_the_representation(home):
    assert "private_key" not in repr(Profile.create(home, "me"))


@pytest.mark.parametrize("name", ["", ".", "..", "../up", "a/b", "-x", ".hidden", "a b", "ä", "x" * 60, "a\n", "a\0"])
def test_a_name_that_could_be_something_else_is_refused(home, name):
    with pytest.raises(ConfigError, match="not a profile name"):
        Profile.create(home, name)
    assert not home.exists()


def test_a_profile_is_not_overwritten(home):
    first = Profile.create(home, "me")
    with pytest.raises(ConfigError, match="exists already"):
        Profile.create(home, "me")
    assert Profile.load(home, "me").fingerprint == first.fingerprint


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"key_bits": 1024}, "1024 bits"),
        ({"key_bits": 100_000}, "100000 bits"),
        ({"basestation": "nohost:"}, "not an address"),
        ({"basestation": "host:0"}, "not an address"),
        ({"basestation": "host:70000"}, "not an address"),
        ({"basestation": "ho st:1"}, "not an address"),
        ({"pin": "0011"}, "not a fingerprint"),
        ({"password": ""}, "password"),
        ({"password": "x" * 2000}, "password"),
    ],
)
def test_bad_arguments_leave_nothing_behind(home, arguments, reason):
    with pytest.raises(ConfigError, match=reason):
        Profile.create(home, "me", **arguments)
    assert not home.exists()


def test_a_failure_while_writing_leaves_nothing_behind(home, monkeypatch):
    def fail(path, data):
        raise StorageError("disk full")

    monkeypatch.setattr("homeport.client.profile.write_private", fail)
    with pytest.raises(StorageError, match="disk full"):
        Profile.create(home, "me")
    assert files_below(home) == ["profiles"]


def test_a_home_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="file"):
        Profile.create(tmp_path / "file" / "home", "me")


@pytest.mark.parametrize("name", ["key.pem", "certificate.pem", "profile.json"])
@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00", b"x" * 70_000, None])
def test_a_damaged_file_is_named(home, name, content):
    Profile.create(home, "me")
    path = home / "profiles" / "me" / name
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(StorageError, match=name.replace(".", r"\.")):
        Profile.load(home, "me")


@pytest.mark.parametrize(
    "change",
    [{"version": 2}, {"basestation": 1}, {"basestation": "a b"}, {"pin": "xyz"}, {"pin": []}],
)
def test_damaged_settings_are_named(home, change):
    Profile.create(home, "me")
    path = home / "profiles" / "me" / "profile.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(StorageError, match="damaged"):
        Profile.load(home, "me")


def test_a_key_that_is_not_the_certificates_is_refused(home):
    Profile.create(home, "me")
    Profile.create(home, "other")
    (home / "profiles/other/key.pem").replace(home / "profiles/me/key.pem")
    with pytest.raises(StorageError, match="do not belong together"):
        Profile.load(home, "me")


@pytest.mark.parametrize("key", [ec.generate_private_key(ec.SECP256R1()), rsa.generate_private_key(65537, 1024)])
def test_a_key_of_another_kind_or_size_is_refused(home, key):
    Profile.create(home, "me")
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (home / "profiles/me/key.pem").write_bytes(pem)
    with pytest.raises(StorageError, match="RSA key of 2048"):
        Profile.load(home, "me")


def test_an_unknown_profile_says_how_to_create_it(home):
    with pytest.raises(ConfigError, match="homeport profile create me"):
        Profile.load(home, "me")


def test_a_profile_can_be_described_without_its_password(home):
    created = Profile.create(home, "locked", "secret", "base")
    summary = describe_profile(home, "locked")
    assert (summary.fingerprint, summary.encrypted) == (created.fingerprint, True)
    assert summary.settings.basestation == "base:5568"


def test_profiles_are_listed_and_removed(home):
    assert list_profiles(home) == []
    Profile.create(home, "b")
    Profile.create(home, "a")
    assert list_profiles(home) == ["a", "b"]
    remove_profile(home, "a")
    assert files_below(home / "profiles") == ["b", "b/certificate.pem", "b/key.pem", "b/profile.json"]
    with pytest.raises(ConfigError, match="no profile 'a'"):
        remove_profile(home, "a")


def test_a_damaged_profile_can_be_removed(home):
    Profile.create(home, "me")
    (home / "profiles/me/profile.json").write_text("{")
    remove_profile(home, "me")
    assert list_profiles(home) == []


def test_an_address_without_a_port_gets_the_default():
    assert split_address("base.example.org", 5568) == ("base.example.org", 5568)
