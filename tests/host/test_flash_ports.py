"""Where a board is plugged in: serial ports and USB drives that can be used, and one line for each that cannot."""

from __future__ import annotations

import errno
import fcntl
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from homeport.boards import serial_port, tools
from homeport.boards.descriptors import load_board
from homeport.boards.drive import INFO, find_drive, write_uf2
from homeport.boards.serial_port import NO_PORTS, check_port, choose_port, find_holder
from homeport.errors import BoardError, ConfigError

RP2040_INFO = "UF2 Bootloader v3.0\r\nModel: Raspberry Pi RP2\r\nBoard-ID: RPI-RP2\r\n"
RP2350_INFO = "UF2 Bootloader v1.0\r\nModel: Raspberry Pi RP2350\r\nBoard-ID: RP2350\r\n"
PICO = load_board("pico_w")


@pytest.fixture
def port() -> Iterator[str]:
    """A serial port that nobody has open."""
    line, far_end = pty.openpty()
    name = os.ttyname(far_end)
    os.close(far_end)
    yield name
    os.close(line)


@pytest.fixture
def ports(monkeypatch: pytest.MonkeyPatch) -> list[SimpleNamespace]:
    """The ports that this machine has, for a test to fill."""
    found: list[SimpleNamespace] = []
    lister = SimpleNamespace(comports=lambda: found)
    monkeypatch.setattr(serial_port, "tool", lambda name: lister)
    return found


def test_a_free_port_is_taken(port: str) -> None:
    assert choose_port(port) == port


def test_a_port_that_is_not_there_is_told_from_those_that_are(ports: list[SimpleNamespace]) -> None:
    ports.append(SimpleNamespace(device="/dev/ttyUSB7", vid=0x10C4))
    with pytest.raises(ConfigError, match="there is no port /dev/ttyUSB0: there are /dev/ttyUSB7"):
        check_port("/dev/ttyUSB0")


def test_on_windows_a_port_is_looked_up_by_its_name(
    ports: list[SimpleNamespace], monkeypatch: pytest.MonkeyPatch
) -> None:
    ports.append(SimpleNamespace(device="COM3", vid=0x1A86))
    monkeypatch.setattr(sys, "platform", "win32")
    check_port("com3")
    with pytest.raises(ConfigError, match="there is no port COM4: there are COM3"):
        check_port("COM4")


@pytest.mark.parametrize("port", [None, "/dev/ttyUSB0"])
def test_a_machine_without_ports_hears_of_cables_and_drivers(ports: list[SimpleNamespace], port: str | None) -> None:
    ports.append(SimpleNamespace(device="/dev/ttyS0", vid=None))  # of the mainboard, no USB
    with pytest.raises(ConfigError) as caught:
        choose_port(port)
    assert NO_PORTS in str(caught.value)
    assert "CP210x" in NO_PORTS


def test_the_only_port_is_the_one(ports: list[SimpleNamespace]) -> None:
    ports.append(SimpleNamespace(device="/dev/ttyACM0", vid=0x303A))
    assert choose_port(None) == "/dev/ttyACM0"


def test_of_several_ports_one_has_to_be_named(ports: list[SimpleNamespace]) -> None:
    ports += [SimpleNamespace(device=name, vid=1) for name in ("/dev/ttyUSB1", "/dev/ttyUSB0")]
    with pytest.raises(ConfigError, match="there are /dev/ttyUSB0, /dev/ttyUSB1"):
        choose_port(None)


def test_a_port_that_another_process_has_open_names_it(port: str) -> None:
    command = [sys.executable, "-c", "import sys; file = open(sys.argv[1]); print(); sys.stdin.read()", port]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()
        with pytest.raises(ConfigError, match=rf"port {port} is in use by .+ \(process {other.pid}\): end that first"):
            check_port(port)
        other.communicate()
    check_port(port)


def test_a_locked_port_is_in_use(port: str) -> None:
    handle = os.open(port, os.O_RDWR | os.O_NOCTTY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    with pytest.raises(ConfigError, match=f"port {port} is in use by another process"):
        check_port(port)
    os.close(handle)


def test_a_process_that_may_not_be_looked_into_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "17").mkdir()  # without the folder of its files, as of somebody else's process
    assert find_holder("/dev/null", tmp_path) is None


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (errno.EACCES, r"no permission to use PORT: 'sudo usermod -aG \w+ \$USER', then log in again"),
        (errno.EPERM, "no permission to use PORT"),
        (errno.EBUSY, "port PORT is in use by another process"),
        (errno.ENODEV, "cannot open PORT: No such device"),
    ],
)
def test_each_way_in_which_opening_fails_has_its_line(
    port: str, code: int, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> int:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "open", fails)
    with pytest.raises(ConfigError, match=words.replace("PORT", port)):
        check_port(port)


