"""The inventory, its sealing, its copy in memory, and what the running basestation writes beside it."""

import os
import sqlite3
import stat
import subprocess
import sys
import threading

import pytest
from homeport.basestation.inventory import inventory as inventory_module
from homeport.basestation.inventory import schema
from homeport.basestation.inventory.inventory import Inventory, check_device_id, parse_device_key
from homeport.basestation.inventory.records import Batch, Records
from homeport.basestation.inventory.roster import Roster
from homeport.basestation.inventory.sealing import Sealer, read_master_key
from homeport.errors import ConfigError, StorageError

MASTER = bytes(range(32))
KEY = bytes.fromhex("00112233445566778899aabbccddeeff")
ROW_PARTS = (b"\x00\x01\xe2\x40", bytes(6), bytes(range(96)), bytes(15), b"p" * 16)


def row(device_id):
    return (device_id.encode(), *ROW_PARTS)


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "basestation.db"
    schema.create_database(path)
    return path


@pytest.fixture
def inventory(path):
    inventory = Inventory(path, Sealer(MASTER), clock=lambda: 1_800_000_000.9)
    yield inventory
    inventory.close()


@pytest.fixture
def records(path):
    records = Records(path, Sealer(MASTER))
    yield records
    records.close()


def refreshed(inventory, roster=None):
    """A roster brought up to date, and what that revoked."""
    roster = Roster() if roster is None else roster
    changes = inventory.changes_since(roster.seq)
    return roster, [] if changes is None else roster.apply(changes)


# Operators


def test_a_new_device_gets_a_random_key(inventory):
    keys = {inventory.add(f"dev{n}") for n in range(3)}
    assert {len(key) for key in keys} == {16}
    assert len(keys) == 3


def test_a_given_key_is_kept(inventory):
    assert inventory.add("dev1", KEY) == KEY
    assert refreshed(inventory)[0].get(b"dev1").psk == KEY


def test_a_device_is_added_once(inventory):
    inventory.add("dev1", KEY)
    with pytest.raises(ConfigError, match="rotate-key dev1"):
        inventory.add("dev1")
    assert refreshed(inventory)[0].get(b"dev1").psk == KEY


@pytest.mark.parametrize("device_id", ["a", "a" * 40, "dev1.example.net", "-", "0"])
def test_device_ids_of_the_specification_are_accepted(device_id):
    assert check_device_id(device_id) == device_id


@pytest.mark.parametrize("device_id", ["", "a" * 41, "A", "a b", "ä", "a\n", "a/b", "*", "a_b", "\x1b[2J"])
def test_other_device_ids_are_refused(inventory, device_id):
    with pytest.raises(ConfigError, match="not a device id") as caught:
        inventory.add(device_id)
    assert "\x1b" not in str(caught.value)
    assert inventory.list() == []


@pytest.mark.parametrize("text", ["", "0011", "00" * 15, "00" * 17, "zz" * 16, "0x" + "00" * 16, "é" * 32])
def test_keys_of_another_size_or_form_are_refused_without_repeating_them(text):
    with pytest.raises(ConfigError, match="expected 32 hex digits") as caught:
        parse_device_key(text)
    assert len(text) < 8 or text not in str(caught.value)


def test_a_list_is_in_order_of_the_ids(inventory):
    for device_id in ("b", "c", "a"):
        inventory.add(device_id)
    assert [device.id for device in inventory.list()] == ["a", "b", "c"]


def test_what_is_shown_holds_no_key(inventory):
    inventory.add("dev1", KEY)
    assert KEY.hex() not in repr(inventory.show("dev1"))
    assert repr(KEY) not in repr(inventory.show("dev1"))


@pytest.mark.parametrize("call", ["show", "rotate_key", "remove"])
def test_an_unknown_device_is_named(inventory, call):
    with pytest.raises(ConfigError, match="no device dev9"):
        getattr(inventory, call)("dev9")


