"""Processes that the demo starts, watches and stops."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

from homeport.errors import ConfigError, HomeportError, Timeout
from homeport.wire import printable

STOP_TIMEOUT_S = 10
_POLL_S = 0.05
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
                    env=os.environ | environment,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
        except OSError as error:
            raise ConfigError(f"cannot start the {name}: {error}") from error

    async def wait_until(self, ready: Callable[[], Awaitable[bool]], timeout_s: float) -> None:
        """Wait until `ready` says so; raise ConfigError if the process ends before, Timeout."""
        give_up_at = time.monotonic() + timeout_s
        while not await ready():
            self.check()
            if time.monotonic() > give_up_at:
                raise Timeout(f"the {self.name} was not ready within {timeout_s:.0f} s; see {self._log}")
            await asyncio.sleep(_POLL_S)
        self.check()

    def check(self) -> None:
        """Raise ConfigError, with its last words, if the process has ended."""
        if self._process.poll() is not None:
            raise ConfigError(f"the {self.name} ended with code {self._process.returncode}: {self._last_line()}")

    async def ended(self) -> HomeportError:
        """Wait for an end that nobody asked for; return what to say about it."""
        while True:
            try:
                self.check()
            except ConfigError as error:
                return error
            await asyncio.sleep(_POLL_S * 10)

    def stop(self) -> None:
        """Ask it to end, and insist if it does not."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    def _last_line(self) -> str:
        text = self._log.read_bytes()[-_LOG_TAIL:].decode("utf-8", "replace")
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        return printable(lines[-1].removeprefix("error: "), 300) if lines else f"see {self._log}"
