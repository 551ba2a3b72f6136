"""`homeport provision --image`: records in an image of a board's flash, as the board's own code reads them."""

import json

import pytest
from board_images import image_folder
from homeport.boards.descriptors import load_board
from homeport.boards.image import FILESYSTEM, RECORDS
from homeport.boards.image_folder import load_image
from homeport.errors import ConfigError, StorageError
from homeport.provisioning.data_set import Identity, Wishes, assemble
from homeport.provisioning.image import open_image
from homeport.provisioning.users import factory_users, parse_owner
from homeport_core.record import KINDS, REGION_LEN, slot_offset
from homeport_device.file_slots import FileSlots
from homeport_device.flash_slots import FlashSlots
from homeport_device.flash_unix import Region
from homeport_device.record_store import RecordStore

OWNER = "00112233445566778899aabbccddeeff"
FIRST = assemble("pump", Identity(bytes(16)), Wishes(name="Pump"), factory=factory_users([parse_owner(OWNER)]))
SECOND = assemble("fan", Identity(bytes(range(16))), Wishes(name="Fan"))


def quiet(_):
    """Progress that nobody watches."""


def make_image(folder, board_name):
    """An image as `make firmware` makes it, with hardly anything in it."""
    board = load_board(board_name)
    image_folder(folder, board_name, with_micropython=False)
    return board


def store_of(folder, board, scratch):
    """What the board's own code finds in the image."""
    image = load_image(folder, board)
    if board.records:
        (scratch / "flash.img").write_bytes(image.parts[RECORDS])
        return RecordStore(FlashSlots(Region(str(scratch / "flash.img"))))
    from homeport.boards.filesystem import read_files

    (scratch / "state").mkdir(exist_ok=True)
    for path, data in read_files(board, image.parts[FILESYSTEM]).items():
        if path.startswith("state/"):
            (scratch / path).write_bytes(data)
    return RecordStore(FileSlots(str(scratch / "state")))


@pytest.mark.parametrize("board_name", ["esp32", "esp32_c3", "pico_w"])
def test_the_boards_own_code_reads_what_was_written(tmp_path, board_name):
    board = make_image(tmp_path / "image", board_name)
    open_image(tmp_path / "image").write(FIRST, quiet)
    open_image(tmp_path / "image", board_name).write(SECOND, quiet)
    store = store_of(tmp_path / "image", board, tmp_path)
    assert store.read("secrets") == SECOND.payloads["secrets"]
    assert store.read("factory") == FIRST.payloads["factory"]
    assert store.read("users") is None
    assert (store.writes("secrets"), store.writes("factory")) == (2, 1)
    store.write("config", b"{}")
    assert store.read("config") == b"{}"


def test_what_is_in_it_is_told(tmp_path):
    make_image(tmp_path / "image", "esp32")
    target = open_image(tmp_path / "image" / "manifest.json")
    assert target.open().records == dict.fromkeys(KINDS, "missing")
    target.write(FIRST, quiet)
    facts = open_image(tmp_path / "image" / "filesystem.img").open()
    assert (facts.device_id, facts.platform) == ("pump", "esp32")
    assert target.users("factory") == FIRST.payloads["factory"]
    assert target.users("users") is None


@pytest.mark.parametrize("board_name", ["esp32_s3", "pico_w"])
def test_an_image_for_another_board_is_refused_by_both_names(tmp_path, board_name):
    make_image(tmp_path / "image", "esp32")
    with pytest.raises(ConfigError, match=f"is an image for board esp32, not for {board_name}"):
        open_image(tmp_path / "image", board_name)


def test_an_image_cut_short_is_refused_and_stays_as_it_is(tmp_path):
    make_image(tmp_path / "image", "esp32")
    file = tmp_path / "image" / "filesystem.img"
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(ConfigError, match="cut short"):
        open_image(tmp_path / "image")


@pytest.mark.parametrize("path", ["", "none", "file.img"])
def test_what_is_no_image_is_refused(tmp_path, path):
    (tmp_path / "file.img").write_bytes(bytes(100))
    with pytest.raises(ConfigError, match=r"is no image|is cut short: it has 100 of 65536"):
        open_image(tmp_path / path)


def test_a_simulated_board_gets_a_flash_of_its_own(tmp_path):
    open_image(tmp_path / "board", "unix").write(FIRST, quiet)
    store = RecordStore(FlashSlots(Region(str(tmp_path / "board" / "flash.img"))))
    assert json.loads(store.read("secrets"))["id"] == "pump"
    assert (tmp_path / "board" / "flash.img").stat().st_mode & 0o777 == 0o600
    assert open_image(tmp_path / "board" / "flash.img").open().device_id == "pump"


def test_a_damaged_record_is_called_that_and_replaced(tmp_path):
    target = open_image(tmp_path / "board", "unix")
    target.write(FIRST, quiet)
    flash = tmp_path / "board" / "flash.img"
    octets = bytearray(flash.read_bytes())
    for slot in (0, 1):
        octets[slot_offset("secrets", slot) + 256] ^= 1
    flash.write_bytes(octets)
    target = open_image(flash)
    assert target.open().records["secrets"] == "damaged"
    assert target.open().device_id is None
    target.write(SECOND, quiet)
    store = RecordStore(FlashSlots(Region(str(flash))))
    assert store.read("secrets") == SECOND.payloads["secrets"]
    assert len(flash.read_bytes()) == REGION_LEN


def test_the_newer_of_two_slots_counts(tmp_path):
    target = open_image(tmp_path / "board", "unix")
    target.write(FIRST, quiet)
    flash = tmp_path / "board" / "flash.img"
    old = flash.read_bytes()
    target.write(SECOND, quiet)
    at, end = slot_offset("secrets", 1), slot_offset("config", 0)
    mixed = bytearray(flash.read_bytes())
    mixed[at:end] = old[at:end]
    flash.write_bytes(mixed)
    assert open_image(flash).open().device_id == "fan"


@pytest.mark.parametrize("board_name", ["esp32", "pico_w"])
@pytest.mark.parametrize("fails", ["write_private", "os.replace"])
def test_a_disk_that_fails_leaves_the_image_as_it_was(tmp_path, monkeypatch, board_name, fails):
    folder = tmp_path / "image"
    make_image(folder, board_name)
    before = {file.name: file.read_bytes() for file in folder.iterdir()}

    def fail(*_):
        raise StorageError("the disk is full") if fails == "write_private" else OSError(28, "No space left on device")

    target = open_image(folder)
    where = {"write_private": "homeport.boards.image_folder.write_private", "os.replace": "os.replace"}
    monkeypatch.setattr(where[fails], fail)
    with pytest.raises(StorageError):
        target.write(FIRST, quiet)
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before


def test_files_for_other_tools_are_made_anew(tmp_path):
    make_image(tmp_path / "image", "pico_w")
    open_image(tmp_path / "image").write(FIRST, quiet)
    assert FIRST.payloads["secrets"][:40] in (tmp_path / "image" / "filesystem.uf2").read_bytes()
    assert (tmp_path / "image" / "filesystem.uf2").stat().st_mode & 0o777 == 0o600