def test_enabling_an_unknown_device_is_refused(inventory):
    with pytest.raises(ConfigError, match="no device dev9"):
        inventory.set_enabled("dev9", True)


def test_rotating_replaces_the_key(inventory):
    inventory.add("dev1", KEY)
    new = inventory.rotate_key("dev1")
    assert new != KEY
    assert refreshed(inventory)[0].get(b"dev1").psk == new


# At rest


def test_keys_are_not_in_the_files_in_any_form(inventory, records, path):
    key = inventory.add("dev1")
    records.save(attached("dev1"), refreshed(inventory)[0].seq)
    inventory.rotate_key("dev1", KEY)
    for name in os.listdir(path.parent):
        content = (path.parent / name).read_bytes()
        for secret in (key, KEY, ROW_PARTS[2]):
            assert secret not in content
            assert secret.hex().encode() not in content.lower()


def test_database_files_are_for_this_user_only(inventory, path):
    inventory.add("dev1")
    names = os.listdir(path.parent)
    assert {"basestation.db", "basestation.db-wal"} <= set(names)
    for name in names:
        assert stat.S_IMODE((path.parent / name).stat().st_mode) == 0o600


def test_another_master_key_opens_nothing(inventory, path):
    inventory.add("dev1")
    other = Inventory(path, Sealer(bytes(32)))
    with pytest.raises(StorageError, match="master.key is not the one"):
        other.changes_since(-1)
    other.close()


def test_a_sealed_key_does_not_open_for_another_device(inventory, path):
    inventory.add("dev1", KEY)
    inventory.add("dev2")
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE devices SET sealed_key = (SELECT sealed_key FROM devices WHERE id = 'dev1')")
    connection.close()
    with pytest.raises(StorageError, match="device key of dev2"):
        inventory.changes_since(-1)


def test_a_sealed_key_altered_anywhere_does_not_open():
    sealer = Sealer(MASTER)
    sealed = sealer.seal(KEY, "device key", b"dev1")
    for at in range(len(sealed)):
        altered = bytearray(sealed)
        altered[at] ^= 1
        with pytest.raises(StorageError):
            sealer.open(bytes(altered), "device key", b"dev1")
        with pytest.raises(StorageError):
            sealer.open(sealed[:at], "device key", b"dev1")


def test_sealing_twice_looks_different():
    sealer = Sealer(MASTER)
    assert sealer.seal(KEY, "device key", b"dev1") != sealer.seal(KEY, "device key", b"dev1")


@pytest.mark.parametrize("content", [b"", b"00" * 31, b"00" * 33, b"zz" * 32, b"\xff" * 64, b"00" * 5000])
def test_a_malformed_master_key_is_refused(tmp_path, content):
    path = tmp_path / "master.key"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(StorageError) as caught:
        read_master_key(path)
    assert str(path) in str(caught.value) or "master key" in str(caught.value)


def test_a_master_key_open_to_others_is_refused(tmp_path):
    path = tmp_path / "master.key"
    path.write_text("00" * 32)
    path.chmod(0o640)
    with pytest.raises(StorageError, match="chmod 600"):
        read_master_key(path)


def test_a_missing_database_says_what_to_do(tmp_path):
    with pytest.raises(StorageError, match="homeport basestation init"):
        Inventory(tmp_path / "basestation.db", Sealer(MASTER))
    assert os.listdir(tmp_path) == []


def test_a_file_that_is_no_database_is_refused(tmp_path):
    path = tmp_path / "basestation.db"
    path.write_bytes(b"not a database, by far" * 100)
    with pytest.raises(StorageError, match="not a database"):
        Inventory(path, Sealer(MASTER))


def test_another_schema_version_is_refused(path):
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE meta SET schema_version = 99")
    connection.close()
    with pytest.raises(StorageError, match="schema version 99"):
        Inventory(path, Sealer(MASTER))


