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
    overridden = ()  # names and values of the application's own settings that `config` replaces
    secrets_found = GOOD
    config_found = GOOD
    setup_port = SETUP_PORT
    event_ring = 32

    def drop_settings(self) -> None:
        """Be as with a damaged `config`: the application's own settings, no network."""
        for name, value in self.overridden:
            setattr(self, name, value)
        self.overridden = self.networks = ()
        self.config_found = DAMAGED
