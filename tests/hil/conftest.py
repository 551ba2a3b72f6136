"""One board for all of tests/hil: HIL_BOARD at the serial port HIL_PORT (see `make hil`).

Without HIL_BOARD it is the simulated board at the end of a pseudo-terminal, so that what a real one has to do is itself
tested. A real one joins the network HIL_WIFI (its password is asked for, or in HOMEPORT_WIFI_PASSWORD) and finds this
machine at HIL_ADDRESS. With HIL_FIRMWARE, MicroPython's own file, it is flashed first.
"""

import getpass
import os
import socket

import pytest
from bench_board import Bench, RealBoard, SimulatedBoard, make_firmware
from bench_choice import choose
from homeport.cli.provision_sources import WIFI_VARIABLE
from processes import homeport


def pytest_configure():
    try:
        choose(os.environ)
    except ValueError as error:
        raise pytest.UsageError(str(error)) from None


def own_address():
    """The address by which others on the network know this machine. Nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect(("192.0.2.1", 9))
        return sock.getsockname()[0]


def flash(name, port, firmware):
    image = make_firmware(name, firmware)
    done = homeport("flash", "--board", name, "--port", port, "--image", image, "--yes")
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bench")
    chosen = choose(os.environ)
    if chosen.port is None:
        board, password = SimulatedBoard(folder / "board"), ""
    else:
        password = os.environ.get(WIFI_VARIABLE) or getpass.getpass(f"password of {chosen.wifi}: ")
        board = RealBoard(chosen.port, os.environ.get("HIL_ADDRESS") or own_address())
        if "HIL_FIRMWARE" in os.environ:
            flash(chosen.name, chosen.port, os.environ["HIL_FIRMWARE"])
    made = Bench(folder, chosen.name, board, chosen.wifi, password)
    yield made
    made.close()