# Refreshing


def test_nothing_changed_costs_no_reading(inventory):
    roster, _ = refreshed(inventory)
    assert inventory.changes_since(roster.seq) is None


def test_only_what_changed_is_read(inventory):
    inventory.add("dev1")
    roster, _ = refreshed(inventory)
    inventory.add("dev2", KEY)
    changes = inventory.changes_since(roster.seq)
    assert changes.devices == {b"dev2": (KEY, True)}
    assert not changes.complete


@pytest.mark.parametrize(
    "change",
    [
        lambda inventory: inventory.set_enabled("dev1", False),
        lambda inventory: inventory.rotate_key("dev1"),
        lambda inventory: inventory.remove("dev1"),
    ],
    ids=["disabled", "new key", "removed"],
)
def test_what_ends_an_attachment_is_reported_as_revoked(inventory, change):
    inventory.add("dev1")
    inventory.add("dev2")
    roster, _ = refreshed(inventory)
    change(inventory)
    assert refreshed(inventory, roster)[1] == [b"dev1"]


@pytest.mark.parametrize(
    "change",
    [
        lambda inventory: inventory.set_enabled("dev1", True),
        lambda inventory: inventory.rotate_key("dev1", KEY),
        lambda inventory: inventory.add("dev2"),
    ],
    ids=["enabled again", "the same key", "another device"],
)
def test_what_changes_nothing_for_a_device_revokes_nothing(inventory, change):
    inventory.add("dev1", KEY)
    roster, _ = refreshed(inventory)
    change(inventory)
    assert refreshed(inventory, roster)[1] == []


def test_a_device_removed_and_added_between_two_looks_has_its_new_key(inventory):
    inventory.add("dev1")
    roster, _ = refreshed(inventory)
    inventory.remove("dev1")
    inventory.add("dev1", KEY)
    assert refreshed(inventory, roster)[1] == [b"dev1"]
    assert roster.get(b"dev1").psk == KEY


def test_a_roster_far_behind_reads_everything(inventory, monkeypatch):
    monkeypatch.setattr(inventory_module, "_LOG_MAX", 3)
    inventory.add("gone")
    roster, _ = refreshed(inventory)
    inventory.remove("gone")
    for n in range(5):
        inventory.add(f"dev{n}")
    assert refreshed(inventory, roster)[1] == [b"gone"]
    assert roster.get(b"gone") is None
    assert len(roster) == 5


def test_the_log_of_changes_stays_bounded(inventory, monkeypatch, path):
    monkeypatch.setattr(inventory_module, "_LOG_MAX", 3)
    for n in range(10):
        inventory.add(f"dev{n}")
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT count(*) FROM changes").fetchone() == (3,)
    connection.close()


def test_changes_of_another_process_are_seen(inventory, path):
    roster, _ = refreshed(inventory)
    script = (
        "import sys; from pathlib import Path; from homeport.basestation.inventory.inventory import Inventory;"
        "from homeport.basestation.inventory.sealing import Sealer;"
        "Inventory(Path(sys.argv[1]), Sealer(bytes(range(32)))).add('dev1')"
    )
    subprocess.run([sys.executable, "-c", script, str(path)], check=True)
    refreshed(inventory, roster)
    assert roster.get(b"dev1").enabled


def test_a_writer_waits_for_its_turn_instead_of_failing(inventory, path):
    other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    release = threading.Timer(0.1, lambda: other.execute("COMMIT"))
    release.start()
    assert inventory.add("dev1")
    release.join()
    other.close()


# What the running basestation writes


def attached(*device_ids):
    batch = Batch()
    for device_id in device_ids:
        batch.attached(device_id.encode(), row(device_id), "198.51.100.7:40000", 1_800_000_100)
    return batch


@pytest.fixture
def seq(inventory):
    """Two devices, and a roster that knows them."""
    inventory.add("dev1")
    inventory.add("dev2")
    return refreshed(inventory)[0].seq


