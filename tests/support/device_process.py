"""Example devices in processes of their own, on either runtime."""

import contextlib
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
FIRMWARE = ROOT / "firmware"
RUNTIMES = ("micropython", "cpython")
START_S = 20


def command(runtime: str, app: str, heap: str = "") -> list[str]:
    """The command that runs an example, or the script at a path; `heap` limits MicroPython's memory."""
    script = app if app.endswith(".py") else str(FIRMWARE / "examples" / f"{app}.py")
    if runtime == "cpython":
        return [sys.executable, script]
    limit = ["-X", f"heapsize={heap}"] if heap else []
    return [str(Path(sys.executable).parent / "micropython"), *limit, script]


def environment() -> dict[str, str]:
    """Where MicroPython finds the firmware."""
    return {**os.environ, "MICROPYPATH": f"{FIRMWARE}:.frozen"}


class DeviceProcess:
    """A running device: its local port and, when it has ended, all that it printed."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.lines: list[str] = []
        self.local_port = 0
        self._ended = False
        self._changed = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        if not self.wait_for("ready "):
            process.kill()
            raise RuntimeError("the device did not start:\n" + "\n".join(self.lines))

    def wait_for(self, text: str) -> bool:
        """Wait until it prints a line that begins so; False when it ends or takes too long instead."""

        def known() -> bool:
            return any(line.startswith(text) for line in self.lines)

        with self._changed:
            self._changed.wait_for(lambda: known() or self._ended, START_S)
            return known()

    def stop(self) -> int:
        """End it as Ctrl-C does; returns the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(2)
        try:
            code = self.process.wait(START_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        self._reader.join(START_S)
        return code

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            found = re.match(r"ready local-port=(\d+) ", line)
            with self._changed:
                if found:
                    self.local_port = int(found[1])
                self.lines.append(line.rstrip("\n"))
                self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()


@contextlib.contextmanager
def running(runtime: str, app: str, state: Path, *options: str) -> Iterator[DeviceProcess]:
    """A device on a free local port for the time of the context."""
    process = subprocess.Popen(
        [*command(runtime, app), "--local-port", "0", "--state", str(state), *options],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    device = DeviceProcess(process)
    try:
        yield device
    finally:
        device.stop()
