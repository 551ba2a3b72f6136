"""How a simulated board ends, in a process of its own on either interpreter: a reset, and a watchdog that bites."""

import subprocess
import sys
from pathlib import Path

import pytest
from device_process import RUNTIMES, environment

MICROPYTHON = Path(sys.executable).parent / "micropython"
SIGKILL = 9
PATIENCE_S = 20


def run(runtime, tmp_path, program):
    """A program with the hardware of a board in the folder `board`."""
    script = tmp_path / "program.py"
    begin = f'from homeport_device.hardware import Hardware\nhardware = Hardware(None, "{tmp_path}/board")\n'
    script.write_text(begin + program)
    interpreter = sys.executable if runtime == "cpython" else MICROPYTHON
    return subprocess.run(
        [interpreter, script], env=environment(), capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_reset_ends_it_and_is_told_at_the_next_start(runtime, tmp_path):
    assert run(runtime, tmp_path, "hardware.reset()").returncode == 42
    assert run(runtime, tmp_path, "print(hardware.reset_cause())").stdout == "4\n"


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_board_that_hangs_is_killed_by_its_watchdog(runtime, tmp_path):
    done = run(runtime, tmp_path, "hardware.watchdog(200)\nwhile True:\n    pass\n")
    assert done.returncode in (-SIGKILL, 128 + SIGKILL)
    assert run(runtime, tmp_path, "print(hardware.reset_cause())").stdout == "3\n"


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_board_that_feeds_its_watchdog_lives(runtime, tmp_path):
    program = """
import time
dog = hardware.watchdog(200)
for _ in range(20):
    time.sleep(0.02)
    dog.feed()
print("alive")
"""
    done = run(runtime, tmp_path, program)
    assert (done.returncode, done.stdout) == (0, "alive\n")
