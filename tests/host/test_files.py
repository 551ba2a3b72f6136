"""Private files: the old content or the new, for nobody else's eyes."""

import os
import stat

import pytest
from homeport.client.home import cache_interface, cached_interface, check_device_id, client_home
from homeport.errors import ConfigError, StorageError
from homeport.files import make_private_directory, read_bounded, write_private
from homeport.fingerprint import format_fingerprint, parse_fingerprint

FINGERPRINT = bytes(range(0xA0, 0xB0))


def test_a_written_file_is_private_and_complete(tmp_path):
    path = tmp_path / "secret"
    write_private(path, b"one")
    write_private(path, b"two")
    assert path.read_bytes() == b"two"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_failure_at_any_step_leaves_the_old_content_and_nothing_else(tmp_path, monkeypatch, step):
    def fail(*_):
        raise OSError(28, "No space left on device")

    path = tmp_path / "secret"
    write_private(path, b"old")
    monkeypatch.setattr(os, step, fail)
    with pytest.raises(StorageError, match="No space left"):
        write_private(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_directory_is_private(tmp_path):
    make_private_directory(tmp_path / "a" / "b")
    assert stat.S_IMODE((tmp_path / "a" / "b").stat().st_mode) == 0o700


def test_what_cannot_be_read_or_made_is_named(tmp_path):
    file = tmp_path / "file"
    file.write_bytes(b"12345")
    with pytest.raises(StorageError, match="nowhere"):
        read_bounded(tmp_path / "nowhere", 10)
    with pytest.raises(StorageError, match="larger than the 4 bytes"):
        read_bounded(file, 4)
    with pytest.raises(StorageError, match="file"):
        make_private_directory(file / "below")
    assert read_bounded(file, 5) == b"12345"


@pytest.mark.parametrize("text", [FINGERPRINT.hex(), FINGERPRINT.hex(":"), FINGERPRINT.hex(" ").upper()])
def test_a_fingerprint_is_read_in_every_form_people_have(text):
    assert parse_fingerprint(f" {text}\n") == FINGERPRINT
    assert format_fingerprint(parse_fingerprint(text)) == FINGERPRINT.hex(":")


@pytest.mark.parametrize("text", ["", "a0", FINGERPRINT.hex() + "00", FINGERPRINT.hex("-"), "g0" * 16, "a:0" * 16])
def test_anything_else_is_no_fingerprint(text):
    with pytest.raises(ConfigError, match="expected 32 hex digits"):
        parse_fingerprint(text)


@pytest.mark.parametrize("text", ["", "a/b", "a\\b", "a b", "ä", "x" * 41, "a\n", "a\0"])
def test_what_cannot_be_a_device_id_never_becomes_a_file_name(tmp_path, text):
    with pytest.raises(ConfigError, match="not a device id"):
        cache_interface(tmp_path, text, b"<x/>")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("device_id", ["demo", "a.b-c.example.org", "..", "."])
def test_an_interface_is_kept_by_device_inside_the_home(tmp_path, device_id):
    xml = b'<unabto_queries><query name="a.json" id="7"><request/><response format="json"/></query></unabto_queries>'
    cache_interface(tmp_path / "home", device_id, xml)
    assert cached_interface(tmp_path / "home", device_id.upper()).query("a").id == 7
    (kept,) = (tmp_path / "home" / "interfaces").iterdir()
    assert kept.is_file()


def test_device_ids_are_compared_without_case():
    assert check_device_id("Demo.Example.ORG") == "demo.example.org"


def test_the_home_is_chosen_then_from_the_environment_then_the_platforms(tmp_path, monkeypatch):
    monkeypatch.setenv("HOMEPORT_HOME", str(tmp_path / "environment"))
    assert client_home(tmp_path / "chosen") == tmp_path / "chosen"
    assert client_home() == tmp_path / "environment"
    monkeypatch.delenv("HOMEPORT_HOME")
    assert client_home().name == "homeport"
