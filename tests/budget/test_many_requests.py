"""Nothing grows over 100,000 requests: a whole device on MicroPython, built for boards.

Time is virtual; what it took of ours is printed, and judged by nobody.
"""

import time
from pathlib import Path

import pytest
from scripted_world import DATAGRAM_MAX, decode
from small_devices import KINDS, SmallDevice
from stream_client import StreamClient

REQUESTS = 100_000
# At once: what a port takes in one wake-up.
BATCH = 16
# In a small heap most of the time would go into collections; `test_busy_hour` has those.
HEAP_LEN = 400 * 1024
# Header, CRYPTO's header and suite code, IV, one block, MAC.
ANSWER_LEN = 16 + 6 + 16 + 16 + 16
# Integers grow out of small ones, and dictionaries by a step: not more, however many requests follow.
NOISE_LEN = 256


def ask(client: StreamClient, requests: int) -> int:
    """So many requests; returns how many were answered. Of each batch one answer is opened, for the rest their size
    tells."""
    answered = 0
    for number in range(requests // BATCH):
        for place in range(BATCH):
            client.send_request(1, bytes((number + place & 0xFF, 1)))
        waiting = BATCH
        while waiting:
            octets = client.socket.recv(DATAGRAM_MAX)
            if len(octets) == ANSWER_LEN:
                waiting -= 1
                answered += bool(waiting) or len(client.keys.open(decode(octets))) == 1
    return answered


@pytest.mark.parametrize("kind", ["tiny"])
def test_nothing_grows_over_a_hundred_thousand_requests(kind: str, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    KINDS[kind].build(tree)
    with SmallDevice(kind, tree, tmp_path, heap_len=HEAP_LEN) as device:
        client = device.client()
        ask(client, REQUESTS // 10)
        before = device.held_len()
        started_s = time.perf_counter()
        answered = ask(client, REQUESTS)
        print(f"{REQUESTS / (time.perf_counter() - started_s):.0f} requests a second")
        after = device.held_len()
    assert answered == REQUESTS
    assert after - before < NOISE_LEN
