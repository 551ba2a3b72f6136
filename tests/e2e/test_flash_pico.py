"""`homeport flash` with a Pico: its USB drive as a folder, and its files one by one over MicroPython's prompt."""

from __future__ import annotations

import json
import os
import pty
from collections.abc import Iterator
from pathlib import Path
from subprocess import CompletedProcess
from types import SimpleNamespace
from typing import Any

import firmware_images
import pytest
from board_images import FILES, firmware_for, image_folder
from homeport.boards.descriptors import load_board
from homeport.boards.file_copy import check_machine, copy_files, erase_state, folder_of, keep_awake
from homeport.boards.filesystem import read_files
from homeport.boards.uf2 import parse_uf2
from homeport.errors import BoardError, ConfigError
from homeport.provisioning.raw_repl import RawRepl
from homeport.provisioning.serial_line import open_line
from processes import homeport, only_error_line
from serial_board import SerialBoard

INFO = {"pico_w": "Board-ID: RPI-RP2\r\n", "pico2_w": "Board-ID: RP2350\r\n"}
STARTED = "another application"
OLD = {"main.py": b"print('old')\n", "lib/old.mpy": b"old", "state/users.0": b"users", "notes.txt": b"mine"}
NEW = {**FILES, "main.py": b"print('another', 'application')\n", "state/users.0": b"nobody"}
CONFIG, UNREACHABLE = 3, 4

# What MicroPython's Unix port has not: the RP2's watchdog, and a timer that a test lets run down.
MACHINE = b"""
fed = 0
class WDT:
    def __init__(self, id=0, timeout=5000):
        if id != 0 or timeout > 8388:
            raise ValueError
    def feed(self):
        global fed
        fed += 1
class Timer:
    def __init__(self, id=-1, *, period, callback):
        if not 0 < period < 8000:
            raise ValueError
        global tick
        tick = lambda: callback(self)
"""


def drive(tmp_path: Path, name: str = "pico_w") -> Path:
    folder = tmp_path / "drive"
    folder.mkdir()
    (folder / "INFO_UF2.TXT").write_text(INFO[name])
    return folder


def flash(name: str, image: Path, *options: object) -> CompletedProcess[str]:
    return homeport("flash", "--board", name, "--image", image, *options)


@pytest.mark.parametrize("name", INFO)
def test_a_new_pico_gets_all_of_it(name: str, tmp_path: Path) -> None:
    folder, board = drive(tmp_path, name), load_board(name)
    image = image_folder(tmp_path / "image", name)
    done = flash(name, image, "--drive", folder, "--yes", "--erase-records")
    assert done.returncode == 0, done.stderr
    found = parse_uf2((folder / "HOMEPORT.UF2").read_bytes())
    assert board.filesystem is not None
    assert found.data.startswith(parse_uf2(firmware_for(name)).data)
    assert read_files(board, found.data[board.filesystem.at :]) == FILES


def test_records_are_not_erased_in_passing(tmp_path: Path) -> None:
    folder = drive(tmp_path)
    done = flash("pico_w", image_folder(tmp_path / "image", "pico_w"), "--drive", folder, "--yes")
    assert (done.returncode, (folder / "HOMEPORT.UF2").exists()) == (CONFIG, False)
    assert "say --erase-records (a new board has none), or --keep-records" in only_error_line(done)


def test_micropython_alone_keeps_all_files(tmp_path: Path) -> None:
    folder = drive(tmp_path)
    image = image_folder(tmp_path / "image", "pico_w", with_micropython=False)
    (tmp_path / "official.uf2").write_bytes(firmware_for("pico_w"))
    official = ["--firmware", tmp_path / "official.uf2"]
    done = flash("pico_w", image, "--drive", folder, "--yes", "--keep-records", *official)
    assert done.returncode == 0, done.stderr
    assert (folder / "HOMEPORT.UF2").read_bytes() == firmware_for("pico_w")
    assert "keeps              0x12c000-0x200000  all files; among them the device's identity" in done.stderr


def test_the_application_alone_is_a_file_for_its_place(tmp_path: Path) -> None:
    folder = drive(tmp_path)
    image = image_folder(tmp_path / "image", "pico_w", with_micropython=False)
    assert flash("pico_w", image, "--drive", folder, "--yes", "--erase-records").returncode == 0
    found = parse_uf2((folder / "HOMEPORT.UF2").read_bytes())
    assert (found.at, len(found.data)) == (0x12C000, 0xD4000)


