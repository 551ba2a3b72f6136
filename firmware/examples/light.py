"""A light with two queries: the smallest device (specification, application 2.8, "light demo").

On a board whose pins.py has a RELAY, light 1 is that; the others are but remembered.
"""

from homeport_core.rpc import UINT8
from homeport_device.device import Device, load_config

device = Device(load_config(), name="Light", type="Homeport light")
lights = bytearray(256)  # whatever is asked for, they take no more
relays = {}
RELAY_LIGHT = 1


@device.task
async def open_relay():
    hardware = device.config.hardware
    if hardware is not None and hardware.has("RELAY"):
        relays[RELAY_LIGHT] = hardware.output("RELAY")


@device.query(
    1, "light_write.json", params=(("light_id", UINT8), ("light_on", UINT8)), result=(("light_state", UINT8),)
)
def light_write(request, light_id, light_on):
    lights[light_id] = light_on
    if light_id in relays:
        relays[light_id].value(1 if light_on else 0)
    return light_on


@device.query(2, "light_read.json", params=(("light_id", UINT8),), result=(("light_state", UINT8),))
def light_read(request, light_id):
    return lights[light_id]


if __name__ == "__main__":
    device.run()
