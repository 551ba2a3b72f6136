"""What is written into a device before its life begins: the records `secrets` and `config` (docs/provisioning.md).

Both are one JSON object in its canonical form: names sorted, no blanks, nothing escaped but `"` and `\\`. So there is
one octet string for each meaning, and whatever is cut short, repeated or nested differs from it. The host checks all
of it before it writes the first octet; the device reads by the same rules. Needed at a start only, so import it late.
"""

import json

from homeport_core.compat import const
from homeport_core.errors import ConfigError
from homeport_core.spec import DEVICE_ID_MAX, PSK_LEN

PAYLOAD_MAX = 3584  # octets of one record, which has an erase block of 4096 to itself
WIFI_MAX = 4  # networks that a device may know
CONTROLLERS_MAX = 6
NAME_MAX = 49
SSID_MAX = 32
PASSWORD_MIN = 8
PASSWORD_MAX = 63

_DEPTH_MAX = const(3)
_LABEL_MAX = const(63)
_HOST_MAX = const(253)
_PORT_MAX = const(0xFFFF)
_LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789-"
_HEX = "0123456789abcdef"

_SECRETS = ("id", "key", "label_secret")
_CONFIG = ("controller", "master_switch", "name", "settings", "wifi")

# The settings of a device (homeport_device.device_config) that its owner may decide: switches, numbers with the least
# and the most that make sense, texts with the most octets. What is the application's own affair is not among them.
SWITCHES = (
    "attach_statistics",
    "client_names",
    "connection_statistics",
    "discovery",
    "legacy_local",
    "legacy_rpc",
    "local_clear",
    "local_psk",
    "many_ports",
    "many_sockets",
    "pairing_button",
    "tcp_fallback",
    "tokens",
)
NUMBERS = {
    "alive_poll_ms": (1000, 600000),
    "alive_polls": (1, 100),
    "connections": (1, 1000),
    "connections_per_source": (1, 1000),
    "event_ring": (0, 200),
    "local_port": (0, _PORT_MAX),
    "packet_max": (272, 1500),
    "stream_segment": (64, 65000),
    "stream_window": (1, 1024),
    "streams": (1, 1000),
    "streams_per_client": (1, 1000),
    "tcp_port": (0, _PORT_MAX),
    "users": (1, 32),
}
TEXTS = {"url": 64}


def check_secrets(secrets: dict[str, object]) -> None:
    """Raise ConfigError, which names the field and what was expected, unless these can be a device's `secrets`."""
    _check_names("secrets", secrets, _SECRETS)
    check_id(secrets.get("id"))
    _check_hex("key", secrets.get("key"))
    if "label_secret" in secrets:
        _check_hex("label_secret", secrets["label_secret"])


def check_config(config: dict[str, object]) -> None:
    """Raise ConfigError, which names the field and what was expected, unless this can be a device's `config`."""
    _check_names("config", config, _CONFIG)
    if "controller" in config:
        _check_controllers(config["controller"])
    if "master_switch" in config and not isinstance(config["master_switch"], bool):
        raise ConfigError("master_switch must be true or false")
    if "name" in config:
        _check_text("name", config["name"], 1, NAME_MAX)
    _check_networks(config.get("wifi", []))
    settings = config.get("settings", {})
    if not isinstance(settings, dict):
        raise ConfigError("settings must be an object of names and values")
    for name in settings:
        check_setting(name, settings[name])


def check_id(device_id: object) -> None:
    """Raise ConfigError unless this is a device's id, which is also its name in DNS."""
    if not isinstance(device_id, str) or not _is_host(device_id) or len(device_id) > DEVICE_ID_MAX:
        raise ConfigError(
            "id must be a host name of 1 to %d characters: a-z, 0-9 and '-', in parts joined by '.'" % DEVICE_ID_MAX
        )


def check_network(ssid: object, password: object, where: str = "wifi") -> None:
    """Raise ConfigError unless a Wi-Fi network can have this name and password; the password is not repeated."""
    _check_text(where + " SSID", ssid, 1, SSID_MAX)
    if not isinstance(password, str) or not all(" " <= letter <= "~" for letter in password):
        raise ConfigError(where + " password must be printable ASCII")
    if password and not PASSWORD_MIN <= len(password) <= PASSWORD_MAX:
        raise ConfigError(
            "%s password must have %d to %d characters, or none for an open network, not %d"
            % (where, PASSWORD_MIN, PASSWORD_MAX, len(password))
        )


def check_setting(name: object, value: object) -> None:
    """Raise ConfigError unless an owner may give this setting of a device this value."""
    if name in SWITCHES:
        if not isinstance(value, bool):
            raise ConfigError("setting %s must be true or false" % name)
    elif name in NUMBERS:
        least, most = NUMBERS[str(name)]
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            raise ConfigError("setting %s must be a number from %d to %d" % (name, least, most))
    elif name in TEXTS:
        _check_text("setting %s" % name, value, 0, TEXTS[str(name)])
    else:
        raise ConfigError("no such setting: %s" % _shown(name))


def dump(document: dict[str, object]) -> bytes:
    """The canonical octets of a checked object. Raises ConfigError when they are too many for a record."""
    payload = _text(document).encode()
    if len(payload) > PAYLOAD_MAX:
        raise ConfigError("a record has at most %d octets, not %d" % (PAYLOAD_MAX, len(payload)))
    return payload


