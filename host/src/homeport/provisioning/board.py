"""A board at the other end of a serial line that runs our firmware, as `homeport provision` sees it.

The board does the writing, with its own code for records: whatever happens on the way, each record is the old one or
the new one. See firmware/homeport_device/provision_serial.py for what is called there.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from homeport_core.provisioning import load
from homeport_core.record import KINDS

from homeport.boards.board import Board
from homeport.errors import BoardError, ConfigError, HomeportError
from homeport.provisioning.data_set import DataSet
from homeport.provisioning.raw_repl import ClosableLine, ProgramFailed, RawRepl
from homeport.wire import printable

_MARK = "homeport-provision "
_OWN = "homeport: "  # how the device's own lines begin
_MODULE = "homeport_device.provision_serial"
# At the prompt main.py has not run, which tells MicroPython without ROMFS where the firmware is.
_IMPORT = f"""
import sys
if "/rom/lib" not in sys.path:
    sys.path.append("mpy")
from {_MODULE} import call
"""
_PIECE_LEN = 256
_SHOWN_MAX = 80
_LINE_MAX = 200
_PORT_PAUSE_S = 0.2
_CHIPS = ("ESP32", "ESP32S2", "ESP32S3", "ESP32C3", "ESP32C6", "RP2040", "RP2350")  # as MicroPython names them
_NO_FIRMWARE = "install the firmware first: 'homeport flash', or 'mpremote mip install'"

# What a device says of itself when it starts, and with what it has said all.
_ENDS = r"attached|wrong password|no network|(open )?set-up network|cannot start"
_SAID = re.compile(rf"(ready |homeport: (joined|no answer|{_ENDS}))")
_SAID_ALL = re.compile(rf"(ready .*remote=off|homeport: ({_ENDS}))")


@dataclass(frozen=True)
class Facts:
    """What a board says about itself. `records` are states by kind: missing, damaged, or the SHA-256 of the payload."""

    version: str
    platform: str
    machine: str
    number: str
    device_id: str | None
    records: dict[str, str]

    def __str__(self) -> str:
        return f"{self.machine}, Homeport {self.version}, number {self.number}" if self.number else self.machine


class SerialTarget:
    """The board at the line that `connect` opens. Everything raises BoardError."""

    def __init__(self, connect: Callable[[], ClosableLine]) -> None:
        self._connect = connect
        self._line = connect()
        self._repl = RawRepl(self._line)
        self._is_ours = False

    def close(self) -> None:
        """Close the line."""
        with contextlib.suppress(OSError):
            self._line.close()

    def open(self) -> Facts:
        """Stop what runs there and find out what it is. Raises ConfigError for a board without our firmware."""
        self._repl.enter()
        try:
            self._repl.run(_IMPORT)
        except ProgramFailed as error:
            if error.kind != "ImportError":
                raise
            about = self._repl.run("import sys; print(sys.implementation.name, sys.platform)")
            raise ConfigError(
                f"the board runs {_shown(about)} without Homeport's firmware, or with an older one; {_NO_FIRMWARE}"
            ) from None
        self._is_ours = True
        return _facts(self._call("facts"))

    def write(self, data: DataSet, progress: Callable[[str], None]) -> None:
        """Send all records, have them written, and make sure that the board has them."""
        digests = {kind: hashlib.sha256(payload).hexdigest() for kind, payload in data.payloads.items()}
        for kind, payload in data.payloads.items():
            progress(f"sending {kind}, {len(payload)} octets")
            for at in range(0, len(payload), _PIECE_LEN):
                self._call("put", kind, payload[at : at + _PIECE_LEN].hex())
        progress("the board writes, and is asked what it has")
        self._call("commit", digests)
        found = _facts(self._call("facts")).records
        wrong = [kind for kind, digest in digests.items() if found[kind] != digest]
        if wrong:
            raise BoardError(f"the board does not hold what was written: {', '.join(wrong)}", next_step="try once more")

    def users(self, kind: str) -> bytes | None:
        """A list of users, None where there is none."""
        octets = self._call("send", kind)["octets"]
        try:
            return None if octets is None else bytes.fromhex(octets)
        except (TypeError, ValueError):
            raise _nonsense() from None

    def restart(self, timeout_s: float) -> str | None:
        """Begin its life; returns the line in which the device says what it is, None when none comes in time.

        The port of a board that is its own USB device is gone for a moment.
        """
        self._repl.start("call('restart')")
        deadline = time.monotonic() + timeout_s
        while (left_s := deadline - time.monotonic()) > 0:
            try:
                heard = self._repl.listen(lambda line: _SAID_ALL.match(line) is not None, left_s)
            except BoardError:
                self._open_again(deadline)
                continue
            lines = [line.strip() for line in heard.splitlines() if _SAID.match(line)]
            return printable(lines[-1].removeprefix(_OWN), _LINE_MAX) if lines else None
        return None

    def abandon(self) -> None:
        """Let the board live on as it was, after an error."""
        try:
            if self._is_ours:
                self._repl.start("call('restart')")
            else:
                self._repl.leave()
        except BoardError:
            return  # nobody is there, which is what has been said already

    def _open_again(self, deadline: float) -> None:
        """Wait for the port to come back."""
        self.close()
        while time.monotonic() < deadline:
            try:
                self._line = self._connect()
            except HomeportError:
                time.sleep(_PORT_PAUSE_S)
            else:
                self._repl = RawRepl(self._line)
                return

    def _call(self, *arguments: object) -> dict[str, Any]:
        printed = self._repl.run(f"call(*{arguments!r})")
        lines = [line[len(_MARK) :] for line in printed.splitlines() if line.startswith(_MARK)]
        try:
            answer = json.loads(lines[-1])
        except (IndexError, ValueError, RecursionError):
            raise _nonsense() from None
        if not isinstance(answer, dict):
            raise _nonsense()
        if "error" in answer:
            raise BoardError(f"the board refuses: {_shown(str(answer['error']), _LINE_MAX)}")
        return answer


def check_board(facts: Facts, board: Board) -> None:
    """Raise ConfigError when these are facts of another platform or chip than the board's."""
    if facts.platform != board.platform:
        raise ConfigError(f"this is a board of platform {facts.platform}, not {board.name}: nothing was written")
    chip = facts.machine.rpartition(" with ")[2].replace("-", "")
    if chip in _CHIPS and chip != board.chip.replace("-", ""):
        raise ConfigError(f"this is a board with {chip}, not {board.name}: nothing was written")


def id_of(secrets: bytes | None) -> str | None:
    """The device's id in a record `secrets`, None where it holds none."""
    try:
        device_id = load(secrets or b"").get("id")
    except ConfigError:
        return None
    return device_id if isinstance(device_id, str) else None


def _facts(answer: dict[str, Any]) -> Facts:
    try:
        texts = {name: _shown(str(answer[name])) for name in ("version", "platform", "machine", "number")}
        records = {kind: str(answer["records"][kind][0]) for kind in KINDS}
        device_id = answer["id"]
    except (KeyError, IndexError, TypeError):
        raise _nonsense() from None
    return Facts(**texts, device_id=None if device_id is None else _shown(str(device_id)), records=records)


def _shown(text: str, most: int = _SHOWN_MAX) -> str:
    return printable(text.strip(), most)


def _nonsense() -> BoardError:
    return BoardError("the board answers nonsense: is its firmware as new as this program?")
