"""A busy hour in a heap as small as the smallest board's: calls, clients that come and go, pairing, tunnels, lost
networks, new attachments. Time is virtual; heaps are those of 64-bit objects, 1.5 times a board's.

The smallest heap is that of an ESP32 without PSRAM, about 100 KB. The firmware alone, without a board's parts, must
do with it as .mpy files in memory; with them it takes code executed in place (frozen, or ROMFS as here). A Pico W has
about 180 KB: that is enough for a board's firmware as .mpy files.
"""

from pathlib import Path

import pytest
from board_device import rom
from busy_hour import MINUTE_MS, MINUTES, BusyHour
from small_devices import KINDS, SmallDevice

ESP32_LEN = 150 * 1024
PICO_W_LEN = 270 * 1024
GATEWAY_LEN = 300 * 1024
# The parts of a board look at their pins many times a second: their hour has shorter minutes, as full of events.
SHORT_MS = 10_000
CASES = (
    ("full", ESP32_LEN, False),
    ("tiny", ESP32_LEN, False),
    ("board tiny", ESP32_LEN, True),
    ("board full", PICO_W_LEN, False),
    ("streams", GATEWAY_LEN, False),
    ("board streams", PICO_W_LEN, True),
)


@pytest.mark.parametrize(("kind", "heap_len", "in_place"), CASES)
def test_a_busy_hour_passes_in_a_small_heap(kind: str, heap_len: int, in_place: bool, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    KINDS[kind].build(tree)
    image = rom(tree) if in_place else None
    (tmp_path / "plenty").mkdir()
    with SmallDevice(kind, tree, tmp_path / "plenty", image=image) as device:
        beside_len = device.world.base_len
    (tmp_path / "small").mkdir()
    made = KINDS[kind]
    with SmallDevice(kind, tree, tmp_path / "small", image=image, heap_len=heap_len, beside_len=beside_len) as device:
        hour = BusyHour(device, made.is_board, made.has_streams, SHORT_MS if made.is_board else MINUTE_MS)
        hour.run()
    assert hour.minutes == MINUTES
    told = [line for line in device.printed.splitlines() if "failed" in line or "Traceback" in line]
    assert not told
