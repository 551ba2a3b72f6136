"""Simulated boards in processes of their own, through the years: set-up, loss, changes, power cuts, rot, and hangs."""

import contextlib
import http.client
import random
import socket
import time
from pathlib import Path

import pytest
from homeport_core import provisioning, record
from living_board import HOME, LivingBoard, board, damage, provision, store_of
from processes import KEY, CommandLine, Ports, basestation
from scripted_world import LanClient
from simulated_board import PRESS_S

RUNTIMES = ["micropython", "cpython"]
HANGING = str(Path(__file__).parent / "hanging_device.py")
SECRETS = {"id": "demo", "key": KEY}
CUTS = 8


class World(CommandLine):
    """A basestation that knows the device `demo`, and a client of it."""

    def __init__(self, path):
        super().__init__(path / "home")
        self.ports = Ports()
        self.controller = f"127.0.0.1:{self.ports.controller}"
        root = path / "var"
        pin = self.answer("basestation", "init", root)["pin"]
        self.answer("device", "add", "demo", "--key", KEY, "--dir", root)
        where = ["--basestation", f"127.0.0.1:{self.ports.gate}", "--pin", pin]
        self.answer("profile", "create", "me", "--no-password", *where)
        self.run_basestation = basestation(root, self.ports)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    world = World(tmp_path_factory.mktemp("life"))
    with world.run_basestation:
        yield world


def press(running):
    button = running.folder / "pins" / "BUTTON"
    for level in "10":
        button.write_text(level)
        time.sleep(PRESS_S)


def networks(folder):
    payload = store_of(folder).read(record.CONFIG)
    return None if payload is None else provisioning.load(payload).get("wifi", [])


@contextlib.contextmanager
def at_home(folder, world, **arguments):
    """A provisioned board that has joined its network and is attached."""
    folder.mkdir()
    provision(folder, SECRETS, controller=[world.controller], wifi=[["home", "password1"]])
    with board(folder, **arguments) as running:
        running.air(HOME)
        running.wait_for("attached to")
        yield running


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_from_the_box_to_a_clients_call(tmp_path, world, runtime):
    folder = tmp_path / "board"
    folder.mkdir()
    provision(folder, SECRETS, controller=[world.controller])
    process = LivingBoard(folder, runtime=runtime)
    process.air(HOME, {"ssid": "cafe", "rssi": -80})
    with contextlib.closing(contextlib.ExitStack()) as stack:
        stack.callback(process.cut_power)
        process.start().wait_for("set-up network")
        page = process.page()
        assert "Device id: demo" in page
        assert "home <small>strong" in page
        assert "cafe <small>weak, open" in page

        assert process.enter("home", "password2") == 303
        process.wait_for_page("the password is wrong")
        assert networks(folder) == []

        assert process.enter("home", "password1") == 303
        process.wait_for_page("has joined home")
        process.wait_for("set-up network closed")
        assert process.page() is None
        assert networks(folder) == [["home", "password1"]]

        process.wait_for("attached to")
        press(process)
        world.answer("pair", f"demo@127.0.0.1:{process.local_port}")
        assert world.answer("call", "demo", "get_current_user", "--path", "relay")["path"] == "relay"
    assert not any("password1" in line or "password2" in line for line in process.lines)


def test_a_page_for_people_on_its_own_network_only_by_its_own_name(tmp_path):
    with board(tmp_path / "board") as running:
        running.wait_for("set-up network")
        assert running.request("GET", "/generate_204", host="connectivitycheck.gstatic.com")[0] == 302
        assert running.location == f"http://127.0.0.1:{running.setup_port}/"
        assert running.request("GET", "/favicon.ico")[0] == 404
        assert running.request("PUT", "/")[0] == 501
        assert running.request("HEAD", "/") == (200, "")
        assert running.enter("home", "password1", token="0" * 16) == 403
        assert running.request("POST", "/", "token=x&ssid=home", host="evil.example")[0] == 403
        assert running.request("POST", "/", "%")[0] == 400
        assert networks(running.folder) is None


def test_a_phone_that_asks_for_a_name_is_led_to_the_page(tmp_path):
    with board(tmp_path / "board") as running, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as phone:
        running.wait_for("set-up network")
        phone.settimeout(10)
        question = b"\x00\x07\x01\x00\x00\x01" + bytes(6) + b"\x05phone\x04test\x00\x00\x01\x00\x01"
        phone.sendto(b"garbage", ("127.0.0.1", running.setup_port))
        phone.sendto(question, ("127.0.0.1", running.setup_port))
        assert phone.recv(512)[-4:] == b"\x7f\x00\x00\x01"


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_silent_browsers_keep_others_out_for_seconds_only(tmp_path, runtime):
    with board(tmp_path / "board", runtime=runtime) as running, contextlib.ExitStack() as silent:
        running.wait_for("set-up network")
        for _ in range(6):
            silent.enter_context(socket.create_connection(("127.0.0.1", running.setup_port)))
        with pytest.raises((http.client.HTTPException, OSError)):
            running.request("GET", "/")
        running.wait_for_page("Device id")


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_network_that_is_lost_is_found_again(tmp_path, world, runtime):
    with at_home(tmp_path / "board", world, runtime=runtime) as running:
        running.air()
        seen = running.wait_for("lost the network home")
        running.wait_for("not attached")
        running.air(HOME)
        seen = running.wait_for("joined home", seen)
        running.wait_for("attached to", seen)


