"""The example `light` on a simulated board, telling how deep it goes: each time deeper, a line `stack N`."""

import micropython
from homeport_device import flash_unix, port_micropython
from light import device

deepest = [0]


def watch(owner, name):
    method = getattr(owner, name)

    def watched(*arguments):
        used = micropython.stack_use()
        if used > deepest[0]:
            deepest[0] = used
            print("stack", used)
        return method(*arguments)

    setattr(owner, name, watched)


for name in ("read_into", "program", "erase"):
    watch(flash_unix.Region, name)
watch(port_micropython.MicroPythonPort, "send")
device.run()
