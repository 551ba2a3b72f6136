"""A light that also tells, for tests/budget, how much memory it uses (query 900) and what it has loaded (901)."""

import gc
import sys

import light
from homeport_core.rpc import RAW, UINT32
from homeport_device.device import ANYONE


@light.device.query(900, "memory.json", result=(("used", UINT32), ("free", UINT32)), allow=ANYONE)
def memory(request):
    gc.collect()
    return gc.mem_alloc(), gc.mem_free()


@light.device.query(901, "modules.json", result=(("names", RAW),), allow=ANYONE)
def modules(request):
    return " ".join(sorted(name for name in sys.modules if "homeport" in name))


light.device.run()
