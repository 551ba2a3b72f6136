"""The running basestation and its database: changes come in, facts go out, and a database that fails loses nothing."""

import contextlib
import sqlite3

import pytest
from basestation_process import inventory_of
from homeport.basestation import directory as directory_module
from homeport.basestation.directory import Directory
from homeport.basestation.inventory import schema
from homeport.basestation.inventory.archive import Archive
from homeport.basestation.inventory.roster import Roster

ID = b"dev1"
KEY = bytes(16)
ROW = (ID, b"\x00\x01\xe2\x40", bytes(6), bytes(range(96)), bytes(15), bytes(16))


@pytest.fixture
def directory(tmp_path, monkeypatch):
    monkeypatch.setattr(directory_module, "GATE_KEY_BITS", 2048)
    monkeypatch.setattr(schema, "_BUSY_TIMEOUT_MS", 1)
    directory = Directory(tmp_path / "var")
    directory.initialise()
    with inventory_of(directory.root) as inventory:
        inventory.add("dev1", KEY)
    return directory


@pytest.fixture
async def make_archive(directory):
    made = []

    async def make():
        revoked = []
        archive = Archive(directory, Roster(), revoked.append)
        archive.revoked = revoked
        made.append(archive)
        archive.rows = await archive.load()
        return archive

    yield make
    for archive in made:
        await archive.close()


@pytest.fixture
async def archive(make_archive):
    return await make_archive()


@contextlib.contextmanager
def locked(directory):
    """Somebody else writes, and does not finish."""
    connection = sqlite3.connect(directory.database, isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    yield
    connection.execute("ROLLBACK")
    connection.close()


async def test_attachments_survive_from_one_archive_to_the_next(archive, make_archive):
    archive.batch.attached(ROW[0], ROW, "198.51.100.7:40000", 1)
    await archive.exchange()
    assert (await make_archive()).rows == ([ROW], 0)


async def test_closing_writes_what_is_left(directory, make_archive):
    archive = Archive(directory, Roster(), lambda _: None)
    await archive.load()
    archive.batch.attached(ROW[0], ROW, "198.51.100.7:40000", 1)
    await archive.close()
    assert (await make_archive()).rows == ([ROW], 0)


async def test_a_change_of_the_operator_comes_in_and_revokes(directory, archive):
    with inventory_of(directory.root) as inventory:
        inventory.set_enabled("dev1", False)
        inventory.add("dev2")
    await archive.exchange()
    assert archive.revoked == [ID]


async def test_facts_about_a_removed_device_are_forgotten(directory, archive):
    archive.batch.attached(ROW[0], ROW, "198.51.100.7:40000", 1)
    with inventory_of(directory.root) as inventory:
        inventory.remove("dev1")
    await archive.exchange()
    assert not archive.batch
    assert archive.problem == ""


async def test_facts_wait_while_the_database_is_locked(directory, archive, make_archive):
    archive.batch.attached(ROW[0], ROW, "198.51.100.7:40000", 1)
    with locked(directory):
        await archive.exchange()
        assert "locked" in archive.problem
        assert archive.batch
    await archive.exchange()
    assert archive.problem == ""
    assert not archive.batch
    assert (await make_archive()).rows == ([ROW], 0)


async def test_newer_facts_win_over_those_that_waited(directory, archive, make_archive):
    archive.batch.attached(ROW[0], ROW, "198.51.100.7:40000", 1)
    with locked(directory):
        await archive.exchange()
    archive.batch.lost(ID, 2)
    await archive.exchange()
    assert (await make_archive()).rows == ([], 0)


async def test_a_problem_names_no_secret(directory, archive):
    archive.batch.attached(ROW[0], ROW, "198.51.100.7:40000", 1)
    with locked(directory):
        await archive.exchange()
    assert "INSERT" not in archive.problem
    assert ROW[3].hex() not in archive.problem
