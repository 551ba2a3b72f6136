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
from processes import KEY, CommandLine, Ports, basestation, free_port, running, wait_for_line
from scripted_world import LanClient
from simulated_board import PRESS_S

RUNTIMES = ["micropython", "cpython"]
HANGING = str(Path(__file__).parent / "hanging_device.py")
SECRETS = {"id": "demo", "key": KEY}
CUTS = 8
ROTS = 10


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


def press(made):
    button = made.folder / "pins" / "BUTTON"
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
    with board(folder, **arguments) as made:
        made.air(HOME)
        made.wait_for("attached to")
        yield made


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
    with board(tmp_path / "board") as made:
        made.wait_for("set-up network")
        assert made.request("GET", "/generate_204", host="connectivitycheck.gstatic.com")[0] == 302
        assert made.location == f"http://127.0.0.1:{made.setup_port}/"
        assert made.request("GET", "/favicon.ico")[0] == 404
        assert made.request("PUT", "/")[0] == 501
        assert made.request("HEAD", "/") == (200, "")
        assert made.enter("home", "password1", token="0" * 16) == 403
        assert made.request("POST", "/", "token=x&ssid=home", host="evil.example")[0] == 403
        assert made.request("POST", "/", "%")[0] == 400
        assert networks(made.folder) is None


def test_the_set_up_network_of_a_device_with_a_label_has_a_password_from_it(tmp_path):
    folder = tmp_path / "board"
    folder.mkdir()
    provision(folder, SECRETS | {"label_secret": "00112233445566778899aabbccddeeff"})
    with board(folder) as made:
        made.wait_for("homeport: set-up network")
        assert (folder / "access_point").read_text().split()[1:] == ["0011223344556677"]
    assert not any("0011" in line for line in made.lines)


def test_without_a_label_it_is_open_and_says_so(tmp_path):
    with board(tmp_path / "board") as made:
        made.wait_for("homeport: open set-up network")
        assert len((made.folder / "access_point").read_text().split()) == 1


def test_a_phone_that_asks_for_a_name_is_led_to_the_page(tmp_path):
    with board(tmp_path / "board") as made, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as phone:
        made.wait_for("set-up network")
        phone.settimeout(10)
        question = b"\x00\x07\x01\x00\x00\x01" + bytes(6) + b"\x05phone\x04test\x00\x00\x01\x00\x01"
        phone.sendto(b"garbage", ("127.0.0.1", made.setup_port))
        phone.sendto(question, ("127.0.0.1", made.setup_port))
        assert phone.recv(512)[-4:] == b"\x7f\x00\x00\x01"


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_silent_browsers_keep_others_out_for_seconds_only(tmp_path, runtime):
    with board(tmp_path / "board", runtime=runtime) as made, contextlib.ExitStack() as silent:
        made.wait_for("set-up network")
        for _ in range(6):
            silent.enter_context(socket.create_connection(("127.0.0.1", made.setup_port)))
        with pytest.raises((http.client.HTTPException, OSError)):
            made.request("GET", "/")
        made.wait_for_page("Device id")


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_network_that_is_lost_is_found_again(tmp_path, world, runtime):
    with at_home(tmp_path / "board", world, runtime=runtime) as made:
        made.air()
        seen = made.wait_for("lost the network home")
        made.wait_for("not attached")
        made.air(HOME)
        seen = made.wait_for("joined home", seen)
        made.wait_for("attached to", seen)


def test_another_address_is_a_new_registration_at_once(tmp_path, world):
    with at_home(tmp_path / "board", world) as made:
        seen = len(made.lines)
        made.air(HOME | {"address": "127.0.0.2"})
        seen = made.wait_for("new address 127.0.0.2", seen)
        made.wait_for("attached to", seen)
        assert not any("lost" in line for line in made.lines)


def test_a_second_known_network_takes_over(tmp_path, world):
    folder = tmp_path / "board"
    folder.mkdir()
    known = [["office", "password2"], ["home", "password1"]]
    provision(folder, SECRETS, controller=[world.controller], wifi=known)
    with board(folder) as made:
        made.air(HOME)
        made.wait_for("no network office")
        made.wait_for("joined home")
        made.wait_for("attached to")


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
    with at_home(folder, world, runtime=runtime) as made:
        press(made)
        world.answer("pair", f"demo@127.0.0.1:{made.local_port}")
    users = store_of(folder).read(record.USERS)
    for slot in record.SLOTS:
        damage(folder, record.slot_offset(record.CONFIG, slot) + record.PAGE_LEN, 20)
    with board(folder, runtime=runtime) as made:
        made.air(HOME)
        made.wait_for("config cannot be used")
        made.wait_for("set-up network")
        page = made.page()
        assert "Device id: demo" in page
        assert "configuration was damaged" in page
        made.enter("home", "password1")
        made.wait_for_page("has joined home")
        made.wait_for("set-up network closed")
    assert store_of(folder).read(record.USERS) == users
    assert networks(folder) == [["home", "password1"]]


