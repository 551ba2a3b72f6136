"""How much memory a whole device needs on MicroPython: built for boards, attached, clients connected, list full.

64-bit objects are about 1.5 times those of a board: 150k here is about 100 KB on an ESP32. `make bench` prints
what is reached now.
"""

import os
import random
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from board_device import KEY, build, fill_users, imported_len, start, use, works
from homeport_core.packet import encode
from homeport_core.payloads import build_fp, build_id, build_ipx
from homeport_core.spec import (
    HEADER_LEN,
    ID_MAIL,
    PL_CP_ID,
    PL_FP,
    PL_IPX,
    PT_DATA,
    PT_U_ALIVE,
    PT_U_ATTACH,
    PT_U_CONNECT,
    PT_U_CONNECT_PSK,
    PT_U_INVITE,
    PT_U_VERIFY_PSK,
)
from scripted_world import Basestation, Client

# What a device may need, and fences a little above what it does, against growth that nobody notices.
CEILING_K = 150
REACHED_K = 142
IMPORTED_MAX = 92_000
CONNECTION_MAX = 3_600
FLOOD = 1500
MODULES_QUERY = 901
NEEDED = ["homeport_device", "homeport_device.port", "homeport_firmware", "homeport_port_unix"]
PACKET_TYPES = (PT_DATA, PT_U_INVITE, PT_U_ATTACH, PT_U_ALIVE, PT_U_CONNECT, PT_U_CONNECT_PSK, PT_U_VERIFY_PSK)


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


def local_request(number: int) -> bytes:
    """A stranger's request for a clear connection on the local network, each of another client."""
    payloads = [
        (PL_IPX, build_ipx(flags=0xA0)),
        (PL_CP_ID, build_id(ID_MAIL, b"%d@example.org" % number)),
        (PL_FP, build_fp(number.to_bytes(16, "big"))),
    ]
    return encode(PT_U_CONNECT, payloads, cp=(5000 + number).to_bytes(4, "big"))


def test_a_full_device_lives_within_the_ceiling(tree: Path, state: Path, basestation: Basestation) -> None:
    assert works(tree, CEILING_K, state, basestation, rounds=200)


def test_a_full_device_lives_within_what_was_reached(tree: Path, state: Path, basestation: Basestation) -> None:
    assert works(tree, REACHED_K, state, basestation, rounds=20)


def test_a_flood_of_anything_leaves_it_working_within_the_ceiling(
    tree: Path, state: Path, basestation: Basestation
) -> None:
    chance = random.Random(7)
    device = start(tree, CEILING_K, state, basestation)
    try:
        basestation.attach()
        before = use(basestation, rounds=1)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            for number in range(FLOOD):
                octets = bytearray(chance.randbytes(chance.choice((0, 3, 16, 30, 60, 300, 1400))))
                if len(octets) >= HEADER_LEN and chance.random() < 0.8:
                    octets[8] = chance.choice(PACKET_TYPES)
                    octets[11] = 0
                    octets[14:16] = len(octets).to_bytes(2, "big")
                    octets[18:20] = (len(octets) - HEADER_LEN).to_bytes(2, "big")
                local = ("127.0.0.1", device.local_port)
                stranger.sendto(octets, local if chance.random() < 0.5 else basestation.device)
                stranger.sendto(local_request(number), local)
        after = use(basestation, rounds=20)
    finally:
        device.stop()
    assert not [line for line in device.lines if "failed" in line or "Traceback" in line]
    assert after - before < 10 * CONNECTION_MAX


def test_a_connection_costs_what_it_did(tree: Path, state: Path, basestation: Basestation) -> None:
    device = start(tree, 2000, state, basestation)
    try:
        basestation.attach()
        held = [use(basestation, rounds=1) for _ in range(5)]
    finally:
        device.stop()
    assert (held[4] - held[0]) / 4 < CONNECTION_MAX


def test_a_device_that_serves_a_client_has_loaded_only_what_that_needs(
    tree: Path, state: Path, basestation: Basestation
) -> None:
    device = start(tree, 2000, state, basestation)
    client = Client()
    try:
        basestation.attach()
        use(basestation, rounds=1)
        basestation.introduce(client, os.urandom(4), (1).to_bytes(16, "big"))
        names = client.call(MODULES_QUERY)[2:].decode().split()
    finally:
        client.close()
        device.stop()
    assert names == NEEDED


def test_importing_everything_costs_what_it_did(tree: Path) -> None:
    assert imported_len(tree) < IMPORTED_MAX
