"""The basestation as a real process: it starts, notices its operator, keeps secrets, stops cleanly and remembers."""

import contextlib
import json
import os
import signal
import socket

import pytest
from basestation_process import BasestationProcess, SocketDevice, homeport, homeport_json, inventory_of, until
from gate_peers import GateClient
from gsp_peers import opened
from homeport.basestation import directory as directory_module
from homeport.basestation.directory import Directory
from homeport.fingerprint import format_fingerprint
from homeport.gate_fields import read_endpoint
from homeport.wire import endpoint
from homeport_core.payloads import parse_ipx
from homeport_core.spec import PL_IPX, PT_U_ALIVE, PT_U_ATTACH

ID = "dev1.example.net"
KEY = bytes.fromhex("0f1e2d3c4b5a69788796a5b4c3d2e1f0")


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setattr(directory_module, "GATE_KEY_BITS", 2048)
    root = tmp_path / "var"
    Directory(root).initialise()
    return root


@pytest.fixture
def run(root):
    processes = []

    def run(**options):
        processes.append(BasestationProcess(root, **options))
        return processes[-1]

    yield run
    for process in processes:
        process.kill()


@pytest.fixture
def make_device():
    with contextlib.ExitStack() as stack:

        def make(device_id=ID, key=KEY):
            return stack.enter_context(contextlib.closing(SocketDevice(device_id, key)))

        yield make


def operate(root, method, *args):
    """What an operator does, without waiting for an interpreter to start; the commands have tests of their own."""
    with inventory_of(root) as inventory:
        return getattr(inventory, method)(*args)


def show(root):
    return operate(root, "show", ID)


def test_a_started_basestation_says_where_it_listens(root, run):
    basestation = run()
    assert basestation.ready["pin"] == format_fingerprint(Directory(root).pin())
    assert basestation.ready["pid"] == basestation.process.pid
    assert len({basestation.address(role) for role in ("controller", "gsp", "gate", "admin")}) == 4
    assert basestation.health()["status"] == "ok"
    metrics = basestation.get("/metrics")
    for figure in ("attached", 'socket_errors_total{what="gsp"}', 'reports_suppressed_total{what="gsp"}'):
        assert f"homeport_{figure} 0.0" in metrics


