"""A basestation's directory and settings: made once, private, complete or not at all, and wrong settings are named."""

import os
import stat
import tomllib

import pytest
from homeport.basestation import config as config_module
from homeport.basestation import directory as directory_module
from homeport.basestation.config import TEMPLATE, Config, load_config
from homeport.basestation.directory import Directory, load_gate_pem
from homeport.basestation.inventory.inventory import Inventory
from homeport.errors import ConfigError, StorageError
from homeport.fingerprint import fingerprint_of
from homeport.wire import parse_address

NAMES = {"master.key", "gate.pem", "basestation.toml", "basestation.db"}


@pytest.fixture(autouse=True)
def quick_keys(monkeypatch):
    monkeypatch.setattr(directory_module, "GATE_KEY_BITS", 2048)


@pytest.fixture
def directory(tmp_path):
    directory = Directory(tmp_path / "deep" / "var")
    assert directory.initialise()
    return directory


def contents(directory):
    return {name: (directory.root / name).read_bytes() for name in NAMES}


# Directory


def test_a_new_directory_is_complete_and_usable(directory):
    directory.check()
    assert load_config(directory.settings) == Config()
    inventory = Inventory(directory.database, directory.sealer())
    inventory.add("dev1")
    inventory.close()


def test_everything_is_for_this_user_only(directory):
    assert stat.S_IMODE(directory.root.stat().st_mode) == 0o700
    for name in NAMES:
        assert stat.S_IMODE((directory.root / name).stat().st_mode) == 0o600, name


def test_nothing_else_is_left_behind(directory):
    assert set(os.listdir(directory.root)) - {"basestation.lock"} == NAMES


def test_doing_it_again_changes_nothing(directory):
    before = contents(directory)
    assert not directory.initialise()
    assert contents(directory) == before


@pytest.mark.parametrize("lost", sorted(NAMES - {"master.key"}))
def test_a_missing_file_is_made_and_the_others_stay(directory, lost):
    before = contents(directory)
    (directory.root / lost).unlink()
    with pytest.raises(StorageError, match=f"{lost} is missing; run: homeport basestation init"):
        directory.check()
    assert directory.initialise()
    after = contents(directory)
    assert {name for name in NAMES if before[name] == after[name]} >= NAMES - {lost}


def test_a_lost_master_key_is_never_replaced(directory):
    directory.master_key.unlink()
    with pytest.raises(StorageError, match="restore the key from a backup"):
        directory.initialise()
    assert not directory.master_key.exists()


@pytest.mark.parametrize("failing", sorted(NAMES))
def test_a_failure_leaves_no_half_file_and_the_next_attempt_completes(tmp_path, monkeypatch, failing):
    directory = Directory(tmp_path / "var")
    original = os.replace

    def replace(source, target):
        if os.path.basename(target) == failing:
            raise OSError(28, "No space left on device")
        original(source, target)

    monkeypatch.setattr(os, "replace", replace)
    with pytest.raises(StorageError, match="No space left"):
        directory.initialise()
    left = set(os.listdir(directory.root)) - {"basestation.lock"}
    assert failing not in left
    assert left <= NAMES
    monkeypatch.setattr(os, "replace", original)
    assert directory.initialise()
    directory.check()


def test_a_directory_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="file"):
        Directory(tmp_path / "file" / "var").initialise()


def test_two_basestations_do_not_share_a_directory(directory):
    assert not directory.running()
    with directory.locked():
        assert directory.running()
        with pytest.raises(StorageError, match="another basestation is running"), directory.locked():
            pass
    assert not directory.running()


def test_the_pin_is_the_fingerprint_of_the_gates_key(directory):
    key, chain = load_gate_pem(directory.gate_pem)
    assert directory.pin() == fingerprint_of(key.public_key())
    assert len(chain) == 1


def test_two_basestations_have_different_secrets(directory, tmp_path):
    other = Directory(tmp_path / "other")
    other.initialise()
    assert other.pin() != directory.pin()
    assert other.master_key.read_bytes() != directory.master_key.read_bytes()