def test_the_plan_touches_nothing(tmp_path: Path) -> None:
    folder = drive(tmp_path)
    done = flash(
        "pico_w", image_folder(tmp_path / "image", "pico_w"), "--drive", folder, "--dry-run", "--erase-records"
    )
    assert done.returncode == 0
    assert "with them the device's identity, settings and users" in done.stdout
    assert not (folder / "HOMEPORT.UF2").exists()


def test_the_plan_needs_no_board(tmp_path: Path) -> None:
    image = image_folder(tmp_path / "image", "pico_w")
    done = flash("pico_w", image, "--dry-run", "--erase-records", "--json")
    assert done.returncode == 0
    assert [step["action"] for step in json.loads(done.stdout)["steps"]] == ["write", "write"]


@pytest.mark.parametrize(
    ("name", "other", "found"), [("pico_w", "pico2_w", "RP2350"), ("pico2_w", "pico_w", "RPI-RP2")]
)
def test_another_board_is_one_line(name: str, other: str, found: str, tmp_path: Path) -> None:
    folder = drive(tmp_path, other)
    done = flash(name, image_folder(tmp_path / "image", name), "--drive", folder, "--yes", "--erase-records")
    assert (done.returncode, (folder / "HOMEPORT.UF2").exists()) == (CONFIG, False)
    assert f"is {found}, board {name} is" in only_error_line(done)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (firmware_images.rp2_firmware(0xE48BFF59), "is for RP2350, not for RP2040"),
        (firmware_images.rp2_firmware()[:-512], "is cut short"),
        (firmware_images.esp32_firmware(), "official.uf2 is no UF2 file"),
    ],
)
def test_a_wrong_file_is_one_line(data: bytes, words: str, tmp_path: Path) -> None:
    folder = drive(tmp_path)
    (tmp_path / "official.uf2").write_bytes(data)
    options = ["--drive", folder, "--yes", "--erase-records", "--firmware", tmp_path / "official.uf2"]
    done = flash("pico_w", image_folder(tmp_path / "image", "pico_w"), *options)
    assert (done.returncode, (folder / "HOMEPORT.UF2").exists()) == (CONFIG, False)
    assert words in only_error_line(done)


def test_micropython_itself_does_not_go_over_its_own_prompt(tmp_path: Path) -> None:
    (tmp_path / "official.uf2").write_bytes(firmware_for("pico_w"))
    options = ["--port", "/dev/ttyACM0", "--firmware", tmp_path / "official.uf2"]
    done = flash("pico_w", image_folder(tmp_path / "image", "pico_w"), *options)
    assert done.returncode == CONFIG
    assert "hold BOOTSEL" in only_error_line(done)


def test_an_esp32_has_no_drive(tmp_path: Path) -> None:
    done = flash("esp32", image_folder(tmp_path / "image", "esp32"), "--drive", drive(tmp_path))
    assert done.returncode == CONFIG
    assert "an ESP32 has a --port" in only_error_line(done)


@pytest.fixture
def board(tmp_path: Path) -> Iterator[SerialBoard]:
    """MicroPython at a serial port, with an older application and what it remembers."""
    with SerialBoard(tmp_path / "board") as running:
        yield running


@pytest.fixture
def repl(board: SerialBoard) -> Iterator[Any]:
    line = open_line(board.port)
    found = RawRepl(line)
    found.enter()
    copy_files(found, {name: data for name, data in OLD.items() if name.startswith(("main", "lib"))}, "/flash/", str)
    for name in ("state/users.0", "notes.txt"):
        found.run(f"import os\ntry: os.mkdir('/flash/state')\nexcept OSError: pass\nf = open('/flash/{name}', 'wb')")
        found.run(f"f.write({OLD[name]!r})\nf.close()")
    yield found
    line.close()


def contents(repl: Any) -> dict[str, bytes]:
    program = """
import os
def walk(path):
    for name, kind, *_ in os.ilistdir(path):
        whole = path + "/" + name
        if kind == 0x4000:
            walk(whole)
        else:
            with open(whole, "rb") as file:
                print(whole, file.read().hex())
walk("/flash")
"""
    lines = [line.split(" ") for line in repl.run(program).splitlines()]
    return {name.removeprefix("/flash/"): bytes.fromhex(octets) for name, octets in lines}


def test_files_replace_the_application_and_nothing_else(repl: Any) -> None:
    noted: list[str] = []
    copy_files(repl, NEW, folder_of(repl), noted.append)
    assert contents(repl) == {**NEW, "state/users.0": b"users", "notes.txt": b"mine"}
    assert noted[-1] == "main.py"  # until it is there, nothing starts
    assert "state/users.0" not in noted


