"""The command line against a real device on the local network: no basestation anywhere."""

import contextlib
import json
import signal
import socket
import subprocess

import pytest
from processes import HOMEPORT, RUN_TIMEOUT_S, CommandLine, Ports, device, environment, homeport, only_error_line

OTHER = "00112233445566778899aabbccddeeff"


class World(CommandLine):
    """A heat pump on MicroPython, and a client."""

    def __init__(self, path, ports):
        super().__init__(path / "home")
        self.target = f"demo@127.0.0.1:{ports.local}"
        self.address = f"127.0.0.1:{ports.local}"
        self.answer("profile", "create", "me", "--no-password")


@contextlib.contextmanager
def new_world(path):
    ports = Ports()
    with device(ports, path / "state"):
        yield World(path, ports)


@pytest.fixture
def world(tmp_path):
    with new_world(tmp_path) as world:
        yield world


@pytest.fixture(scope="module")
def unpaired(tmp_path_factory):
    """One device for all tests that change nothing."""
    with new_world(tmp_path_factory.mktemp("unpaired")) as world:
        yield world


@pytest.fixture
def owner(world):
    assert world.answer("pair", world.target)["role"] == "owner"
    return world


@pytest.fixture(scope="module")
def interface_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("interface") / "heat_pump.xml"
    path.write_text(homeport("interface", "heat_pump").stdout)
    return path


def test_a_device_is_discovered_by_its_address(unpaired):
    (found,) = unpaired.answer("discover", "--address", unpaired.address, "--timeout", "0.5")["devices"]
    assert (found["id"], found["address"]) == ("demo", unpaired.address)


def test_discovery_needs_no_profile(unpaired, tmp_path):
    stranger = CommandLine(tmp_path / "nothing")
    found = stranger.answer("discover", "--address", unpaired.address, "--timeout", "0.5")
    assert len(found["devices"]) == 1


def test_nobody_found_is_said(unpaired):
    done = unpaired.run("discover", "--address", "127.0.0.1:9", "--timeout", "0.2")
    assert (done.returncode, done.stdout) == (0, "no device answered\n")


def test_the_first_to_pair_is_owner_and_pairing_again_changes_nothing(world):
    first = world.answer("pair", world.target, "--user-name", "my phone")
    assert (first["role"], first["name"], first["already_paired"]) == ("owner", "my phone", False)
    again = world.answer("pair", world.target, "--user-name", "another name")
    assert (again["role"], again["name"], again["already_paired"]) == ("owner", "my phone", True)


def test_pairing_over_a_clear_connection_says_so(world):
    assert "in clear" in world.run("pair", world.target).stdout


def test_call_answers_with_result_path_and_time(owner, interface_file):
    answered = owner.answer("call", owner.target, "heatpump_get_full_state", "--interface", interface_file)
    assert answered["path"] == "local"
    assert answered["elapsed_ms"] >= 0
    assert set(answered["result"]) == {"activated", "mode", "target_temperature", "room_temperature"}


def test_an_interface_file_is_kept_for_the_next_call(owner, interface_file):
    line = only_error_line(owner.run("call", owner.target, "heatpump_get_full_state"))
    assert "--interface FILE.xml" in line
    assert "homeport interface heat_pump > heat_pump.xml" in line
    owner.answer("call", owner.target, "heatpump_get_full_state", "--interface", interface_file)
    owner.answer("call", owner.target, "heatpump_set_target_temperature", "temperature=0x18")
    assert owner.answer("call", owner.target, "heatpump_get_full_state.json")["result"]["target_temperature"] == 24


def test_the_command_itself_is_a_process_that_answers(owner):
    done = homeport("--home", owner.home, "--json", "call", owner.target, "get_public_device_info")
    assert json.loads(done.stdout)["result"]["is_current_user_owner"] == 1


