"""A board from its records to a client's call: ESP32 and Pico W on fake chips, all firmware, a real basestation."""

import contextlib
import json
import os
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from processes import KEY, RUN_TIMEOUT_S, basestation, free_port, wait_for_line
from remote_world import World

ROOT = Path(__file__).resolve().parent.parent.parent
MICROPYTHON = Path(sys.executable).parent / "micropython"
STATE = "heatpump_get_full_state.json"
HEAP = "900k"  # fakes and their flash live in it too, and everything is compiled here


@contextlib.contextmanager
def running_board(path, platform, folder, records):
    """A process that is that board, with its files in `path`, running the heat pump."""
    search = [ROOT / "firmware", ROOT / "firmware/examples", ROOT / "tests/support", ".frozen"]
    script = [ROOT / "tests/support/board_life.py", platform, ROOT / "boards" / folder, "heat_pump"]
    process = subprocess.Popen(
        [MICROPYTHON, "-X", f"heapsize={HEAP}", *script, json.dumps(records)],
        env={**os.environ, "MICROPYPATH": ":".join(map(str, search))},
        cwd=path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate(timeout=RUN_TIMEOUT_S)


@contextlib.contextmanager
def board(world, platform, folder, **more):
    """The device of the world, as that board: yields what it printed until it attached, as a list that grows."""
    records = {
        "secrets": {"id": "demo", "key": KEY},
        "config": {
            "controller": [f"127.0.0.1:{world.ports.controller}"],
            "wifi": [["attic", "secret99"]],
            "settings": {"local_port": world.ports.local},
        },
        "air": [["attic", "secret99", "127.0.0.1"]],
        **more,
    }
    printed = []
    with running_board(world.path, platform, folder, records) as process:
        printed.append(wait_for_line(process, "attached to"))
        if "pressed" not in printed[0]:
            printed.append(wait_for_line(process, "pressed"))
        yield printed
        process.send_signal(2)
        printed.append(process.communicate(timeout=RUN_TIMEOUT_S)[0].decode())


@pytest.mark.parametrize(
    ("platform", "folder", "whole_storage"),
    [("esp32", "esp32", False), ("rp2", "pico_w", False), ("rp2", "pico_w", True)],
    ids=["esp32", "pico_w", "pico_w with files"],
)
async def test_it_joins_attaches_is_paired_by_its_button_and_answers(tmp_path, platform, folder, whole_storage):
    world = World(tmp_path)
    with basestation(world.root, world.ports):
        with board(world, platform, folder, whole_storage=whole_storage) as printed:
            world.pair()
            for where, kind in ((world.local, ()), ("demo", ("direct",)), ("demo", ("relay",))):
                client = world.client()
                async with client, await client.connect(where, *kind, interface=world.interface) as pump:
                    assert (await pump.call(STATE))["room_temperature"]
        assert "joined attic" in "".join(printed)
        assert "watchdog 8000 fed True name demo" in printed[-1]
        assert (tmp_path / "state" / "users.0").exists() == whole_storage


@pytest.mark.parametrize(("platform", "folder"), [("esp32", "esp32"), ("rp2", "pico_w")])
def test_from_the_box_it_opens_its_own_network_with_a_page(tmp_path, platform, folder):
    port = free_port()
    records = {"air": [["attic", "secret99", "127.0.0.1"]], "options": ["--setup-port", str(port), "--local-port", "0"]}
    with running_board(tmp_path, platform, folder, records) as process:
        wait_for_line(process, f"http://127.0.0.1:{port}/")
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=10) as page:
            assert b"attic" in page.read()
