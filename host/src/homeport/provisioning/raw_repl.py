"""MicroPython's raw prompt: programs in, what they print out (MicroPython documentation, "raw mode").

Everything has a bound, in time and in octets, for a board may be silent, talk without end, or be something else
entirely. mpremote's own transport waits for ever in these cases, and prints what it met. Nothing that was sent or
received is ever part of an error, because secrets travel here.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

from homeport.errors import BoardError

_CTRL_A, _CTRL_B, _CTRL_C, _CTRL_D = b"\x01", b"\x02", b"\x03", b"\x04"
_PASTE = b"\x05A\x01"
_BANNER = b"raw REPL; CTRL-B to exit\r\n>"
_REBOOT = b"soft reboot\r\n"

_ANSWER_S = 5.0  # until a prompt that is asked for something shows a sign of life
_RUN_S = 30.0  # until a program has ended; the longest erases and writes all records
_INTERRUPTS = 3
_INTERRUPT_S = 2.0  # until a running program has let go; doubled, as the next interrupt may hit it while it does
_CHUNK_LEN = 256
_PAUSE_S = 0.01  # after a chunk, where the board cannot tell that it has no room
_OUTPUT_MAX_LEN = 65_536

_SILENT = "the board does not answer: is MicroPython on it, and is this its port?"


class Line(Protocol):
    """A serial line: `read` returns what is there after a short wait, perhaps nothing. Both raise OSError."""

    def read(self, size: int) -> bytes: ...

    def write(self, data: bytes) -> object: ...


class ClosableLine(Line, Protocol):
    """A line that somebody owns."""

    def close(self) -> None: ...


class RawRepl:
    """The prompt at the other end of `line`. Everything raises BoardError."""

    def __init__(self, line: Line, clock: Callable[[], float] = time.monotonic) -> None:
        self._line = line
        self._clock = clock
        self._seen = bytearray()
        self._can_paste = True

    def enter(self) -> None:
        """Stop what runs there, and begin anew without main.py."""
        for attempt in range(_INTERRUPTS):
            self._send(b"\r" + _CTRL_C)
            self._send(b"\r" + _CTRL_A)
            if self._find(_BANNER, _INTERRUPT_S * 2**attempt):
                break
        else:
            raise BoardError(_SILENT)
        self._send(_CTRL_D)
        if not self._find(_REBOOT, _ANSWER_S) or not self._find(_BANNER, _RUN_S):
            raise BoardError("the board does not start anew: take its supply away for a moment")

    def run(self, program: str, timeout_s: float = _RUN_S) -> str:
        """Run `program`; returns what it printed. Raises BoardError, which does not repeat it, when it failed."""
        self._submit(program.encode())
        printed = self._until(_CTRL_D, timeout_s)
        failure = self._until(_CTRL_D, _ANSWER_S)
        self._expect(b">")
        if failure:
            raise ProgramFailed(failure.decode("utf-8", "replace"))
        return printed.decode("utf-8", "replace")

    def start(self, program: str) -> None:
        """Run a program that does not return, such as a reset."""
        self._submit(program.encode())

    def leave(self) -> None:
        """Begin the life of whatever is on the board."""
        self._send(b"\r" + _CTRL_B + _CTRL_D)

    def listen(self, until: Callable[[str], bool], timeout_s: float) -> str:
        """What the board says, up to a line for which `until` is true; or for as long as it takes."""
        deadline = self._clock() + timeout_s
        heard = ""
        while self._clock() < deadline:
            heard = (heard + self._take().decode("utf-8", "replace"))[-_OUTPUT_MAX_LEN:]
            lines = heard.splitlines(keepends=True)
            if any(until(line) for line in lines if line.endswith("\n")):
                break
        return heard

    def _submit(self, program: bytes) -> None:
        if self._can_paste:
            self._send(_PASTE)
            answer = self._take_exactly(2)
            if answer == b"R\x01":
                self._paste(program)
                return
            self._can_paste = False
            if answer != b"R\x00" and not self._find(_BANNER, _ANSWER_S):
                raise BoardError(_SILENT)
        for at in range(0, len(program), _CHUNK_LEN):
            self._send(program[at : at + _CHUNK_LEN])
            time.sleep(_PAUSE_S)
        self._send(_CTRL_D)
        self._expect(b"OK")

    def _paste(self, program: bytes) -> None:
        """Send no more than the board has room for: each 0x01 is room for another window."""
        window = room = int.from_bytes(self._take_exactly(2), "little")
        if not window:
            raise _confused()
        while program:
            while not room:
                self._expect(_CTRL_A)
                room += window
            piece, program = program[:room], program[room:]
            self._send(piece)
            room -= len(piece)
        self._send(_CTRL_D)
        deadline = self._clock() + _ANSWER_S
        while (answer := self._take_exactly(1)) == _CTRL_A and self._clock() < deadline:
            continue
        if answer != _CTRL_D:
            raise _confused()

    def _send(self, data: bytes) -> None:
        try:
            self._line.write(data)
        except OSError as error:
            raise _lost() from error

    def _take(self) -> bytes:
        """What came, perhaps nothing."""
        if self._seen:
            data = bytes(self._seen)
            self._seen.clear()
            return data
        try:
            return self._line.read(_CHUNK_LEN)
        except (OSError, TypeError) as error:  # pyserial reads from a port that is gone as from no port
            raise _lost() from error

    def _take_exactly(self, size: int) -> bytes:
        deadline = self._clock() + _ANSWER_S
        data = b""
        while len(data) < size:
            if self._clock() > deadline:
                raise BoardError(_SILENT)
            data += self._take()
        self._seen[:0] = data[size:]
        return data[:size]

    def _expect(self, octets: bytes) -> None:
        if self._take_exactly(len(octets)) != octets:
            raise _confused()

    def _find(self, octets: bytes, timeout_s: float) -> bool:
        """Read up to `octets`; False when they do not come."""
        deadline = self._clock() + timeout_s
        data = b""
        while self._clock() < deadline:
            data += self._take()
            at = data.find(octets)
            if at >= 0:
                self._seen[:0] = data[at + len(octets) :]
                return True
            data = data[-len(octets) :]
        return False

    def _until(self, end: bytes, timeout_s: float) -> bytes:
        deadline = self._clock() + timeout_s
        data = bytearray()
        while end not in data:
            if self._clock() > deadline:
                raise BoardError("the board did not finish in time")
            data += self._take()
            if len(data) > _OUTPUT_MAX_LEN:
                raise BoardError("the board talks without end")
        before, _, after = bytes(data).partition(end)
        self._seen[:0] = after
        return before


class ProgramFailed(BoardError):
    """A program ended with an exception; `kind` is its name, and no more of it, for the rest could hold a secret."""

    def __init__(self, traceback: str) -> None:
        last = traceback.strip().rpartition("\n")[2]
        self.kind = last.partition(":")[0].strip()[:40]
        super().__init__(f"the board's program failed: {self.kind if self.kind.isidentifier() else 'unknown error'}")


def _confused() -> BoardError:
    return BoardError("the board lost track of what it was told")


def _lost() -> BoardError:
    return BoardError("the line to the board was lost", next_step="plug it in again, and run the command again")
