"""Pins of a Raspberry Pi through Blinka against the hardware's contract, on a fake Blinka; and the real one's ways."""

import os
import socket
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import fake_board
import pytest
from hardware_contract import Chip, Pins
from homeport_core.errors import ConfigError
from homeport_device import hardware_common as common

PINS = {"LED": "D4", "BUTTON": "D13", "RELAY": ("D5", True), "DOOR": ("D18", True), "SDA": "SDA", "SCL": "SCL"}
NUMBERS = {"LED": 4, "BUTTON": 13}


class Linux(Pins, Chip, unittest.TestCase):
    platform = "linux"

    def setUp(self):
        self.board = fake_board.load("linux")
        self.addCleanup(self.board.unload)
        self.chip = self.board.chip
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.temperature = Path(folder.name, "temp")
        self.temperature.write_text("41234\n")
        machine_id = Path(folder.name, "machine-id")
        machine_id.write_text("0123456789abcdef0123456789abcdef\n")
        self.board.set_constants(_TEMPERATURE=str(self.temperature), _MACHINE_ID=str(machine_id))
        self.hardware = self.open(PINS)

    def open(self, pins):
        return self.board.Hardware(pins)

    def wire(self, name):
        return self.chip.levels[NUMBERS[name]]

    def press(self, name, is_pressed):
        self.chip.levels[NUMBERS[name]] = 0 if is_pressed else 1

    def test_its_temperature_is_the_systems_where_that_has_one(self):
        assert self.hardware.temperature_mc() == 41234
        self.temperature.unlink()
        assert self.hardware.temperature_mc() is None

    def test_its_number_does_not_tell_the_machines(self):
        assert self.hardware.unique_id().hex() not in "0123456789abcdef0123456789abcdef"

    def test_an_output_may_be_wired_the_other_way_round(self):
        relay = self.hardware.output("RELAY")
        assert self.chip.levels[5] == 1
        relay.value(1)
        assert (relay.value(), self.chip.levels[5]) == (1, 0)

    def test_a_contact_to_plus_is_pulled_down(self):
        door = self.hardware.input("DOOR")
        assert (self.chip.pulls[18], door.value()) == ("down", 0)
        self.chip.levels[18] = 1
        assert door.value() == 1

    def test_levels_become_duties_of_the_whole_range(self):
        channel = self.hardware.pwm("LED")
        channel.level(255)
        assert self.chip.duties[4] == 65535
        relay = self.hardware.pwm("RELAY")
        assert self.chip.duties[5] == 65535
        relay.level(255)
        assert self.chip.duties[5] == 0

    def test_a_pin_without_timer_is_on_from_half_on(self):
        channel = self.open({"LED": "D13"}).pwm("LED")
        for level, expected in ((127, 0), (128, 1), (0, 0)):
            channel.level(level)
            assert (channel.level(), self.chip.levels[13]) == (level, expected)

    def test_the_bus_is_blinkas_own(self):
        assert type(self.hardware.i2c()).__name__ == "I2C"

    def test_what_cannot_be_opened_is_said_by_name(self):
        self.chip.taken = (4,)
        with self.assertRaisesRegex(ConfigError, "LED cannot be opened: .*busy"):
            self.hardware.output("LED")
        with self.assertRaisesRegex(ConfigError, "RELAY cannot be pin D99, which"):
            self.open({"RELAY": "D99"}).output("RELAY")
        self.chip.machine = "no bus"
        with self.assertRaisesRegex(ConfigError, "I2C bus cannot be opened: .*enabled"):
            self.hardware.i2c()
        self.chip.machine = "no pull-down"
        with self.assertRaisesRegex(ConfigError, "DOOR cannot be an input so"):
            self.hardware.input("DOOR")

    def test_it_has_files_instead_of_flash_and_the_systems_network(self):
        assert self.hardware.region("homeport") is None
        assert self.hardware.wifi() is None
        assert self.hardware.reset_cause() == common.UNKNOWN


@pytest.fixture
def hardware():
    board = fake_board.load("linux")
    yield board.Hardware(PINS)
    board.unload()


def test_the_watchdog_is_the_services(hardware, tmp_path, monkeypatch):
    path = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(path)
        monkeypatch.setenv("NOTIFY_SOCKET", path)
        monkeypatch.setenv("WATCHDOG_USEC", "10000000")
        hardware.watchdog(8000).feed()
        assert systemd.recv(100) == b"WATCHDOG=1"


def test_without_a_service_there_is_no_watchdog(hardware, monkeypatch):
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    assert hardware.watchdog(8000) is None


def run(program, **variables):
    """A program in an interpreter of its own, with the real Blinka."""
    return subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_without_blinka_the_package_is_named():
    program = """
import sys
sys.modules["board"] = None
from homeport_core.errors import ConfigError
from homeport_device.hardware import Hardware
try:
    Hardware({"LED": "D4"})
except ConfigError as error:
    print(error)
"""
    assert "pip install 'homeport-device[linux]'" in run(program).stdout


def test_the_real_blinka_opens_pins_and_bus():
    program = """
from homeport_device.hardware import Hardware
hardware = Hardware({"LED": "Dx_OUTPUT", "BUTTON": "Dx_INPUT_TRUE", "SDA": "SDA", "SCL": "SCL"})
hardware.output("LED", 1).value(0)
channel = hardware.pwm("LED")
channel.level(255)
print(hardware.name, hardware.input("BUTTON").value(), channel.level(), hardware.i2c().try_lock())
"""
    done = run(program, BLINKA_OS_AGNOSTIC="1")
    assert done.stdout == "linux 0 255 True\n", done.stderr


def test_a_reset_starts_the_program_again(tmp_path):
    mark = tmp_path / "mark"
    program = f"""
import os
from homeport_device.hardware import Hardware
if os.path.exists({str(mark)!r}):
    print("again", os.getpid())
else:
    open({str(mark)!r}, "w").close()
    print("first", os.getpid())
    Hardware({{"LED": "Dx_OUTPUT"}}).reset()
"""
    first, again = run(program, BLINKA_OS_AGNOSTIC="1").stdout.splitlines()
    assert first.replace("first", "again") == again
