"""Emulated boards. Where the emulator or its image is not installed these tests are left out, and the report's last
lines say so; with EMULATION_REQUIRED set, as in continuous integration, they fail instead.
"""

import os

from microbit import obstacle

_LEFT_OUT_BECAUSE = "" if os.environ.get("EMULATION_REQUIRED") else obstacle()
collect_ignore_glob = ["test_microbit*.py"] if _LEFT_OUT_BECAUSE else []


def pytest_terminal_summary(terminalreporter):
    if _LEFT_OUT_BECAUSE:
        terminalreporter.write_line(f"tests/emulation left out: {_LEFT_OUT_BECAUSE}", yellow=True)
