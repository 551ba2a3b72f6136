"""Memory of a device on Unix MicroPython, built for boards: attached, one client connected, list of users full.

Nothing here is timed. 64-bit objects are about 1.5 times those of a 32-bit board.
"""

import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "support"))

from board_device import KEY, build, fill_users, imported_len, smallest_heap_k, start, use
from scripted_world import Basestation

FROM_K = 170
PLENTY_K = 2000


def main() -> None:
    with tempfile.TemporaryDirectory() as tree_name, tempfile.TemporaryDirectory() as state_name:
        tree, state = Path(tree_name), Path(state_name)
        build(tree)
        fill_users(state)
        basestation = Basestation("dev", KEY)
        device = start(tree, PLENTY_K, state, basestation)
        basestation.attach()
        held = [use(basestation, rounds=5) for _ in range(5)]
        device.stop()
        basestation.close()
        print(f"bytecode                     {sum(f.stat().st_size for f in tree.rglob('*.mpy')):8} octets")
        print(f"held after import            {imported_len(tree):8} octets")
        print(f"held with one client         {held[0]:8} octets (attached, 32 users)")
        print(f"held by each further client  {(held[4] - held[0]) // 4:8} octets")
        print(
            f"smallest heap that works     {smallest_heap_k(tree, state, FROM_K):8}k (the peak; ceiling 150k, aim 90k)"
        )


if __name__ == "__main__":
    main()
