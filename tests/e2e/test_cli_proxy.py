"""The commands behind an HTTP proxy that wants a password: what they reach, what they say of it, and what not."""

import subprocess
import sys
from pathlib import Path

import pytest
from processes import KEY, CommandLine, Ports, basestation, device, only_error_line

NAME = "base.office.example"  # which only the proxy knows
USER = "me:s3cret"
_PROXY = Path(__file__).parents[1] / "support" / "connect_proxy.py"


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A basestation, an attached device, its owner, and a proxy on the way to the gate; yields (owner, proxy)."""
    path = tmp_path_factory.mktemp("proxy")
    ports = Ports()
    owner = CommandLine(path / "owner")
    pin = owner.answer("basestation", "init", path / "var")["pin"]
    owner.answer("device", "add", "demo", "--key", KEY, "--dir", path / "var")
    gate = ("--basestation", f"{NAME}:{ports.gate}", "--pin", pin)
    owner.answer("profile", "create", "owner", "--no-password", *gate)
    proxy = subprocess.Popen(
        [sys.executable, _PROXY, "127.0.0.1:0", USER, f"{NAME}=127.0.0.1"], stdout=subprocess.PIPE, text=True
    )
    port = proxy.stdout.readline().split()[1]
    with basestation(path / "var", ports), device(ports, path / "device", until="attached to"):
        owner.answer("pair", f"demo@127.0.0.1:{ports.local}")
        yield owner, f"127.0.0.1:{port}"
    proxy.kill()
    proxy.communicate()


@pytest.fixture(autouse=True)
def no_other_proxy(monkeypatch):
    """Nothing of the machine's own settings."""
    for name in ("HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.mark.parametrize("path", ["tls", "relay"])
def test_status_names_the_proxy_without_its_password(world, monkeypatch, path):
    owner, proxy = world
    monkeypatch.setenv("HTTPS_PROXY", f"http://{USER}@{proxy}")
    found = owner.answer("status", "demo", "--path", path)
    assert (found["path"], found["proxy"]) == (path, f"http://{proxy}")
    done = owner.run("status", "demo", "--path", path)
    assert f"http://{proxy}" in done.stdout
    assert "s3cret" not in done.stdout + done.stderr


def test_netcheck_names_it_too(world, monkeypatch):
    owner, proxy = world
    monkeypatch.setenv("https_proxy", f"http://{USER}@{proxy}")
    assert owner.answer("netcheck")["proxy"] == f"http://{proxy}"
    assert f"through the proxy http://{proxy}" in owner.run("netcheck").stdout.splitlines()[0]


def test_a_wrong_password_is_told_and_not_repeated(world, monkeypatch):
    owner, proxy = world
    monkeypatch.setenv("HTTPS_PROXY", f"http://me:wr0ng@{proxy}")
    line = only_error_line(owner.run("status", "demo", "--path", "tls"))
    assert f"the proxy http://{proxy} refused the user and password in HTTPS_PROXY" in line
    assert "wr0ng" not in line
