"""What a device's settings must be like. Needed once, so it is a file of its own, which does not stay in memory."""

from homeport_core.compat import const
from homeport_core.errors import ConfigError
from homeport_core.spec import DEVICE_ID_MAX, ENDPOINT_LEN, PSK_LEN

from homeport_device.config import sealed_len

_ID_LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789-."
_CONTROLLERS_MAX = const(6)
# The smallest build of the reference receives this much: enough for U_CONNECT with a client name of 58 octets.
_PACKET_MIN = const(272)
_PACKET_LIMIT = const(1500)

# U_ALIVE with an empty event, and U_INVITE with all payloads, their texts empty.
_ALIVE_LEN = const(32)
_INVITE_LEN = const(102)
_TEXTS = (("application_version", 64), ("url", 64), ("version_label", 32))
_COUNTS = (
    "connections",
    "connections_per_source",
    "request_queue",
    "answers_kept",
    "replay_window",
    "events",
    "streams",
    "streams_per_client",
    "stream_window",
)


def check(config: object) -> None:
    """Raises ConfigError for the first thing that is wrong."""
    if not 1 <= len(config.device_id) <= DEVICE_ID_MAX:
        raise ConfigError("device id must have 1 to 40 characters", len(config.device_id))
    for letter in config.device_id:
        if letter not in _ID_LETTERS:
            raise ConfigError("device id may hold a-z, 0-9, - and . only", letter)
    if len(config.key) not in (0, PSK_LEN):
        raise ConfigError("key must be 16 octets", len(config.key))
    if len(config.controllers) > _CONTROLLERS_MAX:
        raise ConfigError("at most 6 controllers", len(config.controllers))
    for endpoint in config.controllers:
        if len(endpoint) != ENDPOINT_LEN:
            raise ConfigError("a controller is 6 octets: address and port", len(endpoint))
    _check_texts(config)
    _check_sizes(config)


def _check_texts(config: object) -> None:
    for name, most in _TEXTS:
        text = getattr(config, name)
        if len(text) > most:
            raise ConfigError(name + " is too long", len(text))
        for letter in text:
            if not " " < letter <= "~":
                raise ConfigError(name + " may hold printable ASCII without blanks only", letter)


def _check_sizes(config: object) -> None:
    if not _PACKET_MIN <= config.packet_max <= _PACKET_LIMIT:
        raise ConfigError("packet_max must be 272 to 1500", config.packet_max)
    if max(sealed_len(config.request_max), sealed_len(config.response_max)) > config.packet_max:
        raise ConfigError("request_max and response_max must fit packet_max", config.packet_max)
    if config.event_max + _ALIVE_LEN > config.packet_max:
        raise ConfigError("event_max must fit packet_max", config.event_max)
    texts_len = len(config.device_id) + len(config.application_version) + len(config.url) + len(config.version_label)
    if texts_len + _INVITE_LEN > config.packet_max:
        raise ConfigError("device id, application_version, url and version_label must fit packet_max", texts_len)
    for name in _COUNTS:
        if getattr(config, name) < 1:
            raise ConfigError(name + " must be at least 1")
