"""What goes wrong at a serial port: one clear line each, and the records on the board are the old or the new ones."""

import contextlib
import os
import pty
import random
import signal
import subprocess
import sys
import threading
import tty

import pytest
from homeport.errors import BoardError, ConfigError
from homeport.provisioning.board import SerialTarget
from homeport.provisioning.data_set import Identity, Wishes, assemble
from homeport.provisioning.image import open_image
from homeport.provisioning.serial_line import open_line
from homeport.provisioning.users import factory_users, parse_owner
from homeport_core.record import KINDS
from serial_board import ROOT, SerialBoard

OLD = assemble("old", Identity(bytes(16), bytes(16)), Wishes(name="old"), factory=factory_users([]))
NEW = assemble(
    "new",
    Identity(bytes(range(16)), bytes(range(16))),
    Wishes(name="new", networks=[("home", "a good password")]),
    factory=factory_users([parse_owner("00112233445566778899aabbccddeeff=Bo")]),
)
CUT_OCTETS = sorted(random.Random(4).sample(range(1, 1500), 6))
COMMIT = 8  # the exchange in which the board writes: soft reset, import, facts, four pieces, commit
EXCHANGES = 9
PATIENCE_S = 30


def quiet(_):
    """Progress that nobody watches."""


def records_of(board):
    """The octets of a board's records, by kind."""
    target = open_image(board.folder, "unix")
    return {kind: target._payload(kind) for kind in KINDS}


@pytest.fixture(scope="module")
def board(tmp_path_factory):
    """A board with the firmware, switched off."""
    return SerialBoard(tmp_path_factory.mktemp("faults") / "board", search=[ROOT / "firmware"])


@pytest.fixture
def old(board):
    """The same, switched on, with the old records."""
    board.unplug()
    board.pull_at = board.pull_at_octet = None
    board.pull_after_s = 0
    board.exchanges = board.received_len = 0
    (board.folder / "flash.img").unlink(missing_ok=True)
    open_image(board.folder, "unix").write(OLD, quiet)
    board.forget_output()
    with board:
        board.wait_for(">>> ")
        yield board


def provision(port):
    target = SerialTarget(lambda: open_line(port))
    try:
        target.open()
        target.write(NEW, quiet)
    finally:
        target.close()


def test_without_a_fault_the_records_are_the_new_ones(old):
    provision(old.port)
    assert old.exchanges == EXCHANGES
    old.unplug()
    assert {kind: octets for kind, octets in records_of(old).items() if octets} == NEW.payloads


@pytest.mark.parametrize("exchange", range(1, COMMIT))
def test_a_cable_pulled_before_all_is_sent_changes_nothing(old, exchange):
    old.pull_at = exchange
    with pytest.raises(BoardError) as caught:
        provision(old.port)
    assert str(caught.value) == "the line to the board was lost"
    assert caught.value.next_step == "plug it in again, and run the command again"
    assert {kind: octets for kind, octets in records_of(old).items() if octets} == OLD.payloads


@pytest.mark.parametrize("after_s", (0, 0.002, 0.005, 0.01, 0.02, 0.05))
def test_a_cable_pulled_while_the_board_writes_leaves_whole_records_and_a_second_run_mends_all(old, after_s):
    old.pull_at, old.pull_after_s = COMMIT, after_s
    with pytest.raises(BoardError):
        provision(old.port)
    for kind, octets in records_of(old).items():
        assert octets in (OLD.payloads.get(kind), NEW.payloads.get(kind)), kind
    old.unplug()
    old.pull_at = None
    old.plug()
    provision(old.port)
    assert records_of(old)["secrets"] == NEW.payloads["secrets"]


@pytest.mark.parametrize("octet", CUT_OCTETS)
def test_a_cable_pulled_at_any_octet_leaves_whole_records(old, octet):
    old.pull_at_octet = octet
    with pytest.raises(BoardError):
        provision(old.port)
    for kind, octets in records_of(old).items():
        assert octets in (OLD.payloads.get(kind), NEW.payloads.get(kind)), kind


