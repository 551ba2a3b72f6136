"""A person at a simulated board in a process of its own: what the light shows, what the button does, what the switch
silences, and what an owner reads of it all."""

import contextlib
import itertools
import time

import pytest
from homeport_core import provisioning, record
from homeport_core.packet import encode
from homeport_core.spec import PT_U_ALIVE
from homeport_device.acl import Acl
from homeport_device.acl_record import AclRecord
from homeport_device.status_light import (
    ATTACHED,
    FAULT,
    JOINING,
    LOCAL_ONLY,
    PAIRING_OPEN,
    RESET_ARMED,
    RHYTHMS,
    UNPROVISIONED,
)
from living_board import HOME, board, damage, provision, store_of
from processes import KEY, CommandLine, Ports, basestation
from scripted_world import GSP_NSI, Basestation, LanClient

RUNTIMES = ["micropython", "cpython"]
SECRETS = {"id": "demo", "key": KEY}
PATIENCE_S = 15
WATCHED_S = 3.2
LOOK_APART_S = 0.005
QUIET_S = 2.5
PAIR = 11010
USERS = 11000
SET_SETTINGS = 11040
OWNER = bytes(range(0x10, 0x20))
FROM_FACTORY = bytes(range(0x30, 0x40))
NO_PAIRING = (0xC0000000).to_bytes(4, "big") + (0x80000000).to_bytes(4, "big")
NO_ACCESS = (False, b"\x00\x00\x00\x04")


def pin(running, name):
    return running.folder / "pins" / name


def hold(running, seconds, name="BUTTON"):
    pin(running, name).write_text("1")
    time.sleep(seconds)
    pin(running, name).write_text("0")


def press(running):
    hold(running, 0.3)


def watch(running, seconds=WATCHED_S):
    """How long the light was on and off, by turns, first and last left out."""
    turns = []
    give_up_at = time.monotonic() + seconds
    while time.monotonic() < give_up_at:
        with contextlib.suppress(OSError):
            turns.append((pin(running, "LED").read_text().strip(), time.monotonic()))
        time.sleep(LOOK_APART_S)
    runs = [(level, [at for _, at in group]) for level, group in itertools.groupby(turns, key=lambda turn: turn[0])]
    return [(level, times[-1] - times[0]) for level, times in runs][1:-1]


def shows(running, state):
    """Whether the light plays this rhythm: every turn seen is as long as one of the rhythm's, on a busy machine."""
    rhythm = RHYTHMS[state]
    turns = watch(running)
    if len(rhythm) == 1:
        return turns == []
    wanted = {"1": [n * 0.05 for n in rhythm[::2]], "0": [n * 0.05 for n in rhythm[1::2]]}
    fits = [any(abs(length - meant) < 0.04 + meant / 4 for meant in wanted[level]) for level, length in turns]
    return len(turns) >= 1 and all(fits)


def wait_until_it_shows(running, state):
    give_up_at = time.monotonic() + PATIENCE_S
    while not shows(running, state):
        assert time.monotonic() < give_up_at, f"not rhythm {state}: {watch(running)}"


def pair(running, fingerprint=OWNER):
    with contextlib.closing(LanClient(running.local_port, fingerprint)) as client:
        return client.call(PAIR, b"\x00\x02me")


def users(folder):
    acl = Acl(AclRecord(store_of(folder)))
    acl.load()
    return [acl.fingerprint(slot) for slot in acl.users()]


@contextlib.contextmanager
def at_home(folder, runtime="micropython", secrets=SECRETS, **config):
    """A provisioned board that has joined its network."""
    folder.mkdir(exist_ok=True)
    provision(folder, secrets, wifi=[["home", "password1"]], **config)
    with board(folder, runtime=runtime) as running:
        running.air(HOME)
        running.wait_for("joined home")
        yield running


@pytest.fixture
def scripted():
    with contextlib.closing(Basestation("demo", bytes.fromhex(KEY))) as opened:
        yield opened


def controller(opened):
    return {"controller": [f"127.0.0.1:{opened.address[1]}"]}


def test_the_light_tells_the_way_from_the_box_to_the_basestation(tmp_path, scripted):
    folder = tmp_path / "board"
    with board(folder) as running:
        running.wait_for("ready")
        wait_until_it_shows(running, UNPROVISIONED)
    provision(folder, SECRETS, wifi=[["home", "password1"]], **controller(scripted))
    with board(folder) as running:
        running.air()
        running.wait_for("ready")
        wait_until_it_shows(running, JOINING)
        running.air(HOME)
        running.wait_for("joined home")
        wait_until_it_shows(running, LOCAL_ONLY)
        scripted.attach()
        running.wait_for("attached to")
        assert shows(running, ATTACHED)


