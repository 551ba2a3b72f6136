"""Memory of a device with streams on Unix MicroPython, built for boards, for one stream slot and for four.

Nothing here is timed. 64-bit objects are about 1.5 times those of a 32-bit board; buffers are the same.
"""

import os
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "support"))

from board_device import KEY, MEMORY_QUERY, build, fill_users, start
from scripted_world import Basestation
from stream_client import StreamClient

PLENTY_K = 2000
OWNER = (1).to_bytes(16, "big")


def held(client: StreamClient) -> int:
    client.socket.settimeout(10)
    return int.from_bytes(client.call(MEMORY_QUERY)[:4], "big")


def measure(tree: Path, streams: int, window: int) -> tuple[int, int]:
    """Octets held attached with one client, and how many each open stream adds."""
    with tempfile.TemporaryDirectory() as state:
        fill_users(Path(state))
        basestation = Basestation("dev", KEY)
        options = ("--streams", str(streams), "--streams-per-client", str(streams), "--stream-window", str(window))
        device = start(tree, PLENTY_K, Path(state), basestation, "stream_device", *options)
        basestation.attach()
        client = StreamClient()
        basestation.introduce(client, os.urandom(4), OWNER)
        before = held(client)
        for _ in range(streams):
            client.open(b"echo\n")
        added = (held(client) - before) // streams
        client.close()
        device.stop()
        basestation.close()
        return before, added


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        tree = Path(name)
        build(tree)
        for streams, window in ((1, 2), (1, 4), (4, 4), (4, 8), (16, 4)):
            before, added = measure(tree, streams, window)
            print(f"{streams:2} slots, window {window}: {before:7} octets with one client, {added:5} per open stream")


if __name__ == "__main__":
    main()
