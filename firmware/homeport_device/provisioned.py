"""The settings of a board: what was written into it when it was provisioned, on top of the application's own.

A board without a Wi-Fi network, or with a damaged `config`, still gets settings: enough for the set-up page and the
local network. Nothing that is damaged is erased here, and no damage opens what was closed: without its `secrets` a
device has no key, and its label a secret that nobody knows.

A simulated board takes options as well (`options`), and `--board DIR`, `--setup-port N`.
"""

import sys

from homeport_core.compat import const
from homeport_core.errors import ConfigError, StorageError
from homeport_core.record import CONFIG, SECRETS

from homeport_device import log
from homeport_device.board_config import DAMAGED, GOOD, MISSING, SETUP_PORT, BoardConfig

_SIMULATED_SETUP_PORT = const(8080)  # 80 is the system's own
_SECRET_LEN = const(16)
_ID_LEN = const(6)  # octets of the chip's number, its last, in the id of a device that has no other


def load_config(settings: dict | None = None) -> BoardConfig:
    """The settings of this board. On a simulated one a wrong option is one line, and the end with code 2; on a real
    one what is wrong with the application's settings raises ConfigError."""
    from homeport_device.hardware import Hardware, is_board

    arguments = sys.argv[1:]
    try:
        folder = _take_option(arguments, "--board")
        return read_config(Hardware(_pins(folder), folder), arguments, settings)
    except ConfigError as error:
        if is_board():
            raise  # where the end of main.py by sys.exit() is a new beginning, at once and for ever
        print("error:", error)
        sys.exit(2)


def read_config(hardware: object, arguments: list, settings: dict | None = None) -> BoardConfig:
    """`load_config` without a process around it. Raises ConfigError for options and the application's settings."""
    arguments = list(arguments)
    usual_port = _SIMULATED_SETUP_PORT if hardware.name == "unix" else SETUP_PORT
    setup_port = _take_option(arguments, "--setup-port") or str(usual_port)
    if not setup_port.isdigit() or not 0 < int(setup_port) <= 0xFFFF:
        raise ConfigError("--setup-port must be 1 to 65535, not " + setup_port)
    store = open_store(hardware)
    config = _build(hardware, store, arguments, settings or {})
    config.hardware = hardware
    config.store = store
    config.state_dir = hardware.state_dir
    config.setup_port = int(setup_port)
    return config


def open_store(hardware: object) -> object:
    """The records of a board: in its flash, or in files where it has none for them."""
    from homeport_device.record_store import RecordStore

    region = hardware.region("homeport")
    if region is not None:
        from homeport_device.flash_slots import FlashSlots

        return RecordStore(FlashSlots(region))
    from homeport_device.file_slots import FileSlots

    return RecordStore(FileSlots(hardware.state_dir))


def add_network(config: BoardConfig, ssid: str, password: str) -> None:
    """Store a network as the first of those that the board knows, the oldest of too many gives way.

    Raises ConfigError and StorageError; then nothing has changed.
    """
    from homeport_core import provisioning

    wishes = {}
    if config.config_found == GOOD:
        wishes, _ = _read(config.store, CONFIG, provisioning.check_config)
    others = [network for network in wishes.get("wifi", ()) if network[0] != ssid]
    wishes["wifi"] = [[ssid, password]] + others[: provisioning.WIFI_MAX - 1]
    provisioning.check_config(wishes)
    config.store.write(CONFIG, provisioning.dump(wishes))
    config.config_found = GOOD
    config.networks = _networks(wishes)


def own_id(hardware: object) -> str:
    """The id of a device that was given none."""
    return "homeport-" + hardware.unique_id()[-_ID_LEN:].hex()


def _build(hardware: object, store: object, arguments: list, settings: dict) -> BoardConfig:
    from homeport_core import provisioning

    from homeport_device.factory_reset import resume

    try:
        if resume(store):
            log.line("a factory reset that was interrupted is done")
    except StorageError as error:
        log.line("a factory reset cannot be finished:", log.printable(error))
    secrets, secrets_found = _read(store, SECRETS, provisioning.check_secrets)
    wishes, wishes_found = _read(store, CONFIG, provisioning.check_config)
    try:
        config = _combine(hardware, arguments, settings, secrets, wishes)
    except ConfigError as error:
        # Checked one by one they were good; together, or with this application's settings, they are not.
        log.line("config does not suit:", log.printable(error))
        wishes, wishes_found = {}, DAMAGED
        config = _combine(hardware, arguments, settings, secrets, wishes)
    config.secrets_found = secrets_found
    config.config_found = wishes_found
    config.networks = _networks(wishes)
    if wishes.get("settings"):
        plain = _combine(hardware, arguments, settings, secrets, {})
        config.overridden = tuple([(name, getattr(plain, name)) for name in wishes["settings"]])
    if secrets_found == DAMAGED:
        from homeport_device.randomness import random

        config.key = b""
        config.label_secret = random(_SECRET_LEN)
    return config


def _read(store: object, kind: str, check: object) -> tuple:
    """What a record holds and how it was found."""
    from homeport_core.provisioning import load

    try:
        payload = store.read(kind)
        if payload is None:
            return {}, MISSING
        document = load(payload)
        check(document)
    except (ConfigError, StorageError) as error:
        log.line(kind, "cannot be used:", log.printable(error))
        return {}, DAMAGED
    return document, GOOD


def _combine(hardware: object, arguments: list, settings: dict, secrets: dict, wishes: dict) -> BoardConfig:
    from homeport_device.options import read_config

    values = dict(settings)
    values.update(wishes.get("settings", {}))
    for name in ("controller", "name", "master_switch"):
        if name in wishes:
            values[name] = wishes[name]
    for name in ("key", "label_secret"):
        if name in secrets:
            values[name] = secrets[name]
    values["device_id"] = secrets.get("id") or own_id(hardware)
    return read_config(arguments, {}, values, BoardConfig)


def _networks(wishes: dict) -> tuple:
    return tuple([(network[0], network[1]) for network in wishes.get("wifi", ())])


def _pins(folder: str) -> dict:
    """The table of the board's pins.py, which a simulated one has in its folder."""
    if folder:
        from homeport_device.hardware_unix import pins_in

        return pins_in(folder)
    from homeport_device.hardware import pins_here

    return pins_here()


def _take_option(arguments: list, name: str) -> str:
    """The value of an option, taken out of the arguments; empty when it is not there. Raises ConfigError."""
    if name not in arguments:
        return ""
    at = arguments.index(name)
    if at + 1 == len(arguments):
        raise ConfigError("option " + name + " needs a value")
    value = arguments[at + 1]
    del arguments[at : at + 2]
    return value
