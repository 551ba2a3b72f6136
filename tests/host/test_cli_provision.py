"""`homeport provision`, `label`, `board-users` on an image: secrets come from files, the environment or a terminal."""

import json
import os
import pty
import subprocess
from pathlib import Path

import pytest
from homeport.basestation.directory import Directory
from homeport.basestation.inventory.inventory import Inventory
from homeport.provisioning.image import open_image
from processes import HOMEPORT, CommandLine, environment, only_error_line

KEY = "000102030405060708090a0b0c0d0e0f"
PASSWORD = "a good password"
FINGERPRINT = "00112233445566778899aabbccddeeff"


@pytest.fixture
def cli(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOMEPORT_DEVICE_KEY", KEY)
    monkeypatch.delenv("HOMEPORT_LABEL_SECRET", raising=False)
    monkeypatch.delenv("HOMEPORT_WIFI_PASSWORD", raising=False)
    return CommandLine(tmp_path / "home")


@pytest.fixture
def provision(cli):
    """`homeport provision pump` into the flash of a simulated board, which must succeed."""
    return lambda *options: cli.answer("provision", "pump", "--image", "board", "--board", "unix", *options)


@pytest.fixture
def refused(cli):
    """The same, which must be refused before anything is written; returns the reason."""

    def run(*options):
        done = cli.run("provision", "pump", "--image", "board", "--board", "unix", *options)
        assert done.returncode == 3
        assert set(records().values()) == {None}
        return done.stderr.splitlines()[-1]

    return run


def records():
    target = open_image(Path("board"), "unix")
    return {kind: target._payload(kind) for kind in ("secrets", "config", "users", "factory")}


def secrets():
    return json.loads(records()["secrets"])


def config():
    return json.loads(records()["config"])


def test_the_key_comes_from_the_environment_and_a_new_secret_is_shown_once(provision):
    document = provision()
    assert document["written"] == ["secrets"]
    assert secrets() == {"id": "pump", "key": KEY, "label_secret": document["label_secret"]}
    assert document["label"] == f"HOMEPORT1:PUMP:{document['label_secret'].upper()}"


def test_the_key_comes_from_a_file(provision, tmp_path):
    (tmp_path / "key").write_text("ff" * 16 + "\n")
    provision("--key-file", "key")
    assert secrets()["key"] == "ff" * 16


@pytest.mark.parametrize("text", ["", "00" * 15, "00" * 17, "zz" * 16])
def test_a_key_of_another_length_is_refused_and_not_repeated(refused, tmp_path, text):
    (tmp_path / "key").write_text(text)
    reason = refused("--key-file", "key")
    assert f"key: expected 32 hex digits, got {len(text)} characters" in reason
    assert not text or text not in reason


def test_without_a_key_or_a_terminal_it_says_what_to_do(refused, monkeypatch):
    monkeypatch.delenv("HOMEPORT_DEVICE_KEY")
    assert "a key is needed: run in a terminal, or give it in a file or the environment" in refused()


def test_a_basestation_is_told_of_the_device(provision, tmp_path):
    directory = Directory(tmp_path / "basestation")
    directory.initialise()
    provision("--dir", "basestation")
    provision("--dir", "basestation", "--replace")
    inventory = Inventory(directory.database, directory.sealer())
    try:
        devices = inventory.changes_since(-1).devices
    finally:
        inventory.close()
    assert devices == {b"pump": (bytes.fromhex(secrets()["key"]), True)}


def test_a_device_that_the_basestation_knows_already_is_not_provisioned(refused, tmp_path):
    directory = Directory(tmp_path / "basestation")
    directory.initialise()
    inventory = Inventory(directory.database, directory.sealer())
    inventory.add("pump")
    inventory.close()
    assert "device pump exists already" in refused("--dir", "basestation")


def test_when_writing_fails_it_says_what_stands(cli, tmp_path, monkeypatch):
    directory = Directory(tmp_path / "basestation")
    directory.initialise()

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("homeport.provisioning.image.RegionFile.replace", fail)
    done = cli.run("provision", "pump", "--image", "board", "--board", "unix", "--dir", "basestation")
    last = done.stderr.splitlines()[-1]
    assert "No space left on device. The basestation in basestation knows pump by a key that may not be in" in last
    assert "run the command again with --replace" in last


def test_passwords_come_from_a_file_a_line_each(provision, tmp_path):
    (tmp_path / "passwords").write_text(f"{PASSWORD}\n\n")
    provision("--wifi", "home", "--wifi", "open air", "--wifi-password-file", "passwords")
    assert config()["wifi"] == [["home", PASSWORD], ["open air", ""]]


def test_a_single_password_comes_from_the_environment(provision, monkeypatch):
    monkeypatch.setenv("HOMEPORT_WIFI_PASSWORD", PASSWORD)
    provision("--wifi", "home")
    assert config()["wifi"] == [["home", PASSWORD]]


@pytest.mark.parametrize("length", [7, 64])
def test_passwords_of_7_and_64_characters_are_refused(refused, monkeypatch, length):
    monkeypatch.setenv("HOMEPORT_WIFI_PASSWORD", "p" * length)
    reason = refused("--wifi", "home")
    assert f"wifi[0] password must have 8 to 63 characters, or none for an open network, not {length}" in reason


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--wifi", "home"], "a Wi-Fi password is needed"),
        (["--name", "x" * 50], "name must have 1 to 49 octets, not 50"),
        (["--controller", "nowhere"], "controller must be HOST:PORT"),
        (["--set", "colour=red"], "no such setting: 'colour'"),
        (["--label", "label.jpg"], "a label is a file .svg or .png"),
        (["--users", "none"], "cannot read none"),
        (["--factory-users", "Bo"], "not a fingerprint"),
        (["--keep-key", "--label", "-"], "with --keep-key there is neither another key nor another label"),
        (["--keep-key", "--name", "x"], "this is not pump: it has no identity that can be read"),
        (["--keep-key"], "there is nothing to write"),
        (["--port", "/dev/ttyUSB0"], "either --port or --image"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_written(refused, options, reason):
    assert reason in refused(*options)


@pytest.mark.parametrize("device_id", ["no_host", "Pump!", "-pump", "x" * 41])
def test_ids_that_are_no_host_names_are_refused(cli, device_id):
    done = cli.run("provision", "--image", "board", "--board", "unix", "--", device_id)
    assert "id must be a host name of 1 to 40 characters" in only_error_line(done)


def test_what_is_there_is_replaced_only_when_asked(provision, cli):
    first = provision("--name", "Pump")
    done = cli.run("provision", "pump", "--image", "board", "--board", "unix")
    assert "it has the identity of pump already: nothing was written" in done.stderr
    assert secrets()["label_secret"] == first["label_secret"]
    second = provision("--replace")
    assert secrets()["label_secret"] == second["label_secret"] != first["label_secret"]
    assert config() == {"name": "Pump"}


def test_settings_alone_leave_the_key(provision):
    first = provision("--name", "Pump")
    assert provision("--keep-key", "--name", "Fan", "--no-remote", "--replace")["written"] == ["config"]
    assert secrets()["label_secret"] == first["label_secret"]
    assert config() == {"name": "Fan", "master_switch": False}


def test_a_label_that_was_read_by_a_camera_has_to_be_this_devices(provision, refused, monkeypatch):
    monkeypatch.setenv("HOMEPORT_LABEL_SECRET", f"HOMEPORT1:FAN:{'AB' * 16}")
    assert "this is the label of fan, not of pump" in refused()
    monkeypatch.setenv("HOMEPORT_LABEL_SECRET", f"HOMEPORT1:PUMP:{'AB' * 16}")
    assert provision()["label_secret"] == "ab" * 16


def test_a_device_may_have_no_label(provision):
    assert "label_secret" not in provision("--label-secret", "none")
    assert "label_secret" not in secrets()


def test_a_label_goes_with_the_device(cli, tmp_path):
    done = cli.run("provision", "pump", "--image", "board", "--board", "unix", "--label", "-", "--label", "pump.png")
    assert "█" in done.stdout
    assert "it is not shown again" in done.stdout
    assert (tmp_path / "pump.png").read_bytes().startswith(b"\x89PNG")


def test_a_label_is_printed_again_by_whoever_has_the_secret(cli, tmp_path):
    (tmp_path / "secret").write_text("AB" * 16)
    done = cli.run("label", "pump", "--label-secret-file", "secret", "--name", "Pump")
    assert done.stdout.rstrip().endswith("Pump\npump\nabab-abab-abab-abab\nabab-abab-abab-abab")
    assert cli.answer("label", "pump", "--label-secret-file", "secret")["label"] == f"HOMEPORT1:PUMP:{'AB' * 16}"


def test_users_go_in_and_come_out_as_they_were(provision, cli, tmp_path):
    provision("--factory-users", f"{FINGERPRINT}=Bo")
    assert cli.answer("board-users", "users.bin", "--image", "board/flash.img", "--factory")["users"] == 1
    provision("--keep-key", "--users", "users.bin")
    again = cli.answer("board-users", "again.bin", "--image", "board/flash.img")
    assert again == {"id": "pump", "users": 1, "file": "again.bin"}
    assert (tmp_path / "again.bin").read_bytes() == (tmp_path / "users.bin").read_bytes()
    assert (tmp_path / "again.bin").stat().st_mode & 0o777 == 0o600


def test_an_export_replaces_no_file(provision, cli, tmp_path):
    provision("--factory-users", FINGERPRINT)
    (tmp_path / "users.bin").write_text("mine")
    done = cli.run("board-users", "users.bin", "--image", "board/flash.img", "--factory")
    assert "users.bin is there already" in only_error_line(done)


def test_a_board_without_a_list_has_none_to_export(provision, cli):
    provision()
    done = cli.run("board-users", "users.bin", "--image", "board/flash.img")
    assert done.stderr.splitlines()[-1] == "error: there is no list of users in it yet"


def test_secrets_are_in_no_message(cli, monkeypatch):
    monkeypatch.setenv("HOMEPORT_WIFI_PASSWORD", PASSWORD)
    done = cli.run("provision", "pump", "--image", "board", "--board", "unix", "--wifi", "home", "--name", "Pump")
    assert KEY not in done.stdout + done.stderr
    assert PASSWORD not in done.stdout + done.stderr


def at_a_terminal(arguments, typed):
    """Run `homeport` with a terminal of its own, at which `typed` is typed at each ": "; what is seen there."""
    terminal, end = pty.openpty()
    process = subprocess.Popen(
        ["setsid", "--ctty", HOMEPORT, *arguments], stdin=end, stdout=end, stderr=end, env=environment()
    )
    os.close(end)
    seen = b""
    while True:
        try:
            seen += os.read(terminal, 4096)
        except OSError:
            break  # all of it has ended
        if typed and seen.endswith(b": "):
            seen += b"<asked>"
            os.write(terminal, typed.pop(0).encode() + b"\n")
    os.close(terminal)
    return process.wait(), seen.decode()


def test_what_is_typed_at_a_terminal_is_not_seen(cli):
    line = ["provision", "pump", "--image", "board", "--board", "unix", "--wifi", "home", "--label-secret", "ask"]
    code, seen = at_a_terminal(line, [PASSWORD, "ab" * 16, KEY])
    assert code == 0, seen
    assert seen.count("<asked>") == 3
    assert PASSWORD not in seen
    assert KEY not in seen
    assert secrets() == {"id": "pump", "key": KEY, "label_secret": "ab" * 16}
    assert config()["wifi"] == [["home", PASSWORD]]
