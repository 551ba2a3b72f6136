"""Board descriptors: those that there are, and every way in which one can be wrong."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
from homeport.boards.board import ERASE_LEN, Area, Esp32Chip, Rp2Chip, parse_board
from homeport.boards.descriptors import board_names, boards_directory, load_board, pins_file
from homeport.errors import ConfigError

ROOT = Path(__file__).resolve().parents[2]
NAMES = ["esp32", "esp32_c3", "esp32_s3", "linux", "pico2_w", "pico_w", "unix"]
ESP32 = json.loads((ROOT / "boards/esp32/board.json").read_text())
PICO = json.loads((ROOT / "boards/pico_w/board.json").read_text())


def test_there_are_seven_boards() -> None:
    assert board_names() == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_each_has_a_descriptor_pins_and_a_readme(name: str) -> None:
    board = load_board(name)
    assert board.name == name
    assert pins_file(board).is_file()
    assert (boards_directory() / name / "README.md").is_file()


@pytest.mark.parametrize("name", ["esp32", "esp32_s3", "esp32_c3"])
def test_an_esp32_has_code_behind_its_files_and_records_at_the_end_of_its_flash(name: str) -> None:
    board = load_board(name)
    assert isinstance(board.kind, Esp32Chip)
    assert board.filesystem is not None
    assert board.romfs == Area(board.filesystem.end, 0x40000)
    assert board.records == Area(board.romfs.end, 0x10000)
    assert board.records.end == board.flash_len


@pytest.mark.parametrize(("name", "blocks"), [("pico_w", 212), ("pico2_w", 640)])
def test_a_pico_has_the_file_system_that_its_micropython_mounts(name: str, blocks: int) -> None:
    board = load_board(name)
    assert isinstance(board.kind, Rp2Chip)
    assert board.filesystem is not None
    assert board.filesystem.len == blocks * ERASE_LEN
    assert board.filesystem.end == board.flash_len
    assert board.records is None


def changed(document: dict[str, object], **fields: object) -> bytes:
    kept = {name: value for name, value in {**document, **fields}.items() if value != "absent"}
    return json.dumps(kept).encode()


@pytest.mark.parametrize(
    ("document", "fields", "words"),
    [
        (ESP32, {"title": 7}, "field 'title': expected text"),
        (ESP32, {"title": "absent"}, "field 'title' is missing"),
        (ESP32, {"title": ""}, "field 'title': expected text"),
        (ESP32, {"title": "a\nb"}, "field 'title': expected text"),
        (ESP32, {"platform": "avr"}, "field 'platform': expected one of esp32, rp2, unix, linux, got 'avr'"),
        (ESP32, {"variant": "small"}, "field 'variant': expected one of full, tiny, got 'small'"),
        (ESP32, {"chip": "absent"}, "field 'chip' is missing"),
        (ESP32, {"heap_len": -1}, "field 'heap_len': expected a number from 1"),
        (ESP32, {"heap_len": True}, "field 'heap_len': expected a number from 1"),
        (ESP32, {"flash_len": 4194304}, "field 'flash_len': expected a hex text"),
        (ESP32, {"flash_len": "0x400001"}, "field 'flash_len': expected a multiple of 0x1000"),
        (ESP32, {"flash_len": "absent"}, "has the fields 'flash_len' and 'filesystem'"),
        (ESP32, {"flash_len": "0x200000"}, "field 'filesystem': 0x220000-0x3b0000 is expected to end within"),
        (ESP32, {"esp32": []}, "field 'esp32': expected a JSON object"),
        (ESP32, {"esp32": {"chip_id": 0}}, "field 'esp32.bootloader_at' is missing"),
        (ESP32, {"esp32": {"chip_id": 70000, "bootloader_at": "0x0"}}, "field 'esp32.chip_id': expected a number"),
        (ESP32, {"esp32": {"chip_id": 0, "bootloader_at": "0x0", "x": 1}}, "unknown field 'esp32.x'"),
        (ESP32, {"records": {"at": "0x3a0000", "len": "0x10000"}}, "'filesystem' and 'records' overlap"),
        (ESP32, {"records": {"at": "0x3e0000", "len": "0x10000"}}, "'romfs' and 'records' overlap"),
        (ESP32, {"romfs": {"at": "0x3b1000", "len": "0x30000"}}, "field 'romfs': 0x3b1000-0x3e1000 is expected to be"),
        (ESP32, {"romfs": {"at": "0x3b0000", "len": "0x800"}}, "field 'romfs.len': expected a multiple of 0x1000"),
        (ESP32, {"records": {"at": "0x3f0000"}}, "field 'records.len' is missing"),
        (ESP32, {"records": {"at": "0x3f0000", "len": "0x0"}}, "field 'records.len': expected a multiple"),
        (
            ESP32,
            {"filesystem": {"at": "0x220000", "len": "0x1000", "program_len": 33}},
            "field 'filesystem.program_len': expected one of",
        ),
        (ESP32, {"speed": 1}, "unknown field 'speed'"),
        (PICO, {"rp2": "absent"}, "field 'rp2' is missing"),
        (PICO, {"rp2": {"family": "RP2040", "board_id": "x"}}, "field 'rp2.family': expected a hex text"),
        (PICO, {"esp32": {"chip_id": 0, "bootloader_at": "0x0"}}, "unknown field 'esp32'"),
    ],
)
def test_a_wrong_field_is_named(document: dict[str, object], fields: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_board("board", changed(document, **fields))
    assert words in str(caught.value)


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"\xff", b"[" * 5000, b"null"])
def test_what_is_no_json_object_is_refused(data: bytes) -> None:
    with pytest.raises(ConfigError):
        parse_board("board", data)


@pytest.mark.parametrize("name", ["../esp32", "ESP32", "", "9", "a" * 33])
def test_a_name_that_is_no_folder_of_ours_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="no board"):
        load_board(name)


def test_a_descriptor_cut_short_names_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "esp32").mkdir()
    (tmp_path / "esp32/board.json").write_bytes((ROOT / "boards/esp32/board.json").read_bytes()[:100])
    monkeypatch.setattr("homeport.boards.descriptors.boards_directory", lambda: tmp_path)
    with pytest.raises(ConfigError, match=r"esp32/board\.json: not JSON"):
        load_board("esp32")


def test_the_wheel_brings_the_boards(tmp_path: Path) -> None:
    """Installed from wheels, away from the tree, with nothing of it on the path."""
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    for project in ("firmware", "host"):
        build = [
            *pip,
            "wheel",
            "--no-deps",
            "--no-build-isolation",
            "--wheel-dir",
            tmp_path,
            copy_of(project, tmp_path),
        ]
        subprocess.run(build, check=True, cwd=tmp_path)
    wheels = sorted(tmp_path.glob("*.whl"))
    subprocess.run([*pip, "install", "--no-deps", "--target", tmp_path / "site", *wheels], check=True, cwd=tmp_path)
    program = (
        "from homeport.boards.descriptors import board_names, boards_directory, load_board, pins_file\n"
        "print(boards_directory(), *[b.name for b in map(load_board, board_names()) if pins_file(b).is_file()])"
    )
    path = f"{tmp_path / 'site'}:{sysconfig.get_path('purelib')}"
    run = [sys.executable, "-S", "-c", program]
    done = subprocess.run(run, env={"PYTHONPATH": path}, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [str(tmp_path / "site/homeport_boards"), *NAMES]


def copy_of(project: str, folder: Path) -> Path:
    """The project's files in a folder of their own: a build leaves others behind."""
    ignore = shutil.ignore_patterns("build", "*.egg-info", "__pycache__")
    return Path(shutil.copytree(ROOT / project, folder / project, ignore=ignore))