def test_a_result_for_people_ends_with_path_and_time(owner):
    lines = owner.run("call", owner.target, "get_public_device_info").stdout.splitlines()
    assert lines[0].split() == ["device_name", "Heat", "pump"]
    assert lines[-1].startswith("(local, ")


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["heatpump_set_target_temperature", "temperature=warm"], "'warm' is not an integer of 0 to 4294967295"),
        (["heatpump_set_target_temperature"], "temperature: missing"),
        (["heatpump_set_target_temperature", "temp=1"], "no parameter 'temp'; it has: temperature"),
        (["heatpump_fly"], "no query 'heatpump_fly'; known are: "),
    ],
)
def test_a_wrong_call_is_one_line(unpaired, interface_file, arguments, reason):
    done = unpaired.run("call", unpaired.target, *arguments, "--interface", interface_file)
    assert done.returncode == 3
    assert reason in only_error_line(done)


def test_an_interface_file_with_entities_is_refused_and_not_kept(unpaired, tmp_path):
    bad = tmp_path / "bad.xml"
    bad.write_text('<!DOCTYPE x [<!ENTITY a "b">]><unabto_queries>&a;</unabto_queries>')
    done = unpaired.run("call", f"other@{unpaired.address}", "get_current_user", "--interface", bad)
    assert done.returncode == 3
    assert "DTD or entities" in only_error_line(done)
    assert not (unpaired.home / "interfaces" / "other.xml").exists()


def test_an_absurdly_large_interface_file_is_refused(unpaired, tmp_path):
    bad = tmp_path / "bad.xml"
    bad.write_bytes(b"<unabto_queries>" + b" " * 1_000_000 + b"</unabto_queries>")
    assert "larger than" in only_error_line(
        unpaired.run("call", unpaired.target, "get_current_user", "--interface", bad)
    )


def test_a_missing_interface_file_is_named(unpaired):
    assert "nowhere.xml" in only_error_line(unpaired.run("call", unpaired.target, "x", "--interface", "nowhere.xml"))


def test_a_query_that_needs_pairing_is_refused_with_the_devices_code(unpaired):
    done = unpaired.run("--json", "call", unpaired.target, "get_current_user")
    document = json.loads(done.stderr)
    assert (done.returncode, document["error"], document["code"]) == (5, "RefusedError", 4)


def test_status_tells_who_the_device_is_and_who_we_are(world):
    before = world.answer("status", world.target)
    assert (before["device_type"], before["user"], before["path"]) == ("Homeport heat pump", None, "local")
    world.answer("pair", world.target)
    assert world.answer("status", world.target)["user"]["permissions"] == "e0000000"


def test_users_are_added_allowed_denied_and_removed(owner):
    added = owner.answer("acl", owner.target, "add", OTHER, "--name", "guest")
    assert (added["name"], added["permissions"]) == ("guest", "80000000")
    shown = ":".join(OTHER[i : i + 2] for i in range(0, 32, 2))
    assert owner.answer("acl", owner.target, "allow", shown)["permissions"] == "c0000000"
    assert owner.answer("acl", owner.target, "deny", OTHER, "--remote", "--local")["permissions"] == "00000000"
    names = [user["name"] for user in owner.answer("acl", owner.target, "list")["users"]]
    assert names == ["me", "guest"]
    assert owner.answer("acl", owner.target, "remove", OTHER) == {"removed": shown}
    assert "no such user" in only_error_line(owner.run("acl", owner.target, "remove", OTHER))


def test_users_are_listed_over_several_pages(owner):
    for number in range(9):
        owner.answer("acl", owner.target, "add", f"{number + 1:032x}", "--name", f"user {number}")
    assert len(owner.answer("acl", owner.target, "list")["users"]) == 10


def test_settings_change_what_is_named_and_nothing_else(owner):
    before = owner.answer("acl", owner.target, "settings")
    assert before == {"pairing": True, "remote": True, "local": True, "new_user_remote": False}
    changed = owner.answer("acl", owner.target, "settings", "--pairing", "off", "--new-user-remote", "on")
    assert changed == before | {"pairing": False, "new_user_remote": True}
    assert owner.answer("acl", owner.target, "settings") == changed


