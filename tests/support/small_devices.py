"""The devices whose memory is measured: each kind in a world without real time or network (`virtual_world`)."""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from board_device import KEY, ROOT, build, fill_users
from homeport_core import ticks
from homeport_device.acl import Acl
from homeport_device.acl_record import AclRecord
from living_board import store_of
from scripted_world import Basestation
from simulated_board import SimulatedBoard
from stream_client import StreamClient
from virtual_world import MICROPYTHON, PLENTY_LEN, World, mounted

BUDGET = ROOT / "tests/budget"
USERS = 32
OWNER = (1).to_bytes(16, "big")
BASESTATION = "198.51.100.1"
LOCAL_PORT = 5570


@dataclass(frozen=True)
class Kind:
    """What is built and started. `module` is what importing it all means."""

    variant: str
    app: str
    is_board: bool = False
    has_streams: bool = False
    module: str = "homeport_device.device"

    def build(self, out: Path) -> None:
        """Its firmware and application as .mpy files."""
        build(out, [ROOT / "firmware/examples/light.py", BUDGET / f"{self.app}.py"], "unix", self.variant)


KINDS = {
    "full": Kind("full", "full_device"),
    "tiny": Kind("tiny", "full_device"),
    "streams": Kind("full", "stream_device", has_streams=True, module="homeport_device.stream_device"),
    "board full": Kind("full", "full_device", is_board=True),
    "board tiny": Kind("tiny", "full_device", is_board=True),
    "board streams": Kind(
        "full", "stream_device", is_board=True, has_streams=True, module="homeport_device.stream_device"
    ),
}


class SmallDevice:
    """An attached device with a full list of users, in `folder`; a heap of `heap_len` octets, 0 for plenty."""

    def __init__(self, kind: str, tree: Path, folder: Path, heap_len: int = 0, **surroundings: object) -> None:
        self.folder = folder
        made = KINDS[kind]
        options = ["--local-port", str(LOCAL_PORT), "--controller", f"{BASESTATION}:40000"]
        if made.is_board:
            SimulatedBoard(folder / "board", "dev", KEY.hex())
            acl = Acl(AclRecord(store_of(folder / "board")))
            for number in range(USERS):
                acl.add((number + 1).to_bytes(16, "big"), b"n" * 63)
            options += ["--board", str(folder / "board")]
        else:
            fill_users(folder)
            options += ["--id", "dev", "--key", KEY.hex(), "--state", str(folder)]
        self.world = World(tree, made.app, *options, heap_len=heap_len, **surroundings)
        self.printed = ""
        self.basestation = Basestation("dev", KEY, self.world.socket(BASESTATION))

    def __enter__(self) -> "SmallDevice":
        self.basestation.attach()
        return self

    def __exit__(self, *_: object) -> None:
        self.printed = self.world.end()

    def held_len(self) -> int:
        """Octets held after a collection."""
        return self.world.held_len()

    def client(self, user: bytes = OWNER) -> StreamClient:
        """One more client, which has asked for things of all kinds."""
        client = StreamClient(self.world.socket(), lambda: self.world.now_ms % ticks.PERIOD)
        self.basestation.introduce(client, os.urandom(4), user)
        client.call(10000)
        client.call(11000, b"\x00" + bytes(4))
        return client


def imported_len(
    kind: str, tree: Path, image: Path | None = None, command: tuple[str, ...] = (str(MICROPYTHON),)
) -> int:
    """Octets held once everything of that kind is imported, and nothing is made of it."""
    modules = KINDS[kind].module + (", homeport_board" if KINDS[kind].is_board else "")
    search = ["/rom" if image else str(tree), ".frozen"]
    program = f"import gc, sys; sys.path[:] = {search}; {mounted(image)}gc.collect(); before = gc.mem_alloc(); "
    program += f"import {modules}; gc.collect(); print(gc.mem_alloc() - before)"
    done = subprocess.run(
        [*command, "-X", f"heapsize={PLENTY_LEN}", "-c", program], capture_output=True, text=True, check=True
    )
    return int(done.stdout)
