"""`homeport device`: what an operator types, sees, and gets wrong."""

import json

import pytest
from basestation_process import homeport, homeport_json, inventory_of
from homeport.basestation import directory as directory_module
from homeport.basestation.directory import Directory
from homeport.basestation.inventory.records import Batch, Records

KEY = "0f1e2d3c4b5a69788796a5b4c3d2e1f0"


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setattr(directory_module, "GATE_KEY_BITS", 2048)
    root = tmp_path / "var"
    Directory(root).initialise()
    return root


def test_adding_prints_the_id_and_the_key_once(root):
    document = homeport_json("device", "add", "dev1", "--dir", root)
    assert document["id"] == "dev1"
    assert len(bytes.fromhex(document["key"])) == 16
    later = homeport("device", "show", "dev1", "--dir", root).stdout + homeport("device", "list", "--dir", root).stdout
    assert document["key"] not in later
    assert "dev1" in later


def test_a_given_key_is_taken(root):
    assert homeport_json("device", "add", "dev1", "--key", KEY, "--dir", root) == {"id": "dev1", "key": KEY}


def test_the_life_of_a_device(root):
    homeport_json("device", "add", "dev1", "--dir", root)
    assert homeport_json("device", "disable", "dev1", "--dir", root) == {"id": "dev1", "enabled": False}
    assert homeport("device", "list", "--dir", root).stdout == "dev1  disabled\n"
    assert homeport_json("device", "enable", "dev1", "--dir", root) == {"id": "dev1", "enabled": True}
    assert homeport_json("device", "rotate-key", "dev1", "--key", KEY, "--dir", root)["key"] == KEY
    assert homeport_json("device", "remove", "dev1", "--dir", root) == {"id": "dev1", "removed": True}
    assert homeport("device", "list", "--dir", root).stdout == "no devices\n"


def test_show_tells_an_attachment_from_one_that_has_ended(root):
    with inventory_of(root) as inventory:
        inventory.add("dev1")
        seq = inventory.changes_since(-1).seq
    records = Records(Directory(root).database, Directory(root).sealer())
    batch = Batch()
    batch.attached(b"dev1", (b"dev1", *[b"x"] * 5), "198.51.100.7:40000", 1_800_000_000)
    batch.refused(b"dev1", "wrong key", 1_800_000_060)
    records.save(batch, seq)
    records.close()
    command = ("device", "show", "dev1", "--dir", root)
    with Directory(root).locked():
        running = homeport(*command).stdout
    stopped = homeport(*command).stdout
    assert "dev1: attached since 2027-01-15 08:00:00 UTC\n" in running
    assert "last refusal: 2027-01-15 08:01:00 UTC, wrong key" in running
    assert "attached since 2027-01-15 08:00:00 UTC, until the basestation stopped\n" in stopped


def test_list_names_the_devices_that_are_attached_over_tcp(root):
    with inventory_of(root) as inventory:
        inventory.add("dev1")
        seq = inventory.changes_since(-1).seq
    records = Records(Directory(root).database, Directory(root).sealer())
    batch = Batch()
    batch.attached(b"dev1", None, "tcp 198.51.100.7:40000", 1_800_000_000)
    records.save(batch, seq)
    records.close()
    with Directory(root).locked():
        assert homeport("device", "list", "--dir", root).stdout == (
            "dev1  attached over TCP since 2027-01-15 08:00:00 UTC\n"
        )


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        (("add", "Bad Id"), "not a device id: 'Bad Id'"),
        (("add", "dev1", "--key", "0011"), "expected 32 hex digits (16 bytes), got 2 bytes"),
        (("add", "dev1", "--key", "zz" * 16), "device key: expected 32 hex digits"),
        (("add", "known"), "device known exists already"),
        (("show", "dev9"), "no device dev9; see: homeport device list"),
        (("remove", "dev9"), "no device dev9"),
    ],
)
def test_what_is_wrong_is_one_line_and_an_exit_code(root, args, expected):
    with inventory_of(root) as inventory:
        inventory.add("known")
    result = homeport("device", *args, "--dir", root)
    assert result.returncode == 3
    assert result.stdout == ""
    assert expected in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_an_error_is_json_where_asked_for(root):
    result = homeport("--json", "device", "show", "dev9", "--dir", root)
    assert json.loads(result.stderr)["reason"].startswith("no device dev9")


def test_a_directory_without_basestation_says_what_to_do_and_stays_as_it_is(tmp_path):
    result = homeport("device", "list", "--dir", tmp_path)
    assert result.returncode == 3
    assert "homeport basestation init" in result.stderr
    assert list(tmp_path.iterdir()) == []
