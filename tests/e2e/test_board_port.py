"""A whole device on the port of boards: fake sockets with the boards' ways, a real basestation, a real client."""

import contextlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
from homeport.client import Client
from processes import KEY, RUN_TIMEOUT_S, basestation, free_port, running, wait_for_line
from remote_world import World

TESTS = Path(__file__).resolve().parent.parent
MICROPYTHON = Path(sys.executable).parent / "micropython"
STATE = "heatpump_get_full_state.json"
HEAP = "700k"  # fakes and their flash live in it too, and everything is compiled here


@contextlib.contextmanager
def board(world, platform):
    """The device of the world, as that platform."""
    search = [TESTS.parent / "firmware", TESTS.parent / "firmware/examples", TESTS / "support", ".frozen"]
    options = ["--id", "demo", "--key", KEY, "--state", world.path / "state", "--local-port", world.ports.local]
    options += ["--controller", f"127.0.0.1:{world.ports.controller}"]
    script = [TESTS / "support/board_process.py", platform, world.app]
    process = subprocess.Popen(
        [MICROPYTHON, "-X", f"heapsize={HEAP}", *script, *map(str, options)],
        env={**os.environ, "MICROPYPATH": ":".join(map(str, search))},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    try:
        wait_for_line(process, "attached to")
        yield process
    finally:
        process.send_signal(2)
        process.communicate(timeout=RUN_TIMEOUT_S)


@pytest.mark.parametrize("platform", ["esp32", "rp2"])
async def test_it_attaches_and_answers_locally_directly_and_by_relay(tmp_path, platform):
    world = World(tmp_path)
    with basestation(world.root, world.ports), board(world, platform):
        world.pair()
        for way in ("local", "direct", "relay"):
            where = world.local if way == "local" else "demo"
            kind = () if way == "local" else (way,)
            async with world.client() as client, await client.connect(where, *kind, interface=world.interface) as pump:
                assert (await pump.call(STATE))["room_temperature"]


async def test_it_attaches_over_tcp_where_udp_is_blocked(tmp_path):
    """As an RP2, whose sockets claim to be connected too early."""
    world = World(tmp_path)
    world.ports.controller = free_port()
    where = {"controller": 0, "gateway": world.ports.controller}
    where |= {name: getattr(world.ports, name) for name in ("gsp", "gate", "admin")}
    options = [text for name, port in where.items() for text in (f"--{name}", f"127.0.0.1:{port}")]
    with running("basestation", "run", world.root, *options, until="basestation ready"), board(world, "rp2"):
        world.pair()
        remote = Client(world.profile, search=[])
        async with remote as client, await client.connect("demo", "relay", interface=world.interface) as pump:
            assert pump.path == "relay"
            assert (await pump.call(STATE))["room_temperature"]
