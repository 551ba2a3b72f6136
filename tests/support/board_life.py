"""An example as a board runs it: `micropython board_life.py PLATFORM BOARD APP RECORDS`.

Platform and radio are fakes (`fake_board`), flash too; time, sockets and files are real. BOARD names the folder with
the table of pins; RECORDS is a JSON object: `secrets` and `config`, `air` as [SSID, password, address], `whole_storage`
for a file system that leaves no flash to records, and `options` as simulated boards take them. Whoever is at the board
presses its button when it has joined. Prints what became of the watchdog when it ends.
"""

import asyncio
import json
import sys
import time

import board_port
import fake_board

_, platform, folder, app, records = sys.argv
given = json.loads(records)
sys.argv[:] = []
sys.path.insert(0, folder)
board = board_port.install(platform)
chip = board.chip
chip.clock = time.ticks_ms
chip.access_point_address = "127.0.0.1"
chip.air = [fake_board.Network(*entry) for entry in given["air"]]
if given.get("whole_storage"):
    chip.flash.pop("homeport", None)
    chip.storage_used = fake_board.STORAGE_LEN

import network  # noqa: E402
from fake_socket import Rp2Socket  # noqa: E402

Rp2Socket.room = lambda: 2 if network.WLAN(network.AP_IF).active() else 3

from homeport_core import provisioning, record  # noqa: E402
from homeport_device import device, hardware, provisioned  # noqa: E402

fake_board.System.argv = [app] + given.get("options", [])
hardware.sys = device.sys = provisioned.sys = fake_board.System
store = provisioned.open_store(board.Hardware())
for kind in (record.SECRETS, record.CONFIG):
    if kind in given and store.read(kind) is None:
        store.write(kind, provisioning.dump(given[kind]))
made = __import__(app).device
BUTTON = made.hardware.find("BUTTON")[0]


@made.task
async def press():
    while not made.hardware.wifi().address():
        await asyncio.sleep(0.1)
    for level in (0, 1):
        chip.levels[BUTTON] = level
        await asyncio.sleep(0.3)
    print("pressed")


made.run()
print("watchdog %s fed %s name %s" % (chip.watchdog_ms, chip.fed > 0, chip.hostname))
