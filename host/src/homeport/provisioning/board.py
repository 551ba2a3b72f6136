"""A board at the other end of a serial line that runs our firmware, as `homeport provision` sees it.

The board does the writing, with its own code for records: whatever happens on the way, each record is the old one or
the new one. See firmware/homeport_device/provision_serial.py for what is called there.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from homeport_core.provisioning import load
from homeport_core.record import KINDS

from homeport.errors import BoardError, ConfigError
from homeport.provisioning.data_set import DataSet
from homeport.provisioning.raw_repl import ProgramFailed, RawRepl
from homeport.wire import printable

_MARK = "homeport-provision "
_MODULE = "homeport_device.provision_serial"
_PIECE_LEN = 256
_SHOWN_MAX = 80
_LINE_MAX = 200
_NO_FIRMWARE = "install the firmware first: 'homeport flash', or 'mpremote mip install'"

# What a device says once it is what it will be for now.
STATES = ("ready ", "set-up ")


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
    """The board at `repl`. Everything raises BoardError."""

    def __init__(self, repl: RawRepl) -> None:
        self._repl = repl

    def open(self) -> Facts:
        """Stop what runs there and find out what it is. Raises ConfigError for a board without our firmware."""
        self._repl.enter()
        try:
            self._repl.run(f"from {_MODULE} import call")
        except ProgramFailed as error:
            if error.kind != "ImportError":
                raise
            about = self._repl.run("import sys; print(sys.implementation.name, sys.platform)")
            raise ConfigError(f"the board runs {_shown(about)}, without Homeport's firmware; {_NO_FIRMWARE}") from None
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
        """Begin its life; returns the line in which the device says what it is, None when none comes in time."""
        self._repl.start("call('restart')")
        heard = self._repl.listen(lambda line: line.startswith(STATES), timeout_s)
        lines = [line.strip() for line in heard.splitlines() if line.startswith(STATES)]
        return printable(lines[-1], _LINE_MAX) if lines else None

    def leave(self) -> None:
        """Let it be; its watchdog begins its life again."""
        self._repl.leave()

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
