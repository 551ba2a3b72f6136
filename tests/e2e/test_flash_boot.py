"""What `make firmware` makes: the same each time, and a file system that MicroPython mounts, boots and runs from.

The board is Unix MicroPython behind a pseudo-terminal, with nothing of the firmware but what is in the image.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from basestation_process import until
from board_images import firmware_for
from fake_esp32 import FakeEsp32
from homeport.boards.descriptors import load_board
from homeport.boards.esp32 import merged
from homeport.boards.filesystem import read_files
from homeport.boards.image_folder import load_image
from homeport.boards.romfs import read_romfs
from homeport.boards.uf2 import parse_uf2
from processes import Ports, answer, basestation, homeport
from serial_board import ROOT, SerialBoard

MAKE = ROOT / "tools/make_firmware.py"
BUILD_TIMEOUT_S = 180
APP = "heat_pump"


def make(*arguments: object, **variables: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, MAKE, *map(str, arguments)]
    variables = {**os.environ, **variables}
    return subprocess.run(command, env=variables, capture_output=True, text=True, timeout=BUILD_TIMEOUT_S, check=False)


def digests(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The image of a simulated board."""
    folder = tmp_path_factory.mktemp("unix") / "image"
    done = make("unix", "--app", APP, "--out", folder)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module", params=[True, False], ids=["with-romfs", "without-romfs"])
def board(
    request: pytest.FixtureRequest, built: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[SimpleNamespace]:
    """A board with that image in its flash, whose MicroPython knows ROMFS or does not, and a basestation."""
    root, ports = tmp_path_factory.mktemp("board"), Ports()
    (root / "board").mkdir()
    shutil.copyfile(built / "filesystem.img", root / "board/littlefs.img")
    if request.param:
        shutil.copyfile(built / "romfs.img", root / "board/romfs.img")
    assert homeport("basestation", "init", root / "basestation").returncode == 0
    with SerialBoard(root / "board") as running, basestation(root / "basestation", ports):
        yield SimpleNamespace(root=root, ports=ports, running=running, home=root / "home", has_romfs=request.param)


def test_the_image_is_what_the_files_are(built: Path) -> None:
    unix = load_board("unix")
    found = read_files(unix, load_image(built, unix).parts["filesystem"])
    files = {str(path.relative_to(built / "files")): path for path in (built / "files").rglob("*") if path.is_file()}
    assert found == {name: path.read_bytes() for name, path in files.items()}
    assert {"main.py", "pins.py", f"mpy/{APP}.mpy"} <= set(found)
    assert not [name for name in found if name.endswith(".py") and "/" in name]


def test_romfs_has_the_code_of_the_files(built: Path) -> None:
    """And nothing of it is in the files' library, which MicroPython would take first."""
    unix = load_board("unix")
    image = load_image(built, unix)
    files = read_files(unix, image.parts["filesystem"])
    code = {path.replace("mpy/", "lib/"): data for path, data in files.items() if path.startswith("mpy/")}
    assert read_romfs(image.parts["romfs"]) == code
    assert not [path for path in files if path.startswith("lib/")]


def test_it_boots_and_asks_to_be_set_up(board: SimpleNamespace) -> None:
    said = board.running.wait_for("set-up network")
    assert "Traceback" not in said
    assert ("code in place" in said) is board.has_romfs


def test_it_is_provisioned_attaches_and_answers_a_client(board: SimpleNamespace) -> None:
    board.running.wait_for("set-up network")
    where = ["--controller", f"127.0.0.1:{board.ports.controller}"]
    source = ["--dir", board.root / "basestation", "--wifi", "home"]
    password = {"HOMEPORT_WIFI_PASSWORD": "a good password"}
    done = answer("provision", "demo", "--port", board.running.port, *source, *where, **password)
    assert done["state"].startswith("attached to ")
    until(lambda: answer("device", "show", "demo", "--dir", board.root / "basestation")["attached"], "an attachment")
    assert homeport("--home", board.home, "profile", "create", "me", "--no-password").returncode == 0
    target = f"demo@127.0.0.1:{board.running.local_port}"
    assert answer("--home", board.home, "status", target)["device_name"]


def test_a_second_build_is_the_same_to_the_octet(tmp_path: Path) -> None:
    """Whatever order sets come in, which differs from process to process."""
    official = tmp_path / "official.uf2"
    official.write_bytes(firmware_for("pico_w"))
    for folder, seed in (("first", "1"), ("second", "2")):
        options = ["--app", "light", "--variant", "tiny", "--firmware", official, "--out", tmp_path / folder]
        done = make("pico_w", *options, PYTHONHASHSEED=seed)
        assert done.returncode == 0, done.stderr
    assert digests(tmp_path / "first") == digests(tmp_path / "second")
    pico = load_board("pico_w")
    files = load_image(tmp_path / "first", pico).parts["filesystem"]
    assert parse_uf2((tmp_path / "first/filesystem.uf2").read_bytes()).data == files
    assert parse_uf2((tmp_path / "first/merged.uf2").read_bytes()).data.endswith(files)


def test_an_esp32_gets_one_file_with_everything_and_flashing_writes_the_same(tmp_path: Path) -> None:
    (tmp_path / "official.bin").write_bytes(firmware_for("esp32"))
    folder = tmp_path / "image"
    done = make(
        "esp32", "--app", "light", "--variant", "tiny", "--firmware", tmp_path / "official.bin", "--out", folder
    )
    assert done.returncode == 0, done.stderr
    image = load_image(folder, load_board("esp32"))
    assert (image.app, image.variant, image.version) == ("light", "tiny", "v1.29.0")
    assert (folder / "merged.bin").read_bytes() == merged(image)
    assert (folder / "files/mpy/homeport_firmware.mpy").exists()
    assert not (folder / "files/mpy/homeport_streams.mpy").exists()
    with FakeEsp32() as chip:
        assert homeport("flash", "--board", "esp32", "--port", chip.port, "--image", folder, "--yes").returncode == 0
        assert chip.flash[0x1000 : 0x1000 + len(merged(image))] == merged(image)
        assert chip.flash[0x3B0000:0x3F0000].startswith((folder / "romfs.img").read_bytes())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["esp32", "--app", "no_such_thing"], "error: no application 'no_such_thing': expected a file, or one of"),
        (["esp32", "--app", "light", "--firmware", "missing.bin"], "error: missing.bin: No such file or directory"),
        (
            ["unix", "--app", "light", "--firmware", str(MAKE)],
            "error: board unix has no firmware file of MicroPython's",
        ),
        (["esp32", "--app", "light", "--out", str(ROOT / "docs")], "which is not of an image: not replaced"),
    ],
)
def test_what_cannot_be_made_is_one_line(arguments: list[str], words: str) -> None:
    done = make(*arguments)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert words in line
    assert (ROOT / "docs/firmware.md").exists()


def test_firmware_for_another_board_leaves_an_older_image_alone(tmp_path: Path) -> None:
    (tmp_path / "official.bin").write_bytes(firmware_for("esp32_s3"))
    (tmp_path / "image/files").mkdir(parents=True)
    done = make("esp32", "--app", "light", "--firmware", tmp_path / "official.bin", "--out", tmp_path / "image")
    assert done.returncode == 1
    assert "is for ESP32-S3, not for ESP32" in done.stderr
    assert [path.name for path in (tmp_path / "image").iterdir()] == ["files"]


def test_a_linux_machine_needs_nothing_made() -> None:
    done = make("linux")
    assert done.returncode == 0
    assert "there is nothing to make" in done.stdout
