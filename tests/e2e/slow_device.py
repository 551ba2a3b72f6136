"""A device whose handlers take their time: for test_device_process."""

import asyncio

from homeport_core.errors import RefusedError
from homeport_core.rpc import UINT8
from homeport_core.spec import AER_OUT_OF_RESOURCES
from homeport_device.device import ANYONE, Device, load_config

device = Device(load_config())


@device.query(1, "next", params=(("x", UINT8),), result=(("y", UINT8),), allow=ANYONE)
async def following(request, x):
    await asyncio.sleep(0.05)
    return x + 1


@device.query(2, "broken", allow=ANYONE)
async def broken(request):
    await asyncio.sleep(0.01)
    raise ValueError("broken on purpose")


@device.query(3, "refused", allow=ANYONE)
async def refused(request):
    await asyncio.sleep(0.01)
    raise RefusedError("not today", AER_OUT_OF_RESOURCES)


device.run()