def test_a_file_is_no_serial_port(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="is no serial port"):
        check_port(str(tmp_path / "file"))


def test_an_address_is_left_to_who_opens_it() -> None:
    check_port("socket://127.0.0.1:1")


def test_a_missing_tool_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "serial", None)
    monkeypatch.setattr(tools.importlib, "import_module", missing)
    for name, project in (("serial", "pyserial"), ("esptool", "esptool"), ("littlefs", "littlefs-python")):
        with pytest.raises(ConfigError, match=rf"{project} is not installed here: pip install 'homeport\[boards\]'"):
            tools.tool(name)


def missing(name: str) -> None:
    raise ModuleNotFoundError(f"No module named {name!r}", name=name)


def board_drive(folder: Path, info: str = RP2040_INFO) -> Path:
    folder.mkdir()
    (folder / "INFO_UF2.TXT").write_text(info)
    return folder


def mounts(tmp_path: Path, *places: Path) -> Path:
    table = tmp_path / "mounts"
    lines = [
        "proc /proc proc rw 0 0",
        *("/dev/sda " + str(place).replace(" ", r"\040") + " vfat rw 0 0" for place in places),
    ]
    table.write_text("\n".join(lines))
    return table


def test_the_drive_is_found_among_what_is_mounted(tmp_path: Path) -> None:
    other, place = tmp_path / "other", board_drive(tmp_path / "RPI RP2")
    other.mkdir()
    assert find_drive(PICO, None, mounts(tmp_path, other, place)) == place


def test_no_drive_says_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no drive with INFO_UF2\.TXT is mounted: hold BOOTSEL"):
        find_drive(PICO, None, mounts(tmp_path))


def test_of_two_drives_one_has_to_be_named(tmp_path: Path) -> None:
    places = board_drive(tmp_path / "a"), board_drive(tmp_path / "b")
    with pytest.raises(ConfigError, match="say which drive with --drive"):
        find_drive(PICO, None, mounts(tmp_path, *places))
    assert find_drive(PICO, places[1], mounts(tmp_path, *places)) == places[1]


@pytest.mark.parametrize(
    ("name", "info", "found"), [("pico_w", RP2350_INFO, "RP2350"), ("pico2_w", RP2040_INFO, "RPI-RP2")]
)
def test_the_drive_of_another_board_is_refused(name: str, info: str, found: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=f"the board on .+ is {found}, board {name} is"):
        find_drive(load_board(name), board_drive(tmp_path / "drive", info))


@pytest.mark.parametrize("info", ["", "Board-ID:", "Board-ID: RPI-RP2\x1b[2J", "X" * 4097])
def test_what_is_not_said_clearly_is_not_believed(info: str, tmp_path: Path) -> None:
    with pytest.raises(Exception, match="nameless|is RPI-RP2.|larger than") as caught:
        find_drive(PICO, board_drive(tmp_path / "drive", info))
    assert "\x1b" not in str(caught.value)


def test_a_folder_that_is_no_drive_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"is no board's drive, there is no INFO_UF2\.TXT"):
        find_drive(PICO, tmp_path)


def test_the_file_is_whole_on_the_drive(tmp_path: Path) -> None:
    assert write_uf2(board_drive(tmp_path / "drive"), b"\0" * 5120)
    assert (tmp_path / "drive/HOMEPORT.UF2").read_bytes() == b"\0" * 5120


def test_a_file_that_is_gone_when_the_board_has_all_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = board_drive(tmp_path / "drive")
    monkeypatch.setattr(os, "fsync", lambda _: (folder / "HOMEPORT.UF2").unlink())
    assert write_uf2(folder, b"\0" * 512)


def test_a_drive_that_took_a_part_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = board_drive(tmp_path / "drive")
    monkeypatch.setattr(os, "fsync", lambda handle: os.truncate(handle, 512))
    with pytest.raises(BoardError, match="took 512 of 1024 octets"):
        write_uf2(folder, b"\0" * 1024)


def test_a_drive_that_fails_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(_: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fsync", fails)
    with pytest.raises(BoardError, match="took only a part: Input/output error"):
        write_uf2(board_drive(tmp_path / "drive"), b"\0" * 512)


def test_a_drive_that_leaves_at_the_end_is_not_called_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A board starts at the last block, whatever the system still has to write about the file."""
    folder = board_drive(tmp_path / "drive")

    def leaves(_: int) -> None:
        (folder / INFO).unlink()
        raise OSError(errno.ENODEV, "No such device")

    monkeypatch.setattr(os, "fsync", leaves)
    assert not write_uf2(folder, b"\0" * 512)
