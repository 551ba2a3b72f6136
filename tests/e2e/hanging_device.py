"""A device that hangs when it is told to: a file in its folder makes its task block, and query 1 fails as asked."""

import asyncio
import os
import sys

from homeport_core.rpc import UINT8
from homeport_device.device import ANYONE, Device, load_config

device = Device(load_config(), name="Hanging")
ORDER = sys.argv[sys.argv.index("--board") + 1] + "/hang"
ERRORS = (ValueError, MemoryError, OSError, KeyError, RuntimeError, StopIteration, AttributeError, ZeroDivisionError)


@device.query(1, "fail.json", params=(("kind", UINT8),), result=(("kind", UINT8),), allow=ANYONE)
def fail(request, kind):
    if kind < len(ERRORS):
        raise ERRORS[kind]("on purpose")
    return kind


@device.task
async def fragile():
    await asyncio.sleep(0.2)
    raise MemoryError("on purpose")


@device.task
async def hang():
    while True:
        await asyncio.sleep(0.1)
        try:
            os.stat(ORDER)
        except OSError:
            continue
        while True:
            pass


device.run()
