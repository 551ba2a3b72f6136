"""A board on the bench, real or simulated, with a basestation and a client around it: what tests/hil works on."""

import contextlib
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

from mpremote.transport_serial import SerialTransport
from processes import HOMEPORT, CommandLine, Ports, basestation
from serial_board import SerialBoard

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 60
DEVICE = "bench"
PRESS_S = 0.3


def make_firmware(board, firmware=None):
    """`make firmware BOARD=… APP=light`; returns the folder."""
    more = ["--firmware", firmware] if firmware else []
    command = [sys.executable, ROOT / "tools/make_firmware.py", board, "--app", "light", *more]
    subprocess.run(command, check=True, capture_output=True)
    return ROOT / "build/firmware" / board


class RealBoard:
    """A board at a serial port of this machine, which it reaches at `address`. Somebody presses its button."""

    local_port = None

    def __init__(self, port, address):
        self.port = port
        self.address = address

    def press(self):
        print("\npress the button of the board shortly, then Enter here: ", end="", flush=True)
        sys.stdin.readline()

    def restart(self):
        """A reset in the middle of whatever it does."""
        transport = SerialTransport(self.port, wait=10)
        try:
            transport.enter_raw_repl(soft_reset=False)
            transport.exec_raw_no_follow("import machine\nmachine.reset()")
        finally:
            transport.serial.close()

    def close(self):
        """Nothing to put away."""


class SimulatedBoard:
    """The simulated board at the end of a pseudo-terminal."""

    address = "127.0.0.1"

    def __init__(self, folder):
        folder.mkdir()
        image = make_firmware("unix")
        shutil.copy(image / "filesystem.img", folder / "littlefs.img")
        shutil.copy(image / "romfs.img", folder)
        shutil.copy(ROOT / "boards/unix/pins.py", folder)
        self._button = folder / "pins/BUTTON"
        self._board = SerialBoard(folder, heap="560k")  # ROMFS is in it
        self._board.plug()
        self.port, self.local_port = self._board.port, self._board.local_port

    def press(self):
        for level in "10":
            self._button.write_text(level)
            time.sleep(PRESS_S)

    def restart(self):
        self._board.power_cycle()

    def close(self):
        self._board.unplug()


class Bench:
    """The board, a basestation that it can reach, and a client's command line."""

    def __init__(self, folder, name, board, wifi, password):
        self.name = name
        self.board = board
        self.ports = Ports()
        self.home = CommandLine(folder / "home")
        self.root = folder / "base"
        (folder / "password").write_text(password + "\n")
        self._wifi = ["--wifi", wifi, "--wifi-password-file", folder / "password"]
        self._running = contextlib.ExitStack()
        operator = CommandLine(folder / "nobody")
        pin = operator.answer("basestation", "init", self.root)["pin"]
        self._running.enter_context(basestation(self.root, self.ports, board.address))
        self.home.answer(
            "profile", "create", "me", "--no-password",
            "--basestation", f"{board.address}:{self.ports.gate}", "--pin", pin,
        )  # fmt: skip
        self._operator = operator

    def provision(self, *options):
        """`homeport provision`: returns what it says."""
        return self._operator.answer(
            "provision", DEVICE, "--port", self.board.port, "--board", self.name,
            "--controller", f"{self.board.address}:{self.ports.controller}", *self._wifi, *options,
        )  # fmt: skip

    @property
    def nearby(self):
        """The device on the local network."""
        return DEVICE if self.board.local_port is None else f"{DEVICE}@{self.board.address}:{self.board.local_port}"

    def far(self, command, *arguments):
        """A command of the client by way of the basestation, as soon as the device is there; returns its object."""
        give_up_at = time.monotonic() + PATIENCE_S
        while (done := self.home.run("--json", command, "--path", "relay", *arguments)).returncode:
            assert time.monotonic() < give_up_at, done.stderr
            time.sleep(0.5)
        return json.loads(done.stdout)

    def begin(self, *arguments):
        """A command of the client in a process of its own, which the caller ends."""
        command = [HOMEPORT, "--home", self.home.home, *arguments]
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def close(self):
        self._running.close()
        self.board.close()
