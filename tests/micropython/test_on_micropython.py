"""Runs every unittest-style file of tests/shared and tests/device on Unix MicroPython, one process each."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parent.parent
MICROPYTHON = Path(sys.executable).parent / "micropython"
# Tests compile from source and some keep all vectors in memory, so they get more than a board has (tests/budget
# holds the stack to that), but not so much that a leak goes unnoticed.
HEAP = "1500k"
# Keeps copies of a whole flash, in pieces that a small heap has no room for in the end.
HEAPS = {"littlefs_records": "8000k"}
# What only MicroPython can run has no name that pytest would collect.
ONLY_HERE = [
    TESTS / "micropython" / f"{name}.py"
    for name in ("board_port_esp32", "board_port_rp2", "littlefs_power_cut", "littlefs_records", "no_allocation")
]
FILES = [*sorted(TESTS.glob("shared/test_*.py")), *sorted(TESTS.glob("device/test_*.py")), *ONLY_HERE]


def run(path: Path, heap: str = HEAP) -> subprocess.CompletedProcess[str]:
    search = [TESTS.parent / "firmware", TESTS / "micropython" / "lib", TESTS / "support", ".frozen"]
    return subprocess.run(
        [MICROPYTHON, "-X", f"heapsize={heap}", path],
        env={**os.environ, "MICROPYPATH": ":".join(str(entry) for entry in search)},
        cwd=path.parent,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_passes_on_micropython(path: Path) -> None:
    done = run(path, HEAPS.get(path.stem, HEAP))
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    assert "ran " in done.stdout, "the file does not call unittest.main()"