@pytest.mark.parametrize(
    "content", [b"", b"garbage", b"-----BEGIN PRIVATE KEY-----\nxxxx\n-----END PRIVATE KEY-----\n"]
)
def test_a_gate_file_that_is_no_key_is_refused(directory, content):
    directory.gate_pem.write_bytes(content)
    with pytest.raises(StorageError, match="gate.pem"):
        load_gate_pem(directory.gate_pem)
    with pytest.raises(StorageError, match="gate.pem"):
        directory.pin()


def test_a_gate_file_with_the_certificate_of_another_key_is_refused(directory, tmp_path):
    other = Directory(tmp_path / "other")
    other.initialise()
    mine, theirs = directory.gate_pem.read_text(), other.gate_pem.read_text()
    begin = "-----BEGIN CERTIFICATE-----"
    directory.gate_pem.write_text(mine.split(begin)[0] + begin + theirs.split(begin)[1])
    with pytest.raises(StorageError, match="a certificate of that key"):
        load_gate_pem(directory.gate_pem)


def test_a_gate_file_open_to_others_is_refused(directory):
    directory.gate_pem.chmod(0o644)
    with pytest.raises(StorageError, match="chmod 600"):
        load_gate_pem(directory.gate_pem)


# Settings


def write(directory, text):
    directory.settings.write_bytes(text if isinstance(text, bytes) else text.encode())


def test_the_template_shows_the_defaults():
    shown = tomllib.loads(TEMPLATE.replace("\n#", "\n").replace("\n ", "\n# "))
    shown.pop("public")
    gateway = shown.pop("gateway")
    assert Config().override(shown) == Config()
    assert set(shown) == {"controller", "gsp", "gate", "admin"}
    assert parse_address(gateway) == Config().gateway_or_default


def test_settings_are_read(directory):
    write(directory, 'gate = "127.0.0.1:0"\npublic = "home.example.net"\n')
    assert load_config(directory.settings) == Config(gate=("127.0.0.1", 0), public="home.example.net")


def test_options_come_before_the_file(directory):
    write(directory, 'gate = "127.0.0.1:1"\ngsp = "127.0.0.1:2"\n')
    config = load_config(directory.settings).override({"gate": "127.0.0.1:9", "gsp": None})
    assert (config.gate, config.gsp) == (("127.0.0.1", 9), ("127.0.0.1", 2))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("gat = 1", "unknown setting 'gat'; did you mean 'gate'?"),
        ("[limits]\nx = 1", "unknown setting 'limits'; known are controller, gsp, gateway, gate, admin, public"),
        ("gate = 5568", "gate: 5568 is not text"),
        ('gate = "5568"', "gate: '5568' is not HOST:PORT"),
        ('gate = "0.0.0.0:70000"', "gate: '0.0.0.0:70000' is not HOST:PORT"),
        ('gate = ":1"', "gate: ':1' is not HOST:PORT"),
        ('gate = ["0.0.0.0:1"]', "gate:"),
        ('public = ""', "public: expected an IPv4 address or a DNS name"),
        ('public = "1.2.3.4:5"', "without a port"),
        ("public = 5", "public: expected"),
        (f'public = "{"a" * 300}"', "public: expected"),
        ("gate =", "not TOML"),
        (b"\xff\xfe", "not TOML"),
    ],
)
def test_a_wrong_setting_is_named_with_what_was_expected(directory, text, expected):
    write(directory, text)
    with pytest.raises(ConfigError) as caught:
        load_config(directory.settings)
    assert expected in str(caught.value)
    assert str(directory.settings) in str(caught.value)


def test_an_absurdly_large_file_is_refused(directory):
    write(directory, "#" * (config_module._FILE_MAX + 1))
    with pytest.raises(StorageError, match="larger than"):
        load_config(directory.settings)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(StorageError, match=r"basestation\.toml"):
        load_config(tmp_path / "basestation.toml")
