"""A board at a serial port: MicroPython's Unix port behind a pseudo-terminal, with a littlefs in a flash of its own.

    board = SerialBoard(folder)      folder: flash, file system, pins and air of the simulated board; survives the board
    with board:                      plugged in and switched on: boot.py, main.py, prompt
        mpremote("connect", board.port, "exec", "print(1)")
        board.unplug(); board.plug()

It lives through Ctrl-D and machine.reset() as a board does: a soft reset out of the raw prompt leaves main.py alone.
What the host does not read is lost, as on a wire. A thread carries the octets, so the host's side may run in this
process or in any other.
"""

import contextlib
import os
import pty
import select
import subprocess
import sys
import termios
import threading
import time
import tty
from pathlib import Path

from processes import free_port

ROOT = Path(__file__).resolve().parent.parent.parent
MICROPYTHON = Path(sys.executable).parent / "micropython"
MPREMOTE = Path(sys.executable).parent / "mpremote"
BOOT = Path(__file__).with_name("serial_board_boot.py")
RESET_EXIT_CODE = 42

_BLOCKS = 256  # of 4096 octets: the stack from source has room
_CHUNK_LEN = 4096
_UNREAD_MAX_LEN = 262_144
_STEP_S = 0.02
_RAW_PROMPT = b"raw REPL; CTRL-B to exit\r\n"
_PROMPT = b"\r\n>>> "
_CTRL_A, _CTRL_D = b"\x01", b"\x04"
_LOST = (OSError, ValueError)  # what a line that has been pulled raises


