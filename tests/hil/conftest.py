"""One board for all of tests/hil: HIL_BOARD at the serial port HIL_PORT (see `make hil`).

Without a port it is the simulated board at the end of a pseudo-terminal, so that what a real one has to do is itself
tested. A real one joins the network HIL_WIFI (its password is asked for, or in HOMEPORT_WIFI_PASSWORD) and finds this
machine at HIL_ADDRESS. With HIL_FIRMWARE, MicroPython's own file, it is flashed first.
"""

import getpass
import os
import socket

import pytest
from bench_board import Bench, RealBoard, SimulatedBoard, make_firmware
from homeport.cli.provision_sources import WIFI_VARIABLE
from processes import homeport


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
    port = os.environ.get("HIL_PORT")
    if port is None:
        name, board = "unix", SimulatedBoard(folder / "board")
        wifi, password = "home", ""
    else:
        name, wifi = os.environ["HIL_BOARD"], os.environ.get("HIL_WIFI")
        assert wifi, "a real board needs a network: make hil … WIFI=SSID"
        password = os.environ.get(WIFI_VARIABLE) or getpass.getpass(f"password of {wifi}: ")
        board = RealBoard(port, os.environ.get("HIL_ADDRESS") or own_address())
        if "HIL_FIRMWARE" in os.environ:
            flash(name, port, os.environ["HIL_FIRMWARE"])
    made = Bench(folder, name, board, wifi, password)
    yield made
    made.close()
