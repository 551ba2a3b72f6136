"""`mpremote mip install` puts the stack onto a board, from a folder or from a server, and an application runs on it."""

import functools
import http.server
import threading

import pytest
from basestation_process import until
from processes import Ports, answer, basestation, homeport
from serial_board import ROOT, SerialBoard, mpremote

PACKAGE = ROOT / "firmware"
EXAMPLE = ROOT / "firmware/examples/light.py"
MAIN = "from light import device\n\ndevice.run()\n"


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        """A test's output is its failures."""


@pytest.fixture
def server():
    """The firmware's folder, served on loopback; its address."""
    handler = functools.partial(Quiet, directory=str(PACKAGE))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as served:
        thread = threading.Thread(target=served.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{served.server_port}"
        served.shutdown()
        thread.join()


@pytest.fixture
def board(tmp_path):
    """A board with nothing but MicroPython."""
    with SerialBoard(tmp_path / "board") as board:
        board.wait_for(">>> ")
        yield board


def install(board, package):
    done = mpremote("connect", board.terminal, "mip", "install", package)
    assert done.returncode == 0, done.stdout[-500:] + done.stderr
    assert done.stdout.endswith("Done\n")


def test_the_installed_stack_attaches(board, tmp_path):
    install(board, PACKAGE / "package.json")
    (tmp_path / "main.py").write_text(MAIN)
    for file, there in ((EXAMPLE, ":light.py"), (tmp_path / "main.py", ":main.py")):
        assert mpremote("connect", board.terminal, "fs", "cp", file, there).returncode == 0
    ports = Ports()
    assert homeport("basestation", "init", tmp_path / "basestation").returncode == 0
    with basestation(tmp_path / "basestation", ports):
        where = ["--controller", f"127.0.0.1:{ports.controller}"]
        source = ["--dir", tmp_path / "basestation", "--wifi", "home"]
        done = answer("provision", "demo", "--port", board.port, *source, *where, HOMEPORT_WIFI_PASSWORD="")
        assert done["state"].startswith("attached to ")
        until(lambda: answer("device", "show", "demo", "--dir", tmp_path / "basestation")["attached"], "an attachment")


def test_a_server_serves_as_well_as_a_folder(board, server):
    install(board, f"{server}/package.json")
    program = "import homeport_core; from homeport_device.device import Device; print(homeport_core.__file__, Device)"
    asked = mpremote("connect", board.terminal, "exec", program)
    assert asked.stdout.startswith("/flash/lib/homeport_core/"), asked.stderr


def test_the_examples_install_with_what_they_need(board):
    install(board, PACKAGE / "package.json")
    install(board, PACKAGE / "examples/package.json")
    program = "import drivers.power_sensor; print(drivers.power_sensor.__file__)"
    asked = mpremote("connect", board.terminal, "exec", program)
    assert asked.stdout.startswith("/flash/lib/drivers/"), asked.stderr


@pytest.mark.parametrize("words", [("exec", "print(6 * 7)"), ("eval", "6 * 7"), ("soft-reset", "exec", "print(42)")])
def test_mpremote_runs_programs(board, words):
    assert mpremote("connect", board.terminal, *words).stdout.strip() == "42"


def test_files_live_through_power_cuts(board, tmp_path):
    (tmp_path / "note.txt").write_text("kept")
    assert mpremote("connect", board.terminal, "fs", "cp", tmp_path / "note.txt", ":note.txt").returncode == 0
    board.power_cycle()
    board.wait_for(">>> ")
    assert "note.txt" in mpremote("connect", board.terminal, "fs", "ls").stdout
    assert mpremote("connect", board.terminal, "fs", "cat", ":note.txt").stdout == "kept"
