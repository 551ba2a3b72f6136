"""A device with echo and tunnels that also tells how much memory it uses: query 900, for tests/budget."""

import gc

from homeport_core.rpc import UINT32
from homeport_device.stream_device import ANYONE, StreamDevice, load_config

device = StreamDevice(load_config({"streams": 4}), name="Streams")


@device.query(900, "memory.json", result=(("used", UINT32), ("free", UINT32)), allow=ANYONE)
def memory(request):
    gc.collect()
    return gc.mem_alloc(), gc.mem_free()


device.tunnel("*")
device.echo()
device.run()