@pytest.mark.parametrize("kind", [record.SECRETS, record.USERS])
def test_the_light_tells_of_damage_that_a_person_has_to_mend(tmp_path, kind):
    folder = tmp_path / "board"
    folder.mkdir()
    provision(folder, SECRETS, wifi=[["home", "password1"]])
    Acl(AclRecord(store_of(folder))).add(OWNER, b"owner")
    for slot in record.SLOTS:
        damage(folder, record.slot_offset(kind, slot) + record.PAGE_LEN, 20)
    with board(folder) as running:
        running.air(HOME)
        running.wait_for("joined home")
        wait_until_it_shows(running, FAULT)


def test_a_press_does_not_open_a_board_whose_users_are_damaged(tmp_path):
    folder = tmp_path / "board"
    folder.mkdir()
    Acl(AclRecord(store_of(folder))).add(OWNER, b"owner")
    for slot in record.SLOTS:
        damage(folder, record.slot_offset(record.USERS, slot) + record.PAGE_LEN, 20)
    with at_home(folder) as running:
        press(running)
        running.wait_for("button pressed, but")
        with pytest.raises(AssertionError):
            LanClient(running.local_port, FROM_FACTORY)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_press_opens_pairing_and_another_closes_it(tmp_path, runtime):
    folder = tmp_path / "board"
    with at_home(folder, runtime) as running:
        assert pair(running) == NO_ACCESS
        press(running)
        seen = running.wait_for("pairing is open")
        wait_until_it_shows(running, PAIRING_OPEN)
        before = (folder / "flash.img").read_bytes()
        assert pair(running)[0]
        press(running)
        running.wait_for("pairing is closed", seen)
        assert pair(running, b"\x77" * 16) == NO_ACCESS
        assert before != (folder / "flash.img").read_bytes()
    assert users(folder) == [OWNER]


def test_presses_alone_write_nothing_to_flash(tmp_path):
    folder = tmp_path / "board"
    with at_home(folder) as running:
        before = (folder / "flash.img").read_bytes()
        for words in ("pairing is open", "pairing is closed"):
            press(running)
            running.wait_for(words)
        assert before == (folder / "flash.img").read_bytes()


def test_the_owner_s_no_to_pairing_is_stronger_than_the_button(tmp_path):
    with at_home(tmp_path / "board") as running:
        press(running)
        running.wait_for("pairing is open")
        pair(running)
        with contextlib.closing(LanClient(running.local_port, OWNER)) as owner:
            assert owner.call(SET_SETTINGS, NO_PAIRING)[0]
        seen = running.wait_for("pairing is closed")
        press(running)
        running.wait_for("the owner has switched pairing off", seen)
        assert pair(running, b"\x77" * 16) == NO_ACCESS


def test_where_the_maker_wants_no_press_the_owner_alone_decides(tmp_path):
    with at_home(tmp_path / "board", settings={"pairing_button": False}) as running:
        assert pair(running)[0]


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_ten_seconds_bring_back_the_factory(tmp_path, runtime):
    folder = tmp_path / "board"
    folder.mkdir()
    made = store_of(tmp_path / "maker")
    Acl(AclRecord(made)).add(FROM_FACTORY, b"service")
    store_of(folder).write(record.FACTORY, made.read(record.USERS))
    with at_home(folder, runtime) as running:
        press(running)
        running.wait_for("pairing is open")
        assert pair(running)[0]
        hold(running, 7)
        running.wait_for("factory reset cancelled")
        assert set(users(folder)) == {FROM_FACTORY, OWNER}
        pin(running, "BUTTON").write_text("1")
        time.sleep(6)
        assert shows(running, RESET_ARMED)
        seen = running.wait_for("factory reset: starting anew")
        seen = running.wait_for("started: software", seen)
        running.wait_for("set-up network", seen)
        time.sleep(2)
        pin(running, "BUTTON").write_text("0")
        wait_until_it_shows(running, UNPROVISIONED)
    store = store_of(folder)
    assert users(folder) == [FROM_FACTORY]
    assert provisioning.load(store.read(record.SECRETS)) == SECRETS
    assert not provisioning.load(store.read(record.CONFIG)).get("wifi")


