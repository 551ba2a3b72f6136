"""A third party's client, the PyPI package genvexnabto, against the ventilation example on both runtimes."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from device_process import ROOT, RUNTIMES, running

PEER = Path(__file__).parent / "genvexnabto_peer.py"
DEVICE_ID = "123456.remote.lscontrol.dk"
EMAIL = "user@example.com"
OLD_PACKAGE, NEW_PACKAGE = "1.1.0", "1.5.4"
NEW_PACKAGE_PYTHON = (3, 12)


def newer_python() -> str | None:
    """An interpreter that the newer package's syntax needs, if there is one here."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    names = ("python3.12", "python3.13", "python3.14")
    for candidate in [sys.executable, *map(shutil.which, names), *sorted(pyenv.glob("3.1[2-9]*/bin/python"))]:
        if candidate is None:
            continue
        asked = [str(candidate), "-c", "import sys; print(*sys.version_info[:2])"]
        done = subprocess.run(asked, capture_output=True, text=True, check=False)
        if done.returncode == 0 and tuple(map(int, done.stdout.split())) >= NEW_PACKAGE_PYTHON:
            return str(candidate)
    return None


NEWER_PYTHON = newer_python()
PACKAGES = {OLD_PACKAGE: sys.executable} | ({NEW_PACKAGE: NEWER_PYTHON} if NEWER_PYTHON else {})


@pytest.fixture(scope="module", params=sorted(PACKAGES))
def peer_python(request: pytest.FixtureRequest) -> Path:
    """The interpreter of an environment that holds one version of the package and nothing of ours."""
    version = request.param
    folder = ROOT / f".venv-genvexnabto-{version}"
    python = folder / "bin" / "python"
    if not (folder / "complete").exists():
        subprocess.run([PACKAGES[version], "-m", "venv", "--clear", folder], check=True)
        subprocess.run([python, "-m", "pip", "install", "-q", f"genvexnabto=={version}"], check=True)
        (folder / "complete").touch()
    return python


def use(python: Path, port: int, email: str) -> dict:
    done = subprocess.run(
        [python, PEER, str(port), DEVICE_ID, email], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout.rpartition("RESULT ")[2])


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_it_discovers_connects_reads_and_writes(runtime: str, peer_python: Path, tmp_path: Path) -> None:
    with running(runtime, "ventilation", tmp_path / "state", "--id", DEVICE_ID) as device:
        seen = use(peer_python, device.local_port, EMAIL)
    assert seen == {
        "discovered": [DEVICE_ID],
        "found": True,
        "connected": True,
        "error": False,
        "data": True,
        "supply": 21.2,
        "humidity": 46.0,
        "before": 21.0,
        "after": 22.5,
    }


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_an_address_that_is_not_on_the_list_is_refused(runtime: str, peer_python: Path, tmp_path: Path) -> None:
    with running(runtime, "ventilation", tmp_path / "state", "--id", DEVICE_ID) as device:
        seen = use(peer_python, device.local_port, "stranger@example.com")
    assert seen["discovered"] == [DEVICE_ID]
    assert not seen["connected"]
    assert "auth" in seen["error"]
