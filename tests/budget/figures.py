"""What the firmware takes now, beside what it may (`ceilings.json`): octets on the 64-bit Unix port, built for boards.

python tests/budget/figures.py            prints all of it
python tests/budget/figures.py --write    makes the ceilings anew, a little above: to be read before it is committed
"""

import json
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "support"))

from board_device import build
from small_devices import KINDS, SmallDevice, imported_len

CEILINGS = Path(__file__).with_name("ceilings.json")
# Room above what is measured, in hundredths, and to what it is rounded.
ROOM = 4
STEP_LEN = 20
CONNECTIONS = 4
STREAMS = 4
BUILDS = (("unix", "full"), ("unix", "tiny"), ("esp32", "full"), ("esp32", "tiny"), ("pico_w", "full"))


def bytecode(board: str, variant: str) -> dict[str, int]:
    """Sizes of the .mpy files of one build."""
    with tempfile.TemporaryDirectory() as name:
        build(Path(name), [], board, variant)
        return {
            str(file.relative_to(name)): file.stat().st_size
            for file in sorted(Path(name).rglob("*.mpy"))
            if file.name != "__init__.mpy"
        }


def memory(kind: str, tree: Path) -> dict[str, int]:
    """Octets held by a device of that kind: the code, attached, for each client and for each stream."""
    with tempfile.TemporaryDirectory() as folder, SmallDevice(kind, tree, Path(folder)) as device:
        found = {"imported": imported_len(kind, tree), "attached": device.held_len()}
        device.client()
        one = device.held_len()
        for _ in range(CONNECTIONS):
            device.client()
        found["connection"] = (device.held_len() - one) // CONNECTIONS
        if KINDS[kind].has_streams:
            client = device.client()
            before = device.held_len()
            for _ in range(STREAMS):
                client.open(b"echo\n")
            found["stream"] = (device.held_len() - before) // STREAMS
        return found


def measure() -> dict[str, dict[str, int]]:
    """All figures, in tables by name."""
    found = {f"bytecode {board} {variant}": bytecode(board, variant) for board, variant in BUILDS}
    trees: dict[str, Path] = {}
    with tempfile.TemporaryDirectory() as folder:
        for kind, made in KINDS.items():
            name = f"{made.variant} {made.app}"
            if name not in trees:
                trees[name] = Path(folder) / name
                made.build(trees[name])
            found[f"memory {kind}"] = memory(kind, trees[name])
    return found


def with_room(octets: int) -> int:
    return -(-octets * (100 + ROOM) // 100 // STEP_LEN) * STEP_LEN


def main() -> int:
    found = measure()
    known = json.loads(CEILINGS.read_text()) if CEILINGS.exists() else {}
    for table, figures in found.items():
        print(f"{table}  (now, may)")
        for name, octets in figures.items():
            print(f"    {name:44} {octets:8} {known.get(table, {}).get(name, 0):8}")
    if "--write" in sys.argv:
        ceilings = {table: {n: with_room(o) for n, o in figures.items()} for table, figures in found.items()}
        CEILINGS.write_text(json.dumps(ceilings, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
