"""Which hardware a process gets, and its table of pins."""

import sys

import pytest
from homeport_core.errors import ConfigError
from homeport_device import hardware


@pytest.fixture
def beside(tmp_path, monkeypatch):
    """Where modules are found, and nothing called `pins` is known yet."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "pins", raising=False)
    yield tmp_path
    sys.modules.pop("pins", None)


def test_without_a_table_of_pins_it_is_simulated_in_memory():
    found = hardware.Hardware({})
    assert (found.name, found.region("homeport")) == ("unix", None)


def test_a_folder_makes_a_simulated_board_whatever_the_table(tmp_path):
    found = hardware.Hardware({"LED": "D4"}, str(tmp_path / "board"))
    assert (found.name, found.region("homeport").size) == ("unix", 0x10000)


def test_a_table_of_pins_on_cpython_is_the_machines(monkeypatch):
    monkeypatch.setitem(sys.modules, "board", None)
    with pytest.raises(ConfigError, match=r"homeport-device\[linux\]"):
        hardware.Hardware({"LED": "D4"})


def test_a_board_has_no_folder(monkeypatch):
    import fake_board

    board = fake_board.load("esp32")
    monkeypatch.setattr(hardware, "sys", fake_board.System)
    try:
        assert hardware.is_board()
        assert hardware.Hardware({"LED": 2}).name == "esp32"
        with pytest.raises(ConfigError, match="folder"):
            hardware.Hardware({"LED": 2}, "/tmp")
    finally:
        board.unload()


def test_the_table_of_pins_is_that_of_pins_py(beside):
    (beside / "pins.py").write_text('PINS = {"LED": 7}\n')
    assert hardware.pins_here() == {"LED": 7}


def test_without_pins_py_the_table_is_empty(beside):
    assert hardware.pins_here() == {}


@pytest.mark.parametrize("text", ["LED = 7\n", "PINS = [7]\n"])
def test_pins_py_without_a_table_is_said(beside, text):
    (beside / "pins.py").write_text(text)
    with pytest.raises(ConfigError, match="table PINS"):
        hardware.pins_here()
