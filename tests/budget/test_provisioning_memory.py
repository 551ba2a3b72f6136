"""Provisioning works in a smaller heap than the device does, with all lists full."""

import subprocess
import sys

from homeport.client.acl import User
from homeport.provisioning.board import SerialTarget
from homeport.provisioning.data_set import Identity, Wishes, assemble
from homeport.provisioning.image import open_image
from homeport.provisioning.serial_line import open_line
from homeport.provisioning.users import USERS_MAX, factory_users
from serial_board import ROOT, SerialBoard

# Of 64-bit objects; on a board's 32 bits the same takes two thirds.
HEAP = "128k"


def test_everything_a_board_can_be_given_fits_a_heap_of_128k(tmp_path):
    subprocess.run(
        [sys.executable, ROOT / "tools/build_firmware.py", tmp_path / "tree"], check=True, capture_output=True
    )
    full = factory_users([User(bytes([number + 1]) * 16, "n" * 63, 0) for number in range(USERS_MAX)])
    networks = [(f"{number}".rjust(32, "s"), "p" * 63) for number in range(4)]
    data = assemble("d" * 40, Identity(bytes(16), bytes(16)), Wishes(name="n" * 49, networks=networks), full, full)
    with SerialBoard(tmp_path / "board", heap=HEAP, search=[tmp_path / "tree"]) as board:
        board.wait_for(">>> ")
        target = SerialTarget(lambda: open_line(board.port))
        try:
            target.open()
            target.write(data, lambda line: None)
        finally:
            target.close()
    assert open_image(tmp_path / "board", "unix").users("users") == full