def test_what_the_device_remembers_goes_when_told(repl: Any) -> None:
    erase_state(repl, "/flash/")
    assert "state/users.0" not in contents(repl)
    erase_state(repl, "/flash/")


def test_the_new_application_starts(board: SerialBoard, repl: Any) -> None:
    copy_files(repl, NEW, folder_of(repl), str)
    board.forget_output()
    repl.start("raise SystemExit(42)")  # what machine.reset() does on a simulated board
    board.wait_for(STARTED)


def test_the_watchdog_of_the_device_that_ran_is_fed_and_not_for_ever(repl: Any) -> None:
    copy_files(repl, {"machine.py": MACHINE}, "/flash/", str)
    keep_awake(repl)
    assert repl.run("for _ in range(300): machine.tick()\nprint(machine.fed)").strip() == "300"
    assert repl.run("for _ in range(900): machine.tick()\nprint(machine.fed)").strip() == "600"


def test_a_board_without_a_watchdog_needs_no_food(repl: Any) -> None:
    keep_awake(repl)
    assert repl.run("print('dog' in globals())").strip() == "False"


def test_a_copy_that_is_cut_short_starts_nothing_and_is_mended_by_a_second_try(tmp_path: Path) -> None:
    board = SerialBoard(tmp_path / "board")
    with board:
        line = open_line(board.port)
        repl = RawRepl(line)
        repl.enter()
        copy_files(repl, {"main.py": b"print('old')\n"}, "/flash/", str)
        board.pull_at_octet = board.received_len + 6_000
        with pytest.raises(BoardError):
            copy_files(repl, NEW, "/flash/", str)
        line.close()
    board.pull_at_octet = None
    board.forget_output()
    with board:
        line = open_line(board.port)
        repl = RawRepl(line)
        repl.enter()
        assert "main.py" not in contents(repl)
        copy_files(repl, NEW, "/flash/", str)
        assert contents(repl)["main.py"] == NEW["main.py"]
        line.close()


def test_a_file_that_did_not_arrive_whole_is_seen(repl: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("homeport.boards.file_copy._WRITE", "file.write(b'?'); {octets}")
    with pytest.raises(BoardError, match=r"/flash/.+ on the board is not what was written"):
        copy_files(repl, NEW, "/flash/", str)


@pytest.mark.parametrize("answer", ["5", "null", "[]", '["00"]', "[" * 60_000, "words"])
def test_a_board_that_answers_nonsense_in_place_of_digests_is_told_of(answer: str) -> None:
    nonsense: Any = SimpleNamespace(run=lambda program: answer)
    with pytest.raises(BoardError, match="does not tell what it has"):
        copy_files(nonsense, {"main.py": b"x", "pins.py": b"y"}, "/", lambda line: None)


def test_another_machine_is_refused(repl: Any) -> None:
    with pytest.raises(ConfigError, match="the board runs MicroPython for 'linux', not for 'rp2'"):
        check_machine(repl, "rp2", "RP2040")


@pytest.mark.parametrize(
    ("machine", "is_it"), [("Raspberry Pi Pico W with RP2040", True), ("Pico 2 W with RP2350", False)]
)
def test_a_pico_is_known_by_its_chip(machine: str, is_it: bool) -> None:
    class Answer:
        def run(self, program: str) -> str:
            return f"rp2 {machine}\r\n"

    if is_it:
        check_machine(Answer(), "rp2", "RP2040")  # type: ignore[arg-type]
    else:
        with pytest.raises(ConfigError, match="says that it is 'Pico 2 W with RP2350', not one with RP2040"):
            check_machine(Answer(), "rp2", "RP2040")  # type: ignore[arg-type]


def test_the_command_refuses_another_machine(board: SerialBoard, tmp_path: Path) -> None:
    done = flash("pico_w", image_folder(tmp_path / "image", "pico_w"), "--port", board.port, "--yes")
    assert done.returncode == CONFIG
    assert "the board runs MicroPython for 'linux', not for 'rp2'" in only_error_line(done)


def test_the_command_says_when_nobody_answers(tmp_path: Path) -> None:
    line, far_end = pty.openpty()
    port = os.ttyname(far_end)
    os.close(far_end)
    done = flash("pico_w", image_folder(tmp_path / "image", "pico_w"), "--port", port, "--yes")
    os.close(line)
    assert done.returncode == UNREACHABLE
    assert "the board does not answer" in only_error_line(done)
    assert "nothing was erased" in done.stderr
