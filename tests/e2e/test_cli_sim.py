"""`homeport sim` and `homeport interface`: the example firmware in processes of their own."""

import os
import shutil
import signal
import socket
import sys
from pathlib import Path

import pytest
from homeport.cli import firmware
from homeport.cli.firmware import Runtime
from homeport.client.queries.interface import Interface
from homeport.errors import ConfigError
from processes import KEY, Ports, answer, device, homeport, only_error_line

RUNTIMES = ["micropython", "cpython"]


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("app", firmware.examples())
def test_every_example_prints_an_interface_that_parses(app, runtime):
    done = homeport("interface", app, "--runtime", runtime)
    assert done.returncode == 0, done.stderr
    assert Interface.parse(done.stdout.encode()).queries


def test_the_examples_are_applications_and_nothing_else():
    applications = ["heat_pump", "light", "sunpi", "tunnel_gateway", "ventilation", "weather_station"]
    assert firmware.examples() == applications


def test_the_interface_is_the_same_on_both_runtimes():
    printed = [answer("interface", "heat_pump", "--runtime", runtime)["xml"] for runtime in RUNTIMES]
    assert printed[0] == printed[1]


def test_the_published_heat_pump_queries_are_declared():
    interface = Interface.parse(homeport("interface", "heat_pump").stdout.encode())
    assert interface.query("heatpump_get_full_state").id == 20000
    assert [field.name for field in interface.query("heatpump_set_target_temperature").request] == ["temperature"]


@pytest.mark.parametrize("command", ["interface", "sim"])
def test_an_unknown_example_lists_those_there_are(command):
    more = ["--id", "x", "--key", KEY] if command == "sim" else []
    line = only_error_line(homeport(command, "no_such", *more))
    assert "no example 'no_such'" in line
    assert "heat_pump, light" in line


@pytest.mark.parametrize("app", ["../examples/light", "__init__", "", "light.py", "x" * 500])
def test_an_example_is_a_name_not_a_path(app):
    with pytest.raises(ConfigError, match="no example"):
        firmware.command(app, Runtime.CPYTHON)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--id", "x", "--key", "00"], "expected 32 hex digits, got 2"),
        (["--id", "x", "--key", "g" * 32], "expected 32 hex digits"),
        (["--id", "no_underscore", "--key", KEY], "not a device id"),
        (["--id", "x" * 41, "--key", KEY], "not a device id"),
        (["--id", "x", "--key", KEY, "--controller", "host:port"], "not an address"),
    ],
)
def test_what_cannot_be_is_one_line_and_leaves_nothing(tmp_path, arguments, reason):
    line = only_error_line(homeport("sim", "light", "--state", tmp_path / "state", *arguments))
    assert reason in line
    assert KEY not in line
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_device_runs_until_interrupted_and_ends_with_0(tmp_path, runtime):
    with device(Ports(), tmp_path, app="light", runtime=runtime) as process:
        assert process.poll() is None
    assert process.returncode == 0


def test_a_device_that_is_terminated_ends(tmp_path):
    with device(Ports(), tmp_path, app="light") as process:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=10)
    assert process.returncode in (-signal.SIGTERM, 128 + signal.SIGTERM)


def test_what_a_simulated_board_keeps_is_for_its_owner_alone(tmp_path):
    folder = tmp_path / "board"
    homeport("sim", "light", "--board", folder, "--", "--setup-port", "none")
    assert folder.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_the_key_is_not_in_the_list_of_processes(tmp_path, runtime):
    with device(Ports(), tmp_path, app="light", runtime=runtime) as process:
        command_line = Path(f"/proc/{process.pid}/cmdline").read_bytes()
    assert b"light.py" in command_line
    assert KEY.encode() not in command_line


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_taken_port_is_an_error_that_names_it(tmp_path, runtime):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("0.0.0.0", 0))
        port = sock.getsockname()[1]
        where = ["--local-port", port, "--state", tmp_path, "--controller", "127.0.0.1:9", "--runtime", runtime]
        done = homeport("sim", "light", "--id", "x", "--key", KEY, *where)
    assert done.returncode != 0
    (line,) = [line for line in (done.stdout + done.stderr).splitlines() if line.startswith("error: ")]
    assert str(port) in line


def test_options_of_the_firmware_are_passed_on(tmp_path):
    done = homeport("sim", "light", "--id", "x", "--key", KEY, "--state", tmp_path, "--", "--warp", "9")
    assert done.returncode == 2
    assert "no such option: --warp" in done.stdout


def test_without_micropython_the_choice_is_cpython(monkeypatch):
    monkeypatch.setattr(os, "access", lambda *_: False)
    monkeypatch.setattr(shutil, "which", lambda _: None)
    assert firmware.choose_runtime(None) is Runtime.CPYTHON
    with pytest.raises(ConfigError, match="--runtime cpython"):
        firmware.choose_runtime(Runtime.MICROPYTHON)


def test_micropython_is_the_one_beside_this_python():
    program = firmware.command("light", firmware.choose_runtime(None))[0]
    assert program == str(Path(sys.executable).with_name("micropython"))
