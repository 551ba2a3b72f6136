"""Where a device gets its settings: command line, environment, file (in this order of precedence).

Every plain setting of `DeviceConfig` is an option of the same name: `--local-psk off` sets `local_psk`. Secrets may
come from HOMEPORT_DEVICE_KEY and HOMEPORT_LABEL_SECRET or from files, so that they need not be seen in a list of
processes; their digits may be grouped by blanks, "-" or ":". Boards have no command line: `load_config` in main.py
gets all settings there. Not kept in memory once read.
"""

import json
import os
import sys

from homeport_core.errors import ConfigError

from homeport_device.device_config import DeviceConfig, parse_address

# Environment variables that hold secrets, by setting. Each setting also has an option for a file: `--key-file`.
SECRETS = {"key": "HOMEPORT_DEVICE_KEY", "label_secret": "HOMEPORT_LABEL_SECRET"}
_FILES = {"key_file": "key", "label_secret_file": "label_secret"}
_SHORT = {"id": "device_id", "state": "state_dir"}
_SWITCHES = {"on": True, "off": False}

HELP = """options:
  --id ID                  the device's id, which is also its name in DNS (required)
  --key HEX                32 hex digits shared with the basestation; or HOMEPORT_DEVICE_KEY, or:
  --key-file FILE          a file that holds the key
  --label-secret HEX       32 hex digits on the device's label, for pairing; or HOMEPORT_LABEL_SECRET, or:
  --label-secret-file FILE a file that holds them
  --controller HOST:PORT   the basestation's controller (may be repeated); without it the id is looked up
  --local-port N           UDP port on the local network (5570; 0 takes a free one)
  --state DIR              where the list of users is kept (./state)
  --name TEXT              what people see
  --config FILE            a JSON object of settings, named as here
  --interface              print the interface (unabto_queries.xml) and end
switches (on or off):"""


def load_config(settings: dict | None = None) -> DeviceConfig:
    """The settings of this process. A mistake is one line on the console, and the end with code 2.

    `settings` are the application's own defaults, by attribute name; everything else overrides them.
    """
    arguments = sys.argv[1:]
    if "--help" in arguments or "-h" in arguments:
        print(HELP)
        print("  " + " ".join("--" + name.replace("_", "-") for name in _names() if _is_switch(name)))
        sys.exit(0)
    try:
        return read_config(arguments, _environment(), settings)
    except ConfigError as error:
        print("error:", error)
        sys.exit(2)


def read_config(
    arguments: list, environment: dict | None = None, settings: dict | None = None, kind: object = DeviceConfig
) -> DeviceConfig:
    """`load_config` without a process around it: `environment` holds secrets, by setting; the result is a `kind`.

    Raises ConfigError.
    """
    given = _parse(arguments)
    values = dict(settings or {})
    if "config" in given:
        values.update(_read_json(given.pop("config")))
    values.update(environment or {})
    for option, name in _FILES.items():
        if option in given:
            values[name] = _read_text(given.pop(option)).strip()
    values.update(given)
    values.update(_controllers(values.pop("controller", ())))
    if values.get("show_interface"):
        values.setdefault("device_id", "interface")
    if not values.get("device_id"):
        raise ConfigError("the device needs an id: --id ID")
    settings = {name: _convert(name, value) for name, value in values.items()}
    return kind(settings.pop("device_id"), settings.pop("key", b""), **settings)


def _environment() -> dict:
    """The secrets that the environment holds."""
    found = {}
    if hasattr(os, "getenv"):
        for name, variable in SECRETS.items():
            if os.getenv(variable):
                found[name] = os.getenv(variable)
    return found


def _names() -> list:
    return sorted(name for name in dir(DeviceConfig) if not name.startswith("_"))


def _is_switch(name: str) -> bool:
    return isinstance(getattr(DeviceConfig, name), bool) and name != "show_interface"