def test_attachments_come_back_as_they_were_saved(records, seq):
    assert records.save(attached("dev1", "dev2"), seq)
    rows, damaged = records.load_attachments()
    assert sorted(rows) == [row("dev1"), row("dev2")]
    assert damaged == 0


def test_a_lost_attachment_does_not_come_back(records, seq):
    records.save(attached("dev1"), seq)
    batch = Batch()
    batch.lost(b"dev1", 1_800_000_200)
    records.save(batch, seq)
    assert records.load_attachments() == ([], 0)


@pytest.mark.parametrize(
    "change",
    [
        lambda inventory: inventory.set_enabled("dev1", False),
        lambda inventory: inventory.rotate_key("dev1"),
        lambda inventory: inventory.remove("dev1"),
    ],
    ids=["disabled", "new key", "removed"],
)
def test_a_change_by_the_operator_deletes_the_saved_attachment(inventory, records, seq, change):
    records.save(attached("dev1"), seq)
    change(inventory)
    assert records.load_attachments() == ([], 0)


def test_an_attachment_made_before_a_change_is_not_saved_after_it(inventory, records, seq):
    inventory.rotate_key("dev1")
    assert records.save(attached("dev1", "dev2"), seq)
    assert records.load_attachments() == ([row("dev2")], 0)


def test_a_batch_older_than_the_log_waits_for_a_refresh(inventory, records, seq, monkeypatch):
    monkeypatch.setattr(inventory_module, "_LOG_MAX", 1)
    inventory.remove("dev1")
    inventory.add("dev3")
    assert not records.save(attached("dev1"), seq)
    assert records.load_attachments() == ([], 0)


def test_a_damaged_attachment_is_counted_and_left_out(records, seq, path):
    records.save(attached("dev1", "dev2"), seq)
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE attachments SET sealed = x'0102' WHERE device_id = 'dev1'")
    connection.close()
    assert records.load_attachments() == ([row("dev2")], 1)


def test_the_operator_sees_since_when_a_device_is_attached(inventory, records, seq):
    records.save(attached("dev1"), seq)
    device = inventory.show("dev1")
    assert (device.attached, device.attached_at_s, device.endpoint) == (True, 1_800_000_100, "198.51.100.7:40000")
    assert not inventory.show("dev2").attached


def test_the_operator_sees_that_a_device_was_lost_and_came_back(inventory, records, seq):
    batch = attached("dev1")
    batch.lost(b"dev1", 1_800_000_100)
    records.save(batch, seq)
    assert not inventory.show("dev1").attached
    records.save(attached("dev1"), seq)
    assert inventory.show("dev1").attached


def test_the_operator_sees_why_a_device_was_refused(inventory, records, seq):
    batch = Batch()
    batch.refused(b"dev1", "wrong key" + "x" * 1000, 1_800_000_300)
    records.save(batch, seq)
    device = inventory.show("dev1")
    assert device.refused_at_s == 1_800_000_300
    assert device.refusal.startswith("wrong key")
    assert len(device.refusal) == 120


def test_devices_thought_attached_are_found_at_the_next_start(records, seq):
    batch = attached("dev1", "dev2")
    batch.lost(b"dev2", 1_800_000_200)
    records.save(batch, seq)
    assert records.thought_attached() == [b"dev1"]


def test_facts_that_could_not_be_written_yield_to_newer_ones():
    newer, older = Batch(), attached("dev1", "dev2")
    older.refused(b"dev1", "old", 1)
    newer.lost(b"dev1", 2)
    newer.refused(b"dev1", "new", 2)
    newer.merge_older(older)
    assert newer.attachments == {b"dev1": None, b"dev2": row("dev2")}
    assert newer.sightings[b"dev1"]["refusal"] == "new"
    assert newer.sightings[b"dev1"]["lost_at_s"] == 2
