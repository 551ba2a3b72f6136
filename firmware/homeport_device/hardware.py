"""Which hardware this platform has. Hardware is what stands around a stack: pins, flash, radio, watchdog.

    hardware = Hardware(pins, folder)        of this platform; raises ConfigError

`pins` is the table of the board's pins.py: name -> pin as the platform calls it (a number; "LED"; "D17"), or a tuple
(pin, True) for one that works the other way round. Names that the firmware itself knows: LED, RED, GREEN, BLUE (light),
BUTTON, SWITCH (remote access), SDA, SCL; the others are the application's. A name that is not in the table raises
ConfigError. `folder` makes a simulated board that keeps its flash, pins and air there (`hardware_unix`).

    name                                     "esp32", "rp2", "unix" or "linux"
    state_dir                                where files belong when there is no region
    has(name) -> bool                        whether something is wired to that name
    output(name, value=0) -> pin             pin.value(0 or 1), pin.value(); 1 is on, whichever way it is wired
    input(name) -> pin                       pin.value(); a contact to ground, pulled up: 1 is pressed.
                                             (pin, True): a contact to plus, pulled down
    pwm(name) -> channel                     channel.level(0 to 255), channel.level(); starts dark. A pin that
                                             can only be on and off is on from 128
    i2c() -> bus                             on pins SDA and SCL, 400 kHz: readfrom_mem(address, register, n),
                                             writeto_mem(address, register, octets); OSError when nobody answers.
                                             On "linux" it is Blinka's instead (busio.I2C), for its drivers
    temperature_mc() -> int                  of the chip, thousandths of a degree Celsius; None where it cannot tell
    region(label) -> region                  raw flash of that name; None where there is none
    watchdog(timeout_ms) -> dog              resets the board when dog.feed() is not called for so long. Cannot be
                                             stopped. Platforms shorten what they cannot wait for (rp2: 8388 ms);
                                             None where the platform has none
    reset_cause() -> int                     POWER_ON, HARD, WATCHDOG, SOFT, BROWNOUT or UNKNOWN (`hardware_common`)
    reset()                                  starts the board again; does not return
    unique_id() -> bytes                     of this chip or machine, 6 to 16 octets
    wifi() -> wifi                           None where the network is the system's affair

    region.size, .erase_len, .page_len       64 KB; 4096; 256. Erased flash reads as 0xFF
    region.read_into(off, buf)
    region.program(off, octets)              clears bits, within one page
    region.erase(block)                      sets all bits of the block, counted from 0
        All raise OSError when the flash fails, ValueError outside of the region.

    wifi.start(hostname)                     radio on, station mode; may be called again. What is too long for a
                                             host name in DHCP is cut
    wifi.scan() -> [(ssid, rssi, secured)]   octets, dBm, whether there is a password; one entry a name, strongest
                                             first. Stands still for two to three seconds; raises OSError
    wifi.join(ssid, password)                texts; "" for an open network. Begins, `status` tells how it goes
    wifi.leave()
    wifi.status() -> int                     IDLE, JOINING, JOINED, WRONG_PASSWORD, NO_NETWORK or FAILED
    wifi.address() -> tuple                  address, netmask, gateway, DNS server, 4 octets each; None without
    wifi.rssi() -> int                       dBm; None when not joined
    wifi.open_access_point(ssid, password)   a network of our own, open without password; returns our address in
                                             it, 4 octets. The station goes on meanwhile
    wifi.close_access_point()
"""

import sys

from homeport_core.compat import MICROPYTHON
from homeport_core.errors import ConfigError

__all__ = ["Hardware", "is_board", "pins_here"]


def is_board() -> bool:
    """Whether this is a microcontroller, where settings come from flash."""
    return sys.platform in ("esp32", "rp2")


def Hardware(pins: dict | None = None, folder: str = "") -> object:  # noqa: N802
    """The hardware of this platform: of a simulated board in `folder`; on CPython with a table of pins, of the machine
    through Blinka; else one that is simulated in memory. Raises ConfigError."""
    if sys.platform == "esp32":
        from homeport_device.hardware_esp32 import Hardware
    elif sys.platform == "rp2":
        from homeport_device.hardware_rp2 import Hardware
    elif folder or not pins or MICROPYTHON:
        from homeport_device.hardware_unix import Hardware

        return Hardware(pins, folder)
    else:
        from homeport_device.hardware_linux import Hardware
    if folder:
        raise ConfigError("only a simulated board has a folder")
    return Hardware(pins)


def opened(config: object) -> object:
    """The hardware of a device with these settings, which keep it. Raises ConfigError."""
    if config.hardware is None:
        config.hardware = Hardware(pins_here())
    return config.hardware


def pins_here() -> dict:
    """The table of pins.py, where modules are found: beside the application, on boards in flash. Empty without one.

    Raises ConfigError for a pins.py without a table.
    """
    try:
        import pins
    except ImportError:
        return {}
    table = getattr(pins, "PINS", None)
    if not isinstance(table, dict):
        raise ConfigError("pins.py must have a table PINS")
    return table
