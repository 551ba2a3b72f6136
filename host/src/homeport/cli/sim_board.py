"""Runs a simulated board as a socket runs a real one: it starts again whenever it resets."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from types import FrameType

# How the firmware ends when its board resets, and when its watchdog bites.
_RESETS = (42, -signal.SIGKILL)
_BOOT_S = 0.5
_SIGNALLED = 128  # a shell's way to say by which signal something ended


def run_board(command: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run the firmware until it ends for good, which SIGINT and SIGTERM ask it for; return its exit code."""
    stopping = False
    process: subprocess.Popen[bytes] | None = None

    def stop(number: int, _: FrameType | None) -> None:
        nonlocal stopping
        stopping = True
        if process is not None:
            process.send_signal(number)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    while True:
        # In a session of its own, so that Ctrl-C reaches it once.
        process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, start_new_session=True)
        if stopping:
            process.terminate()
        code = process.wait()
        if stopping:
            return 0
        if code not in _RESETS:
            return code if code >= 0 else _SIGNALLED - code
        time.sleep(_BOOT_S)