def test_the_last_way_to_a_device_is_not_switched_off(owner):
    before = owner.answer("acl", owner.target, "settings", "--remote", "off")
    assert "leave one on" in only_error_line(owner.run("acl", owner.target, "settings", "--local", "off"))
    assert owner.answer("acl", owner.target, "settings") == before


def test_a_closed_device_does_not_pair(owner, tmp_path):
    owner.answer("acl", owner.target, "settings", "--pairing", "off")
    guest = CommandLine(tmp_path / "other")
    guest.answer("profile", "create", "guest", "--no-password")
    done = guest.run("pair", owner.target)
    assert done.returncode == 5
    assert "not open for pairing" in only_error_line(done)


def test_names_that_the_terminal_cannot_show_are_escaped(owner):
    owner.answer("acl", owner.target, "add", OTHER, "--name", "日")
    done = homeport("--home", owner.home, "acl", owner.target, "list", PYTHONIOENCODING="latin-1")
    assert (done.returncode, "\\u65e5" in done.stdout) == (0, True)


def test_who_is_paired_may_pair_again_after_pairing_was_closed(owner):
    owner.answer("acl", owner.target, "settings", "--pairing", "off")
    again = owner.answer("pair", owner.target)
    assert (again["role"], again["already_paired"]) == ("owner", True)


@pytest.mark.parametrize("fingerprint", ["00", "zz" * 16, OTHER + "00"])
def test_a_wrong_fingerprint_is_one_line(owner, fingerprint):
    assert "not a fingerprint" in only_error_line(owner.run("acl", owner.target, "add", fingerprint))


@pytest.mark.parametrize("target", ["", "a b", "demo@", "demo@host:", "demo@127.0.0.1:99999", "x" * 41])
def test_a_device_that_cannot_be_is_one_line(unpaired, target):
    done = unpaired.run("call", target, "get_current_user")
    assert done.returncode == 3
    only_error_line(done)


def test_a_silent_address_is_one_line(unpaired):
    done = unpaired.run("call", "demo@127.0.0.1:9", "get_interface_info")
    assert done.returncode == 4
    only_error_line(done)


def test_an_interrupted_call_ends_with_130(unpaired):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        silent.settimeout(RUN_TIMEOUT_S)
        target = f"demo@127.0.0.1:{silent.getsockname()[1]}"
        line = [HOMEPORT, "--home", str(unpaired.home), "call", target, "get_interface_info"]
        with subprocess.Popen(line, env=environment(), stderr=subprocess.PIPE) as process:
            silent.recv(2048)  # now it waits for an answer
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=RUN_TIMEOUT_S)
    assert (process.returncode, errors) == (130, b"")


def test_a_call_ends_with_its_time_limit(unpaired):
    done = unpaired.run("call", "demo@127.0.0.1:9", "get_interface_info", "--timeout", "0.5")
    assert done.returncode == 7
    assert "no answer within 0.5 s" in only_error_line(done)


def test_pairing_survives_a_restart_of_the_device(tmp_path):
    ports = Ports()
    with device(ports, tmp_path / "state"):
        world = World(tmp_path, ports)
        world.answer("pair", world.target)
    with device(ports, tmp_path / "state"):
        assert world.answer("pair", world.target)["already_paired"]


def test_the_light_of_the_readme(tmp_path):
    ports = Ports()
    with device(ports, tmp_path / "state", app="light"):
        world = World(tmp_path, ports)
        world.answer("pair", world.target)
        (tmp_path / "light.xml").write_text(homeport("interface", "light").stdout)
        call = ["call", world.target]
        world.answer(*call, "light_write", "light_id=1", "light_on=1", "--interface", tmp_path / "light.xml")
        assert world.answer(*call, "light_read", "light_id=1")["result"] == {"light_state": 1}