def load(payload: bytes) -> dict[str, object]:
    """The object that a record holds, not checked yet. Raises ConfigError unless it is in its canonical form."""
    if len(payload) > PAYLOAD_MAX:
        raise ConfigError("a record has at most %d octets, not %d" % (PAYLOAD_MAX, len(payload)))
    _check_depth(payload)
    try:
        document = json.loads(str(payload, "utf-8"))
        if isinstance(document, dict) and _text(document).encode() == payload:
            return document
    except ValueError:
        pass  # said below
    raise ConfigError("not a JSON object in its canonical form: cut short, damaged or of another kind")


def _check_names(what: str, document: object, known: tuple[str, ...]) -> None:
    if not isinstance(document, dict):
        raise ConfigError(what + " must be an object")
    for name in document:
        if name not in known:
            raise ConfigError("%s: no such field: %s" % (what, _shown(name)))


def _check_hex(name: str, value: object) -> None:
    digits = 2 * PSK_LEN
    if not isinstance(value, str) or len(value) != digits or not all(letter in _HEX for letter in value):
        found = "%d characters" % len(value) if isinstance(value, str) else "nothing"
        raise ConfigError("%s must be %d lower-case hex digits, not %s" % (name, digits, found))


def _check_text(name: str, value: object, least: int, most: int) -> None:
    """Sizes are octets of UTF-8."""
    if not isinstance(value, str) or any(letter < " " or letter == "\x7f" for letter in value):
        raise ConfigError(name + " must be text without control characters")
    try:
        length = len(value.encode())
    except ValueError:
        raise ConfigError(name + " must be text that UTF-8 can carry")
    if not least <= length <= most:
        raise ConfigError("%s must have %d to %d octets, not %d" % (name, least, most, length))


def _check_controllers(controllers: object) -> None:
    if not isinstance(controllers, list) or not 1 <= len(controllers) <= CONTROLLERS_MAX:
        raise ConfigError("controller must be a list of 1 to %d texts HOST:PORT" % CONTROLLERS_MAX)
    for text in controllers:
        host, colon, port = text.rpartition(":") if isinstance(text, str) else ("", "", "")
        if not _is_host(host) or not _is_number(port, _PORT_MAX) or int(port) == 0:
            raise ConfigError("controller must be HOST:PORT, a name or an IPv4 address, not " + _shown(text))
        if len(controllers) > 1 and not _is_address(host):
            raise ConfigError("several controllers must be given as addresses, not names: " + host)


def _check_networks(networks: object) -> None:
    if not isinstance(networks, list) or len(networks) > WIFI_MAX:
        raise ConfigError("wifi must be a list of at most %d networks" % WIFI_MAX)
    known: list[str] = []
    for network in networks:
        if not isinstance(network, list) or len(network) != 2:
            raise ConfigError("wifi must be a list of networks, each an SSID and a password")
        where = "wifi[%d]" % len(known)
        check_network(network[0], network[1], where)
        if network[0] in known:
            raise ConfigError(where + " SSID is given twice: " + network[0])
        known.append(network[0])


def _is_host(text: str) -> bool:
    """Whether DNS allows this as a name in lower case; an IPv4 address is one, too, but no other mere digits."""
    parts = text.split(".")
    for part in parts:
        if not 1 <= len(part) <= _LABEL_MAX or part[0] == "-" or part[-1] == "-":
            return False
        if not all(letter in _LETTERS for letter in part):
            return False
    is_digits = all(letter in "0123456789." for letter in text)
    return len(text) <= _HOST_MAX and (not is_digits or len(parts) == 1 or _is_address(text))


def _is_address(text: str) -> bool:
    parts = text.split(".")
    return len(parts) == 4 and all(_is_number(part, 255) for part in parts)


def _is_number(text: str, most: int) -> bool:
    return 1 <= len(text) <= 5 and all(letter in "0123456789" for letter in text) and int(text) <= most


def _shown(value: object) -> str:
    """A value in an error, cut, and never more than printable ASCII."""
    text = value if isinstance(value, str) else type(value).__name__
    return "".join(letter if " " <= letter <= "~" else "?" for letter in text[:60])


def _check_depth(payload: bytes) -> None:
    """Nesting costs a board's memory, so it is bounded before anything is built."""
    depth = 0
    in_text = False
    escaped = False
    for octet in payload:
        if escaped or not in_text:
            escaped = False
            in_text = in_text or octet == 0x22
            depth += (octet in b"[{") - (octet in b"]}") if not in_text else 0
            if depth > _DEPTH_MAX:
                raise ConfigError("a record has objects and lists in at most %d levels" % _DEPTH_MAX)
        elif octet == 0x22:
            in_text = False
        else:
            escaped = octet == 0x5C


def _text(value: object) -> str:
    """JSON in canonical form; MicroPython's own writer knows no order of names."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    if isinstance(value, list):
        return "[" + ",".join(_text(entry) for entry in value) + "]"
    if isinstance(value, dict) and all(isinstance(name, str) for name in value):
        return "{" + ",".join(_text(name) + ":" + _text(value[name]) for name in sorted(value)) + "}"
    raise ConfigError("a record holds texts, whole numbers, switches, lists and objects only")
