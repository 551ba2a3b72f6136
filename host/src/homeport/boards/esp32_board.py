"""An ESP32 on a serial port, talked to by esptool: what it is, what is in its flash, and writing there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from homeport.boards.board import Area, Board
from homeport.boards.partition_table import TABLE_AREA, TABLE_LEN, Partition, parse_table
from homeport.boards.plan import Found
from homeport.boards.tools import tool
from homeport.errors import BoardError, ConfigError
from homeport.wire import printable

try:
    import termios
except ModuleNotFoundError:  # Windows has none
    _TERMINAL_ERRORS: tuple[type[Exception], ...] = ()
else:
    # What a cable that is pulled may raise out of pyserial, which does not make it one of its own.
    _TERMINAL_ERRORS = (termios.error,)

_FIRST_BAUD = 115_200
_REASON_MAX = 160
_HOLD_BOOT = "hold its BOOT button while it is plugged in, and try again"


class Esp32Board:
    """A connection to the chip's ROM and esptool's stub. As a context it ends with the chip started again.

    All methods raise BoardError when the board does not answer, or no more.
    """

    def __init__(self, port: str, baud: int) -> None:
        self._port = port
        self._baud = baud
        self._esptool: Any = tool("esptool")
        self._errors = (self._esptool.FatalError, tool("serial").SerialException, OSError, *_TERMINAL_ERRORS)
        self._chip: Any = None

    def __enter__(self) -> Esp32Board:
        tool("esptool.logger").log.set_verbosity("silent")
        try:
            chip = self._esptool.detect_chip(self._port, _FIRST_BAUD)
            self._chip = chip
            self._chip = self._esptool.run_stub(chip)
            if self._baud != _FIRST_BAUD:
                self._chip.change_baud(self._baud)
            self._esptool.attach_flash(self._chip)
        except self._errors as error:
            self._close()
            raise BoardError(
                f"no Espressif chip answers on {self._port}: {_reason(error)}", next_step=_HOLD_BOOT
            ) from None
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        try:
            if kind is None or issubclass(kind, ConfigError):
                self._esptool.reset_chip(self._chip, "hard-reset")
        except self._errors as error:
            if kind is None:
                reason = f"the board on {self._port} does not start anew: {_reason(error)}"
                raise BoardError(reason, next_step="press its EN or RESET button") from None
        finally:
            self._close()

    def check(self, board: Board) -> None:
        """Raise ConfigError unless it is that board's chip, open to everybody's images, with flash enough."""
        chip = self._chip.CHIP_NAME
        if chip != board.chip:
            raise ConfigError(f"the chip on {self._port} is {chip}, board {board.name} has {board.chip}")
        try:
            size = self._esptool.cmds.detect_flash_size(self._chip)
            flash_len = int(self._esptool.util.flash_size_bytes(size) or 0)
            is_locked = self._chip.get_secure_boot_enabled() or self._chip.get_flash_encryption_enabled()
        except self._errors as error:
            raise self._lost(error) from None
        if flash_len < board.flash_len:
            found = size or "of unknown size"
            raise ConfigError(f"the flash on {self._port} is {found}, board {board.name} has {board.flash_len >> 20}MB")
        if is_locked:
            raise ConfigError(f"the chip on {self._port} has secure boot or flash encryption: it would not start this")

    def find(self, board: Board) -> Found:
        """What is in its flash now."""
        partitions: Sequence[Partition] = ()
        try:
            partitions = parse_table(self._read(Area(TABLE_AREA.at, TABLE_LEN)))
        except ConfigError:
            partitions = ()  # a new chip, or one whose table is half written: nothing is named
        return Found(partitions, self._read(board.records) if board.records else b"")

    def write(self, at: int, data: bytes) -> None:
        """Erase the blocks that `data` covers, and write it."""
        try:
            self._esptool.write_flash(self._chip, [(at, data)], no_progress=True)
        except self._errors as error:
            raise self._lost(error) from None

    def erase(self, area: Area) -> None:
        """Erase whole blocks."""
        try:
            self._esptool.erase_region(self._chip, area.at, area.len)
        except self._errors as error:
            raise self._lost(error) from None

    def verify(self, at: int, data: bytes) -> None:
        """Compare what is in flash; raises BoardError when it is something else."""
        try:
            self._esptool.verify_flash(self._chip, [(at, data)])
        except self._esptool.FatalError as error:
            raise BoardError(f"the flash does not hold what was written at {at:#x}: {_reason(error)}") from None
        except self._errors as error:
            raise self._lost(error) from None

    def _read(self, area: Area) -> bytes:
        try:
            return bytes(self._esptool.read_flash(self._chip, area.at, area.len, no_progress=True))
        except self._errors as error:
            raise self._lost(error) from None

    def _lost(self, error: BaseException) -> BoardError:
        return BoardError(f"the board on {self._port} has stopped answering: {_reason(error)}")

    def _close(self) -> None:
        if self._chip is not None:
            self._chip._port.close()


def _reason(error: BaseException) -> str:
    return printable(str(error).splitlines()[0] if str(error) else type(error).__name__, _REASON_MAX).rstrip(".")