class SerialBoard:
    """One board. `search` are folders that it finds modules in beside its own flash, such as firmware/."""

    def __init__(self, folder, *, heap="2M", search=(), blocks=_BLOCKS, environment=None):
        self.folder = Path(folder)
        self.port = str(self.folder / "port")
        self.local_port, self.setup_port = free_port(), free_port()
        self.output = bytearray()  # all that it ever said
        self.exchanges = 0  # Ctrl-D that have come from the host: each ends one command
        self.pull_at = None  # the number of exchanges after which the cable is pulled
        self.pull_at_octet = None  # the same by octets from the host
        self.pull_after_s = 0  # how long the board lives on after that moment
        self.received_len = 0
        # The line is the terminal of the board's own session, so that Ctrl-C reaches it and nobody else.
        self._command = [
            "setsid",
            "--ctty",
            str(MICROPYTHON),
            "-X",
            f"heapsize={heap}",
            "-i",
            str(BOOT),
            str(self.folder),
            str(blocks),
        ]
        ports = ["--local-port", str(self.local_port), "--setup-port", str(self.setup_port)]
        self._options = ["--board", str(self.folder), *ports]
        path = ":".join([*map(str, search), ".frozen"])
        self._environment = {**os.environ, "MICROPYPATH": path, "TERM": "dumb", **(environment or {})}
        self._line = self._inner = None
        self._process = self._thread = None
        self._is_raw = False
        self._stopping = threading.Event()
        self._heard = threading.Condition()

    def __enter__(self):
        self.plug()
        return self

    def __exit__(self, *_):
        self.unplug()

    def plug(self):
        """Connect the cable, which also feeds the board."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._line, far_end = pty.openpty()
        tty.setraw(far_end)
        os.set_blocking(self._line, False)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.port)
        os.symlink(os.ttyname(far_end), self.port)
        os.close(far_end)  # nobody but the host has the port open
        self._is_raw = False
        self._start(with_main=True)
        self._stopping.clear()
        self._thread = threading.Thread(target=self._carry, daemon=True)
        self._thread.start()

    def unplug(self):
        """Pull the cable: the board is dead at once, and the port gone."""
        if self._thread is None:
            return
        self._stopping.set()
        self._thread.join()
        self._thread = None

    def power_cycle(self):
        """Off and on again, main.py and all."""
        self.unplug()
        self.plug()

    def interrupt(self):
        """What Ctrl-C at a terminal does."""
        os.write(self._inner, b"\x03")

    def wait_for(self, words, timeout_s=30):
        """Wait until the board has said `words`; returns all that it said."""
        with self._heard:
            assert self._heard.wait_for(lambda: words.encode() in self.output, timeout_s), bytes(self.output[-2000:])
            return self.output.decode("utf-8", "replace")

    def forget_output(self):
        """Begin anew with what `wait_for` looks at."""
        with self._heard:
            self.output.clear()

    @property
    def terminal(self):
        """The port under the name by which mpremote knows that it need not pause between octets; new at each plug."""
        return os.path.realpath(self.port)

    @property
    def is_plugged(self):
        """Whether the cable is in, as far as nothing has pulled it."""
        return self._thread is not None and self._thread.is_alive()

    def _start(self, with_main):
        inner, end = pty.openpty()
        tty.setraw(end)
        attributes = termios.tcgetattr(end)
        attributes[3] |= termios.ISIG  # Ctrl-C interrupts what runs; at the prompt MicroPython takes it as a letter
        for letter in (termios.VQUIT, termios.VSUSP):
            attributes[6][letter] = b"\x00"
        termios.tcsetattr(end, termios.TCSANOW, attributes)
        self._process = subprocess.Popen(
            [*self._command, "01"[with_main], *self._options],
            stdin=end,
            stdout=end,
            stderr=end,
            env=self._environment,
        )
        os.close(end)
        os.set_blocking(inner, False)
        self._inner = inner

    def _carry(self):
        """Octets both ways until the cable is pulled."""
        pending_in, pending_out = bytearray(), bytearray()
        try:
            while not self._stopping.is_set():
                is_heard = self._host_listens()
                if not is_heard:
                    pending_out.clear()
                line = [self._line] if is_heard else []
                writable = [self._inner] if pending_in else []
                writable += line if pending_out else []
                readable, writable, _ = select.select([self._inner, *line], writable, [], _STEP_S)
                if self._line in readable and not self._hear_host(pending_in):
                    _flush(self._inner, pending_in)
                    time.sleep(self.pull_after_s)
                    return
                if self._inner in readable and not self._hear_board(pending_out):
                    pending_in.clear()
                    self._restart(pending_in, pending_out)
                    continue
                for end, data in ((self._inner, pending_in), (self._line, pending_out)):
                    if end in writable:
                        _flush(end, data)
        finally:
            self._die()

    def _host_listens(self):
        """Whether anybody has the port open."""
        poll = select.poll()
        poll.register(self._line, 0)
        return not any(events & select.POLLHUP for _, events in poll.poll(0))

    def _hear_host(self, pending):
        """Take what the host says; False when that was the moment at which the cable is pulled."""
        try:
            data = os.read(self._line, _CHUNK_LEN)
        except _LOST:
            return True
        for index in range(len(data)):
            octet = data[index : index + 1]
            self.received_len += 1
            self.exchanges += octet == _CTRL_D
            pending += octet
            if self.received_len == self.pull_at_octet or (octet == _CTRL_D and self.exchanges == self.pull_at):
                return False
        return True

    def _hear_board(self, pending):
        """Take what the board says; False when it has ended."""
        try:
            data = os.read(self._inner, _CHUNK_LEN)
        except BlockingIOError:
            return True
        except _LOST:
            return False
        if not data:
            return False
        pending += data
        del pending[:-_UNREAD_MAX_LEN]
        with self._heard:
            self.output += data
            self._heard.notify_all()
            tail = bytes(self.output[-len(data) - len(_RAW_PROMPT) :])
        raw, friendly = tail.rfind(_RAW_PROMPT), tail.rfind(_PROMPT)
        if raw != friendly:
            self._is_raw = raw > friendly
        return True

    def _restart(self, pending_in, pending_out):
        """Ctrl-D ends the Unix port, and so does machine.reset()."""
        os.close(self._inner)
        is_reset = self._process.wait() == RESET_EXIT_CODE
        self._is_raw = self._is_raw and not is_reset
        if not is_reset:
            pending_out += b"\r\nMPY: soft reboot\r\n"
        self._start(with_main=not self._is_raw)
        if self._is_raw:
            pending_in += _CTRL_A

    def _die(self):
        self._process.kill()
        self._process.wait()
        for end in (self._inner, self._line):
            os.close(end)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.port)


def mpremote(*arguments, timeout_s=120):
    """Run the real `mpremote` to its end."""
    return subprocess.run(
        [MPREMOTE, *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )


def _flush(end, data):
    try:
        del data[: os.write(end, data[:_CHUNK_LEN])]
    except BlockingIOError:
        return
    except _LOST:
        data.clear()
