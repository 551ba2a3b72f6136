"""What is built for a board loads on it: on MicroPython, with fakes of the platform's own modules."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from board_device import MICROPYTHON, ROOT, build

EXAMPLES = ROOT / "firmware/examples"
SUPPORT = ROOT / "tests/support"
LOADED = """
import fake_board
fake_board.chip = fake_board.Chip({platform!r})
import homeport_device.device, homeport_board
from homeport_device.port import Port
hardware = [getattr(homeport_board, name) for name in dir(homeport_board) if name.startswith("Hardware")]
print(Port.__name__, [made.name for made in hardware if getattr(made, "name", "")])
"""


@pytest.mark.parametrize(("board", "platform"), [("esp32", "esp32"), ("pico_w", "rp2"), ("pico2_w", "rp2")])
@pytest.mark.parametrize("variant", ["full", "tiny"])
def test_a_build_has_the_port_and_the_hardware_of_its_board(
    board: str, platform: str, variant: str, tmp_path: Path
) -> None:
    build(tmp_path, [EXAMPLES / "light.py"], board, variant)
    search = [SUPPORT / "fakes" / platform, SUPPORT / f"fakes/{platform}_sockets", SUPPORT, tmp_path, ".frozen"]
    done = subprocess.run(
        [MICROPYTHON, "-c", LOADED.format(platform=platform)],
        env={**os.environ, "MICROPYPATH": ":".join(map(str, search))},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == f"Port_port_board ['{platform}']\n", done.stderr


def test_an_application_with_streams_is_no_tiny_build(tmp_path: Path) -> None:
    tool = [sys.executable, ROOT / "tools/build_firmware.py", tmp_path, "--variant", "tiny"]
    done = subprocess.run([*tool, EXAMPLES / "tunnel_gateway.py"], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == "tunnel_gateway: no homeport_device.stream_device in a tiny build\n"
