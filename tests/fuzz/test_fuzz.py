"""Every target survives its kept crashes, real datagrams, and some seconds of fuzzing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import targets

HERE = Path(__file__).resolve().parent
KEPT = HERE / "corpus"
SECONDS = int(os.environ.get("FUZZ_SECONDS", "2"))  # for each target


@pytest.mark.parametrize("name", targets.TARGETS)
def test_survives_what_once_broke_it(name: str) -> None:
    for data in [b"", *targets.seeds(), *(file.read_bytes() for file in sorted((KEPT / name).glob("*")))]:
        targets.TARGETS[name](data)


@pytest.mark.parametrize("name", targets.TARGETS)
def test_survives_fuzzing(name: str, tmp_path: Path) -> None:
    for index, data in enumerate(targets.seeds()):
        (tmp_path / f"seed-{index}").write_bytes(data)
    done = subprocess.run(
        [sys.executable, HERE / "fuzz_one.py", name, str(SECONDS), tmp_path],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE.parent / "support"), str(HERE)])},
        capture_output=True,
        text=True,
        timeout=SECONDS + 120,
        check=False,
    )
    crashes = [(file.name, file.read_bytes().hex()) for file in tmp_path.glob("crash-*")]
    assert done.returncode == 0, f"{crashes}\n{done.stderr[-3000:]}"
