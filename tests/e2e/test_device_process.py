"""An example device as a process of its own, on both runtimes: how it starts, what it keeps, how it ends."""

import json
import re
import signal
import socket
import subprocess
from pathlib import Path
from xml.etree import ElementTree

import pytest
from device_process import RUNTIMES, DeviceProcess, command, environment, running
from scripted_world import Basestation, LanClient

KEY = bytes(range(0x40, 0x50))
FINGERPRINT = bytes(range(16))
PATIENCE_S = 10


@pytest.fixture(params=RUNTIMES)
def runtime(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def run_to_end(runtime: str, app: str, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*command(runtime, app), *options],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_it_says_when_it_is_ready_and_ends_cleanly_on_ctrl_c(runtime: str, tmp_path: Path) -> None:
    with running(runtime, "light", tmp_path / "state", "--id", "dev1") as device:
        pass
    assert f"ready local-port={device.local_port} id=dev1 remote=off" in device.lines
    assert device.process.returncode == 0
    assert device.lines[-1] == "homeport: stopped"
    assert not [line for line in device.lines if "Traceback" in line]


def test_on_cpython_the_signal_to_terminate_ends_it_cleanly(tmp_path: Path) -> None:
    with running("cpython", "light", tmp_path / "state", "--id", "dev1") as device:
        device.process.send_signal(signal.SIGTERM)
        assert device.process.wait(PATIENCE_S) == 0


def test_an_occupied_port_is_one_line_that_names_it(runtime: str, tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("0.0.0.0", 0))
        port = str(other.getsockname()[1])
        done = run_to_end(runtime, "light", "--id", "a", "--local-port", port, "--state", str(tmp_path / "state"))
    assert done.returncode == 3
    assert f"UDP port {port} is taken" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("options", "named", "code"),
    [
        ((), "--id", 2),
        (("--id", "a", "--key", "00"), "32 hex digits", 2),
        (("--id", "a", "--wrong", "1"), "--wrong", 2),
        (("--id", "a", "--state", "/nonexistent/folder"), "/nonexistent/folder", 3),
    ],
)
def test_mistakes_end_it_with_one_line(runtime: str, options: tuple[str, ...], named: str, code: int) -> None:
    done = run_to_end(runtime, "light", "--local-port", "0", *options)
    assert done.returncode == code
    assert named in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    assert done.stdout.count("error:") == 1


def test_both_runtimes_print_the_same_interface() -> None:
    for app in ("light", "heat_pump", "ventilation"):
        printed = [run_to_end(runtime, app, "--interface") for runtime in RUNTIMES]
        assert printed[0].stdout == printed[1].stdout
        root = ElementTree.fromstring(printed[0].stdout.encode())
        assert root.tag == "unabto_queries"
        ids = [int(query.attrib["id"]) for query in root]
        assert ids == sorted(set(ids))


def test_the_heat_pumps_interface_is_the_published_one() -> None:
    root = ElementTree.fromstring(run_to_end("micropython", "heat_pump", "--interface").stdout.encode())
    shapes = {
        query.attrib["name"]: [
            [(part.attrib["name"], part.attrib.get("type", "list")) for part in section] for section in query
        ]
        for query in root
        if 20000 <= int(query.attrib["id"]) <= 20030
    }
    assert shapes == {
        "heatpump_get_full_state.json": [
            [],
            [
                ("activated", "uint8"),
                ("mode", "uint32"),
                ("target_temperature", "uint32"),
                ("room_temperature", "uint32"),
            ],
        ],
        "heatpump_set_activation_state.json": [[("activated", "uint8")], [("activated", "uint8")]],
        "heatpump_set_target_temperature.json": [[("temperature", "uint32")], [("temperature", "uint32")]],
        "heatpump_set_mode.json": [[("mode", "uint32")], [("mode", "uint32")]],
    }


