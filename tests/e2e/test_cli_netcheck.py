"""`homeport netcheck` against real processes on loopback; what NATs make of it is in tests/nat."""

import pytest
from processes import KEY, CommandLine, Ports, basestation, device, only_error_line


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A basestation, an attached device, and its owner."""
    path = tmp_path_factory.mktemp("netcheck")
    ports = Ports()
    owner = CommandLine(path / "owner")
    pin = owner.answer("basestation", "init", path / "var")["pin"]
    owner.answer("device", "add", "demo", "--key", KEY, "--dir", path / "var")
    gate = ("--basestation", f"127.0.0.1:{ports.gate}", "--pin", pin)
    owner.answer("profile", "create", "owner", "--no-password", *gate)
    with basestation(path / "var", ports), device(ports, path / "device", until="attached to"):
        owner.answer("pair", f"demo@127.0.0.1:{ports.local}")
        yield path, ports, owner


def test_basestation_and_udp_answer(world):
    _, ports, owner = world
    found = owner.answer("netcheck")
    assert found["basestation"] == f"127.0.0.1:{ports.gate}"
    assert found["gate"]["works"] and found["gate"]["round_trip_ms"] > 0
    assert found["udp"]["works"] and found["udp"]["round_trip_ms"] > 0
    assert (found["nat"], found["private"]) == ("none", found["public"])
    assert "device" not in found


def test_every_path_to_a_device_is_tried(world):
    _, _, owner = world
    device = owner.answer("netcheck", "--device", "demo")["device"]
    assert device["device"] == "demo"
    assert {kind: way["works"] for kind, way in device["paths"].items() if kind != "local"} == {
        "direct": True, "relay": True, "tls": True,
    }  # fmt: skip
    assert all(way["round_trip_ms"] is not None for way in device["paths"].values() if way["works"])


def test_address_of_a_device_leaves_the_local_path(world):
    _, ports, owner = world
    device = owner.answer("netcheck", "--device", f"demo@127.0.0.1:{ports.local}")["device"]
    assert {kind: way["works"] for kind, way in device["paths"].items()} == {"local": True}


def test_people_read_a_line_for_each_fact(world):
    _, ports, owner = world
    lines = owner.run("netcheck", "--device", "demo").stdout.splitlines()
    assert [line.split()[0] for line in lines[:4]] == ["basestation", "udp", "nat", "device"]
    assert f"127.0.0.1:{ports.gate}: works" in lines[0]


def test_unknown_device_fails_with_its_reasons(world):
    _, _, owner = world
    done = owner.run("--json", "netcheck", "--device", "nobody")
    assert done.returncode == 4
    assert '"works": true, "round_trip_ms"' in done.stdout
    assert "not attached" in done.stdout or "unknown" in done.stdout


def test_basestation_that_is_not_there_is_said(world, tmp_path):
    path, ports, _ = world
    stranger = CommandLine(tmp_path)
    stranger.answer("profile", "create", "lost", "--no-password", "--basestation", f"127.0.0.1:{Ports().gate}")
    done = stranger.run("--json", "netcheck")
    assert done.returncode == 6
    assert '"works": false' in done.stdout


def test_profile_without_basestation_has_nothing_to_check(tmp_path):
    stranger = CommandLine(tmp_path)
    stranger.answer("profile", "create", "local", "--no-password")
    done = stranger.run("netcheck")
    assert done.returncode == 3
    assert "names no basestation" in only_error_line(done)
