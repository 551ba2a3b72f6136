"""A device built and loaded as on a board, in a heap of a given size, with a scripted basestation and clients."""

import os
import subprocess
import sys
from pathlib import Path

from device_process import DeviceProcess
from homeport.boards.romfs import build_romfs
from homeport_device.acl import Acl
from homeport_device.acl_file import AclFile
from scripted_world import Basestation, Client

ROOT = Path(__file__).resolve().parent.parent.parent
MICROPYTHON = Path(sys.executable).parent / "micropython"
KEY = bytes(range(16))
USERS = 32
MEMORY_QUERY = 900
STEP_K = 2
PATIENCE_S = 3


def build(out: Path, apps: list[Path] | None = None, board: str = "unix", variant: str = "full") -> None:
    """The firmware as .mpy files, with test applications unless others are named."""
    if apps is None:
        apps = [ROOT / "firmware/examples/light.py", *sorted((ROOT / "tests/budget").glob("*_device.py"))]
    command = [sys.executable, ROOT / "tools/build_firmware.py", out, "--board", board, "--variant", variant, *apps]
    subprocess.run(command, check=True, capture_output=True)


def rom(tree: Path) -> Path:
    """All of a build as an image (ROMFS) from which code runs in place."""
    image = tree.with_suffix(".romfs")
    files = (path for path in tree.rglob("*") if path.is_file())
    image.write_bytes(build_romfs({str(path.relative_to(tree)): path.read_bytes() for path in files}))
    return image


def fill_users(state: Path) -> None:
    """A full list of users with the longest names."""
    acl = Acl(AclFile(f"{state}/acl.bin"))
    for number in range(USERS):
        acl.add((number + 1).to_bytes(16, "big"), b"n" * 63)


def environment(tree: Path) -> dict[str, str]:
    return {**os.environ, "MICROPYPATH": f"{tree}:.frozen"}


def start(
    tree: Path, heap_k: int, state: Path, basestation: Basestation, app: str = "full_device", *more: str
) -> DeviceProcess:
    options = ["--id", "dev", "--key", KEY.hex(), "--local-port", "0", "--state", str(state)]
    options += ["--controller", f"127.0.0.1:{basestation.address[1]}"]
    process = subprocess.Popen(
        [MICROPYTHON, "-X", f"heapsize={heap_k}k", "-m", app, *options, *more],
        env=environment(tree),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    return DeviceProcess(process)


def use(basestation: Basestation, rounds: int) -> int:
    """One more client that asks for things of all kinds; returns the octets that the device holds at the end."""
    client = Client()
    try:
        basestation.introduce(client, os.urandom(4), (1).to_bytes(16, "big"))
        for number in range(rounds):
            assert client.call(1, bytes((number % 256, 1))) == b"\x01"
            assert len(client.call(11000, b"\x00" + bytes(4))) > 100
            assert client.call(10000)[-3:] == b"\x00\x01\x01"
        return int.from_bytes(client.call(MEMORY_QUERY)[:4], "big")
    finally:
        client.close()


def works(tree: Path, heap_k: int, state: Path, basestation: Basestation, rounds: int) -> bool:
    """Whether a device with this heap attaches and serves a client."""
    try:
        device = start(tree, heap_k, state, basestation)
    except RuntimeError:
        return False
    try:
        basestation.attach()
        use(basestation, rounds)
    except (TimeoutError, AssertionError):
        return False
    finally:
        device.process.kill()
        device.stop()
    return True


def imported_len(tree: Path) -> int:
    """Octets that a device holds once everything is imported."""
    program = "import gc; gc.collect(); a = gc.mem_alloc(); from homeport_device.device import Device"
    done = subprocess.run(
        [MICROPYTHON, "-c", program + "; gc.collect(); print(gc.mem_alloc() - a)"],
        env=environment(tree),
        capture_output=True,
        text=True,
        check=True,
    )
    return int(done.stdout)


def smallest_heap_k(tree: Path, state: Path, from_k: int) -> int:
    """The smallest heap in which a full device works, in steps."""
    heap_k = from_k
    while True:
        basestation = Basestation("dev", KEY)
        basestation.socket.settimeout(PATIENCE_S)
        try:
            if not works(tree, heap_k - STEP_K, state, basestation, rounds=20):
                return heap_k
        finally:
            basestation.close()
        heap_k -= STEP_K
