"""From the box to a client's call: a board at a serial port is provisioned, attaches, and is paired by its label.

All processes are real: the board is MicroPython behind a pseudo-terminal, with the firmware from source.
"""

import json
import time
from types import SimpleNamespace

import pytest
from basestation_process import until
from processes import Ports, answer, basestation, homeport, only_error_line
from serial_board import ROOT, SerialBoard, mpremote

MAIN = "from light import device\n\ndevice.run()\n"
ATTACHED = "homeport: attached to"
PRESS_S = 0.3
WIFI = {"HOMEPORT_WIFI_PASSWORD": "a good password"}
KEY = {"HOMEPORT_DEVICE_KEY": "000102030405060708090a0b0c0d0e0f"}


def press(board, name):
    """What a finger does."""
    for level in ("1", "0"):
        (board.folder / "pins" / name).write_text(level)
        time.sleep(PRESS_S)


@pytest.fixture(scope="module")
def maker(tmp_path_factory):
    """A board with an application, plugged in, and a basestation."""
    root = tmp_path_factory.mktemp("maker")
    ports = Ports()
    assert homeport("basestation", "init", root / "basestation").returncode == 0
    (root / "main.py").write_text(MAIN)
    board = SerialBoard(root / "board", search=[ROOT / "firmware", ROOT / "firmware/examples"])
    with board, basestation(root / "basestation", ports):
        copied = mpremote("connect", board.terminal, "fs", "cp", root / "main.py", ":main.py")
        assert copied.returncode == 0, copied.stderr
        board.power_cycle()
        board.wait_for("set-up network")  # it is busy, and has to be interrupted
        yield SimpleNamespace(root=root, ports=ports, board=board, home=root / "home")


def where(maker):
    return ["--controller", f"127.0.0.1:{maker.ports.controller}", "--wifi", "home"]


@pytest.fixture(scope="module")
def provisioned(maker):
    """What `homeport provision` says when it has done its work."""
    source = ["--dir", maker.root / "basestation", "--label", maker.root / "label.svg", "--name", "Hall"]
    return answer("provision", "demo", "--port", maker.board.port, *source, *where(maker), **WIFI)


def test_a_board_is_provisioned_and_attaches(maker, provisioned):
    assert provisioned["written"] == ["config", "secrets"]
    assert provisioned["state"].startswith("attached to ")
    until(lambda: answer("device", "show", "demo", "--dir", maker.root / "basestation")["attached"], "an attachment")


def test_its_label_is_written_for_its_owner_alone(maker, provisioned):
    label = maker.root / "label.svg"
    assert label.stat().st_mode & 0o777 == 0o600
    assert provisioned["label_secret"][:4] in label.read_text()


def test_a_client_pairs_by_the_text_of_the_label_and_calls(maker, provisioned):
    assert homeport("--home", maker.home, "profile", "create", "me", "--no-password").returncode == 0
    press(maker.board, "BUTTON")
    target = f"demo@127.0.0.1:{maker.board.local_port}"
    label = {"HOMEPORT_LABEL_SECRET": provisioned["label"]}
    paired = answer("--home", maker.home, "pair", target, "--label-secret", **label)
    assert paired["role"] == "owner"
    assert paired["end_to_end"]
    assert answer("--home", maker.home, "status", target)["device_name"] == "Hall"


def test_another_devices_label_is_refused_before_anything_is_sent(maker, provisioned):
    label = {"HOMEPORT_LABEL_SECRET": provisioned["label"].replace("DEMO", "OTHER")}
    refused = homeport("--home", maker.home, "pair", "demo", "--label-secret", **label)
    assert "this is the label of other, not of demo" in only_error_line(refused)


def test_no_secret_is_in_what_the_board_says(maker, provisioned):
    said = maker.board.output.decode("utf-8", "replace")
    assert provisioned["label_secret"] not in said
    assert WIFI["HOMEPORT_WIFI_PASSWORD"] not in said


def test_an_identity_is_not_replaced_unasked_and_the_board_lives_on(maker, provisioned):
    maker.board.forget_output()
    refused = homeport("provision", "demo", "--port", maker.board.port, **KEY)
    assert refused.returncode == 3
    assert "it has the identity of demo already: nothing was written; --replace replaces it" in refused.stderr
    maker.board.wait_for(ATTACHED)


def test_new_settings_leave_key_and_users_alone(maker, provisioned):
    again = ["--keep-key", "--replace", "--name", "Cellar", *where(maker)]
    done = answer("provision", "demo", "--port", maker.board.port, *again, **WIFI)
    assert done["written"] == ["config"]
    assert done["state"].startswith("attached to ")
    target = f"demo@127.0.0.1:{maker.board.local_port}"
    status = answer("--home", maker.home, "status", target)
    assert (status["device_name"], status["is_current_user_owner"]) == ("Cellar", 1)


def test_the_list_of_users_comes_out_as_a_file_and_goes_back_in(maker, provisioned):
    file = maker.root / "users.bin"
    assert answer("board-users", "--port", maker.board.port, file)["users"] == 1
    assert file.stat().st_mode & 0o777 == 0o600
    maker.board.wait_for(ATTACHED)
    restored = ["--keep-key", "--users", file]
    assert answer("provision", "demo", "--port", maker.board.port, *restored)["written"] == ["users"]
    assert (
        answer("--home", maker.home, "status", f"demo@127.0.0.1:{maker.board.local_port}")["is_current_user_owner"] == 1
    )


def test_a_board_of_another_platform_is_refused_by_name(maker, provisioned):
    refused = homeport("provision", "demo", "--port", maker.board.port, "--board", "pico_w", "--replace", **KEY)
    assert refused.returncode == 3
    assert "this is a board of platform unix, not pico_w: nothing was written" in refused.stderr


def test_a_port_that_is_in_use_is_refused_by_its_user(maker, provisioned):
    with open(maker.board.port, "rb", buffering=0):
        refused = homeport("provision", "demo", "--port", maker.board.port, **KEY)
    assert "is in use by" in only_error_line(refused)


def test_a_board_without_the_firmware_is_told_what_to_do(tmp_path):
    with SerialBoard(tmp_path / "bare") as board:
        board.wait_for(">>> ")
        refused = homeport("--json", "provision", "demo", "--port", board.port, **KEY)
        assert "the board runs micropython linux without Homeport's firmware" in json.loads(refused.stderr)["reason"]
