"""The table of pins of each board opens on its chip: no pin that is not there, cannot do it, or has two names."""

from pathlib import Path

import fake_board
import pytest

BOARDS = Path(__file__).resolve().parent.parent.parent / "boards"
CHIPS = {
    "esp32": ("esp32", "esp32"),
    "esp32_s3": ("esp32", "esp32s3"),
    "esp32_c3": ("esp32", "esp32c3"),
    "pico_w": ("rp2", ""),
    "pico2_w": ("rp2", ""),
}
LISTENING = ("BUTTON", "SWITCH")
BUS = ("SDA", "SCL")


def table(board):
    found = {}
    exec((BOARDS / board / "pins.py").read_text(), found)
    return found["PINS"]


@pytest.fixture(params=sorted(CHIPS))
def opened(request):
    """Table and hardware of a board."""
    platform, chip = CHIPS[request.param]
    board = fake_board.load(platform)
    board.chip.chip = chip
    pins = table(request.param)
    yield pins, board.Hardware(pins)
    board.unload()


def test_every_pin_can_do_what_it_is_for(opened):
    pins, hardware = opened
    for name in pins:
        if name in LISTENING:
            assert hardware.input(name).value() == 0
        elif name not in BUS:
            hardware.output(name, 1)
            hardware.pwm(name).level(1)
    if "SDA" in pins:
        hardware.i2c()


def test_no_pin_has_two_names(opened):
    numbers = [entry[0] if isinstance(entry, tuple) else entry for entry in opened[0].values()]
    assert len(set(numbers)) == len(numbers)


def test_every_board_with_a_chip_is_tried_here():
    assert {path.parent.name for path in BOARDS.glob("*/pins.py")} == {*CHIPS, "unix", "linux"}
