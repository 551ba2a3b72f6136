"""`homeport flash` with an ESP32: the real command and the real esptool, at a chip that a test can look into."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from subprocess import PIPE
from typing import Any

import firmware_images
import pytest
from board_images import firmware_for, image_folder, image_for, records_region
from esptool.loader import ESPLoader
from esptool.targets import ESP32ROM
from fake_esp32 import FakeEsp32
from homeport.boards import esp32
from processes import HOMEPORT, RUN_TIMEOUT_S, CommandLine, answer, environment, homeport, only_error_line

CHIPS = {"esp32": "esp32", "esp32_s3": "esp32s3", "esp32_c3": "esp32c3"}
RECORDS = slice(0x3F0000, 0x400000)
FLASH_2_MB, FLASH_8_MB = 0x0015_4020, 0x0017_4020
MIDDLE = 45_000  # octets from the host: MicroPython is half written
CONFIG, UNREACHABLE, INTERRUPTED = 3, 4, 130


@pytest.fixture
def chip() -> Iterator[Any]:
    """A new ESP32."""
    with FakeEsp32() as found:
        yield found


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """What 'make firmware' would have made for it."""
    return image_folder(tmp_path / "image", "esp32")


def flash(chip: Any, image: Path, *options: object, board: str = "esp32") -> subprocess.CompletedProcess[str]:
    return homeport("flash", "--board", board, "--port", chip.port, "--image", image, *options)


def check_written(chip: Any, name: str = "esp32") -> None:
    for piece in esp32.pieces(image_for(name)):
        assert chip.flash[piece.at : piece.at + len(piece.data)] == piece.data, piece.what


def is_blank(octets: bytes) -> bool:
    return octets.count(0xFF) == len(octets)


@pytest.mark.parametrize("name", CHIPS)
def test_a_new_board_gets_all_of_it(name: str, tmp_path: Path) -> None:
    with FakeEsp32(CHIPS[name]) as chip:
        done = flash(chip, image_folder(tmp_path / "image", name), "--yes", board=name)
        assert (done.returncode, done.stdout.count("\n")) == (0, 1), done.stderr
        assert done.stdout.startswith("done: what was written is what the board holds")
        check_written(chip, name)
        assert is_blank(chip.flash[RECORDS])


def test_the_plan_names_each_region_and_touches_none(chip: Any, image: Path) -> None:
    done = flash(chip, image, "--dry-run")
    assert done.returncode == 0, done.stderr
    assert [line.split("  ")[-1] for line in done.stdout.splitlines()] == [
        "the empty place for the device's identity, settings and users",
        "the bootloader",
        "the partition table",
        "MicroPython v1.29.0",
        "the application and its files",
        "the application's code, run in place",
    ]
    assert is_blank(chip.flash)


def test_the_plan_is_there_for_scripts_too(chip: Any, image: Path) -> None:
    found = answer("flash", "--board", "esp32", "--port", chip.port, "--image", image, "--dry-run")
    assert found["written"] is False
    assert {"action": "write", "what": "the application and its files", "at": 0x220000, "len": 0x190000} in found[
        "steps"
    ]


def test_the_plan_needs_no_board(image: Path) -> None:
    done = homeport("flash", "--board", "esp32", "--image", image, "--dry-run")
    assert done.returncode == 0
    assert "the device's identity, settings and users, if it has any" in done.stdout


def test_a_device_keeps_what_it_remembers(chip: Any, image: Path) -> None:
    chip.flash[RECORDS] = records_region()
    done = flash(chip, image, "--yes")
    assert done.returncode == 0, done.stderr
    check_written(chip)
    assert chip.flash[RECORDS] == records_region()


def test_a_device_forgets_when_told(chip: Any, image: Path) -> None:
    chip.flash[RECORDS] = records_region()
    done = flash(chip, image, "--yes", "--erase-records")
    assert done.returncode == 0, done.stderr
    assert "erases             0x3f0000-0x400000  the device's identity, settings and users" in done.stderr
    assert is_blank(chip.flash[RECORDS])


def test_leftovers_of_another_firmware_are_no_records(chip: Any, image: Path) -> None:
    chip.flash[RECORDS] = b"\x12\x34" * 0x8000
    chip.flash[0x8000:0x8C00] = firmware_images.table((*firmware_images.TABLE, ("vfs", 1, 0x81, 0x200000, 0x200000)))
    assert flash(chip, image, "--yes").returncode == 0
    assert is_blank(chip.flash[RECORDS])


def test_records_of_the_image_come_with_it(chip: Any, tmp_path: Path) -> None:
    folder = image_folder(tmp_path / "provisioned", "esp32", records=records_region())
    assert flash(chip, folder, "--yes").returncode == 0
    assert chip.flash[RECORDS] == records_region()


def test_the_application_alone_is_changed_later(chip: Any, image: Path, tmp_path: Path) -> None:
    assert flash(chip, image, "--yes").returncode == 0
    chip.flash[RECORDS] = records_region()
    before = bytes(chip.flash)
    files = {"main.py": b"print('another')"}
    alone = image_folder(tmp_path / "alone", "esp32", with_micropython=False, files=files)
    done = flash(chip, alone, "--yes")
    assert done.returncode == 0, done.stderr
    assert chip.flash[:0x220000] == before[:0x220000]
    assert chip.flash[0x220000:0x3B0000] == (alone / "filesystem.img").read_bytes()
    assert chip.flash[0x3B0000:0x3F0000].startswith((alone / "romfs.img").read_bytes())
    assert chip.flash[RECORDS] == records_region()


def test_micropythons_file_may_be_given_when_flashing(chip: Any, tmp_path: Path) -> None:
    alone = image_folder(tmp_path / "alone", "esp32", with_micropython=False)
    (tmp_path / "official.bin").write_bytes(firmware_for("esp32"))
    assert flash(chip, alone, "--yes", "--firmware", tmp_path / "official.bin").returncode == 0
    check_written(chip)


def test_an_application_alone_is_nothing_for_a_new_board(chip: Any, tmp_path: Path) -> None:
    done = flash(chip, image_folder(tmp_path / "alone", "esp32", with_micropython=False), "--yes")
    assert (done.returncode, is_blank(chip.flash)) == (CONFIG, True)
    assert "name its file with --firmware" in only_error_line(done)


@pytest.mark.parametrize(("kind", "name"), [("esp32s3", "ESP32-S3"), ("esp32c3", "ESP32-C3")])
def test_another_chip_is_one_line_and_nothing_erased(kind: str, name: str, image: Path) -> None:
    with FakeEsp32(kind) as chip:
        done = flash(chip, image, "--yes")
        assert (done.returncode, is_blank(chip.flash)) == (CONFIG, True)
        assert only_error_line(done) == f"error: the chip on {chip.port} is {name}, board esp32 has ESP32"


@pytest.mark.parametrize("question", ["get_secure_boot_enabled", "get_flash_encryption_enabled"])
def test_a_locked_chip_is_one_line_and_nothing_erased(
    question: str, chip: Any, image: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ESPLoader, question, lambda self: True)
    monkeypatch.setattr(ESP32ROM, question, lambda self: True)
    options = ["--board", "esp32", "--port", chip.port, "--image", image, "--yes"]
    done = CommandLine(tmp_path / "home").run("flash", *options)
    assert (done.returncode, is_blank(chip.flash)) == (CONFIG, True)
    assert "has secure boot or flash encryption: it would not start this" in done.stderr


def test_too_small_a_flash_is_one_line_and_nothing_erased(image: Path) -> None:
    with FakeEsp32(flash_id=FLASH_2_MB) as chip:
        done = flash(chip, image, "--yes")
        assert (done.returncode, is_blank(chip.flash)) == (CONFIG, True)
        assert only_error_line(done) == f"error: the flash on {chip.port} is 2MB, board esp32 has 4MB"


def test_a_larger_flash_is_used_as_one_of_4_mb(image: Path) -> None:
    with FakeEsp32(flash_id=FLASH_8_MB) as chip:
        assert flash(chip, image, "--yes").returncode == 0
        check_written(chip)


def test_a_port_where_nobody_answers_is_one_line(image: Path) -> None:
    line, far_end = pty.openpty()
    port = os.ttyname(far_end)
    os.close(far_end)
    done = homeport("flash", "--board", "esp32", "--port", port, "--image", image, "--yes")
    os.close(line)
    assert done.returncode == UNREACHABLE
    words = only_error_line(done)
    assert words.startswith(f"error: no Espressif chip answers on {port}: ")
    assert words.endswith("nothing was erased; hold its BOOT button while it is plugged in, and try again")


def test_a_port_in_use_is_one_line(chip: Any, image: Path) -> None:
    with open(chip.port, "rb"):
        done = flash(chip, image, "--yes")
    assert done.returncode == CONFIG
    assert f"(process {os.getpid()}): end that first" in only_error_line(done)


def test_no_such_port_is_one_line(image: Path) -> None:
    done = homeport("flash", "--board", "esp32", "--port", "/dev/ttyUSB77", "--image", image, "--yes")
    assert done.returncode == CONFIG
    assert only_error_line(done).startswith("error: there is no port /dev/ttyUSB77: there ")


def test_a_board_without_an_image_says_how_to_make_one(chip: Any, tmp_path: Path) -> None:
    done = flash(chip, tmp_path / "nothing", "--yes")
    assert done.returncode == CONFIG
    assert "'make firmware BOARD=esp32' makes it" in only_error_line(done)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (firmware_images.esp32_firmware("esp32_s3"), "is for ESP32-S3, not for ESP32"),
        (firmware_images.esp32_firmware()[:-100], "is cut short"),
        (firmware_images.rp2_firmware(), "is no image for an Espressif chip"),
        (firmware_images.esp32_firmware(version="v1.20.0"), "expected 1.23 or newer"),
    ],
)
def test_a_wrong_file_is_refused_before_the_port_is_touched(
    data: bytes, words: str, chip: Any, image: Path, tmp_path: Path
) -> None:
    (tmp_path / "official.bin").write_bytes(data)
    done = flash(chip, image, "--yes", "--firmware", tmp_path / "official.bin")
    assert (done.returncode, chip.received_len) == (CONFIG, 0)
    assert words in only_error_line(done)


def test_an_image_for_another_board_is_refused_before_the_port_is_touched(chip: Any, tmp_path: Path) -> None:
    done = flash(chip, image_folder(tmp_path / "image", "esp32_s3"), "--yes")
    assert (done.returncode, chip.received_len) == (CONFIG, 0)
    assert "is an image for board esp32_s3, not for esp32" in only_error_line(done)


def test_nobody_is_asked_where_nobody_is(chip: Any, image: Path) -> None:
    done = flash(chip, image)
    assert (done.returncode, is_blank(chip.flash)) == (CONFIG, True)
    assert done.stderr.splitlines()[-1].startswith("error: there is nobody to ask whether to erase this: --yes says so")


@pytest.mark.parametrize(("reply", "is_written"), [(b"n\n", False), (b"\n", False), (b"y\n", True)])
def test_a_person_is_asked(reply: bytes, is_written: bool, chip: Any, image: Path) -> None:
    keyboard, terminal = pty.openpty()
    os.write(keyboard, reply)
    command = [HOMEPORT, "flash", "--board", "esp32", "--port", chip.port, "--image", str(image)]
    with subprocess.Popen(command, env=environment(), stdin=terminal, stdout=PIPE, stderr=PIPE) as process:
        output, errors = process.communicate(timeout=RUN_TIMEOUT_S)
    os.close(keyboard)
    os.close(terminal)
    assert process.returncode == 0
    assert b"Go on? [y/N]" in errors
    assert output.startswith(b"done: " if is_written else b"nothing was erased\n")
    assert is_blank(chip.flash) is not is_written


def test_flash_that_does_not_take_it_is_seen(chip: Any, image: Path) -> None:
    with chip.spoiled(at=0x230000):
        done = flash(chip, image, "--yes")
    assert done.returncode == UNREACHABLE
    words = done.stderr.splitlines()[-1]
    assert words.startswith("error: ")
    assert "the application and its files went onto the board; the board is incomplete now" in words
    assert "identity, settings and users were not touched; run the same command again" in words


def test_a_cable_that_is_pulled_is_said_and_put_right_by_a_second_try(image: Path) -> None:
    """The records stay where they are, even with half a partition table."""
    with FakeEsp32(fuse=MIDDLE) as chip:
        chip.flash[RECORDS] = records_region()
        done = flash(chip, image, "--yes")
        content = bytes(chip.flash)
    assert done.returncode == UNREACHABLE
    words = done.stderr.splitlines()[-1]
    assert words.startswith(f"error: the board on {chip.port} has stopped answering")
    assert words.endswith("identity, settings and users were not touched; run the same command again")
    with FakeEsp32() as again:
        again.flash[:] = content
        again.flash[0x8000:0x9000] = b"\xff" * 0x1000
        assert flash(again, image, "--yes").returncode == 0
        check_written(again)
        assert again.flash[RECORDS] == records_region()


def test_ctrl_c_says_what_state_the_board_is_in(chip: Any, image: Path) -> None:
    chip.flash[RECORDS] = records_region()
    command = [HOMEPORT, "flash", "--board", "esp32", "--port", chip.port, "--image", str(image), "--yes"]
    with subprocess.Popen(command, env=environment(), stdout=PIPE, stderr=PIPE) as process:
        interrupted: list[int] = []

        def interrupt(received_len: int) -> None:
            if received_len > MIDDLE and not interrupted:
                interrupted.append(received_len)
                process.send_signal(signal.SIGINT)

        chip.on_data = interrupt
        _, errors = process.communicate(timeout=RUN_TIMEOUT_S)
    assert (process.returncode, len(interrupted)) == (INTERRUPTED, 1), errors
    words = errors.decode().splitlines()[-1]
    assert words.startswith("error: interrupted: this was while ")
    assert words.endswith("identity, settings and users were not touched; run the same command again")
    assert chip.flash[RECORDS] == records_region()


def test_an_error_is_an_object_for_scripts(chip: Any, image: Path) -> None:
    done = flash(chip, image, "--json")
    assert done.returncode == CONFIG
    assert json.loads(done.stderr)["error"] == "ConfigError"


@pytest.mark.parametrize("board", ["unix", "linux"])
def test_a_board_that_runs_the_firmware_as_it_is_is_not_flashed(board: str) -> None:
    done = homeport("flash", "--board", board, "--yes")
    assert done.returncode == CONFIG
    assert f"board {board} is not flashed: see boards/{board}/README.md" in only_error_line(done)


def test_an_unknown_board_is_told_from_those_that_there_are() -> None:
    done = homeport("flash", "--board", "esp8266")
    assert done.returncode == CONFIG
    assert "no board 'esp8266': there are " + ", ".join(["esp32", "esp32_c3"]) in only_error_line(done)
