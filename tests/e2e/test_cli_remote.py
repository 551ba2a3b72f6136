"""The command line through a basestation: what works, and what is said when something is not there."""

import json
import re

import pytest
from processes import KEY, CommandLine, Ports, basestation, device, homeport, only_error_line

OTHER_PIN = "00:11:22:33:44:55:66:77:88:99:aa:bb:cc:dd:ee:ff"


class Clients:
    """Client homes whose profile names the basestation of this world, or what the test says instead."""

    def __init__(self, path, ports):
        self.path = path
        self.ports = ports
        self.root = path / "var"
        self.pin = CommandLine(path / "nobody").answer("basestation", "init", self.root)["pin"]

    def make(self, name, pin=None, gate=None):
        client = CommandLine(self.path / name)
        gate = gate or f"127.0.0.1:{self.ports.gate}"
        where = ["--basestation", gate, "--pin", pin or self.pin]
        client.answer("profile", "create", name, "--no-password", *where)
        return client


@pytest.fixture(scope="module")
def clients(tmp_path_factory):
    """A basestation with a heat pump that is attached, a device that never was, and a paired client."""
    path = tmp_path_factory.mktemp("remote")
    ports = Ports()
    clients = Clients(path, ports)
    operator = CommandLine(path / "nobody")
    operator.answer("device", "add", "demo", "--key", KEY, "--dir", clients.root)
    operator.answer("device", "add", "absent", "--dir", clients.root)
    operator.answer("device", "add", "disabled", "--dir", clients.root)
    operator.answer("device", "disable", "disabled", "--dir", clients.root)
    with basestation(clients.root, ports), device(ports, path / "device", until="attached to"):
        clients.make("owner").answer("pair", f"demo@127.0.0.1:{ports.local}")
        yield clients


@pytest.fixture
def owner(clients):
    return CommandLine(clients.path / "owner")


@pytest.mark.parametrize("path", ["direct", "relay"])
def test_a_call_takes_the_path_that_it_was_told(owner, path):
    answered = owner.answer("call", "demo", "get_current_user", "--path", path)
    assert (answered["path"], answered["result"]["name"]) == (path, "owner")
    assert answered["elapsed_ms"] >= answered["call_ms"]


def test_status_through_the_basestation_is_encrypted(owner):
    status = owner.answer("status", "demo", "--path", "relay")
    assert (status["encrypted"], status["path"]) == (True, "relay")


@pytest.mark.parametrize("arguments", [["--path", "relay", "demo", "list"], ["demo", "list", "--path=direct"]])
def test_the_owner_manages_users_from_anywhere(owner, arguments):
    assert [user["name"] for user in owner.answer("acl", *arguments)["users"]] == ["owner"]


@pytest.mark.parametrize("device_id", ["unknown", "absent", "disabled"])
def test_a_device_that_is_not_there_is_one_line(owner, device_id):
    done = owner.run("call", device_id, "get_interface_info", "--path", "relay")
    assert done.returncode == 4
    assert "not attached" in only_error_line(done)


def test_a_client_that_is_not_paired_is_told_how_to_pair(clients):
    done = clients.make("stranger").run("call", "demo", "get_interface_info", "--path", "relay")
    assert done.returncode == 5
    assert "homeport pair" in only_error_line(done)


def test_a_wrong_pin_is_one_line_with_both_fingerprints(clients):
    done = clients.make("pinned", pin=OTHER_PIN).run("call", "demo", "get_interface_info", "--path", "relay")
    assert done.returncode == 6
    line = only_error_line(done)
    assert OTHER_PIN in line
    assert clients.pin in line


def test_a_basestation_that_is_down_is_one_line_with_its_address(clients):
    done = clients.make("early", gate="127.0.0.1:9").run("call", "demo", "get_interface_info", "--path", "relay")
    assert done.returncode == 6
    assert "127.0.0.1:9" in only_error_line(done)


def test_with_json_an_error_is_one_object(clients):
    client = clients.make("scripted", gate="127.0.0.1:9")
    done = client.run("--json", "call", "demo", "get_interface_info", "--path", "relay")
    assert done.stdout == ""
    document = json.loads(done.stderr)
    assert (document["error"], document["cause"], document["exit_code"]) == ("GateError", "refused", 6)


def test_a_profile_without_a_basestation_says_so(clients):
    client = CommandLine(clients.path / "homeless")
    client.answer("profile", "create", "me", "--no-password")
    assert "names no basestation" in only_error_line(client.run("call", "demo", "get_current_user", "--path", "relay"))


@pytest.mark.parametrize("option", ["controller", "gsp", "gate", "admin"])
def test_a_taken_port_is_an_error_that_names_it(clients, tmp_path, option):
    CommandLine(tmp_path).answer("basestation", "init", tmp_path / "second")
    listen = [text for name in ("controller", "gsp", "gate", "admin") for text in (f"--{name}", "127.0.0.1:0")]
    taken = getattr(clients.ports, option)
    listen[listen.index(f"--{option}") + 1] = f"127.0.0.1:{taken}"
    done = homeport("basestation", "run", tmp_path / "second", *listen)
    assert done.returncode == 3
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert re.search(rf"\b{taken}\b", line)
