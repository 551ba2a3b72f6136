"""How much memory a whole device needs on MicroPython: built for boards, attached, clients connected, list full.

64-bit objects are about 1.5 times those of a board: 150k here is about 100 KB on an ESP32. `make bench` prints
what is reached now.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
from board_device import KEY, build, fill_users, imported_len, start, use, works
from scripted_world import Basestation

# What a device may need, and fences a little above what it does, against growth that nobody notices.
CEILING_K = 150
REACHED_K = 142
IMPORTED_MAX = 92_000
CONNECTION_MAX = 3_600


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("board")
    build(out)
    return out


@pytest.fixture
def state(tmp_path: Path) -> Path:
    fill_users(tmp_path)
    return tmp_path


@pytest.fixture
def basestation() -> Iterator[Basestation]:
    opened = Basestation("dev", KEY)
    yield opened
    opened.close()


def test_a_full_device_lives_within_the_ceiling(tree: Path, state: Path, basestation: Basestation) -> None:
    assert works(tree, CEILING_K, state, basestation, rounds=200)


def test_a_full_device_lives_within_what_was_reached(tree: Path, state: Path, basestation: Basestation) -> None:
    assert works(tree, REACHED_K, state, basestation, rounds=20)


def test_a_connection_costs_what_it_did(tree: Path, state: Path, basestation: Basestation) -> None:
    device = start(tree, 2000, state, basestation)
    try:
        basestation.attach()
        held = [use(basestation, rounds=1) for _ in range(5)]
    finally:
        device.stop()
    assert (held[4] - held[0]) / 4 < CONNECTION_MAX


def test_importing_everything_costs_what_it_did(tree: Path) -> None:
    assert imported_len(tree) < IMPORTED_MAX