def test_every_log_line_is_json(run):
    basestation = run()
    assert basestation.stop() == 0
    lines = [json.loads(line) for line in basestation.log().splitlines()]
    assert [line["event"] for line in lines] == ["ready", "stopped"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_it_cleanly(run, number):
    basestation = run()
    os.kill(basestation.process.pid, number)
    assert basestation.process.wait(timeout=20) == 0
    assert basestation.lines("stopped")


def test_a_device_added_while_it_runs_may_attach(root, run, make_device):
    basestation = run()
    operate(root, "add", ID, KEY)
    until(lambda: basestation.health()["devices"] == 1, "the new device")
    first = opened(make_device().attach(basestation.address("gsp")))
    assert first.type == PT_U_ALIVE
    assert basestation.health()["attached"] == 1
    until(lambda: show(root).attached, "the record of the attachment")
    assert "attached since" in homeport("device", "show", ID, "--dir", root).stdout


def test_a_disabled_device_loses_its_attachment_and_gets_nothing(root, run, make_device):
    operate(root, "add", ID, KEY)
    basestation = run()
    device = make_device()
    device.attach(basestation.address("gsp"))
    operate(root, "set_enabled", ID, False)
    until(lambda: basestation.health()["attached"] == 0, "the end of the attachment")
    while not device.hears_nothing():
        pass
    for role in ("controller", "gsp"):
        invite = device.device.invite(controller=role == "controller")
        device.socket.sendto(invite, basestation.address(role))
    assert device.hears_nothing()
    until(lambda: show(root).refusal, "the record of the refusal")
    assert show(root).refusal == "the device is disabled"
    assert basestation.lines("device_lost")[0]["reason"] == "disabled"


def test_an_unknown_device_gets_nothing_and_the_log_says_why(run, make_device):
    basestation = run()
    device = make_device("stranger")
    device.socket.sendto(device.device.invite(), basestation.address("gsp"))
    assert device.hears_nothing()
    (line,) = until(lambda: basestation.lines("invite_refused"), "a log line")
    assert line["device"] == "stranger"
    assert line["reason"] == "no device of this id is provisioned"


def test_a_device_with_a_wrong_key_gets_nothing_and_the_operator_sees_why(root, run, make_device):
    operate(root, "add", ID, KEY)
    basestation = run()
    device = make_device(key=bytes(16))
    gsp = basestation.address("gsp")
    device.socket.sendto(device.device.invite(), gsp)
    attach = opened(device.receive())
    assert attach.type == PT_U_ATTACH
    device.socket.sendto(device.device.attach_answer(attach.sp, bytes(32), bytes(32)), gsp)
    assert device.hears_nothing()
    until(lambda: show(root).refusal, "the record of the refusal")
    assert "does not verify under the registered key" in show(root).refusal
    assert basestation.health()["attached"] == 0


def test_attached_devices_are_still_attached_after_a_restart(root, run, make_device):
    operate(root, "add", ID, KEY)
    first = run()
    device = make_device()
    device.attach(first.address("gsp"))
    assert first.stop() == 0
    assert "until the basestation stopped" in homeport("device", "show", ID, "--dir", root).stdout
    second = run(gsp=first.ready["gsp"])
    alive = opened(device.receive())
    while alive.type != PT_U_ALIVE or alive.sp != device.device.nsi:
        alive = opened(device.receive())
    assert second.health()["attached"] == 1
    assert second.lines("ready")[-1]["restored"] == 1


@pytest.mark.parametrize("change", [("rotate_key", ID), ("set_enabled", ID, False), ("remove", ID)])
def test_a_device_changed_while_it_was_down_is_not_attached_after_a_restart(root, run, make_device, change):
    operate(root, "add", ID, KEY)
    first = run()
    make_device().attach(first.address("gsp"))
    assert first.stop() == 0
    operate(root, *change)
    second = run()
    assert second.health()["attached"] == 0


def test_a_restart_after_a_crash_keeps_devices_attached_too(root, run, make_device):
    operate(root, "add", ID, KEY)
    first = run()
    make_device().attach(first.address("gsp"))
    until(lambda: show(root).attached, "the record of the attachment")
    first.kill()
    assert run().health()["attached"] == 1


async def test_a_basestation_on_all_addresses_names_the_one_that_was_reached(root, run, make_device):
    operate(root, "add", ID, KEY)
    basestation = run(gsp="0.0.0.0:0", gate="0.0.0.0:0")
    port = basestation.address("gsp")[1]
    device = make_device()
    device.socket.sendto(device.device.invite(controller=True), basestation.address("controller"))
    assert parse_ipx(opened(device.receive()).get(PL_IPX)).private == endpoint(("127.0.0.1", port))
    client = await GateClient.greeted(("127.0.0.1", basestation.address("gate")[1]))
    assert client.hello["gsp"] == f"127.0.0.1:{port}"
    await client.close()


async def test_a_public_name_is_told_instead(root, run, make_device):
    operate(root, "add", ID, KEY)
    basestation = run(gsp="0.0.0.0:0", public="192.0.2.77")
    named = endpoint(("192.0.2.77", basestation.address("gsp")[1]))
    device = make_device()
    device.socket.sendto(device.device.invite(controller=True), basestation.address("controller"))
    assert parse_ipx(opened(device.receive()).get(PL_IPX)).private == named
    client = await GateClient.greeted(basestation.address("gate"))
    assert read_endpoint(client.hello["gsp"]) == named
    await client.close()


@pytest.mark.parametrize(
    ("role", "kind"),
    [
        ("controller", socket.SOCK_DGRAM),
        ("gsp", socket.SOCK_DGRAM),
        ("gateway", socket.SOCK_STREAM),
        ("gate", socket.SOCK_STREAM),
        ("admin", socket.SOCK_STREAM),
    ],
)
def test_an_occupied_port_is_an_error_that_names_it_and_the_option(root, role, kind):
    free = [f"--{name}=127.0.0.1:0" for name in ("controller", "gsp", "gate", "admin") if name != role]
    with socket.socket(socket.AF_INET, kind) as other:
        other.bind(("127.0.0.1", 0))
        if kind == socket.SOCK_STREAM:
            other.listen()
        taken = f"127.0.0.1:{other.getsockname()[1]}"
        result = homeport("basestation", "run", root, *free, f"--{role}={taken}")
    assert result.returncode != 0
    assert result.stdout == ""
    (error,) = [line for line in result.stderr.splitlines() if not line.startswith("{")]
    assert taken in error
    assert "already in use" in error
    assert f"--{role}" in error


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--gate=nonsense"], "gate: 'nonsense' is not HOST:PORT"),
        (["--gate=192.0.2.1:0"], "TCP 192.0.2.1:0 cannot be used"),
        (["--public=no.such.name.invalid"], "public: 'no.such.name.invalid' has no IPv4 address"),
    ],
)
def test_an_option_that_does_not_work_is_named(root, options, expected):
    free = [f"--{name}=127.0.0.1:0" for name in ("controller", "gsp", "gate", "admin")]
    result = homeport("basestation", "run", root, *free, *options)
    assert result.returncode != 0
    assert expected in result.stderr
    assert "Traceback" not in result.stderr