def test_who_paired_is_known_after_a_restart(runtime: str, tmp_path: Path) -> None:
    state = tmp_path / "state"
    with running(runtime, "heat_pump", state, "--id", "hp") as device:
        client = LanClient(device.local_port, FINGERPRINT)
        assert client.call(20000) == (False, b"\x00\x00\x00\x04")
        assert client.call(11010, b"\x00\x02me")[0]
        assert client.call(20020, (25).to_bytes(4, "big")) == (True, b"\x00\x00\x00\x19")
        client.close()
    with running(runtime, "heat_pump", state, "--id", "hp") as device:
        client = LanClient(device.local_port, FINGERPRINT)
        done, response = client.call(20000)
        client.close()
    assert done
    assert len(response) == 13


def test_the_room_moves_towards_the_target(tmp_path: Path) -> None:
    with running("micropython", "heat_pump", tmp_path / "state", "--id", "hp") as device:
        client = LanClient(device.local_port, FINGERPRINT)
        assert client.call(11010, b"\x00\x02me")[0]
        before = client.call(20000)[1][-1]
        for _ in range(100):
            device.process.poll()
            if client.call(20000)[1][-1] != before:
                break
            signal.sigtimedwait([], 0.1)
        after = client.call(20000)[1][-1]
        client.close()
    assert (before, after) == (19, 20)


def test_the_key_is_never_printed_and_need_not_be_an_argument(runtime: str, tmp_path: Path) -> None:
    basestation = Basestation("dev1", KEY)
    options = ["--id", "dev1", "--controller", f"127.0.0.1:{basestation.address[1]}", "--local-port", "0"]
    process = subprocess.Popen(
        [*command(runtime, "light"), *options, "--state", str(tmp_path / "state")],
        env={**environment(), "HOMEPORT_DEVICE_KEY": KEY.hex()},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    device = DeviceProcess(process)
    basestation.attach()
    assert device.wait_for("homeport: attached to 127.0.0.1:")
    device.stop()
    basestation.close()
    assert not re.search(KEY.hex(), "\n".join(device.lines), re.IGNORECASE)


def test_a_damaged_list_of_users_closes_the_device_and_says_so(runtime: str, tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir()
    (state / "acl.bin").write_bytes(b"\x00\x00\x00\x04garbage")
    options = ("--id", "dev1", "--key", KEY.hex(), "--controller", "127.0.0.1:9")
    with running(runtime, "light", state, *options) as device, pytest.raises(AssertionError):
        LanClient(device.local_port, FINGERPRINT)
    assert any("damaged" in line and "acl.bin" in line for line in device.lines)
    assert any("remote=off" in line for line in device.lines)
    assert (state / "acl.bin").read_bytes() == b"\x00\x00\x00\x04garbage"


def test_on_cpython_the_list_of_users_is_for_its_owner_only(tmp_path: Path) -> None:
    state = tmp_path / "state"
    with running("cpython", "light", state, "--id", "dev1") as device:
        client = LanClient(device.local_port, FINGERPRINT)
        assert client.call(11010, b"\x00\x02me")[0]
        client.close()
    assert (state / "acl.bin").stat().st_mode & 0o777 == 0o600
    assert state.stat().st_mode & 0o777 == 0o700


def test_settings_may_come_from_a_file(runtime: str, tmp_path: Path) -> None:
    file = tmp_path / "device.json"
    file.write_text(json.dumps({"id": "from-file", "key": KEY.hex(), "controller": "127.0.0.1:9"}))
    with running(runtime, "light", tmp_path / "state", "--config", str(file)) as device:
        pass
    assert any("id=from-file remote=on" in line for line in device.lines)


def test_async_handlers_are_answered_when_they_end(runtime: str, tmp_path: Path) -> None:
    app = str(Path(__file__).parent / "slow_device.py")
    with running(runtime, app, tmp_path / "state", "--id", "dev1") as device:
        client = LanClient(device.local_port, FINGERPRINT)
        assert [client.call(1, bytes((x,))) for x in (1, 2)] == [(True, b"\x02"), (True, b"\x03")]
        assert client.call(2) == (False, b"\x00\x00\x00\x0a")
        assert client.call(3) == (False, b"\x00\x00\x00\x09")
        assert client.call(1, b"\x07") == (True, b"\x08")
        client.close()
    assert [line for line in device.lines if "failed" in line] == [
        "homeport: query broken failed: ValueError broken on purpose"
    ]