def _parse(arguments: list) -> dict:
    """Options by setting; a repeated one is an error except --controller."""
    given = {}
    at = 0
    while at < len(arguments):
        word = arguments[at]
        name = word[2:].replace("-", "_")
        name = _SHORT.get(name, name)
        at += 1
        if word == "--interface":
            given["show_interface"] = True
            continue
        if not word.startswith("--") or not (name in ("controller", "config") or name in _FILES or _is_setting(name)):
            raise ConfigError("no such option: " + word + " (see --help)")
        if at == len(arguments):
            raise ConfigError("option " + word + " needs a value")
        if name == "controller":
            given.setdefault(name, []).append(arguments[at])
        elif name in given:
            raise ConfigError("option " + word + " given twice")
        else:
            given[name] = arguments[at]
        at += 1
    return given


def _is_setting(name: str) -> bool:
    return (
        bool(name)
        and not name.startswith("_")
        and isinstance(getattr(DeviceConfig, name, None), (bool, int, str, bytes))
    )


def _read_text(path: str) -> str:
    try:
        with open(path) as file:
            return file.read()
    except (OSError, UnicodeError):
        raise ConfigError("cannot read " + path)


def _read_json(path: str) -> dict:
    try:
        values = json.loads(_read_text(path))
    except ValueError:
        raise ConfigError(path + " is not JSON")
    if not isinstance(values, dict):
        raise ConfigError(path + " must hold a JSON object")
    renamed = {}
    for name in values:
        setting = name.replace("-", "_")
        setting = _SHORT.get(setting, setting)
        if setting != "controller" and not _is_setting(setting):
            raise ConfigError(path + ": no such setting: " + name)
        renamed[setting] = values[name]
    if isinstance(renamed.get("controller"), str):
        renamed["controller"] = [renamed["controller"]]
    return renamed


def _convert(name: str, value: object) -> object:
    """A value as the setting wants it; text comes from people."""
    if not hasattr(DeviceConfig, name):
        raise ConfigError("no such setting: " + name)
    wanted = getattr(DeviceConfig, name)
    option = name.replace("_", "-")
    if isinstance(wanted, bytes) and isinstance(value, str):
        for separator in " -:":
            value = value.replace(separator, "")
        try:
            value = bytes.fromhex(value)
        except ValueError:
            raise ConfigError(option + " must be hex digits")
        if len(value) != 16:
            raise ConfigError(option + " must be 32 hex digits")
    elif isinstance(wanted, bool) and isinstance(value, str):
        if value not in _SWITCHES:
            raise ConfigError(option + " must be on or off, not " + value)
        value = _SWITCHES[value]
    elif isinstance(wanted, int) and isinstance(value, str):
        try:
            value = int(value)
        except ValueError:
            raise ConfigError(option + " must be a number, not " + value)
    if isinstance(wanted, bool) != isinstance(value, bool) or not isinstance(value, type(wanted)):
        raise ConfigError(option + " must be " + type(wanted).__name__)
    if name.endswith("_port") and not 0 <= value <= 0xFFFF:
        raise ConfigError(option + " must be 0 to 65535, not %d" % value)
    return value


def _controllers(texts: object) -> dict:
    """`--controller` as settings: addresses become endpoints, a single name is looked up."""
    endpoints = []
    settings = {}
    for text in texts:
        host, colon, port = str(text).rpartition(":")
        if not colon:
            host, port = port, "5566"
        if not host or not port.isdigit() or not 0 < int(port) <= 0xFFFF:
            raise ConfigError("controller must be HOST:PORT, not " + str(text))
        address = parse_address(host)
        if address:
            endpoints.append(address + int(port).to_bytes(2, "big"))
        else:
            settings = {"controller_host": host, "controller_port": int(port)}
    if settings and len(texts) > 1:
        raise ConfigError("several controllers must be given as addresses, not names")
    if endpoints:
        settings["controllers"] = tuple(endpoints)
    return settings