def test_an_interruption_is_one_line_that_says_how_the_board_is():
    line, end = pty.openpty()
    tty.setraw(end)
    process = subprocess.Popen(
        [sys.executable, "-m", "homeport", "provision", "new", "--port", os.ttyname(end)],
        env={**os.environ, "HOMEPORT_DEVICE_KEY": bytes(16).hex()},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    os.close(end)
    while True:  # until it talks to the board; before it has the port open there is nobody
        with contextlib.suppress(OSError):
            if os.read(line, 1):
                break
    process.send_signal(signal.SIGINT)
    out, said = process.communicate(timeout=PATIENCE_S)
    os.close(line)
    assert (out, process.returncode) == ("", 130)
    (only,) = said.splitlines()
    assert only.startswith("error: interrupted: each record of the board is the old or the new one")


def test_an_interruption_after_all_is_written_still_tells_the_secret_that_was_drawn(old):
    command = ["-m", "homeport", "provision", "new", "--port", old.port, "--replace"]
    process = subprocess.Popen(
        [sys.executable, *command],
        env={**os.environ, "HOMEPORT_DEVICE_KEY": bytes(16).hex()},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    while "starts again" not in (line := process.stderr.readline()):
        assert line, "it ended before"
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=PATIENCE_S)
    assert "label secret" in out and process.returncode == 0


def test_a_program_that_runs_is_interrupted(old):
    forever = "import time\nprint('begun')\nwhile True:\n    time.sleep(1)\n"
    os.write(old._inner, b"\x05" + forever.encode() + b"\x04")
    old.wait_for("begun")
    provision(old.port)
    assert records_of(old)["secrets"] == NEW.payloads["secrets"]


def test_a_program_that_talks_without_end_is_interrupted(old):
    os.write(old._inner, b"\x05while True:\n    print('begun' * 20)\n\x04")
    old.wait_for("begunbegun")
    provision(old.port)
    assert records_of(old)["secrets"] == NEW.payloads["secrets"]


def test_flash_that_does_not_keep_what_is_written_is_said_and_the_old_record_stays(old):
    broken = (
        "import homeport_device.flash_unix as f\n"
        "def program(self, off, octets):\n raise OSError(28)\n"
        "f.Region.program = program\n"
    )
    target = SerialTarget(lambda: open_line(old.port))
    try:
        target.open()
        target._repl.run(broken)
        with pytest.raises(BoardError) as caught:
            target.write(NEW, quiet)
    finally:
        target.close()
    assert str(caught.value).startswith(
        "the board refuses: the record factory could not be stored because flash is full"
    )
    assert {kind: octets for kind, octets in records_of(old).items() if octets} == OLD.payloads


def test_a_board_that_refuses_what_the_host_took_writes_nothing(old):
    target = SerialTarget(lambda: open_line(old.port))
    try:
        target.open()
        target._repl.run(
            "import homeport_device.provision_serial as p\ndef check(d):\n raise p.ConfigError('no such field')"
        )
        target._repl.run("p.check_config = check")
        with pytest.raises(BoardError) as caught:
            target.write(NEW, quiet)
    finally:
        target.close()
    assert str(caught.value) == "the board refuses: no such field"
    assert {kind: octets for kind, octets in records_of(old).items() if octets} == OLD.payloads


def test_a_board_that_is_left_alone_at_the_prompt_starts_again(old):
    target = SerialTarget(lambda: open_line(old.port))
    try:
        target._repl.enter()
        target._repl.run("import homeport_device.provision_serial as p; p._PATIENCE_MS = 500")
        target._repl.run("call = p.call")
        target._call("facts")
        old.forget_output()
    finally:
        target.close()
    old.wait_for("MicroPython")


@pytest.fixture
def strange_port():
    """A port with something else than a board: `say` is what it says all the time."""
    line, end = pty.openpty()
    tty.setraw(end)
    name = os.ttyname(end)
    os.close(end)
    os.set_blocking(line, False)
    stop = threading.Event()
    said = []

    def talk():
        while not stop.wait(0.01):
            for end in said:
                with contextlib.suppress(OSError):
                    os.read(line, 65536)
                with contextlib.suppress(BlockingIOError):
                    os.write(line, end)

    thread = threading.Thread(target=talk)
    thread.start()
    yield name, said
    stop.set()
    thread.join()
    os.close(line)


@pytest.mark.parametrize(
    "noise",
    [
        b"",
        bytes(range(256)),
        b"U-Boot 2024.01 => ",
        b"raw REPL; CTRL-B to exit\r\n>",
        b"raw REPL; CTRL-B to exit\r\n>soft reboot\r\nraw REPL; CTRL-B to exit\r\n>R\x01\xff\xff",
        b"raw REPL; CTRL-B to exit\r\n>soft reboot\r\nraw REPL; CTRL-B to exit\r\n>OK\x04\x04>",
    ],
)
def test_what_is_no_board_is_one_line(strange_port, noise, monkeypatch):
    name, said = strange_port
    said.append(noise)
    for bound in ("_ANSWER_S", "_RUN_S", "_INTERRUPT_S"):
        monkeypatch.setattr(f"homeport.provisioning.raw_repl.{bound}", 0.3)
    with pytest.raises((BoardError, ConfigError)) as caught:
        provision(name)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 200
