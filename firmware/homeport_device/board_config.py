"""The settings of a board: those of every device, and how its records were found."""

from homeport_core.compat import const

from homeport_device.device_config import DeviceConfig

# How a record was found.
GOOD = const(0)
MISSING = const(1)
DAMAGED = const(2)

SETUP_PORT = const(80)


class BoardConfig(DeviceConfig):
    """As `DeviceConfig`; `hardware` and `store` are open."""

    networks = ()  # that the board knows: (SSID, password), texts
    secrets_found = GOOD
    config_found = GOOD
    setup_port = SETUP_PORT
    event_ring = 32