def test_another_address_is_a_new_registration_at_once(tmp_path, world):
    with at_home(tmp_path / "board", world) as running:
        seen = len(running.lines)
        running.air(HOME | {"address": "127.0.0.2"})
        seen = running.wait_for("new address 127.0.0.2", seen)
        running.wait_for("attached to", seen)
        assert not any("lost" in line for line in running.lines)


def test_a_second_known_network_takes_over(tmp_path, world):
    folder = tmp_path / "board"
    folder.mkdir()
    known = [["office", "password2"], ["home", "password1"]]
    provision(folder, SECRETS, controller=[world.controller], wifi=known)
    with board(folder) as running:
        running.air(HOME)
        running.wait_for("no network office")
        running.wait_for("joined home")
        running.wait_for("attached to")


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_power_cuts_while_it_is_set_up_leave_a_page_or_a_network(tmp_path, runtime):
    chance = random.Random(4)
    folder = tmp_path / "board"
    process = LivingBoard(folder, runtime=runtime)
    process.air(HOME)
    for _ in range(CUTS):
        seen = len(process.lines)
        process.start().wait_for("ready", seen)
        if not networks_of_running(process, seen):
            process.enter("home", "password1")
        time.sleep(chance.random() * 0.6)
        process.cut_power()
        assert store_of(folder).read(record.CONFIG) in (None, b'{"wifi":[["home","password1"]]}')
    seen = len(process.lines)
    process.start()
    try:
        process.wait_for("ready", seen)
        if not networks_of_running(process, seen):
            process.enter("home", "password1")
        process.wait_for("joined home", seen)
    finally:
        process.cut_power()
    assert networks(folder) == [["home", "password1"]]


def networks_of_running(process, seen):
    """Whether a board that has just started goes to a network of its own accord."""
    give_up_at = time.monotonic() + 10
    while time.monotonic() < give_up_at:
        if any("joined home" in line for line in process.lines[seen:]):
            return True
        if any("set-up network" in line for line in process.lines[seen:]):
            return False
        time.sleep(0.02)
    raise AssertionError(process.lines[seen:])


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_damaged_configuration_is_the_page_with_id_and_users_kept(tmp_path, world, runtime):
    folder = tmp_path / "board"
    with at_home(folder, world, runtime=runtime) as running:
        press(running)
        world.answer("pair", f"demo@127.0.0.1:{running.local_port}")
    users = store_of(folder).read(record.USERS)
    for slot in record.SLOTS:
        damage(folder, record.slot_offset(record.CONFIG, slot) + record.PAGE_LEN, 20)
    with board(folder, runtime=runtime) as running:
        running.air(HOME)
        running.wait_for("config cannot be used")
        running.wait_for("set-up network")
        page = running.page()
        assert "Device id: demo" in page
        assert "configuration was damaged" in page
        running.enter("home", "password1")
        running.wait_for_page("has joined home")
        running.wait_for("set-up network closed")
    assert store_of(folder).read(record.USERS) == users
    assert networks(folder) == [["home", "password1"]]


def test_a_damaged_identity_is_said_and_kept(tmp_path):
    folder = tmp_path / "board"
    folder.mkdir()
    provision(folder, SECRETS, wifi=[["home", "password1"]])
    for slot in record.SLOTS:
        damage(folder, record.slot_offset(record.SECRETS, slot) + record.PAGE_LEN, 8)
    before = (folder / "flash.img").read_bytes()
    with board(folder) as running:
        running.air(HOME)
        running.wait_for("secrets cannot be used")
        running.wait_for("remote=off")
        running.wait_for("joined home")
    assert (folder / "flash.img").read_bytes() == before


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_what_hangs_is_reset_and_says_so(tmp_path, runtime):
    folder = tmp_path / "board"
    with board(folder, app=HANGING, runtime=runtime) as running:
        running.wait_for("ready")
        (folder / "hang").write_text("")
        assert running.process.wait(20) != 0
        (folder / "hang").unlink()
        seen = len(running.lines)
        running.start()
        running.wait_for("started: watchdog", seen)
        running.wait_for("ready", seen)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_device_answers_whatever_its_handlers_raise(tmp_path, runtime):
    folder = tmp_path / "board"
    folder.mkdir()
    provision(folder, wifi=[["home", "password1"]])
    with board(folder, app=HANGING, runtime=runtime) as running:
        running.air(HOME)
        running.wait_for("joined home")
        client = LanClient(running.local_port, bytes(range(16)))
        for kind in range(8):
            assert client.call(1, bytes((kind,))) == (False, b"\x00\x00\x00\x0a")
            assert client.call(1, b"\xff") == (True, b"\xff")
        client.close()
        seen = running.wait_for("task failed: MemoryError")
        running.wait_for("task failed: MemoryError", seen)
