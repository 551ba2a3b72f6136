"""Processes that the demo starts, watches and stops."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from homeport.errors import ConfigError, Timeout
from homeport.wire import printable

STOP_TIMEOUT_S = 10
_POLL_S = 0.02
_WATCH_S = 0.5
_LOG_TAIL = 4096


class Child:
    """A process in a session of its own, so that Ctrl-C reaches only its parent, who stops it in good order."""

    def __init__(self, name: str, command: Sequence[str], environment: Mapping[str, str], log: Path) -> None:
        """Start it; what it prints goes to `log`. Raises ConfigError."""
        self.name = name
        self._log = log
        try:
            with open(log, "wb") as output:
                self._process = subprocess.Popen(
                    command,
                    env=os.environ | environment | {"PYTHONUNBUFFERED": "1"},
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
        except OSError as error:
            raise ConfigError(f"cannot start the {name}: {error}") from error

    async def wait_for(self, words: str, timeout_s: float) -> None:
        """Wait until it has printed `words`; raise ConfigError if it ends before, Timeout."""
        give_up_at = time.monotonic() + timeout_s
        while words.encode() not in self._log.read_bytes():
            self.check()
            if time.monotonic() > give_up_at:
                raise Timeout(f"the {self.name} did not say {words!r} within {timeout_s:.0f} s; see {self._log}")
            await asyncio.sleep(_POLL_S)

    def check(self) -> None:
        """Raise ConfigError, with its last words, if the process has ended."""
        if self._process.poll() is not None:
            raise ConfigError(f"the {self.name} ended with code {self._process.returncode}: {self._last_words()}")

    async def watch(self) -> None:
        """Wait for an end that nobody asked for, and raise ConfigError."""
        while True:
            self.check()
            await asyncio.sleep(_WATCH_S)

    def stop(self) -> None:
        """Ask it to end, and insist if it does not."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    def _last_words(self) -> str:
        text = self._log.read_bytes()[-_LOG_TAIL:].decode("utf-8", "replace")
        errors = [line for line in text.splitlines() if line.startswith("error: ")]
        return printable(errors[-1].removeprefix("error: "), 300) if errors else f"see {self._log}"
