"""The heat pump that phone apps know (specification, application 2.8 and 4.6).

Temperatures are whole degrees Celsius. The room moves one degree towards the target every two seconds.
"""

import asyncio

from homeport_core.rpc import UINT8, UINT32
from homeport_device.device import Device, load_config

INTERFACE = ("317aadf2-3137-474b-8ddb-fea437c424f4", 1, 0)
MODE_HEAT = 1
STEP_S = 2

device = Device(load_config(), name="Heat pump", type="Homeport heat pump", icon="chip.png", interface=INTERFACE)


class HeatPump:
    """What the pump does, and what the room makes of it."""

    active = 1
    mode = MODE_HEAT
    target = 23
    room = 19


pump = HeatPump()


@device.query(
    20000,
    "heatpump_get_full_state.json",
    result=(
        ("activated", UINT8),
        ("mode", UINT32),
        ("target_temperature", UINT32),
        ("room_temperature", UINT32),
    ),
)
def get_full_state(request):
    return pump.active, pump.mode, pump.target, pump.room


@device.query(
    20010,
    "heatpump_set_activation_state.json",
    params=(("activated", UINT8),),
    result=(("activated", UINT8),),
)
def set_activation_state(request, activated):
    pump.active = 1 if activated else 0
    return pump.active


@device.query(
    20020,
    "heatpump_set_target_temperature.json",
    params=(("temperature", UINT32),),
    result=(("temperature", UINT32),),
)
def set_target_temperature(request, temperature):
    # On the wire a number without sign, in the house one with.
    pump.target = temperature - 0x100000000 if temperature & 0x80000000 else temperature
    return pump.target


@device.query(20030, "heatpump_set_mode.json", params=(("mode", UINT32),), result=(("mode", UINT32),))
def set_mode(request, mode):
    pump.mode = mode
    return mode


@device.task
async def warm_up():
    while True:
        await asyncio.sleep(STEP_S)
        if pump.active and pump.room != pump.target:
            pump.room += 1 if pump.room < pump.target else -1


if __name__ == "__main__":
    device.run()
