"""All that can be decided about a device: its stack's settings and those of the application's face."""

from homeport_device.config import Config


class DeviceConfig(Config):
    """`DeviceConfig(device_id, key, name=value, …)`, as `Config`. Raises ConfigError."""

    # All ports have TCP.
    tcp_fallback = True
    name = ""
    state_dir = "state"
    # Slots in the list of users, and whether it keeps push tokens (256 octets a user more).
    users = 32
    tokens = False
    # The secret on the device's label, 16 octets, that keys local connections for pairing; without one pairing is clear
    # and there are no end-to-end keys.
    label_secret = b""
    # With a label's secret, whether owners may administer over clear local connections all the same, as old clients
    # do; without one there is no other local way, and they may (core 14 row 13).
    legacy_local = False
    # Give the label's secret out at any time and believe claimed fingerprints, for tests (application 1.10).
    reference_psk = False
    # The wish for remote access; with False nothing is sent to a basestation (application 7.3). The owner's REMOTE
    # permission, and a switch at the device, may say no as well.
    master_switch = True
    # On a board with a button, strangers may pair only in the two minutes after somebody pressed it.
    pairing_button = True
    # How many of the last events are kept for owners to ask for (query 10020).
    event_ring = 0
    show_interface = False
    # What stands around a board: its `hardware`, and its `store` of records. Elsewhere files and the system.
    hardware = None
    store = None


def parse_address(text: str) -> bytes:
    """The 4 octets of a dotted IPv4 address; empty for anything else."""
    parts = text.split(".")
    if len(parts) != 4 or not all(part.isdigit() and len(part) <= 3 and int(part) <= 255 for part in parts):
        return b""
    return bytes(int(part) for part in parts)
