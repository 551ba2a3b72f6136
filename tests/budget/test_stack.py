"""How deep calls go. MicroPython puts them on the processor's stack, of which the RP2 has 8 KB: 7936 octets until it
raises "maximum recursion depth exceeded", at about 250 for each call (240 measured on an emulated Cortex-M0).

The Unix port takes 400 octets for such a call. So what it takes is multiplied by 0.62, and the rest is room for what
MicroPython's C does below the last call, writing to a file most of all.
"""

import contextlib
import subprocess
from pathlib import Path

from device_process import FIRMWARE, DeviceProcess, command, environment
from processes import free_port
from scripted_world import LanClient
from simulated_board import SimulatedBoard

APP = Path(__file__).resolve().parents[1] / "support/stack_device.py"
OWNER = bytes(range(0x10, 0x20))
PAIR = 11010
DEEPEST = 10_700


def deepest(device: DeviceProcess) -> int:
    return max(int(line.removeprefix("stack ")) for line in device.lines if line.startswith("stack "))


def test_storing_a_user_fits_the_stack_of_the_smallest_board(tmp_path: Path) -> None:
    board = SimulatedBoard(tmp_path / "board")
    port = free_port()
    options = ["--board", str(board.folder), "--local-port", str(port)]
    process = subprocess.Popen(
        [*command("micropython", str(APP), "2M"), *options],
        env={**environment(), "MICROPYPATH": f"{FIRMWARE}:{FIRMWARE}/examples:.frozen"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    device = DeviceProcess(process)
    try:
        assert device.wait_for("homeport: joined")
        board.press()
        with contextlib.closing(LanClient(port, OWNER)) as client:
            assert client.call(PAIR, b"\x00\x02me")[0]
        assert deepest(device) < DEEPEST
    finally:
        device.stop()
