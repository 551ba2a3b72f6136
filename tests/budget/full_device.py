"""A light that also tells how much memory it uses: query 900, for tests/budget."""

import gc

import light
from homeport_core.rpc import UINT32
from homeport_device.device import ANYONE


@light.device.query(900, "memory.json", result=(("used", UINT32), ("free", UINT32)), allow=ANYONE)
def memory(request):
    gc.collect()
    return gc.mem_alloc(), gc.mem_free()


light.device.run()