def test_a_second_basestation_on_the_same_directory_is_refused(root, run):
    run()
    result = homeport("basestation", "run", root, "--gate=127.0.0.1:0")
    assert result.returncode != 0
    assert "another basestation is running" in result.stderr


def test_running_without_a_directory_says_what_to_do(tmp_path):
    result = homeport("basestation", "run", tmp_path / "none")
    assert result.returncode != 0
    assert "homeport basestation init" in result.stderr
    assert not (tmp_path / "none").exists()


def test_init_prints_the_pin_and_changes_nothing_the_second_time(root):
    first = homeport_json("basestation", "init", root)
    assert first == {"directory": str(root), "created": False, "pin": format_fingerprint(Directory(root).pin())}


async def test_a_client_is_introduced_to_a_device(root, run, make_device):
    operate(root, "add", ID, KEY)
    basestation = run()
    device = make_device()
    gsp = basestation.address("gsp")
    device.attach(gsp)
    client = await GateClient.greeted(basestation.address("gate"))
    assert client.hello["gsp"] == basestation.ready["gsp"]
    request = {"client_id": "me", "private": None, "probe": None, "nat_type": 0, "rendezvous": False}
    await client.send({"type": "connect", "id": 1, "device": ID, **request})
    await client.send({"type": "connect", "id": 2, "device": "stranger", **request})
    while not device.device.connections:
        device.answer(gsp)
    answers = {answer["id"]: answer for answer in [await client.message(), await client.message()]}
    assert answers[2]["name"] == "UNKNOWN_MICRO"
    nsi = bytes.fromhex(answers[1]["nsi"])
    assert device.device.connections == {nsi: bytes.fromhex(answers[1]["key"])}
    assert answers[1]["gsp"] == basestation.ready["gsp"]
    await client.close()


async def test_no_secret_is_in_any_log_or_file(root, run, make_device):
    operate(root, "add", ID, KEY)
    basestation = run()
    device = make_device()
    gsp = basestation.address("gsp")
    device.attach(gsp)
    client = await GateClient.greeted(basestation.address("gate"))
    request = {"client_id": "me", "private": None, "probe": None, "nat_type": 0, "rendezvous": False}
    await client.send({"type": "connect", "id": 1, "device": ID, **request})
    while not device.device.connections:
        device.answer(gsp)
    session_key = bytes.fromhex((await client.message())["key"])
    await client.close()
    until(lambda: show(root).attached, "the record of the attachment")
    metrics = basestation.get("/metrics") + basestation.get("/healthz")
    basestation.stop()
    secrets = [KEY, device.device.key, session_key, bytes.fromhex(client.hello["probe"]["key"])]
    places = {name: (root / name).read_bytes() for name in os.listdir(root)} | {"admin": metrics.encode()}
    places["log"] = basestation.log().encode()
    assert b"device_attached" in places["log"]
    assert b"connect_accepted" in places["log"]
    for name, content in places.items():
        for secret in secrets:
            for part in (secret, secret[:16], secret[-16:]):
                assert part not in content, name
                assert part.hex().encode() not in content.lower(), name
    master = (root / "master.key").read_bytes().strip()
    assert all(master not in content for name, content in places.items() if name != "master.key")