def test_a_button_down_since_power_on_resets_nothing(tmp_path):
    folder = tmp_path / "board"
    (folder / "pins").mkdir(parents=True)
    (folder / "pins" / "BUTTON").write_text("1")
    Acl(AclRecord(store_of(folder))).add(OWNER, b"owner")
    with at_home(folder) as running:
        time.sleep(11)
        assert not any("factory reset" in line for line in running.lines)
        pin(running, "BUTTON").write_text("0")
        time.sleep(0.3)
        press(running)
        running.wait_for("pairing is open")
    assert users(folder) == [OWNER]


def silent(scripted):
    """Whether the device says nothing to the basestation any more, whatever it is told."""
    scripted.socket.settimeout(0.2)
    with contextlib.suppress(TimeoutError):
        while True:
            scripted.socket.recv(2000)
    scripted.socket.settimeout(QUIET_S)
    scripted.socket.sendto(encode(PT_U_ALIVE, sp=GSP_NSI, seq=9), scripted.device)
    try:
        scripted.socket.recv(2000)
    except TimeoutError:
        return True
    return False


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_the_switch_silences_the_board_at_once_and_on_again_it_registers(tmp_path, scripted, runtime):
    folder = tmp_path / "board"
    (folder / "pins").mkdir(parents=True)
    (folder / "pins" / "SWITCH").write_text("0")
    with at_home(folder, runtime, **controller(scripted)) as running:
        scripted.attach()
        running.wait_for("attached to")
        pin(running, "SWITCH").write_text("1")
        running.wait_for("remote access switched off")
        assert silent(scripted)
        wait_until_it_shows(running, LOCAL_ONLY)
        press(running)
        running.wait_for("pairing is open")
        assert pair(running)[0], "at home all goes on"
        pin(running, "SWITCH").write_text("0")
        running.wait_for("remote access switched on")
        scripted.socket.settimeout(PATIENCE_S)
        scripted.keys = None
        scripted.attach()


@pytest.mark.parametrize(("switch", "setting"), [("1", True), ("0", False), ("1", False)])
def test_off_at_power_on_nothing_is_sent_whoever_says_so(tmp_path, scripted, switch, setting):
    folder = tmp_path / "board"
    (folder / "pins").mkdir(parents=True)
    (folder / "pins" / "SWITCH").write_text(switch)
    scripted.socket.settimeout(QUIET_S)
    with (
        at_home(folder, master_switch=setting, **controller(scripted)),
        pytest.raises(TimeoutError),
    ):
        scripted.socket.recv(2000)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_an_owner_reads_what_befell_the_board(tmp_path, runtime):
    ports = Ports()
    command = CommandLine(tmp_path / "home")
    pinned = command.answer("basestation", "init", tmp_path / "var")["pin"]
    command.answer("device", "add", "demo", "--key", KEY, "--dir", tmp_path / "var")
    where = ["--basestation", f"127.0.0.1:{ports.gate}", "--pin", pinned]
    command.answer("profile", "create", "me", "--no-password", *where)
    folder = tmp_path / "board"
    with (
        basestation(tmp_path / "var", ports),
        at_home(folder, runtime, controller=[f"127.0.0.1:{ports.controller}"]) as running,
    ):
        running.wait_for("attached to")
        press(running)
        running.wait_for("pairing is open")
        command.answer("pair", f"demo@127.0.0.1:{running.local_port}")
        found = wait_for_time(command)
        assert (found["reset_cause"], found["faults"], found["lost"]) == ("power on", 0, 0)
        told = [(event["kind"], event["text"]) for event in found["events"]]
        assert told[0] == ("start", "started: power on")
        for expected in (
            ("network", "joined home"),
            ("person", "pairing is open for two minutes"),
            ("person", "user added: me"),
        ):
            assert expected in told
        assert any(kind == "basestation" and text.startswith("attached to") for kind, text in told)
        assert abs(found["unix_time"] - time.time()) < 15
        assert all(abs(event["unix_time"] - time.time()) < 60 for event in found["events"])
        people = command.run("events", "demo")
        assert people.returncode == 0
        assert "started by power on, 0 faults" in people.stdout
        assert "network      joined home" in people.stdout


def wait_for_time(command):
    """The device's events, once the basestation has told it the time."""
    give_up_at = time.monotonic() + PATIENCE_S
    while True:
        found = command.answer("events", "demo")
        if found["unix_time"]:
            return found
        assert time.monotonic() < give_up_at
        time.sleep(0.5)