def test_whatever_rots_the_board_starts_as_itself_or_with_the_page(tmp_path):
    chance = random.Random(7)
    folder = tmp_path / "board"
    folder.mkdir()
    provision(folder, SECRETS, wifi=[["home", "password1"]])
    good = (folder / "flash.img").read_bytes()
    process = LivingBoard(folder)
    process.air(HOME)
    for _ in range(ROTS):
        (folder / "flash.img").write_bytes(good)
        for _ in range(chance.randrange(1, 20)):
            kind = chance.choice((record.SECRETS, record.CONFIG, record.USERS, record.FACTORY))
            for slot in record.SLOTS:
                damage(folder, record.slot_offset(kind, slot) + chance.randrange(400), chance.randrange(1, 40))
        seen = len(process.lines)
        process.start()
        networks_of_running(process, seen)
        assert process.process.poll() is None
        process.cut_power()
    assert not any("Traceback" in line or "cannot start" in line for line in process.lines)


def test_a_damaged_identity_is_said_and_kept(tmp_path):
    folder = tmp_path / "board"
    folder.mkdir()
    provision(folder, SECRETS, wifi=[["home", "password1"]])
    for slot in record.SLOTS:
        damage(folder, record.slot_offset(record.SECRETS, slot) + record.PAGE_LEN, 8)
    before = (folder / "flash.img").read_bytes()
    with board(folder) as made:
        made.air(HOME)
        made.wait_for("secrets cannot be used")
        made.wait_for("remote=off")
        made.wait_for("joined home")
    assert (folder / "flash.img").read_bytes() == before


def test_ten_seconds_on_the_button_lead_back_to_the_set_up_page(tmp_path):
    folder = tmp_path / "board"
    folder.mkdir()
    provision(folder, SECRETS, wifi=[["home", "password1"]])
    where = ["--local-port", free_port(), "--", "--setup-port", free_port()]
    with running("sim", "light", "--board", folder, *where, until="joined home") as process:
        (folder / "pins" / "BUTTON").write_text("1")
        wait_for_line(process, "factory reset: starting anew")
        (folder / "pins" / "BUTTON").write_text("0")
        said = wait_for_line(process, "set-up network")
        assert "started: software" in said
        assert "id=demo" in said
    assert process.returncode == 0
    assert networks(folder) == []


def test_settings_with_which_an_application_cannot_start_lead_to_the_page_and_not_to_resets(tmp_path):
    app = tmp_path / "streams.py"
    app.write_text(
        "from homeport_device.stream_device import StreamDevice, load_config\n"
        "device = StreamDevice(load_config())\ndevice.echo()\ndevice.run()\n"
    )
    for number, settings in enumerate(({"stream_segment": 2000}, {"streams": 1000, "stream_window": 1024})):
        folder = tmp_path / str(number)
        provision(folder, SECRETS, wifi=[["home", "password1"]], settings=settings)
        with board(folder, app=str(app)) as running:
            running.wait_for("set-up network")
            assert "The configuration was damaged" in running.page()
            assert sum("started:" in line for line in running.lines) == 1
        assert networks(folder) == [["home", "password1"]]


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_what_hangs_is_reset_and_says_so(tmp_path, runtime):
    folder = tmp_path / "board"
    with board(folder, app=HANGING, runtime=runtime) as made:
        made.wait_for("ready")
        (folder / "hang").write_text("")
        assert made.process.wait(20) != 0
        (folder / "hang").unlink()
        seen = len(made.lines)
        made.start()
        made.wait_for("started: watchdog", seen)
        made.wait_for("ready", seen)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_device_answers_whatever_its_handlers_raise(tmp_path, runtime):
    folder = tmp_path / "board"
    folder.mkdir()
    provision(folder, wifi=[["home", "password1"]])
    with board(folder, app=HANGING, runtime=runtime) as made:
        made.air(HOME)
        made.wait_for("joined home")
        client = LanClient(made.local_port, bytes(range(16)))
        for kind in range(8):
            assert client.call(1, bytes((kind,))) == (False, b"\x00\x00\x00\x0a")
            assert client.call(1, b"\xff") == (True, b"\xff")
        client.close()
        seen = made.wait_for("task failed: MemoryError")
        made.wait_for("task failed: MemoryError", seen)
