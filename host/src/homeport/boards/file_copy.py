"""Files for a board that runs MicroPython, one by one over its prompt; compared afterwards by their SHA-256.

What the device remembers is in a folder of its own, which is left alone. `main.py` goes first and comes back last: a
board whose copying was interrupted starts nothing.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Mapping

from homeport.boards.image import MAIN
from homeport.errors import BoardError, ConfigError
from homeport.provisioning.raw_repl import RawRepl

STATE_DIR = "state"  # where the firmware keeps its records among files
LIBRARY = "lib"

_CHUNK_LEN = 1024

# A device that was running leaves a watchdog behind, which nothing stops: without food it resets the board 8 s later,
# amid the copying or while a person reads the plan. So a timer feeds it, for ten minutes and not for ever: a
# board whose host has gone begins its life again.
_KEEP_AWAKE = """
import machine
def feed(timer):
    global food
    if food:
        food -= 1
        dog.feed()
if hasattr(machine, "WDT"):
    food = 600
    dog = machine.WDT(timeout=8000)
    timer = machine.Timer(period=1000, callback=feed)
"""

# Answers with the platform and the kind of machine.
_WHO = "import sys\nprint(sys.platform, sys.implementation[2])"

_REMOVE = """
import os
def remove(path):
    try:
        if os.stat(path)[0] & 0x4000:
            for name in os.listdir(path):
                remove(path + "/" + name)
            os.rmdir(path)
        else:
            os.remove(path)
    except OSError as error:
        if error.errno != 2:
            raise
for path in {paths}:
    remove(path)
"""
_OPEN = """
import os, binascii
def folders(path):
    for end in range(1, len(path)):
        if path[end] == "/":
            try:
                os.mkdir(path[:end])
            except OSError as error:
                if error.errno != 17:
                    raise
folders({path})
file = open({path}, "wb")
"""
_WRITE = "file.write(binascii.a2b_base64({octets}))"
_CLOSE = "file.close()"
_SUMS = """
import hashlib, binascii, json
def digest(path):
    sum = hashlib.sha256()
    with open(path, "rb") as file:
        while True:
            octets = file.read(512)
            if not octets:
                return binascii.hexlify(sum.digest()).decode()
            sum.update(octets)
print(json.dumps([digest(path) for path in {paths}]))
"""


def keep_awake(repl: RawRepl) -> None:
    """Keep the watchdog of the device that was interrupted from resetting the board. Raises BoardError."""
    repl.run(_KEEP_AWAKE)


def check_machine(repl: RawRepl, platform: str, chip: str) -> None:
    """Raise ConfigError unless the board runs MicroPython for that platform and chip."""
    answer = repl.run(_WHO).strip()
    if not answer.startswith(platform + " "):
        raise ConfigError(f"the board runs MicroPython for {answer.partition(' ')[0][:20]!r}, not for {platform!r}")
    if chip not in answer:
        raise ConfigError(f"the board says that it is {answer.partition(' ')[2][:60]!r}, not one with {chip}")


def folder_of(repl: RawRepl) -> str:
    """Where the board's files begin; ends with "/". Raises BoardError."""
    return repl.run("import os\nprint(os.getcwd())").strip().rstrip("/") + "/"


def copy_files(repl: RawRepl, files: Mapping[str, bytes], root: str, note: Callable[[str], None]) -> None:
    """Replace the application's files below `root` (ends with "/") by these; nothing else is touched. Raises
    BoardError."""
    ours = {path: data for path, data in files.items() if path.partition("/")[0] != STATE_DIR}
    repl.run(_REMOVE.format(paths=[root + MAIN, root + LIBRARY]))
    for path in sorted(ours, key=lambda path: (path == MAIN, path)):
        note(path)
        _copy(repl, root + path, ours[path])
    _verify(repl, {root + path: data for path, data in ours.items()})


def erase_state(repl: RawRepl, root: str) -> None:
    """Remove all that the device remembers. Raises BoardError."""
    repl.run(_REMOVE.format(paths=[root + STATE_DIR]))


def _copy(repl: RawRepl, path: str, data: bytes) -> None:
    repl.run(_OPEN.format(path=repr(path)))
    for at in range(0, len(data), _CHUNK_LEN):
        repl.run(_WRITE.format(octets=base64.b64encode(data[at : at + _CHUNK_LEN])))
    repl.run(_CLOSE)


def _verify(repl: RawRepl, files: Mapping[str, bytes]) -> None:
    paths = sorted(files)
    try:
        sums = json.loads(repl.run(_SUMS.format(paths=paths)))
    except (ValueError, RecursionError):
        sums = None
    if not isinstance(sums, list) or len(sums) != len(paths):
        raise BoardError("the board does not tell what it has")
    for path, found in zip(paths, sums, strict=True):
        if found != hashlib.sha256(files[path]).hexdigest():
            raise BoardError(f"{path} on the board is not what was written")
