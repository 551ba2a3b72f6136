"""A ventilation unit as the PyPI package `genvexnabto` knows them (specification, core 15; application 2.8).

Such clients connect on the local network, without encryption, and name themselves by e-mail address. Run it with an
id like 123456.remote.lscontrol.dk; clients take a unit for theirs by the end of it.
"""

from homeport_core.rpc import INT16, UINT8, UINT16, UINT32
from homeport_device.device import ANYONE, Device, load_config

E_MAILS = (b"user@example.com",)
MODEL = 2010
DEVICE_NUMBER = 79265

# What the unit measures, by address: tenths of a degree from -30 °C, percent, hundredths of a percent, 1/min.
data_points = {20: 512, 21: 345, 22: 398, 23: 521, 26: 46, 18: 4200, 19: 4100, 35: 1450, 36: 1430, 41: 0, 42: 0}
# What can be set, by the address for reading: fan speed, tenths of a degree from 10 °C, reheating, …
set_points = {7: 2, 1: 110, 3: 0, 6: 1, 21: 30, 30: 0, 70: 15, 100: 90, 50: 0}
# The same things have other addresses for writing.
WRITE_ADDRESSES = {24: 7, 12: 1, 16: 3, 22: 6, 52: 21, 70: 30, 150: 70, 210: 100, 110: 50}


def admit(connection):
    """Only people whose address is on the list, and only at home."""
    return connection.is_local and connection.client_id in E_MAILS


device = Device(load_config(), name="Ventilation", type="Ventilation unit", admit=admit)


@device.query(
    17,
    "ping.json",
    result=(
        ("reserved", UINT32),
        ("device_number", UINT32),
        ("device_model", UINT32),
        ("reserved_2", UINT32),
        ("slave_device_number", UINT32),
        ("slave_device_model", UINT32),
    ),
    allow=ANYONE,
)
def ping(request):
    return 0, DEVICE_NUMBER, MODEL, 0, 0, 0


@device.query(
    45,
    "datapoint_read_list.json",
    params=(("points", (("object", UINT8), ("address", UINT32))),),
    result=(("values", (("value", INT16),)),),
    allow=ANYONE,
)
def read_data_points(request, points):
    return ([(data_points.get(address, 0),) for _, address in points],)


@device.query(
    42,
    "setpoint_read_list.json",
    params=(("points", (("object", UINT8), ("address", UINT16))),),
    result=(("reserved", UINT8), ("values", (("value", UINT16),))),
    allow=ANYONE,
)
def read_set_points(request, points):
    return 0, [(set_points.get(address, 0),) for _, address in points]


@device.query(
    43,
    "setpoint_write_list.json",
    params=(("points", (("object", UINT8), ("address", UINT32), ("value", UINT16))),),
    result=(("status", UINT8),),
    allow=ANYONE,
)
def write_set_points(request, points):
    for _, address, value in points:
        if address in WRITE_ADDRESSES:
            set_points[WRITE_ADDRESSES[address]] = value
    return 1


if __name__ == "__main__":
    device.run()
