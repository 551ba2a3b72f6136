"""The command line's frame: help everywhere, global options anywhere, errors as one line or one object."""

import json
import sys

import pytest
from homeport import __main__, __version__
from homeport.cli import output
from homeport.cli.main import app
from homeport.cli.output import ExitCode
from homeport.cli.root import hoist
from homeport.errors import (
    ConfigError,
    ConnectFailed,
    DeviceOffline,
    GateError,
    HomeportError,
    NotPaired,
    RefusedError,
    StorageError,
    Timeout,
)
from typer.testing import CliRunner

COMMANDS = [
    "basestation init",
    "basestation run",
    "device add",
    "device list",
    "device show",
    "device disable",
    "device enable",
    "device rotate-key",
    "device remove",
    "profile create",
    "profile show",
    "profile list",
    "profile remove",
    "discover",
    "pair",
    "call",
    "acl demo list",
    "acl demo add",
    "acl demo remove",
    "acl demo allow",
    "acl demo deny",
    "acl demo settings",
    "status",
    "tunnel",
    "stream",
    "sim",
    "interface",
    "demo",
]


def run(*arguments):
    return CliRunner().invoke(app, list(arguments), env={"HOMEPORT_HOME": None, "HOMEPORT_PROFILE": None})


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_every_command_explains_itself(command):
    result = run(*command.split(), "--help")
    assert result.exit_code == 0
    assert result.stdout.startswith("Usage: ")


def test_the_help_tells_the_exit_codes():
    text = " ".join(run("--help").stdout.split())
    for code in ExitCode:
        assert f" {int(code)} " in text


def test_the_version():
    result = run("--version")
    assert (result.exit_code, result.stdout) == (0, f"homeport {__version__}\n")


@pytest.mark.parametrize("group", ["", "profile", "device", "basestation"])
def test_a_group_alone_shows_its_help_as_an_error(group):
    result = run(*group.split())
    assert result.exit_code == ExitCode.USAGE
    assert "Commands:" in result.stderr


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("call D q --json", "--json call D q"),
        ("profile list --home /x --json", "--home /x --json profile list"),
        ("call --profile=me D q a=--json", "--profile=me call D q a=--json"),
        ("call D q -- --json", "call D q -- --json"),
        ("profile list --home", "--home profile list"),
        ("", ""),
    ],
)
def test_global_options_are_taken_from_anywhere(typed, meant):
    assert hoist(typed.split(), ("--json",), ("--home", "--profile")) == meant.split()


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["nope"], "No such command 'nope'"),
        (["call", "demo"], "Missing argument 'QUERY'"),
        (["call", "demo", "q", "x"], "'x' is not NAME=VALUE"),
        (["call", "demo", "q", "=x"], "'=x' is not NAME=VALUE"),
        (["call", "demo", "q", "a=1", "a=2"], "'a' is given twice"),
        (["call", "demo", "q", "--path", "sea"], "'sea'"),
        (["call", "demo", "q", "--timeout", "0"], "0"),
        (["acl", "demo", "settings", "--pairing", "maybe"], "'maybe'"),
        (["sim", "light", "--id", "x", "--key", "00" * 16, "--local-port", "70000"], "'--local-port'"),
        (["--nope"], "--nope"),
        (["profile", "show"], "Missing argument 'NAME'"),
    ],
)
def test_wrong_usage_is_one_line_and_code_2(arguments, reason):
    result = run(*arguments)
    assert (result.exit_code, result.stdout) == (ExitCode.USAGE, "")
    (line,) = result.stderr.splitlines()
    assert line.startswith("error: ")
    assert reason in line
    assert "--help'" in line


def test_wrong_usage_with_json_is_one_object():
    result = run("call", "demo", "--json")
    document = json.loads(result.stderr)
    assert (document["error"], document["exit_code"]) == ("UsageError", 2)
    assert result.stdout == ""


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (HomeportError("x"), ExitCode.UNEXPECTED),
        (ConfigError("x"), ExitCode.CONFIG),
        (StorageError("x"), ExitCode.CONFIG),
        (DeviceOffline("x"), ExitCode.UNREACHABLE),
        (ConnectFailed("x", [("local", "no answer")]), ExitCode.UNREACHABLE),
        (RefusedError("x", 4), ExitCode.REFUSED),
        (NotPaired("x"), ExitCode.REFUSED),
        (GateError("x", "pin"), ExitCode.BASESTATION),
        (Timeout("x"), ExitCode.TIMEOUT),
    ],
)
def test_each_kind_of_error_has_its_exit_code(error, code, capsys):
    assert output.report_error(error, as_json=True) == code
    document = json.loads(capsys.readouterr().err)
    assert (document["error"], document["reason"], document["exit_code"]) == (type(error).__name__, "x", code)


def fail_with(monkeypatch, error):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr("homeport.cli.profile.list_profiles", fail)


def test_a_bug_is_one_line_too(monkeypatch):
    fail_with(monkeypatch, ZeroDivisionError("no\nway"))
    result = run("profile", "list")
    assert (result.exit_code, result.stdout) == (ExitCode.UNEXPECTED, "")
    (line,) = result.stderr.splitlines()
    assert "unexpected ZeroDivisionError in fail: no" in line


def test_a_bug_shows_its_traceback_when_asked_for(monkeypatch):
    fail_with(monkeypatch, ZeroDivisionError())
    monkeypatch.setenv("HOMEPORT_TRACEBACK", "1")
    assert isinstance(run("profile", "list").exception, ZeroDivisionError)


def test_an_interrupt_in_the_middle_of_the_imports_is_no_traceback(monkeypatch):
    class Interrupted:
        def find_spec(self, name, *_):
            if name == "homeport.cli.main":
                raise KeyboardInterrupt

    monkeypatch.delitem(sys.modules, "homeport.cli.main")
    monkeypatch.setattr(sys, "meta_path", [Interrupted(), *sys.meta_path])
    with pytest.raises(SystemExit) as ended:
        __main__.main()
    assert ended.value.code == ExitCode.INTERRUPTED


def test_an_error_tells_what_to_try_next(capsys):
    output.report_error(DeviceOffline("gone", None, "plug it in"), as_json=False)
    assert capsys.readouterr().err == "error: gone; plug it in\n"


def test_a_peers_text_stays_on_its_line_and_is_cut(capsys):
    output.report_error(HomeportError("a\x1b[31m\nb" + "c" * 1000), as_json=False)
    (line,) = capsys.readouterr().err.splitlines()
    assert "\x1b" not in line
    assert len(line) < 500


def test_results_are_aligned_and_peers_text_is_made_printable():
    lines = output.value_lines({"a": 1, "long_name": "x\x07\n", "users": [{"name": "\x1b[2J", "n": 2}]})
    assert lines == [
        "a          1",
        "long_name  x\ufffd\ufffd",
        "users: 1",
        "  - name  \ufffd[2J",
        "  - n     2",
    ]
