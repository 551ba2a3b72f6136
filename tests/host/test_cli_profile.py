"""`homeport profile`."""

import json

import pytest
from homeport.cli.context import ask_password
from homeport.cli.main import app
from homeport.cli.output import ExitCode
from homeport.client.profile import Profile
from homeport.errors import ConfigError
from typer.testing import CliRunner

PIN = "00:11:22:33:44:55:66:77:88:99:aa:bb:cc:dd:ee:ff"


@pytest.fixture
def home(tmp_path):
    return tmp_path / "home"


def run(home, *arguments, stdin=None, **variables):
    cleared = {"HOMEPORT_PASSWORD": None, "HOMEPORT_PROFILE": None}
    return CliRunner().invoke(app, ["--home", str(home), *arguments], input=stdin, env=cleared | variables)


def test_create_then_show(home):
    where = ["--basestation", "b.example.org", "--pin", PIN]
    created = run(home, "profile", "create", "me", "--no-password", *where, "--json")
    assert created.exit_code == 0, created.stderr
    document = json.loads(created.stdout)
    assert document["basestation"] == "b.example.org:5568"
    assert (document["pin"], document["encrypted"]) == (PIN, False)
    assert json.loads(run(home, "--json", "profile", "show", "me").stdout) == document
    assert document["fingerprint"] in run(home, "profile", "show", "me").stdout


def test_the_home_may_come_from_the_environment(home):
    result = CliRunner().invoke(app, ["profile", "create", "me", "--no-password"], env={"HOMEPORT_HOME": str(home)})
    assert result.exit_code == 0
    assert (home / "profiles/me/key.pem").exists()


def test_the_password_may_come_from_the_environment(home):
    assert run(home, "profile", "create", "me", HOMEPORT_PASSWORD="secret").exit_code == 0
    assert Profile.load(home, "me", "secret").name == "me"


def test_without_a_terminal_a_missing_password_is_an_error(home):
    result = run(home, "profile", "create", "me")
    assert result.exit_code == ExitCode.CONFIG
    assert "HOMEPORT_PASSWORD" in result.stderr
    assert not home.exists()


@pytest.mark.parametrize(("second", "created"), [("secret", True), ("sacred", False)])
def test_a_typed_password_is_asked_for_twice(monkeypatch, second, created):
    typed = iter(["secret", second])
    monkeypatch.delenv("HOMEPORT_PASSWORD", raising=False)
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("getpass.getpass", lambda prompt: next(typed))
    if created:
        assert ask_password("Password: ", confirm=True) == "secret"
    else:
        with pytest.raises(ConfigError, match="differ"):
            ask_password("Password: ", confirm=True)


def test_list_and_remove(home):
    for name in ("b", "a"):
        run(home, "profile", "create", name, "--no-password")
    assert [line.split()[0] for line in run(home, "profile", "list").stdout.splitlines()] == ["a", "b"]
    assert run(home, "profile", "remove", "a", "--yes").exit_code == 0
    names = [item["name"] for item in json.loads(run(home, "profile", "list", "--json").stdout)["profiles"]]
    assert names == ["b"]


@pytest.mark.parametrize("typed", ["n\n", ""])
def test_a_profile_is_removed_only_when_confirmed(home, typed):
    run(home, "profile", "create", "me", "--no-password")
    assert run(home, "profile", "remove", "me", stdin=typed).exit_code == ExitCode.INTERRUPTED
    assert (home / "profiles/me").exists()


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["create", "../x", "--no-password"], "not a profile name"),
        (["create", "x", "--no-password", "--pin", "00"], "not a fingerprint"),
        (["create", "x", "--no-password", "--basestation", "a:b"], "not an address"),
        (["create", "x", "--no-password", "--key-bits", "1024"], "1024 bits"),
        (["show", "x"], "no profile 'x'"),
        (["remove", "x", "--yes"], "no profile 'x'"),
    ],
)
def test_what_cannot_be_is_one_line_and_leaves_nothing(home, arguments, reason):
    result = run(home, "profile", *arguments)
    assert (result.exit_code, result.stdout) == (ExitCode.CONFIG, "")
    (line,) = result.stderr.splitlines()
    assert line.startswith("error: ")
    assert reason in line
    assert not home.exists()


@pytest.mark.parametrize("name", ["key.pem", "certificate.pem", "profile.json"])
def test_an_unreadable_profile_is_one_line_that_names_the_file(home, name):
    run(home, "profile", "create", "me", "--no-password")
    (home / "profiles/me" / name).write_bytes(b"\xff\x00 damaged")
    result = run(home, "call", "demo@127.0.0.1:9", "get_interface_info")
    assert result.exit_code == ExitCode.CONFIG
    (line,) = result.stderr.splitlines()
    assert name in line


def test_a_wrong_password_is_one_line(home):
    run(home, "profile", "create", "me", HOMEPORT_PASSWORD="secret")
    result = run(home, "call", "demo@127.0.0.1:9", "get_interface_info", HOMEPORT_PASSWORD="other")
    assert result.exit_code == ExitCode.CONFIG
    (line,) = result.stderr.splitlines()
    assert "wrong password" in line


def test_without_a_profile_the_error_says_how_to_create_one(home):
    result = run(home, "call", "demo", "get_interface_info")
    assert result.exit_code == ExitCode.CONFIG
    assert "homeport profile create" in result.stderr


def test_with_several_profiles_one_has_to_be_chosen(home):
    for name in ("a", "b"):
        run(home, "profile", "create", name, "--no-password")
    assert "choose one with --profile" in run(home, "call", "demo", "get_interface_info").stderr
    chosen = run(home, "--profile", "nope", "call", "demo", "get_interface_info")
    assert "no profile 'nope'" in chosen.stderr
    from_environment = run(home, "call", "demo", "get_interface_info", HOMEPORT_PROFILE="nope")
    assert "no profile 'nope'" in from_environment.stderr
