"""Flashing from the first check to the last comparison: whatever stops it, it can say what state the board is in.

Records come first, if anything happens to them: once the new partition table names their place, whatever is there
counts as records.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from homeport.boards import esp32, rp2
from homeport.boards.drive import find_drive, write_uf2
from homeport.boards.esp32_board import Esp32Board
from homeport.boards.file_copy import check_machine, copy_files, erase_state, folder_of, keep_awake
from homeport.boards.filesystem import read_files
from homeport.boards.image import FILESYSTEM, MICROPYTHON, Image
from homeport.boards.plan import RECORDS_WORDS, Action, Step, plan_drive, plan_esp32, plan_files
from homeport.boards.serial_port import choose_port
from homeport.errors import BoardError
from homeport.provisioning.raw_repl import RawRepl
from homeport.provisioning.serial_line import open_line

_COMPARED = "done: what was written is what the board holds, and it starts"
_TAKEN = "done: the drive has all of it, and the board starts"
_LEFT = "the drive has left, as it does when the board has everything; if it was pulled, do this again"


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the person at the command line said. `name` is MicroPython's file, for messages."""

    name: str
    erase_records: bool | None
    only_looks: bool


class Flashing:
    """One board being flashed. `ask(steps)` tells whether to go on, `note(line)` shows how far it is."""

    def __init__(
        self, image: Image, wishes: Wishes, ask: Callable[[Sequence[Step]], bool], note: Callable[[str], None]
    ) -> None:
        self.image = image
        self.wishes = wishes
        self.steps: Sequence[Step] = ()
        self._done = ""  # in which way, in words
        self._ask = ask
        self._note = note
        self._current: Step | None = None

    def esp32(self, port: str | None, baud: int) -> None:
        """Flash an ESP32 on a serial port; without one a mere look shows the plan alone. Raises ConfigError when
        nothing was erased, BoardError."""
        image, wishes = self.image, self.wishes
        pieces = esp32.pieces(image, wishes.name)
        if wishes.only_looks and port is None:
            self._decide(plan_esp32(image, pieces, None, wishes.erase_records))
            return
        with Esp32Board(choose_port(port), baud) as chip:
            chip.check(image.board)
            if not self._decide(plan_esp32(image, pieces, chip.find(image.board), wishes.erase_records)):
                return
            for step in self.steps:
                self._begin(step)
                if step.action is Action.WRITE:
                    chip.write(step.area.at, step.data)
                    chip.verify(step.area.at, step.data)
                elif step.action is Action.ERASE:
                    chip.erase(step.area)
            self._done = _COMPARED

    def drive(self, folder: Path | None) -> None:
        """Flash an RP2 board on its USB drive. Raises ConfigError when nothing was erased, BoardError."""
        image, wishes = self.image, self.wishes
        if MICROPYTHON in image.parts:
            rp2.firmware(image.board, image.parts[MICROPYTHON], wishes.name)
        steps = plan_drive(image, wishes.erase_records)
        written = [step.area for step in steps if step.action is Action.WRITE]
        files = image.board.filesystem in written
        data = rp2.uf2_file(image, with_micropython=MICROPYTHON in image.parts, with_files=files, name=wishes.name)
        if not wishes.only_looks or folder is not None:
            folder = find_drive(image.board, folder)
        if not self._decide(steps) or folder is None:
            return
        self._begin(next(step for step in steps if step.action is Action.WRITE))
        self._done = _TAKEN if write_uf2(folder, data) else _LEFT

    def files(self, port: str) -> None:
        """Copy the files to a board that runs MicroPython. Raises ConfigError when nothing was erased, BoardError."""
        image, wishes = self.image, self.wishes
        files = read_files(image.board, image.parts[FILESYSTEM])
        with prompt(choose_port(port)) as repl:
            check_machine(repl, image.board.platform, image.board.chip)
            keep_awake(repl)
            if not self._decide(plan_files(image, wishes.erase_records)):
                return
            root = folder_of(repl)
            for step in self.steps:
                self._begin(step)
                if step.action is Action.WRITE:
                    copy_files(repl, files, root, self._note)
                elif step.action is Action.ERASE:
                    erase_state(repl, root)
            self._done = _COMPARED

    @property
    def is_done(self) -> bool:
        """Whether everything has been written."""
        return bool(self._done)

    def state(self) -> str:
        """What state the board is in, in words."""
        if self._done:
            return self._done
        if self._current is None:
            return "nothing was erased"
        what = self._current.what
        doing = f"{what} were erased" if self._current.action is Action.ERASE else f"{what} went onto the board"
        kept = any(step.action is Action.KEEP and RECORDS_WORDS in step.what for step in self.steps)
        records = f"; {RECORDS_WORDS} were not touched" if kept else ""
        state = f"the board is incomplete now and may not start{records}; run the same command again"
        return f"this was while {doing}; {state}"

    def _decide(self, steps: Sequence[Step]) -> bool:
        self.steps = steps
        return self._ask(steps) and not self.wishes.only_looks

    def _begin(self, step: Step) -> None:
        if step.action is not Action.KEEP:
            self._current = step
            self._note(f"{step.what} …")


@contextlib.contextmanager
def prompt(port: str) -> Iterator[RawRepl]:
    """MicroPython's prompt at a port; afterwards the board starts anew. Raises BoardError."""
    line = open_line(port)
    try:
        repl = RawRepl(line)
        repl.enter()
        try:
            yield repl
        finally:
            with contextlib.suppress(BoardError):  # what went wrong before is what is told
                repl.start("import machine\nmachine.reset()")
    finally:
        line.close()
